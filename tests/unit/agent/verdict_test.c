#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent/verdict.h"

#define RULE "--------------------------------------------------------------------------"

static void a_killed_rank_is_named(void **state)
{
    (void)state;
    struct verdict v;
    json_t *tail = json_pack(
        "[sssssss]", "trouble", RULE, "Primary job  terminated normally, but 1 process returned", RULE, RULE,
        "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).", RULE);
    verdict_read(&v, tail, "vm", "n1");
    assert_int_equal(v.signal, 9);
    assert_string_equal(v.message, "rank 1 on n1 ended with signal 9 (Killed)");
    assert_int_equal(json_array_size(v.tail), 1);
    assert_string_equal(json_string_value(json_array_get(v.tail, 0)), "trouble");
    json_decref(v.tail);
    verdict_read(&v, tail, "other", "n1");
    assert_string_equal(v.message, "rank 1 on vm ended with signal 9 (Killed)");
    json_decref(v.tail);
    json_decref(tail);
}

static void an_exit_code_is_named_with_its_rank(void **state)
{
    (void)state;
    struct verdict v;
    json_t *tail = json_pack(
        "[sssssss]", "loss is NaN", RULE,
        "mpirun detected that one or more processes exited with non-zero status, thus causing",
        "the job to be terminated. The first process to do so was:", "  Process name: [[23239,1],3]",
        "  Exit code:    4", RULE);
    verdict_read(&v, tail, "vm", "n1");
    assert_int_equal(v.signal, 0);
    assert_string_equal(v.message, "rank 3 ended with exit code 4");
    assert_int_equal(json_array_size(v.tail), 1);
    json_decref(v.tail);
    json_decref(tail);
}

static void what_is_not_known_is_left_as_it_is(void **state)
{
    (void)state;
    struct verdict v;
    json_t *tail = json_pack("[sss]", "a table", RULE, "mpirun noticed that process rank x");
    verdict_read(&v, tail, "vm", "n1");
    assert_string_equal(v.message, "");
    assert_int_equal(json_array_size(v.tail), 3);
    json_decref(v.tail);
    json_decref(tail);
    verdict_read(&v, NULL, "vm", "n1");
    assert_int_equal(json_array_size(v.tail), 0);
    json_decref(v.tail);
    tail = json_array();
    for (int i = 0; i < 50; i++)
        json_array_append_new(tail, json_sprintf("line %d", i));
    verdict_read(&v, tail, "vm", "n1");
    assert_int_equal(json_array_size(v.tail), VERDICT_TAIL_LINES);
    assert_string_equal(json_string_value(json_array_get(v.tail, 0)), "line 30");
    json_decref(v.tail);
    json_decref(tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_named),
        cmocka_unit_test(an_exit_code_is_named_with_its_rank),
        cmocka_unit_test(what_is_not_known_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
