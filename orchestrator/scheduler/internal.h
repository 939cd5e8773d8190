/* What the scheduler's files share; nobody else includes this. */
#ifndef ORCHESTRATOR_SCHEDULER_INTERNAL_H
#define ORCHESTRATOR_SCHEDULER_INTERNAL_H

#include "orchestrator/scheduler/scheduler.h"

enum { CORES, MEMORY, GPUS, KINDS };

struct amount {
    int64_t of[KINDS];
};

struct node {
    char *name;
    struct amount all, used;
    bool usable, known; /* known: the node itself was told of, not only a job on it */
};

struct part {
    int node; /* index */
    int64_t ranks;
};

struct owner;

/* A job that waits (parts NULL) or runs. */
struct entry {
    struct sched_job job;
    struct owner *owner;
    double rank; /* its place among its owner's: priority without what changes with time */
    double ends; /* of one that runs: when its time is over */
    struct part *parts;
    int count;
    struct entry *next; /* in its hash bucket */
};

struct owner {
    int64_t id;
    double usage, at; /* core seconds, decayed until `at` */
    double rate;      /* cores that run now */
    struct entry **waiting;
    size_t count, cap, next, kept; /* next, kept: of the pass that goes on */
    double share;                  /* points, during a pass */
};

/* A start in the future that is kept for a job. */
struct reservation {
    const struct entry *entry;
    double starts, ends;
    bool sure; /* it follows from time limits that were given, not assumed */
    int64_t behind;
    struct part *parts;
    int count;
    struct amount *used; /* of every node at `starts`, with what is reserved */
};

struct scheduler {
    struct sched_policy policy;
    struct node *nodes;
    int *by_name; /* indexes of nodes, sorted by name */
    size_t node_count, node_cap, name_cap;
    struct owner **owners;
    size_t owner_count, owner_cap;
    struct entry **running; /* in order of their end */
    size_t running_count, running_cap;
    struct entry **buckets; /* by id */
    size_t bucket_count, entry_count;
    struct reservation plan[SCHED_RESERVATIONS];
    int planned;
};

/* share.c */
struct owner *share_owner(struct scheduler *s, int64_t id);
void share_settle(const struct sched_policy *p, struct owner *o, double now);
double share_cores(const struct sched_request *r);
void share_points(struct scheduler *s, double now); /* sets every owner's share */

/* queue.c */
void queue_add(struct scheduler *s, struct entry *e);
void queue_remove(struct entry *e);
void queue_begin(struct scheduler *s);
struct entry *queue_next(struct scheduler *s); /* NULL: that was the last */
void queue_keep(struct entry *e);              /* it goes on waiting; any other leaves the queue */
void queue_end(struct scheduler *s);           /* what was not looked at goes on waiting, too */

/* place.c */
int64_t place_room(const struct node *n, const struct amount *used, const struct sched_request *r);
/* For a job that would run from `from` until `to`: at from, used is taken; later, what the plan reserves is.
 * Answers the number of parts, 0: it does not fit. out: room for a part a node. */
int place_fit(const struct scheduler *s, const struct sched_request *r, const struct amount *used,
              double from, double to, struct part *out);
void place_charge(struct amount *used, const struct sched_request *r, const struct part *parts, int count,
                  int sign);
void place_used(const struct scheduler *s, struct amount *out); /* of every node, now */

/* plan.c */
void plan_clear(struct scheduler *s);
void plan_note_start(struct scheduler *s, const struct entry *e, double ends);
bool plan_reserve(struct scheduler *s, const struct entry *e, double now);
double plan_length(const struct scheduler *s, const struct sched_job *j);

#endif
