/* transfer: one HTTP request to the orchestrator with the agent's token, on a connection of its own. */
#ifndef AGENT_TRANSFER_H
#define AGENT_TRANSFER_H

#include "net/http_client.h"

struct agent;
struct transfer;

/* call->done is called exactly once unless the transfer is cancelled; the handle is dead from then on. token
 * NULL: the agent's own; an answer of 401 to it makes the agent register again. NULL and err: nothing was
 * started. */
struct transfer *transfer_start(struct agent *agent, const char *token, const struct http_call *call,
                                struct err *err);
void transfer_cancel(struct transfer *t);    /* without done; not from inside its callbacks; NULL is legal */
void transfers_destroy(struct agent *agent); /* all that are left, without done */

#endif
