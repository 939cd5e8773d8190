/* job: one job in memory, and its form as JSON (docs/api.md). Pure data; who changes it is job/jobs.c by the
 * table in state.c.
 *
 * spec is what was asked for and never changes:
 *   {"resources": {"ranks","cores_per_rank","memory_bytes","gpus_per_rank","partition"},
 * "time_limit_seconds", "dataset": {"name","version","digest" (of the pack)}, "algorithm":
 * {"name","version","digest"}, "model": {...}, "layers": [{"name","digest"}], "overrides": {}} a training run
 *   {"resources", "time_limit_seconds", "script": "digest", "arguments": [], "environment": {}}     a batch
 * job
 */
#ifndef ORCHESTRATOR_JOB_JOB_H
#define ORCHESTRATOR_JOB_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "orchestrator/scheduler/scheduler.h"
#include "proto/job_state.h"

struct job {
    int64_t id, owner_id, task_id; /* task_id 0: none */
    bool train;
    char *owner, *task, *name; /* task may be NULL */
    json_t *spec;
    enum job_state state;
    bool held;
    int64_t priority;
    int attempt, event_seq;
    json_t *allocation; /* [{"node","ranks","cores"}] while it holds one; the first is the head; else NULL */
    json_t *nodes;      /* names, of the latest attempt */
    char stopping[16];  /* why it is being ended: "cancel", "timeout", "preempt"; "" */
    double submitted, started, ended; /* seconds since 1970; 0: not yet */
    int exit_code, signal;            /* -1: none */
    json_t *failure;                  /* {"message","tail"} or NULL */
    json_t *progress;                 /* or NULL */
    char *reason;                     /* why it waits; memory only */
    /* memory only */
    int pending;       /* moves not yet committed */
    uint64_t ended_on; /* bit i: node i of the allocation has sent `ended` (the first 64 nodes) */
    bool head_ended;
    json_t *head_end; /* the head's `ended`, while others are waited for */
};

struct job *job_create(void);
void job_destroy(struct job *j);       /* NULL is legal */
json_t *job_json(const struct job *j); /* a new reference */
struct sched_request job_request(const struct job *j);
int64_t job_time_limit(const struct job *j); /* seconds; 0: none */
/* Index of a node in the allocation; -1 if it holds none there. */
int job_node_index(const struct job *j, const char *node);
/* Take a metrics record of the trainer into the progress; true when it changed. */
bool job_note_record(struct job *j, const json_t *record);

#endif
