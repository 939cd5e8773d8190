/* The limiter of failed sign-ins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "orchestrator/api/limiter.h"

static void only_what_is_in_the_window_counts(void **state)
{
    (void)state;
    struct limiter *l = limiter_create(100);
    assert_int_equal(limiter_count(l, "a", 0), 0);
    for (int i = 0; i < 10; i++)
        limiter_add(l, "a", i * 10);
    assert_int_equal(limiter_count(l, "a", 90), 10);
    assert_int_equal(limiter_count(l, "b", 90), 0);
    assert_int_equal(limiter_count(l, "a", 145), 5);
    assert_int_equal(limiter_count(l, "a", 1000), 0);
    limiter_destroy(l);
}

static void many_keys_push_out_the_oldest_only(void **state)
{
    (void)state;
    struct limiter *l = limiter_create(1e9);
    char key[32];
    limiter_add(l, "old", 0);
    for (int i = 1; i < 5000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        limiter_add(l, key, i);
    }
    assert_int_equal(limiter_count(l, "old", 5000), 0);
    assert_int_equal(limiter_count(l, "k4999", 5000), 1);
    assert_int_equal(limiter_count(l, "k2000", 5000), 1);
    limiter_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_in_the_window_counts),
        cmocka_unit_test(many_keys_push_out_the_oldest_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
