/* session: one agent's WebSocket. It is bound to the node of the agent's token; a second session of a node
 * replaces the first. What crosses sessions is reconciled by hello and welcome (proto/message.h); every
 * handler is idempotent by (job, fence). */
#ifndef ORCHESTRATOR_DISPATCH_SESSION_H
#define ORCHESTRATOR_DISPATCH_SESSION_H

#include "orchestrator/dispatch/dispatch.h"
#include "proto/message.h"

void session_accept(struct dispatch *d, struct http_req *req, const char *node);
void session_close_all(struct dispatch *d);
/* Send to a node's agent; does nothing when it is not connected (welcome will say it). Takes body. */
void session_send(struct node *n, enum msg_type type, json_t *body);

#endif
