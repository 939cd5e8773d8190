/* nodes: the cluster's machines for people, and what agents call. Handlers of routes.c. */
#ifndef ORCHESTRATOR_API_NODES_H
#define ORCHESTRATOR_API_NODES_H

#include "orchestrator/api/call.h"

void nodes_get(struct call *c);
void node_drain(struct call *c);
void node_resume(struct call *c);
void partitions_get(struct call *c);

void agent_register(struct call *c);
void agent_connect(struct call *c); /* WebSocket */
void agent_blob_get(struct call *c);
void agent_blob_put(struct call *c);

#endif
