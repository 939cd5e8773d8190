/* launch: the object that tells an agent what to run (docs/architecture.md section 5). Pure. */
#ifndef ORCHESTRATOR_DISPATCH_LAUNCH_H
#define ORCHESTRATOR_DISPATCH_LAUNCH_H

#include <jansson.h>
#include "orchestrator/job/job.h"

/* For the job's present attempt and the node at this place in its allocation, whose limits it carries. resume: digest of the checkpoint to go on
 * from, or NULL. A new reference. */
json_t *launch_object(const struct job *j, size_t node, const char *resume);

#endif
