/* outcome: how an attempt ended, from what the agent says of it. Pure. */
#ifndef ORCHESTRATOR_DISPATCH_OUTCOME_H
#define ORCHESTRATOR_DISPATCH_OUTCOME_H

#include <jansson.h>
#include "orchestrator/job/jobs.h"

#define OUTCOME_TRIES 3 /* attempts that lost nodes may cost */

/* The event for a job whose head sent `ended`, and what to note. stopping: why the orchestrator itself asked
 * for the end, or "". attempt: its number, since a lost node is tried again only so often. The change's
 * references are new. */
enum job_event outcome_of(const json_t *ended, const char *stopping, int attempt, struct job_change *change);

#endif
