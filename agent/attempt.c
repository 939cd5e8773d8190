#include "agent/attempt.h"

#include <stddef.h>
#include "base/mem.h"

static const struct {
    enum attempt_state from;
    enum attempt_event event;
    enum attempt_state to;
} moves[] = {
    {ATTEMPT_FETCHING, ATTEMPT_EV_FETCHED, ATTEMPT_STARTING},
    {ATTEMPT_FETCHING, ATTEMPT_EV_EXITED, ATTEMPT_DRAINING}, /* stopped, or could not be fetched */
    {ATTEMPT_FETCHING, ATTEMPT_EV_DROP, ATTEMPT_GONE},
    {ATTEMPT_STARTING, ATTEMPT_EV_RUNS, ATTEMPT_RUNNING},
    {ATTEMPT_STARTING, ATTEMPT_EV_EXITED, ATTEMPT_DRAINING},
    {ATTEMPT_STARTING, ATTEMPT_EV_DROP, ATTEMPT_DROPPED},
    {ATTEMPT_RUNNING, ATTEMPT_EV_EXITED, ATTEMPT_DRAINING},
    {ATTEMPT_RUNNING, ATTEMPT_EV_DROP, ATTEMPT_DROPPED},
    {ATTEMPT_DRAINING, ATTEMPT_EV_DRAINED, ATTEMPT_UPLOADING},
    {ATTEMPT_DRAINING, ATTEMPT_EV_DROP, ATTEMPT_GONE},
    {ATTEMPT_UPLOADING, ATTEMPT_EV_UPLOADED, ATTEMPT_ENDED},
    {ATTEMPT_UPLOADING, ATTEMPT_EV_DROP, ATTEMPT_GONE},
    {ATTEMPT_ENDED, ATTEMPT_EV_FORGET, ATTEMPT_GONE},
    {ATTEMPT_ENDED, ATTEMPT_EV_DROP, ATTEMPT_GONE},
    {ATTEMPT_DROPPED, ATTEMPT_EV_EXITED, ATTEMPT_GONE},
};

static const char *const state_names[ATTEMPT_STATE_COUNT] = {
    "fetching", "starting", "running", "draining", "uploading", "ended", "dropped", "gone",
};

static const char *const event_names[ATTEMPT_EVENT_COUNT] = {
    "fetched", "runs", "exited", "drained", "uploaded", "forget", "drop",
};

int attempt_next(enum attempt_state state, enum attempt_event event)
{
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        if (moves[i].from == state && moves[i].event == event)
            return (int)moves[i].to;
    }
    return -1;
}

const char *attempt_state_name(enum attempt_state state)
{
    return (unsigned)state < ATTEMPT_STATE_COUNT ? state_names[state] : "unknown";
}

const char *attempt_event_name(enum attempt_event event)
{
    return (unsigned)event < ATTEMPT_EVENT_COUNT ? event_names[event] : "unknown";
}

const char *attempt_phase(enum attempt_state state)
{
    if (state <= ATTEMPT_STARTING)
        return "starting";
    return state == ATTEMPT_RUNNING ? "running" : "completing";
}
