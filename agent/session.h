/* session: the agent's WebSocket to the orchestrator: connect and reconnect with back-off, hello and welcome,
 * heartbeats, and the one table of what messages mean here. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include "proto/message.h"

struct agent;
struct session;

struct session *session_create(struct agent *agent, struct err *err);
void session_destroy(struct session *s); /* NULL is legal */
void session_connect(struct session *s); /* there is a token: connect now, or again with the new one */

/* Welcomed, and the orchestrator reads as fast as we write. When it becomes true attempts_pump_all() is
 * called. */
bool session_ready(const struct session *s);
/* body is stolen. -1: not sent (logged); what matters is on the disk and goes with the next session. */
int session_send(struct session *s, enum msg_type type, json_t *body);

#endif
