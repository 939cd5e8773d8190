/* nodes: the machines in memory: what they have, whether they are up, and who speaks for them. Pure table;
 * the database's rows are read at start and written by dispatch. */
#ifndef ORCHESTRATOR_DISPATCH_NODES_H
#define ORCHESTRATOR_DISPATCH_NODES_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct session;

struct node {
    char name[65];
    int64_t cores, memory_bytes, memory_used;
    double load, last_seen; /* seconds since 1970 */
    json_t *gpus;
    char *hostname, *version, *reason;
    bool drained;
    bool up;                 /* its agent is connected, or was a moment ago */
    struct session *session; /* NULL: not connected */
    struct event *lost;      /* fires when it has been away too long; made by dispatch */
};

struct nodes {
    struct node **list; /* sorted by name */
    size_t count, cap;
};

struct node *nodes_find(const struct nodes *n, const char *name); /* NULL if unknown */
struct node *nodes_make(struct nodes *n, const char *name);       /* made when unknown */
void nodes_free(struct nodes *n);
const char *node_state(const struct node *n); /* "up", "down", "drained" */
void node_set_text(char **to, const char *value);

#endif
