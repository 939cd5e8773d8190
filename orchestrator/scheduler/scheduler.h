/* scheduler: which job runs where and when. Pure: it is told what happens and answers with decisions; no clock
 * (time is an argument), no I/O, no database, deterministic. The orchestrator feeds it from job events, the
 * simulator from a trace. docs/scheduling.md says what it decides and why.
 *
 *   share.c      who used how much, decaying
 *   queue.c      who waits, in order of priority
 *   place.c      which nodes, all ranks or none
 *   plan.c       when the first of those that wait will start; nobody behind may delay them
 *   scheduler.c  the pass that asks the four
 *   sim.c        drives all that from a trace
 */
#ifndef ORCHESTRATOR_SCHEDULER_SCHEDULER_H
#define ORCHESTRATOR_SCHEDULER_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scheduler;

/* All weights are in points of priority, the unit of a job's own `priority`. */
struct sched_policy {
    double age_weight;   /* points for each hour of waiting; above 0, so that nobody waits for ever */
    double share_weight; /* points for an owner who used nothing; fewer the more was used, down to 0 */
    double size_weight;  /* points for a job that asks for the whole cluster; negative: small ones first */
    double half_life;    /* seconds after which past use counts half */
    int reservations; /* so many of those that wait are given a time at which they start; 1 is EASY backfill,
                            SCHED_RESERVATIONS conservative, 0 lets everything overtake everything */
    bool overtake;    /* false: strictly in order, nothing behind the first that waits may start */
    double assumed_limit; /* seconds; how long a job without a time limit is taken to run */
};

#define SCHED_RESERVATIONS 128 /* at most */

struct sched_policy sched_policy_default(void);

/* What a job asks for; of each rank. */
struct sched_request {
    int64_t ranks; /* at least 1 */
    int64_t cores_per_rank, memory_per_rank, gpus_per_rank;
};

struct sched_job {
    int64_t id, owner;
    int64_t priority;   /* its own points: higher first */
    double submitted;   /* seconds; any origin, the same for all times */
    int64_t time_limit; /* seconds; 0: none */
    struct sched_request request;
};

struct sched_share {
    const char *node; /* lives as long as the scheduler */
    int64_t ranks;
};

struct scheduler *scheduler_create(const struct sched_policy *policy); /* NULL: the default */
void scheduler_destroy(struct scheduler *s);

/* Add a node or change what it has. usable false (down, drained): what runs there stays, nothing new starts. */
void scheduler_node(struct scheduler *s, const char *name, int64_t cores, int64_t memory, int64_t gpus,
                    bool usable);

/* A job that waits. Its id must not be known already. */
void scheduler_add(struct scheduler *s, const struct sched_job *job);
/* A job that already holds shares (after a restart). A node it names need not be known yet. */
void scheduler_add_running(struct scheduler *s, const struct sched_job *job, double started,
                           const struct sched_share *shares, int count);
/* Waiting or running; gives back what it held, and charges its owner for it. Unknown is fine. */
void scheduler_remove(struct scheduler *s, int64_t job, double now);

/* One pass over all that wait. place is called for each job that starts; it holds the shares from then on. The
 * callback must not call the scheduler. */
typedef void (*sched_place_f)(int64_t job, const struct sched_share *shares, int count, void *arg);
void scheduler_pass(struct scheduler *s, double now, sched_place_f place, void *arg);

/* Why a job waits, as the last pass left it. */
struct sched_wait {
    bool never;     /* no node set could ever hold it as the cluster is */
    double starts;  /* it will start then at the latest, as the plan is; 0: not planned */
    int64_t behind; /* the job whose end it needs, or whose start it would delay; 0: none in particular */
};
/* A sentence in out; false when the job does not wait here. Costs a look at every node. */
bool scheduler_why(const struct scheduler *s, int64_t job, char *out, size_t n, struct sched_wait *wait);

/* What is taken on a node, for reports. */
void scheduler_used(const struct scheduler *s, const char *node, int64_t *cores, int64_t *memory,
                    int64_t *gpus);
/* What an owner used, in core seconds that decayed until now; a GPU counts as SCHED_GPU_CORES cores. */
#define SCHED_GPU_CORES 16
double scheduler_usage(const struct scheduler *s, int64_t owner, double now);

#endif
