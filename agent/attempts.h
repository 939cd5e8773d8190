/* attempts: what runs on this node. Each attempt is a folder state-dir/attempts/<job>.<fence>
 * (docs/architecture.md 5) that survives the agent; this room brings it from `launch` to `forget` along the
 * rows of attempt.c. */
#ifndef AGENT_ATTEMPTS_H
#define AGENT_ATTEMPTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "agent/launch.h"
#include "base/err.h"

struct agent;
struct attempts;

struct attempts *attempts_create(struct agent *agent, struct err *err);
void attempts_destroy(struct attempts *room);                 /* running shepherds live on; NULL is legal */
int attempts_recover(struct attempts *room, struct err *err); /* take up what an earlier agent left */

json_t *attempts_hello(const struct attempts *room); /* [{job, fence, phase}] */
void attempts_session_lost(struct attempts *room);
void attempts_pump_all(struct attempts *room);
/* Stop every running attempt; when none is left, done is called once, from the loop. */
void attempts_stop_all(struct attempts *room, const char *reason, double grace_seconds,
                       void (*done)(void *arg), void *arg);

/* Messages. */
void attempts_on_welcome(struct agent *agent, const json_t *doc);
void attempts_on_launch(struct agent *agent, const json_t *doc);
void attempts_on_stop(struct agent *agent, const json_t *doc);
void attempts_on_records_ack(struct agent *agent, const json_t *doc);
void attempts_on_forget(struct agent *agent, const json_t *doc);

/* For spawn.c: an attempt that has its files and is not ending. NULL: there is none. */
struct attempt_view {
    int64_t job, fence;
    const char *dir;
    const struct launch *launch;
};
bool attempts_find(const struct attempts *room, int64_t job, int64_t fence, struct attempt_view *out);
void attempts_spawn_changed(struct attempts *room, int64_t job,
                            int64_t fence); /* a daemon started or ended */

#endif
