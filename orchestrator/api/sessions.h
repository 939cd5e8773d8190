/* sessions: sessions, users and tokens. Handlers of routes.c; docs/api.md has the shapes. */
#ifndef ORCHESTRATOR_API_SESSIONS_H
#define ORCHESTRATOR_API_SESSIONS_H

#include "orchestrator/api/call.h"

void session_create(struct call *c);
void session_get(struct call *c);
void session_end(struct call *c);
void user_create(struct call *c);
void users_get(struct call *c);
void token_create(struct call *c);
void tokens_get(struct call *c);
void token_remove(struct call *c);

#endif
