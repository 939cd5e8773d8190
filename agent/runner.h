/* runner: the agent's hold on one shepherd: start it or find it again after a restart, notice its end, tell
 * it to stop. The shepherd is no child of ours (it outlives us), so it is known by shepherd.pid and watched
 * by a pidfd. */
#ifndef AGENT_RUNNER_H
#define AGENT_RUNNER_H

#include <stdbool.h>
#include "base/err.h"

struct agent;
struct runner;

/* dir: the run's folder with start.json. gone: called once, from the loop, when no process of the run is
 * left; exit.json is there then, written by the shepherd or, if that died, by the runner. */
struct runner *runner_create(struct agent *agent, const char *dir, void (*gone)(void *arg), void *arg);
void runner_destroy(struct runner *r); /* the shepherd lives on; NULL is legal */

int runner_start(struct runner *r, struct err *err); /* start the shepherd */
/* After a restart of the agent: true when this run was started before, and is now watched (or seen to be
 * gone). */
bool runner_adopt(struct runner *r);
/* Something changed in the folder: look for shepherd.pid. */
void runner_look(struct runner *r);
/* Stop the program: soft signal, grace, SIGKILL. Again, with less grace, is more urgent. Writes stop.json,
 * which a shepherd that is only just starting obeys too. */
void runner_stop(struct runner *r, const char *reason, double grace_seconds);

#endif
