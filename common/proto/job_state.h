/* job_state: the names of a job's states, shared by every program. Which event moves which state where is in
 * orchestrator/job/state.c only. Names and two-letter codes are Slurm's. */
#ifndef PROTO_JOB_STATE_H
#define PROTO_JOB_STATE_H

#include <stdbool.h>

enum job_state {
    JOB_PENDING,
    JOB_STARTING,
    JOB_RUNNING,
    JOB_COMPLETING,
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_TIMEOUT,
    JOB_NODE_FAIL,
    JOB_OUT_OF_MEMORY,
    JOB_DEADLINE,
    JOB_STATE_COUNT,
};

const char *job_state_name(enum job_state s);               /* "PENDING" */
const char *job_state_code(enum job_state s);               /* "PD" */
int job_state_parse(const char *name, enum job_state *out); /* long or short, any case; -1 if unknown */
bool job_state_is_final(enum job_state s);
bool job_state_is_active(enum job_state s); /* holds an allocation: STARTING, RUNNING, COMPLETING */

#endif
