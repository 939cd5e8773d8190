/* trace: job and node lists as CSV with a header line, for the simulator. Two forms, told apart by their header:
 *   ours       id,owner,submit,duration,limit,ranks,cores,memory_mib,gpus   (cores, memory and GPUs of each rank; seconds)
 *              name,cores,memory_mib,gpus
 *   Alibaba's  cluster-trace-gpu-v2023, pods and nodes. Jobs that were never scheduled there have no duration and are left out;
 *              a part of a GPU counts as a whole one; cores are counted in thousandths. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "base/err.h"
#include "orchestrator/scheduler/sim.h"

struct trace {
    struct sim_job *jobs;
    size_t job_count, job_cap, left_out;
    bool milli; /* cores are in thousandths */
};

/* -1 with err, which names the line. Caller frees either way (trace_free; free). */
int trace_read(const char *path, struct trace *out, struct err *err);
void trace_free(struct trace *t);
/* milli: multiply a plain list's cores by 1000. */
int trace_nodes(const char *path, bool milli, struct sim_node **nodes, size_t *count, struct err *err);

#endif
