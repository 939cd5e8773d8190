/* jobs: jobs, their records and artifacts. Handlers of routes.c; docs/api.md has the shapes. jobs.c gives
 * them out and acts on them, instances.c and submit_batch take them in, records.c gives out what they said
 * and left. */
#ifndef ORCHESTRATOR_API_JOBS_H
#define ORCHESTRATOR_API_JOBS_H

#include "orchestrator/api/call.h"
#include "orchestrator/job/jobs.h"

void jobs_get(struct call *c);
void instances_get(struct call *c);
void job_get(struct call *c);
void job_cancel(struct call *c);
void job_hold(struct call *c);
void job_release(struct call *c);
void job_requeue(
    struct call *c); /* resume is the same: the next attempt goes on from the newest checkpoint */
void job_clone(struct call *c);
void job_submit(struct call *c);      /* a batch script */
void instance_create(struct call *c); /* a training run */

void job_events_get(struct call *c);
void job_metrics_get(struct call *c);
void job_logs_get(struct call *c);
void job_artifacts_get(struct call *c);
void job_artifact_get(struct call *c);

/* The job named by params[0], for this caller: then is called with it, or 404 is the answer. The job lives
 * during then only; one that is not over is the one in memory. */
typedef void (*job_then_f)(struct call *c, struct job *j);
void job_find(struct call *c, job_then_f then);
/* The members "resources", "time_limit_seconds", "name" and "priority" of a submission into a new job of the
 * caller; NULL and err. */
struct job *job_new(struct call *c, const json_t *body, struct err *err);
/* Give a new job to the queue and answer 201 when it is durable. ids: assets it uses; digest (may be NULL): a
 * blob it needs. */
void job_enqueue(struct call *c, struct job *j, const int64_t *asset_ids, int count, const char *digest);

#endif
