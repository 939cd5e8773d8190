#include "orchestrator/dispatch/outcome.h"

#include <stdio.h>
#include <string.h>

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static enum job_event by_reason(const char *reason, const char *stopping, int exit_code, int attempt)
{
    /* A program that ended well before the wish to stop reached it has ended well. */
    if (is(reason, "exit") && exit_code == 0)
        return JOB_EV_SUCCEED;
    if (is(reason, "preempt") || is(stopping, "preempt"))
        return JOB_EV_REQUEUE;
    if (is(reason, "timeout") || is(stopping, "timeout"))
        return JOB_EV_TIME_OUT;
    if (is(reason, "cancel") || is(stopping, "cancel"))
        return JOB_EV_CANCELLED;
    if (is(reason, "memory"))
        return JOB_EV_OOM;
    if (is(reason, "node_restart"))
        return attempt < OUTCOME_TRIES ? JOB_EV_REQUEUE : JOB_EV_NODE_FAIL;
    return JOB_EV_FAIL;
}

enum job_event outcome_of(const json_t *ended, const char *stopping, int attempt, struct job_change *change)
{
    const char *reason = json_string_value(json_object_get(ended, "reason"));
    const char *message = json_string_value(json_object_get(ended, "message"));
    const json_t *code = json_object_get(ended, "exit_code"), *sig = json_object_get(ended, "signal");
    json_t *tail = json_object_get(ended, "tail");
    *change = (struct job_change){.exit_code = (int)json_integer_value(code),
                                  .signal = (int)json_integer_value(sig),
                                  .has_exit = json_is_integer(code),
                                  .has_signal = json_integer_value(sig) > 0};
    char own[120];
    if (!message || !*message) { /* never an end without a word */
        if (change->has_signal)
            snprintf(own, sizeof(own), "ended by signal %d (%s)", change->signal, strsignal(change->signal));
        else if (change->has_exit)
            snprintf(own, sizeof(own), "ended with exit code %d", change->exit_code);
        else
            snprintf(own, sizeof(own), "ended, and nothing says how");
        message = own;
    }
    enum job_event event = by_reason(reason ? reason : "lost", stopping,
                                     json_is_integer(code) ? change->exit_code : -1, attempt);
    if (event != JOB_EV_SUCCEED && event != JOB_EV_CANCELLED)
        change->failure = json_pack("{s:s, s:s, s:O}", "reason", reason ? reason : "lost", "message", message,
                                    "tail", json_is_array(tail) ? tail : json_null());
    change->detail = json_pack("{s:s, s:s, s:o, s:o}", "reason", reason ? reason : "lost", "message", message,
                               "exit_code", change->has_exit ? json_integer(change->exit_code) : json_null(),
                               "signal", change->has_signal ? json_integer(change->signal) : json_null());
    return event;
}
