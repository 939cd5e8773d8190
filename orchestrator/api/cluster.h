/* cluster: health, metrics, and what describes this server. Handlers of routes.c; docs/api.md has the shapes.
 */
#ifndef ORCHESTRATOR_API_CLUSTER_H
#define ORCHESTRATOR_API_CLUSTER_H

#include "orchestrator/api/call.h"

void health_get(struct call *c);
void ready_get(struct call *c);
void version_get(struct call *c);
void metrics_get(struct call *c);
void openapi_get(struct call *c);
void layer_types_get(struct call *c);
void stream_get(struct call *c);

#endif
