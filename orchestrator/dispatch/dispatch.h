/* dispatch: between jobs and agents. It feeds the scheduler with what the job events say, posts its decisions
 * as PLACE moves, and has the agents carry them out (session.c). No tick: a pass runs right after the commit
 * that added a job or freed something.
 *
 *   job moves (after commit) -> on_move: scheduler_add / scheduler_remove -> pass -> PLACE -> after its
 * commit: launch agent's words (session.c) -> moves, records, artifacts agent away longer than node-timeout
 * -> node down, its jobs requeued or NODE_FAIL
 */
#ifndef ORCHESTRATOR_DISPATCH_DISPATCH_H
#define ORCHESTRATOR_DISPATCH_DISPATCH_H

#include "base/err.h"
#include "orchestrator/dispatch/nodes.h"
#include "orchestrator/job/jobs.h"
#include "orchestrator/orch.h"

struct http_req;

struct dispatch {
    struct orch *orch;
    struct nodes nodes;
    struct scheduler *scheduler;
    struct event *pass;      /* a pass is due */
    struct expiry *expiries; /* time limits that the orchestrator watches itself */
    struct session *sessions;
    bool loaded;
    struct err load_err;
};

/* Reads the nodes (runs the loop until that is done: only at start, after jobs_create). */
struct dispatch *dispatch_create(struct orch *orch, struct err *err);
void dispatch_destroy(struct dispatch *d);

/* An agent's WebSocket request, its node known from its token: the request's final reply. */
void dispatch_accept(struct dispatch *d, struct http_req *req, const char *node);
/* Have the agents end an active job: after the move that says why. */
void dispatch_stop(struct dispatch *d, const struct job *j, int grace_seconds);
int dispatch_drain(struct dispatch *d, const char *node, bool drained, const char *reason, struct err *err);
/* Put into j->reason, for who looks at it now, why it waits. */
void dispatch_explain(struct dispatch *d, struct job *j);
json_t *dispatch_node_json(struct dispatch *d, const struct node *n); /* docs/api.md; a new reference */

/* For session.c. */
void dispatch_node_up(struct dispatch *d, struct node *n);
void dispatch_node_away(struct dispatch *d, struct node *n);
void dispatch_launch(struct dispatch *d, struct job *j);
void dispatch_lost(struct dispatch *d, struct job *j,
                   const char *node); /* this attempt is gone with its node */

#endif
