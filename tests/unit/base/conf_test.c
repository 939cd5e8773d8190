#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>
#include "base/conf.h"

static const struct conf_option table[] = {
    {"config", CONF_STR, NULL, .help = "Configuration file."},
    {"listen", CONF_STR, "127.0.0.1:1", .help = "Address."},
    {"children", CONF_INT, "2", 1, 64, .help = "Children."},
    {"limit", CONF_SIZE, "1M", .help = "Limit."},
    {"wait", CONF_DURATION, "1m", .help = "Wait."},
    {"json", CONF_BOOL, "false", .help = "JSON."},
    {"level", CONF_CHOICE, "info", .choices = "debug|info", .help = "Level."},
};
#define COUNT (int)(sizeof(table) / sizeof(table[0]))

static struct conf *load(int argc, const char **argv, struct err *e)
{
    int rest = 0;
    return conf_load("x", "A test.", table, COUNT, argc, (char **)(uintptr_t)argv, &rest, e);
}

static void flags_beat_environment_beats_file_beats_default(void **state)
{
    (void)state;
    char path[] = "/tmp/trainyard-conf-XXXXXX";
    int fd = mkstemp(path);
    static const char body[] = "{\"listen\": \"file\", \"children\": 5, \"wait\": \"2h\", \"json\": true}";
    assert_int_equal(write(fd, body, sizeof(body) - 1), sizeof(body) - 1);
    close(fd);
    setenv("TRAINYARD_CHILDREN", "6", 1);
    setenv("TRAINYARD_LIMIT", "3K", 1);
    const char *argv[] = {"--config", path, "--limit=5K", "--no-json"};
    struct err e = {0};
    struct conf *c = load(4, argv, &e);
    assert_non_null(c);
    assert_string_equal(conf_str(c, "listen"), "file");
    assert_int_equal(conf_int(c, "children"), 6);
    assert_int_equal(conf_int(c, "limit"), 5120);
    assert_int_equal(conf_int(c, "wait"), 7200);
    assert_false(conf_bool(c, "json"));
    assert_string_equal(conf_str(c, "level"), "info");
    conf_destroy(c);
    unsetenv("TRAINYARD_CHILDREN");
    unsetenv("TRAINYARD_LIMIT");
    unlink(path);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *word;
    } cases[] = {{"--childen=3", "did you mean --children"},
                 {"--children=x", "not an integer"},
                 {"--children=65", "outside 1..64"},
                 {"--level=loud", "debug|info"},
                 {"--wait=soon", "not a duration"},
                 {"--children", "needs a value"},
                 {"--json=maybe", "neither"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};
        const char *argv[] = {cases[i].flag};
        assert_null(load(1, argv, &e));
        if (!strstr(e.text, cases[i].word))
            fail_msg("%s gave: %s", cases[i].flag, e.text);
    }
}

static void words_after_the_flags_are_left(void **state)
{
    (void)state;
    const char *argv[] = {"--children", "3", "file", "--json"};
    int rest = 0;
    struct conf *c = conf_load("x", "A test.", table, COUNT, 4, (char **)(uintptr_t)argv, &rest, NULL);
    assert_non_null(c);
    assert_int_equal(rest, 2);
    assert_false(conf_bool(c, "json"));
    conf_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_beat_environment_beats_file_beats_default),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(words_after_the_flags_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
