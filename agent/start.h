/* start: start.json of a run, and the scratch folder and secret that go with it. */
#ifndef AGENT_START_H
#define AGENT_START_H

#include "agent/launch.h"

struct agent;

/* Write start.json for a run in run_dir (the attempt's folder or one below it): what command.c makes, with
 * what the shepherd needs to know of this machine. argv: NULL for the attempt's own program, else MPI's
 * daemon. Keeps one that is there. */
int start_write(struct agent *agent, const struct launch *l, const char *attempt_dir, const char *run_dir,
                const json_t *argv, struct err *err);

#endif
