#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"

static void errors_say_line_and_column(void **state)
{
    (void)state;
    struct err e = {0};
    int line = 0, column = 0;
    const char *text = "{\n  \"a\": 1,\n  \"b\": oops\n}";
    assert_null(json_parse(text, strlen(text), &line, &column, &e));
    assert_int_equal(line, 3);
    assert_non_null(strstr(e.text, "line 3"));
}

static void hostile_documents_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "{\"a\":1,\"a\":2}", "[1] x", "\"\\u0000\"", "\"\xff\"", "nan", "{'a':1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_null(json_parse(bad[i], strlen(bad[i]), NULL, NULL, NULL));
    char *deep = malloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = 0;
    assert_null(json_parse(deep, 100000, NULL, NULL, NULL));
    free(deep);
}

static void typed_access_names_what_was_expected(void **state)
{
    (void)state;
    static const char text[] = "{\"n\":3,\"s\":\"x\",\"r\":1.5,\"b\":true,\"z\":null}";
    json_t *o = json_parse(text, sizeof(text) - 1, NULL, NULL, NULL);
    assert_non_null(o);
    struct err e = {0};
    int64_t n = 0;
    const char *s = NULL;
    double r = 0;
    bool b = false;
    assert_int_equal(json_get_int(o, "n", true, &n, &e), 0);
    assert_int_equal(json_get_str(o, "s", true, &s, &e), 0);
    assert_int_equal(json_get_real(o, "r", true, &r, &e), 0);
    assert_int_equal(json_get_bool(o, "b", true, &b, &e), 0);
    assert_true(n == 3 && !strcmp(s, "x") && r == 1.5 && b);
    n = 7;
    assert_int_equal(json_get_int(o, "z", false, &n, &e), 0);
    assert_int_equal(json_get_int(o, "absent", false, &n, &e), 0);
    assert_int_equal(n, 7);
    assert_int_equal(json_get_int(o, "s", false, &n, &e), -1);
    assert_string_equal(e.text, "member \"s\" must be an integer, not a string");
    assert_int_equal(json_get_str(o, "absent", true, &s, &e), -1);
    assert_string_equal(e.text, "member \"absent\" is missing");
    json_decref(o);
}

static void an_unknown_member_names_the_nearest(void **state)
{
    (void)state;
    static const char *const known[] = {"learning_rate", "momentum", "epochs", NULL};
    json_t *o = json_pack("{s:i}", "learnig_rate", 1);
    struct err e = {0};
    assert_int_equal(json_only_members(o, known, &e), -1);
    assert_string_equal(e.text, "unknown member \"learnig_rate\"; did you mean \"learning_rate\"?");
    json_decref(o);
    assert_string_equal(nearest_name("epohcs", known), "epochs");
    assert_null(nearest_name("batch", known));
    assert_null(nearest_name("", known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_line_and_column),
        cmocka_unit_test(hostile_documents_are_refused),
        cmocka_unit_test(typed_access_names_what_was_expected),
        cmocka_unit_test(an_unknown_member_names_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
