#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/job_state.h"

static void every_state_is_found_by_its_name_and_code(void **state)
{
    (void)state;
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        enum job_state s = JOB_STATE_COUNT;
        assert_int_equal(job_state_parse(job_state_name((enum job_state)i), &s), 0);
        assert_int_equal(s, i);
        s = JOB_STATE_COUNT;
        assert_int_equal(job_state_parse(job_state_code((enum job_state)i), &s), 0);
        assert_int_equal(s, i);
    }
}

static void case_does_not_matter_and_unknown_names_are_refused(void **state)
{
    (void)state;
    enum job_state s = JOB_STATE_COUNT;
    assert_int_equal(job_state_parse("running", &s), 0);
    assert_int_equal(s, JOB_RUNNING);
    assert_int_equal(job_state_parse("oom", &s), 0);
    assert_int_equal(s, JOB_OUT_OF_MEMORY);
    assert_int_equal(job_state_parse("RUNNIN", &s), -1);
    assert_int_equal(job_state_parse("", &s), -1);
    assert_int_equal(job_state_parse(NULL, &s), -1);
}

static void final_and_active_are_disjoint_and_pending_is_neither(void **state)
{
    (void)state;
    int final = 0, active = 0;
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        enum job_state s = (enum job_state)i;
        assert_false(job_state_is_final(s) && job_state_is_active(s));
        final += job_state_is_final(s);
        active += job_state_is_active(s);
    }
    assert_int_equal(final, 7);
    assert_int_equal(active, 3);
    assert_false(job_state_is_final(JOB_PENDING) || job_state_is_active(JOB_PENDING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_is_found_by_its_name_and_code),
        cmocka_unit_test(case_does_not_matter_and_unknown_names_are_refused),
        cmocka_unit_test(final_and_active_are_disjoint_and_pending_is_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
