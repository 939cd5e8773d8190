#include "orchestrator/job/state.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

static const char *const event_names[JOB_EV_COUNT] = {
    [JOB_EV_SUBMIT] = "submit",       [JOB_EV_HOLD] = "hold",         [JOB_EV_RELEASE] = "release",
    [JOB_EV_PLACE] = "place",         [JOB_EV_RUN] = "run",           [JOB_EV_COMPLETE] = "complete",
    [JOB_EV_CANCEL] = "cancel",       [JOB_EV_EXPIRE] = "expire",     [JOB_EV_PREEMPT] = "preempt",
    [JOB_EV_SUCCEED] = "succeed",     [JOB_EV_FAIL] = "fail",         [JOB_EV_CANCELLED] = "cancelled",
    [JOB_EV_TIME_OUT] = "time_out",   [JOB_EV_OOM] = "out_of_memory", [JOB_EV_DEADLINE] = "deadline",
    [JOB_EV_NODE_FAIL] = "node_fail", [JOB_EV_REQUEUE] = "requeue",
};

#define OVER (JOB_DO_FREE | JOB_DO_ENDED)
#define BACK (JOB_DO_FREE | JOB_DO_AGAIN)

// clang-format off
static const struct row {
    int from;
    enum job_event event;
    enum job_state to;
    unsigned does;
} table[] = {
    {JOB_STATE_NONE, JOB_EV_SUBMIT,    JOB_PENDING,       0},

    {JOB_PENDING,    JOB_EV_HOLD,      JOB_PENDING,       JOB_DO_HOLD},
    {JOB_PENDING,    JOB_EV_RELEASE,   JOB_PENDING,       JOB_DO_RELEASE},
    {JOB_PENDING,    JOB_EV_PLACE,     JOB_STARTING,      JOB_DO_ATTEMPT},
    {JOB_PENDING,    JOB_EV_CANCEL,    JOB_CANCELLED,     JOB_DO_ENDED},
    {JOB_PENDING,    JOB_EV_DEADLINE,  JOB_DEADLINE,      JOB_DO_ENDED},

    {JOB_STARTING,   JOB_EV_RUN,       JOB_RUNNING,       JOB_DO_STARTED},
    {JOB_STARTING,   JOB_EV_COMPLETE,  JOB_COMPLETING,    JOB_DO_STARTED},
    {JOB_STARTING,   JOB_EV_CANCEL,    JOB_COMPLETING,    JOB_DO_STOPPING},
    {JOB_STARTING,   JOB_EV_EXPIRE,    JOB_COMPLETING,    JOB_DO_STOPPING},
    {JOB_STARTING,   JOB_EV_PREEMPT,   JOB_COMPLETING,    JOB_DO_STOPPING},

    {JOB_RUNNING,    JOB_EV_COMPLETE,  JOB_COMPLETING,    0},
    {JOB_RUNNING,    JOB_EV_CANCEL,    JOB_COMPLETING,    JOB_DO_STOPPING},
    {JOB_RUNNING,    JOB_EV_EXPIRE,    JOB_COMPLETING,    JOB_DO_STOPPING},
    {JOB_RUNNING,    JOB_EV_PREEMPT,   JOB_COMPLETING,    JOB_DO_STOPPING},

    {JOB_COMPLETING, JOB_EV_CANCEL,    JOB_COMPLETING,    JOB_DO_STOPPING},

    /* An attempt may end in any active state: it may be over before the agent could say that it ran. */
#define ENDS(state)                                                \
    {state,          JOB_EV_SUCCEED,   JOB_COMPLETED,     OVER},   \
    {state,          JOB_EV_FAIL,      JOB_FAILED,        OVER},   \
    {state,          JOB_EV_CANCELLED, JOB_CANCELLED,     OVER},   \
    {state,          JOB_EV_TIME_OUT,  JOB_TIMEOUT,       OVER},   \
    {state,          JOB_EV_OOM,       JOB_OUT_OF_MEMORY, OVER},   \
    {state,          JOB_EV_DEADLINE,  JOB_DEADLINE,      OVER},   \
    {state,          JOB_EV_NODE_FAIL, JOB_NODE_FAIL,     OVER},   \
    {state,          JOB_EV_REQUEUE,   JOB_PENDING,       BACK}
    ENDS(JOB_STARTING),
    ENDS(JOB_RUNNING),
    ENDS(JOB_COMPLETING),

    /* A job that is over can be put back by its owner; the next attempt goes on from its last checkpoint. */
    {JOB_COMPLETED,     JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
    {JOB_FAILED,        JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
    {JOB_CANCELLED,     JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
    {JOB_TIMEOUT,       JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
    {JOB_NODE_FAIL,     JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
    {JOB_OUT_OF_MEMORY, JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
    {JOB_DEADLINE,      JOB_EV_REQUEUE, JOB_PENDING,      JOB_DO_AGAIN},
};
// clang-format on

const char *job_event_name(enum job_event e)
{
    return event_names[e];
}

int job_event_parse(const char *name, enum job_event *out)
{
    for (int i = 0; i < JOB_EV_COUNT; i++) {
        if (!strcmp(event_names[i], name)) {
            *out = (enum job_event)i;
            return 0;
        }
    }
    return -1;
}

/* What a person wanted to do, for the refusal's sentence. */
static const char *wish(enum job_event e)
{
    switch (e) {
    case JOB_EV_HOLD:
        return "held";
    case JOB_EV_RELEASE:
        return "released";
    case JOB_EV_CANCEL:
        return "cancelled";
    case JOB_EV_REQUEUE:
        return "requeued";
    case JOB_EV_PREEMPT:
        return "preempted";
    default:
        return NULL;
    }
}

int job_state_next(int from, enum job_event event, enum job_state *to, unsigned *does, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].from == from && table[i].event == event) {
            *to = table[i].to;
            *does = table[i].does;
            return 0;
        }
    }
    const char *state = from == JOB_STATE_NONE ? "not there yet" : job_state_name((enum job_state)from);
    if (wish(event))
        return err_set(err, ERR_CONFLICT, "a job that is %s cannot be %s", state, wish(event));
    return err_set(err, ERR_CONFLICT, "event \"%s\" does not happen to a job that is %s",
                   job_event_name(event), state);
}
