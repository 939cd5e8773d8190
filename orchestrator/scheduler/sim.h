/* sim: the scheduler under a trace instead of a cluster. Pure, as the scheduler is: time is the trace's. Each job ends `duration` after
 * its start, or at its time limit. */
#ifndef ORCHESTRATOR_SCHEDULER_SIM_H
#define ORCHESTRATOR_SCHEDULER_SIM_H

#include "orchestrator/scheduler/scheduler.h"

struct sim_node {
    char name[64];
    int64_t cores, memory, gpus;
};

struct sim_job {
    struct sched_job job;  /* submitted: when it arrives */
    double duration;       /* seconds */
    double started, ended; /* written; ended 0: it could never start */
};

/* Over jobs that ended; seconds. */
struct sim_spread {
    double mean, median, p90, p99, most;
};

struct sim_report {
    size_t ended, never;                 /* never: larger than the cluster */
    struct sim_spread completion, delay; /* from arrival to end; from arrival to start */
    double makespan;                     /* from the first arrival to the last end */
    double cores_used, gpus_used;        /* part of the cluster, over the makespan */
    size_t passes, most_waiting;
    double pass_seconds, pass_most; /* of the clock that was given */
};

/* clock, which may be NULL, is read around each pass. Jobs may stand in any order; ids must differ. */
void sim_run(const struct sched_policy *policy, const struct sim_node *nodes, size_t node_count,
             struct sim_job *jobs, size_t job_count, double (*clock)(void), struct sim_report *out);

#endif
