/* command: from a launch to what the shepherd runs: argv and environment, as the object that goes to
 * start.json. Pure.
 *
 *   {"name":"42.1","argv":[...],"environment":{...},"directory":"...","scratch":"/tmp/ty-...","memory_bytes",
 *    "time_limit_seconds","cores","grace_seconds","cgroups":{...}}
 *
 * The environment is made from nothing: no variable of the agent's own reaches a job but those named here.
 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include <jansson.h>
#include "agent/launch.h"

/* What the agent knows of its machine and installation. */
struct command_site {
    const char *node, *hostname;
    const char *trainer, *mpirun, *rsh; /* absolute paths */
    const char *path;                   /* PATH for jobs, without the trainer's folder */
    const char *home, *user, *shell;
    const char *socket;  /* the agent's unix socket, for trainyard-rsh */
    const char *cluster; /* name for SLURM_CLUSTER_NAME */
    int cores;           /* of this machine */
    bool root;           /* does the job run as root? mpirun then wants to be told */
};

/* directory: the attempt's folder. scratch: its temporary folder, short because MPI puts sockets there.
 * secret: what trainyard-rsh shows to the agent. Caller owns the object. */
json_t *command_build(const struct launch *l, const struct command_site *site, const char *directory,
                      const char *scratch, const char *secret);
/* The same for MPI's daemon on a member node: argv comes from the head, the environment is made here. */
json_t *command_build_spawn(const struct launch *l, const struct command_site *site, const char *directory,
                            const char *scratch, const char *secret, const json_t *argv);

#endif
