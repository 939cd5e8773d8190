#include "proto/job_state.h"

#include <string.h>
#include <strings.h>
#include "base/mem.h"

static const struct {
    const char *name, *code;
} states[JOB_STATE_COUNT] = {
    [JOB_PENDING] = {"PENDING", "PD"},
    [JOB_STARTING] = {"STARTING", "CF"}, /* what Slurm calls CONFIGURING */
    [JOB_RUNNING] = {"RUNNING", "R"},
    [JOB_COMPLETING] = {"COMPLETING", "CG"},
    [JOB_COMPLETED] = {"COMPLETED", "CD"},
    [JOB_FAILED] = {"FAILED", "F"},
    [JOB_CANCELLED] = {"CANCELLED", "CA"},
    [JOB_TIMEOUT] = {"TIMEOUT", "TO"},
    [JOB_NODE_FAIL] = {"NODE_FAIL", "NF"},
    [JOB_OUT_OF_MEMORY] = {"OUT_OF_MEMORY", "OOM"},
    [JOB_DEADLINE] = {"DEADLINE", "DL"},
};

const char *job_state_name(enum job_state s)
{
    return (unsigned)s < JOB_STATE_COUNT ? states[s].name : "UNKNOWN";
}

const char *job_state_code(enum job_state s)
{
    return (unsigned)s < JOB_STATE_COUNT ? states[s].code : "??";
}

int job_state_parse(const char *name, enum job_state *out)
{
    if (!name)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strcasecmp(name, states[i].name) == 0 || strcasecmp(name, states[i].code) == 0) {
            *out = (enum job_state)i;
            return 0;
        }
    }
    return -1;
}

bool job_state_is_final(enum job_state s)
{
    return s >= JOB_COMPLETED && s < JOB_STATE_COUNT;
}

bool job_state_is_active(enum job_state s)
{
    return s == JOB_STARTING || s == JOB_RUNNING || s == JOB_COMPLETING;
}
