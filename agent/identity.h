/* identity: who this agent is to the orchestrator. Registers once with the join token, keeps its own token in
 * state-dir/token (0600) with the name the orchestrator gave it, and registers again when that token is
 * refused. */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H

#include "base/err.h"

struct agent;
struct identity;

/* on_ready: called from the loop whenever there is a (new) token. */
struct identity *identity_create(struct agent *agent, void (*on_ready)(void *arg), void *arg,
                                 struct err *err);
void identity_destroy(struct identity *id); /* NULL is legal */
void identity_start(struct identity *id);
const char *identity_token(const struct identity *id); /* NULL while not registered */
/* The orchestrator answered 401: forget the token and register again (with back-off). */
void identity_refused(struct identity *id);

#endif
