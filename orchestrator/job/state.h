/* state: THE table of a job's life: which event moves which state where. Pure: no clock, no I/O. Only
 * job/event.c calls it; nothing else changes a job's state. Replaying a job's events gives its state exactly.
 */
#ifndef ORCHESTRATOR_JOB_STATE_H
#define ORCHESTRATOR_JOB_STATE_H

#include "base/err.h"
#include "proto/job_state.h"

enum job_event {
    JOB_EV_SUBMIT,    /* accepted; the only event of a job that is not there yet */
    JOB_EV_HOLD,      /* may not start */
    JOB_EV_RELEASE,   /* may start again */
    JOB_EV_PLACE,     /* the scheduler gave it an allocation: the next attempt */
    JOB_EV_RUN,       /* its first process runs */
    JOB_EV_COMPLETE,  /* its program has ended; results are being gathered */
    JOB_EV_CANCEL,    /* the user wants it ended */
    JOB_EV_EXPIRE,    /* the orchestrator's own watch of the time limit */
    JOB_EV_PREEMPT,   /* something more important wants its place */
    JOB_EV_SUCCEED,   /* the attempt is over and everything it left is durable: exit 0 */
    JOB_EV_FAIL,      /* over: exit code or signal */
    JOB_EV_CANCELLED, /* over, because it was cancelled */
    JOB_EV_TIME_OUT,  /* over, because of its time limit */
    JOB_EV_OOM,       /* over, because of its memory limit */
    JOB_EV_DEADLINE,  /* it can no longer end in time */
    JOB_EV_NODE_FAIL, /* over: its node was lost and it may not be tried again */
    JOB_EV_REQUEUE,   /* back to the queue: node lost, preempted, or asked for */
    JOB_EV_COUNT,
};

/* What a row's move also does to the job; job/event.c carries it out. */
enum {
    JOB_DO_HOLD = 1,      /* held = true */
    JOB_DO_RELEASE = 2,   /* held = false */
    JOB_DO_ATTEMPT = 4,   /* attempt + 1, takes the allocation */
    JOB_DO_STARTED = 8,   /* notes the start */
    JOB_DO_FREE = 16,     /* gives the allocation back */
    JOB_DO_ENDED = 32,    /* notes the end, exit code and failure */
    JOB_DO_STOPPING = 64, /* notes why it is being ended */
    JOB_DO_AGAIN = 128,   /* forgets start and end: another attempt will come */
};

#define JOB_STATE_NONE (-1) /* before SUBMIT */

const char *job_event_name(enum job_event e); /* "submit" */
int job_event_parse(const char *name, enum job_event *out);

/* Where event takes a job in state `from` (JOB_STATE_NONE: there is none yet). -1 with a sentence for the
 * user when the pair is not in the table. */
int job_state_next(int from, enum job_event event, enum job_state *to, unsigned *does, struct err *err);

#endif
