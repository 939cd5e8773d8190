/* agent: the daemon as a struct of rooms. main creates them in this order, runs the loop, destroys them in
 * reverse. There is no other global. Rooms call each other through their public functions only. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <event2/event.h>
#include "agent/cgroup.h"
#include "agent/command.h"

struct agent {
    struct event_base *base;
    struct conf *conf;
    char *state_dir; /* absolute */
    char *node;
    char *url;     /* of the orchestrator, without trailing slash */
    char *program; /* our own binary: what shepherds are started from */
    const char *ca_file;
    const char *scratch_dir; /* where attempts' temporary folders go */
    int64_t grace_seconds;
    struct cgroup_site cgroups;
    struct command_site site;
    struct inventory *inventory; /* what this machine has */
    struct identity *identity;   /* who we are to the orchestrator: registration and token */
    struct transfer *transfers;  /* HTTP requests under way */
    struct cache *cache;         /* blobs by digest */
    struct spawns *spawns;       /* MPI's daemons on other nodes */
    struct attempts *attempts;   /* what runs here */
    struct session *session;     /* the WebSocket */
};

#endif
