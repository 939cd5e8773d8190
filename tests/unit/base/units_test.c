#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/ids.h"
#include "base/units.h"

static void sizes_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } cases[] = {{"0", 0},
                 {"512", 512},
                 {"64K", 65536},
                 {"1.5G", 1610612736},
                 {"2GiB", 2147483648},
                 {"1MB", 1048576},
                 {"7g", 7516192768},
                 {"", -1},
                 {"x", -1},
                 {"1X", -1},
                 {"-1", -1},
                 {"nan", -1},
                 {"1e30", -1},
                 {"1G2", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t bytes = -1;
        struct err e = {0};
        int rc = units_parse_size(cases[i].text, &bytes, &e);
        assert_int_equal(rc, cases[i].bytes < 0 ? -1 : 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void durations_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {{"90", 90}, {"90s", 90}, {"5m", 300}, {"1h30m", 5400}, {"2d", 172800},
                 {"", -1},   {"m", -1},   {"5x", -1},  {"-5", -1},      {"99999999999999999999", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t s = -1;
        assert_int_equal(units_parse_duration(cases[i].text, &s, NULL), cases[i].seconds < 0 ? -1 : 0);
        assert_int_equal(s, cases[i].seconds);
    }
}

static void times_are_rfc3339_in_utc(void **state)
{
    (void)state;
    char out[32];
    time_format_rfc3339(1763900000.1239, out, sizeof(out));
    assert_string_equal(out, "2025-11-23T12:13:20.124Z");
    time_format_rfc3339(0.9999, out, sizeof(out));
    assert_string_equal(out, "1970-01-01T00:00:01.000Z");
}

static void names_and_paths_that_could_escape_are_refused(void **state)
{
    (void)state;
    assert_int_equal(name_check("a task", "mnist-2.v_1", NULL), 0);
    static const char *const bad_names[] = {
        "",         ".hidden",
        "a/b",      "a b",
        "\xc3\xa9", "-x",
        "a\n",      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
        assert_int_equal(name_check("a task", bad_names[i], NULL), -1);
    assert_true(path_is_safe("checkpoints/step-1.ckpt"));
    static const char *const bad_paths[] = {"",   "/etc/passwd", "..",   "a/../b", "a//b",
                                            "a/", "./a",         "a\\b", "a\nb"};
    for (size_t i = 0; i < sizeof(bad_paths) / sizeof(bad_paths[0]); i++)
        assert_false(path_is_safe(bad_paths[i]));
}

static void random_hex_has_the_length_asked_for(void **state)
{
    (void)state;
    char a[66] = {0}, b[66] = {0};
    random_hex(a, 65);
    random_hex(b, 65);
    assert_int_equal(strspn(a, "0123456789abcdef"), 65);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_read_as_people_write_them),
        cmocka_unit_test(durations_read_as_people_write_them),
        cmocka_unit_test(times_are_rfc3339_in_utc),
        cmocka_unit_test(names_and_paths_that_could_escape_are_refused),
        cmocka_unit_test(random_hex_has_the_length_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
