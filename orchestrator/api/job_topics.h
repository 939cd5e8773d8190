/* job_topics: replay of job/N/state, job/N/metrics, job/N/logs (docs/architecture.md section 6). */
#ifndef ORCHESTRATOR_API_JOB_TOPICS_H
#define ORCHESTRATOR_API_JOB_TOPICS_H

#include "orchestrator/orch.h"
#include "orchestrator/store/db.h"

struct stream;
void job_topics_add(struct orch *orch, struct stream *s);
/* One row when the owner (0: anybody) may see job `id`; for stream_access. */
struct db_batch *job_topic_access(struct db *db, int64_t owner, const char *id);

#endif
