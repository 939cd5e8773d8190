#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"

static void setting_an_error_returns_minus_one_and_keeps_the_text(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_EXISTS, "task %s is there", "mnist"), -1);
    assert_int_equal(e.code, ERR_EXISTS);
    assert_string_equal(e.text, "task mnist is there");
    assert_int_equal(err_http_status(e.code), 409);
    assert_int_equal(err_exit_code(e.code), 6);
    assert_int_equal(err_set(NULL, ERR_IO, "dropped"), -1);
}

static void a_prefix_goes_in_front(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_IO, "no such file");
    assert_int_equal(err_prefix(&e, "reading %s", "m.json"), -1);
    assert_string_equal(e.text, "reading m.json: no such file");
}

static void wrapping_an_error_in_its_own_text_works(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_INTERNAL, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
}

static void long_texts_are_cut_and_stay_terminated(void **state)
{
    (void)state;
    char big[2000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    struct err e = {0};
    err_set(&e, ERR_IO, "%s", big);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    err_prefix(&e, "%s", big);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    err_set(&e, ERR_IO, "%.470s", big);
    err_prefix(&e, "front");
    assert_int_equal(strlen(e.text), 477);
    assert_memory_equal(e.text, "front: xxx", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_an_error_returns_minus_one_and_keeps_the_text),
        cmocka_unit_test(a_prefix_goes_in_front),
        cmocka_unit_test(wrapping_an_error_in_its_own_text_works),
        cmocka_unit_test(long_texts_are_cut_and_stay_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
