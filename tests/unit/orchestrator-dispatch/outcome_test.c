/* How an attempt ended, from what its agent says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/dispatch/outcome.h"

static void check(const char *reason, int exit_code, int sig, const char *stopping, int attempt,
                  enum job_event expected)
{
    struct job_change c;
    json_t *doc =
        json_pack("{s:s, s:s, s:o, s:i, s:[s]}", "reason", reason, "message", "words", "exit_code",
                  exit_code >= 0 ? json_integer(exit_code) : json_null(), "signal", sig, "tail", "last line");
    enum job_event e = outcome_of(doc, stopping, attempt, &c);
    if (e != expected)
        fail_msg("%s, exit %d, stopping \"%s\", attempt %d: %s, not %s", reason, exit_code, stopping, attempt,
                 job_event_name(e), job_event_name(expected));
    assert_int_equal(c.has_exit, exit_code >= 0);
    assert_int_equal(c.has_signal, sig > 0);
    bool failed = e != JOB_EV_SUCCEED && e != JOB_EV_CANCELLED;
    assert_int_equal(c.failure != NULL, failed);
    if (failed) {
        assert_string_equal(json_string_value(json_object_get(c.failure, "message")), "words");
        assert_int_equal(json_array_size(json_object_get(c.failure, "tail")), 1);
    }
    json_decref(c.failure);
    json_decref(c.detail);
    json_decref(doc);
}

static void every_way_to_end(void **state)
{
    (void)state;
    check("exit", 0, 0, "", 1, JOB_EV_SUCCEED);
    check("exit", 3, 0, "", 1, JOB_EV_FAIL);
    check("signal", -1, 9, "", 1, JOB_EV_FAIL);
    check("memory", -1, 9, "", 1, JOB_EV_OOM);
    check("timeout", -1, 15, "", 1, JOB_EV_TIME_OUT);
    check("cancel", -1, 15, "cancel", 1, JOB_EV_CANCELLED);
    check("signal", -1, 15, "cancel", 1, JOB_EV_CANCELLED);
    check("signal", -1, 15, "timeout", 1, JOB_EV_TIME_OUT);
    check("preempt", 0x8f, 0, "preempt", 1, JOB_EV_REQUEUE);
    check("exit", 0, 0, "cancel", 1, JOB_EV_SUCCEED); /* it was done before the wish reached it */
    check("node_restart", -1, 0, "", 1, JOB_EV_REQUEUE);
    check("node_restart", -1, 0, "", OUTCOME_TRIES, JOB_EV_NODE_FAIL);
    check("launch", 127, 0, "", 1, JOB_EV_FAIL);
    check("something new", -1, 0, "", 1, JOB_EV_FAIL);
}

static void an_end_that_says_nothing_is_a_failure(void **state)
{
    (void)state;
    struct job_change c;
    json_t *doc = json_object();
    assert_int_equal(outcome_of(doc, "", 1, &c), JOB_EV_FAIL);
    assert_false(c.has_exit);
    json_decref(c.failure);
    json_decref(c.detail);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way_to_end),
                                       cmocka_unit_test(an_end_that_says_nothing_is_a_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
