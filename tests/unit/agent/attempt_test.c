#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/attempt.h"

static enum attempt_state walk(enum attempt_state s, const enum attempt_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int next = attempt_next(s, events[i]);
        assert_true(next >= 0);
        s = (enum attempt_state)next;
    }
    return s;
}

static void an_attempt_goes_from_fetching_to_gone(void **state)
{
    (void)state;
    const enum attempt_event way[] = {ATTEMPT_EV_FETCHED, ATTEMPT_EV_RUNS,     ATTEMPT_EV_EXITED,
                                      ATTEMPT_EV_DRAINED, ATTEMPT_EV_UPLOADED, ATTEMPT_EV_FORGET};
    assert_int_equal(walk(ATTEMPT_FETCHING, way, 6), ATTEMPT_GONE);
}

static void it_is_never_forgotten_before_everything_was_told(void **state)
{
    (void)state;
    for (int s = 0; s < ATTEMPT_STATE_COUNT; s++)
        assert_int_equal(attempt_next((enum attempt_state)s, ATTEMPT_EV_FORGET),
                         s == ATTEMPT_ENDED ? (int)ATTEMPT_GONE : -1);
}

static void dropping_waits_for_a_living_program_only(void **state)
{
    (void)state;
    assert_int_equal(attempt_next(ATTEMPT_RUNNING, ATTEMPT_EV_DROP), ATTEMPT_DROPPED);
    assert_int_equal(attempt_next(ATTEMPT_STARTING, ATTEMPT_EV_DROP), ATTEMPT_DROPPED);
    assert_int_equal(attempt_next(ATTEMPT_DROPPED, ATTEMPT_EV_EXITED), ATTEMPT_GONE);
    assert_int_equal(attempt_next(ATTEMPT_FETCHING, ATTEMPT_EV_DROP), ATTEMPT_GONE);
    assert_int_equal(attempt_next(ATTEMPT_UPLOADING, ATTEMPT_EV_DROP), ATTEMPT_GONE);
}

static void nothing_leads_back_or_out_of_gone(void **state)
{
    (void)state;
    for (int s = 0; s < ATTEMPT_STATE_COUNT; s++) {
        for (int e = 0; e < ATTEMPT_EVENT_COUNT; e++) {
            int next = attempt_next((enum attempt_state)s, (enum attempt_event)e);
            assert_true(next == -1 || next > s);
        }
    }
}

static void phases_are_the_words_of_the_protocol(void **state)
{
    (void)state;
    assert_string_equal(attempt_phase(ATTEMPT_FETCHING), "starting");
    assert_string_equal(attempt_phase(ATTEMPT_RUNNING), "running");
    assert_string_equal(attempt_phase(ATTEMPT_ENDED), "completing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_goes_from_fetching_to_gone),
        cmocka_unit_test(it_is_never_forgotten_before_everything_was_told),
        cmocka_unit_test(dropping_waits_for_a_living_program_only),
        cmocka_unit_test(nothing_leads_back_or_out_of_gone),
        cmocka_unit_test(phases_are_the_words_of_the_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
