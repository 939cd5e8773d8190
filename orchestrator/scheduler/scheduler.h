/* scheduler: which job runs where. Pure: it is told what happens and answers with decisions; no clock (time
 * is an argument), no I/O, no database, deterministic. The orchestrator feeds it from job events; a simulator
 * can feed it from a trace.
 *
 * Policy of this version: first fit in order of priority, then age, then id; a job that does not fit is
 * passed over and says what it waits for. Placement is all or nothing (gang): all ranks on one node if one
 * has room (the node with the fewest free cores left, so that large holes stay), else over the fewest nodes.
 */
#ifndef ORCHESTRATOR_SCHEDULER_SCHEDULER_H
#define ORCHESTRATOR_SCHEDULER_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

struct scheduler;

/* What a job asks for; of each rank. */
struct sched_request {
    int64_t ranks; /* at least 1 */
    int64_t cores_per_rank, memory_per_rank, gpus_per_rank;
};

struct sched_share {
    const char *node; /* lives until the node is removed */
    int64_t ranks;
};

struct scheduler *scheduler_create(void);
void scheduler_destroy(struct scheduler *s);

/* Add a node or change what it has. usable false (down, drained): what runs there stays, nothing new starts.
 */
void scheduler_node(struct scheduler *s, const char *name, int64_t cores, int64_t memory, int64_t gpus,
                    bool usable);

/* A job that waits; priority: higher first; submitted: seconds, earlier first. */
void scheduler_add(struct scheduler *s, int64_t job, int64_t priority, double submitted,
                   const struct sched_request *r);
/* A job that already holds shares (after a restart). A node it names need not be known yet. */
void scheduler_add_running(struct scheduler *s, int64_t job, const struct sched_request *r,
                           const struct sched_share *shares, int count);
void scheduler_remove(struct scheduler *s,
                      int64_t job); /* waiting or running; gives back what it held; unknown is fine */

/* One pass over all that wait. place is called for each job that starts (it holds the shares from then on),
 * wait for each that does not, with a sentence; never: no node set could ever hold it as the cluster is. The
 * callbacks must not call the scheduler. */
typedef void (*sched_place_f)(int64_t job, const struct sched_share *shares, int count, void *arg);
typedef void (*sched_wait_f)(int64_t job, const char *why, bool never, void *arg);
void scheduler_pass(struct scheduler *s, double now, sched_place_f place, sched_wait_f wait, void *arg);

/* What is taken on a node, for reports. */
void scheduler_used(const struct scheduler *s, const char *node, int64_t *cores, int64_t *memory,
                    int64_t *gpus);

#endif
