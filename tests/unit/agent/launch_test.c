#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/launch.h"
#include "base/json.h"
#include "base/mem.h"

#define D64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct launch *parse(const char *text, struct err *err)
{
    json_t *doc = json_parse(text, strlen(text), NULL, NULL, err);
    assert_non_null(doc);
    struct launch *l = launch_parse(doc, 42, 1, "n1", err);
    json_decref(doc);
    return l;
}

static void a_complete_launch_is_read(void **state)
{
    (void)state;
    struct err err = {0};
    struct launch *l =
        parse("{\"kind\":\"train\",\"name\":\"first\",\"ranks\":2,\"cores\":4,\"memory_bytes\":1000,\"time_"
              "limit_seconds\":60,"
              "\"threads\":null,\"files\":[{\"path\":\"model.json\",\"digest\":\"" D64 "\"},"
              "{\"path\":\"data\",\"digest\":\"" D64 "\",\"cache\":true}],\"argv\":[\"trainyard-train\"],"
              "\"environment\":{\"A\":\"b\"},\"resume\":{\"digest\":\"" D64 "\"}}",
              &err);
    assert_non_null(l);
    assert_int_equal(l->kind, LAUNCH_TRAIN);
    assert_int_equal(l->ranks, 2);
    assert_int_equal(l->threads, 2); /* the cores shared by the ranks */
    assert_int_equal(l->file_count, 3);
    assert_true(l->files[1].cache && !l->files[0].cache);
    assert_string_equal(l->files[2].path, LAUNCH_RESUME);
    assert_true(l->resume);
    assert_int_equal(l->node_count, 1);
    assert_true(launch_is_head(l, "n1"));
    launch_destroy(l);
}

static void missing_and_null_are_the_same(void **state)
{
    (void)state;
    struct err err = {0};
    struct launch *l = parse("{\"kind\":\"batch\",\"resume\":null,\"files\":null,\"memory_bytes\":null,"
                             "\"nodes\":null,\"gpus\":null}",
                             &err);
    assert_non_null(l);
    assert_int_equal(l->ranks, 1);
    assert_int_equal(l->threads, 1);
    assert_int_equal(l->memory_bytes, 0);
    assert_int_equal(l->file_count, 0);
    launch_destroy(l);
}

static void nodes_name_the_head_first(void **state)
{
    (void)state;
    struct err err = {0};
    struct launch *l = parse(
        "{\"kind\":\"train\",\"ranks\":4,\"argv\":[\"t\"],\"nodes\":[{\"node\":\"n2\",\"ranks\":3},\"n1\"]}",
        &err);
    assert_non_null(l);
    assert_int_equal(l->node_count, 2);
    assert_int_equal(l->nodes[0].ranks, 3);
    assert_int_equal(l->nodes[1].ranks, 2);
    assert_false(launch_is_head(l, "n1"));
    assert_true(launch_is_head(l, "n2"));
    launch_destroy(l);
}

static void what_would_be_dangerous_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "{}",
        "{\"kind\":\"other\"}",
        "{\"kind\":\"train\",\"argv\":[]}",
        "{\"kind\":\"train\",\"argv\":[7]}",
        "{\"kind\":\"batch\",\"ranks\":0}",
        "{\"kind\":\"batch\",\"ranks\":-1}",
        "{\"kind\":\"batch\",\"ranks\":\"2\"}",
        "{\"kind\":\"batch\",\"memory_bytes\":-5}",
        "{\"kind\":\"batch\",\"files\":[{\"path\":\"../x\",\"digest\":\"" D64 "\"}]}",
        "{\"kind\":\"batch\",\"files\":[{\"path\":\"/etc/x\",\"digest\":\"" D64 "\"}]}",
        "{\"kind\":\"batch\",\"files\":[{\"path\":\"exit.json\",\"digest\":\"" D64 "\"}]}",
        "{\"kind\":\"batch\",\"files\":[{\"path\":\"spawn/x/start.json\",\"digest\":\"" D64 "\"}]}",
        "{\"kind\":\"batch\",\"files\":[{\"path\":\"x\",\"digest\":\"../../token\"}]}",
        "{\"kind\":\"batch\",\"files\":{}}",
        "{\"kind\":\"batch\",\"environment\":{\"A=B\":\"c\"}}",
        "{\"kind\":\"batch\",\"environment\":{\"A\":1}}",
        "{\"kind\":\"batch\",\"nodes\":[\"a b\"]}",
        "{\"kind\":\"batch\",\"nodes\":[7]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        if (parse(bad[i], &err))
            fail_msg("accepted: %s", bad[i]);
        assert_true(err.code != ERR_NONE && *err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_launch_is_read),
        cmocka_unit_test(missing_and_null_are_the_same),
        cmocka_unit_test(nodes_name_the_head_first),
        cmocka_unit_test(what_would_be_dangerous_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
