/* The table of a job's life, every pair of state and event: what DESIGN 4.4 allows happens, everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/job/state.h"

/* Written from the description of a job's life, not from the table: one line a state, "event>STATE". */
static const struct {
    int from;
    const char *moves;
} life[] = {
    {JOB_STATE_NONE, "submit>PENDING"},
    {JOB_PENDING, "hold>PENDING release>PENDING place>STARTING cancel>CANCELLED deadline>DEADLINE"},
    {JOB_STARTING,
     "run>RUNNING complete>COMPLETING cancel>COMPLETING expire>COMPLETING preempt>COMPLETING " /* and */
     "succeed>COMPLETED fail>FAILED cancelled>CANCELLED time_out>TIMEOUT out_of_memory>OUT_OF_MEMORY "
     "deadline>DEADLINE "
     "node_fail>NODE_FAIL requeue>PENDING"},
    {JOB_RUNNING,
     "complete>COMPLETING cancel>COMPLETING expire>COMPLETING preempt>COMPLETING succeed>COMPLETED "
     "fail>FAILED cancelled>CANCELLED "
     "time_out>TIMEOUT out_of_memory>OUT_OF_MEMORY deadline>DEADLINE node_fail>NODE_FAIL requeue>PENDING"},
    {JOB_COMPLETING, "cancel>COMPLETING succeed>COMPLETED fail>FAILED cancelled>CANCELLED time_out>TIMEOUT "
                     "out_of_memory>OUT_OF_MEMORY "
                     "deadline>DEADLINE node_fail>NODE_FAIL requeue>PENDING"},
    {JOB_COMPLETED, "requeue>PENDING"},
    {JOB_FAILED, "requeue>PENDING"},
    {JOB_CANCELLED, "requeue>PENDING"},
    {JOB_TIMEOUT, "requeue>PENDING"},
    {JOB_NODE_FAIL, "requeue>PENDING"},
    {JOB_OUT_OF_MEMORY, "requeue>PENDING"},
    {JOB_DEADLINE, "requeue>PENDING"},
};

/* Where the description says that the pair leads; NULL: nowhere. */
static const char *described(int from, enum job_event event, char out[32])
{
    char key[32];
    snprintf(key, sizeof(key), "%s>", job_event_name(event));
    for (size_t i = 0; i < ARRAY_LEN(life); i++) {
        if (life[i].from != from)
            continue;
        for (const char *at = life[i].moves; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
            if (!strncmp(at, key, strlen(key))) {
                snprintf(out, 32, "%.*s", (int)strcspn(at + strlen(key), " "), at + strlen(key));
                return out;
            }
    }
    return NULL;
}

static void every_pair_is_as_described(void **state)
{
    (void)state;
    int allowed = 0;
    for (int from = JOB_STATE_NONE; from < JOB_STATE_COUNT; from++)
        for (int e = 0; e < JOB_EV_COUNT; e++) {
            char want[32];
            enum job_state to;
            unsigned does;
            struct err err = {0};
            const char *expected = described(from, (enum job_event)e, want);
            int rc = job_state_next(from, (enum job_event)e, &to, &does, &err);
            if ((rc == 0) != (expected != NULL))
                fail_msg("%s of a job that is %s: %s", job_event_name((enum job_event)e),
                         from < 0 ? "none" : job_state_name((enum job_state)from),
                         rc == 0 ? "allowed" : "refused");
            if (rc == 0) {
                assert_string_equal(job_state_name(to), expected);
                allowed++;
            } else {
                assert_int_equal(err.code, ERR_CONFLICT);
                assert_true(strlen(err.text) > 10);
            }
        }
    assert_true(allowed > 40);
}

static void side_effects_keep_the_books(void **state)
{
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT; from++)
        for (int e = 0; e < JOB_EV_COUNT; e++) {
            enum job_state to;
            unsigned does;
            if (job_state_next(from, (enum job_event)e, &to, &does, NULL) < 0)
                continue;
            bool active = job_state_is_active((enum job_state)from), after = job_state_is_active(to);
            /* An allocation is taken on the way in, given back on the way out, and at no other time. */
            assert_int_equal(!active && after, (does & JOB_DO_ATTEMPT) != 0);
            assert_int_equal(active && !after, (does & JOB_DO_FREE) != 0);
            /* The end is noted when a job is over, and forgotten when it comes back. */
            assert_int_equal(job_state_is_final(to), (does & JOB_DO_ENDED) != 0);
            assert_int_equal(to == JOB_PENDING && from != JOB_PENDING, (does & JOB_DO_AGAIN) != 0);
        }
}

static void names_go_there_and_back(void **state)
{
    (void)state;
    for (int e = 0; e < JOB_EV_COUNT; e++) {
        enum job_event back;
        assert_int_equal(job_event_parse(job_event_name((enum job_event)e), &back), 0);
        assert_int_equal(back, e);
    }
    enum job_event none;
    assert_int_equal(job_event_parse("explode", &none), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_pair_is_as_described),
                                       cmocka_unit_test(side_effects_keep_the_books),
                                       cmocka_unit_test(names_go_there_and_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
