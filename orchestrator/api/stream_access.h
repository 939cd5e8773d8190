/* stream_access: who may read which topic, and the topics that the database counts (task/T, queue, nodes). */
#ifndef ORCHESTRATOR_API_STREAM_ACCESS_H
#define ORCHESTRATOR_API_STREAM_ACCESS_H

#include "orchestrator/orch.h"

/* Makes orch->stream with its permissions and the sources of the topics above. */
struct stream *stream_access_create(struct orch *orch);

#endif
