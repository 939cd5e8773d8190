/* spawn: MPI's daemons on the other nodes of an allocation, without ssh. mpirun on the head calls
 * trainyard-rsh, that asks the head's agent on its unix socket, that sends `spawn` through the orchestrator
 * to the member's agent, and that runs the daemon under a shepherd of its own in <attempt>/spawn/<id>/,
 * inside the allocation. Output and exit come back the same way.
 *
 * The socket speaks one JSON object a line (rsh.c is the other end):
 *   -> {"job","fence","secret","id","host","argv":[...],"attach":bool}    attach: again, after the agent was
 * restarted
 *   <- {"stream":"stdout"|"stderr","text":"..."}      <- {"exit_code":N,"signal":N,"message":"..."}   the
 * last A connection that closes before its exit came stops the daemon. */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <jansson.h>
#include <stdint.h>
#include "base/err.h"

struct agent;
struct spawns;

struct spawns *spawns_create(struct agent *agent, const char *socket_path, struct err *err);
void spawns_destroy(struct spawns *room); /* NULL is legal */

void spawns_on_spawn(struct agent *agent, const json_t *doc);
void spawns_on_output(struct agent *agent, const json_t *doc);
void spawns_on_exit(struct agent *agent, const json_t *doc);
void spawns_on_stop(struct agent *agent, const json_t *doc);
void spawns_session_lost(struct spawns *room);

/* Daemons of an attempt on this (member) node. */
int spawns_count(const struct spawns *room, int64_t job, int64_t fence);
int spawns_stop_attempt(struct spawns *room, int64_t job, int64_t fence, const char *reason,
                        double grace_seconds); /* how many */
int spawns_adopt(struct spawns *room, int64_t job, int64_t fence,
                 const char *attempt_dir); /* after a restart; how many */

#endif
