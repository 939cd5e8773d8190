/* artifacts: the files that an attempt leaves in out/, brought to the orchestrator one after the other:
 * hashed in small steps on the loop, HEAD and PUT /agent/v1/blobs/{digest} from the open file, then an
 * `artifact` message. Everything is idempotent: after a restart of the agent, or a new session, it is simply
 * done again, and HEAD says what is there.
 *
 * Only regular files count; links are never followed. Files under checkpoints/ have kind "checkpoint". */
#ifndef AGENT_ARTIFACTS_H
#define AGENT_ARTIFACTS_H

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct artifacts;

/* out: the folder. changed: something finished, look at artifacts_done(); from the loop. */
struct artifacts *artifacts_create(struct agent *agent, int64_t job, int64_t fence, const char *out,
                                   void (*changed)(void *arg), void *arg);
void artifacts_destroy(struct artifacts *a); /* NULL is legal */

/* Bring one file now, while the program still runs (a checkpoint that is complete). name is below out. An
 * unusable name is ignored: the file is looked at again by artifacts_collect. */
void artifacts_add(struct artifacts *a, const char *name);
void artifacts_collect(struct artifacts *a);     /* the program has gone: everything that is there */
void artifacts_pump(struct artifacts *a);        /* go on; call it when the session is ready */
void artifacts_forget_told(struct artifacts *a); /* a new session: tell everything again */
bool artifacts_done(const struct artifacts *a);  /* collected, uploaded, told */
/* What could not be brought and why, for people; "" when nothing. */
const char *artifacts_trouble(const struct artifacts *a);

#endif
