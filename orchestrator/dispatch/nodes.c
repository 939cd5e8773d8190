#include "orchestrator/dispatch/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t place_of(const struct nodes *n, const char *name)
{
    size_t at = 0;
    while (at < n->count && strcmp(n->list[at]->name, name) < 0)
        at++;
    return at;
}

struct node *nodes_find(const struct nodes *n, const char *name)
{
    size_t at = place_of(n, name);
    return at < n->count && !strcmp(n->list[at]->name, name) ? n->list[at] : NULL;
}

struct node *nodes_make(struct nodes *n, const char *name)
{
    struct node *node = nodes_find(n, name);
    if (node)
        return node;
    size_t at = place_of(n, name);
    n->list = vec_grow(n->list, &n->cap, n->count + 1, sizeof(struct node *));
    memmove(n->list + at + 1, n->list + at, (n->count - at) * sizeof(struct node *));
    n->count++;
    node = n->list[at] = xcalloc(1, sizeof(*node));
    snprintf(node->name, sizeof(node->name), "%s", name);
    node->gpus = json_array();
    node->hostname = xstrdup("");
    node->version = xstrdup("");
    node->reason = xstrdup("");
    return node;
}

void nodes_free(struct nodes *n)
{
    for (size_t i = 0; i < n->count; i++) {
        struct node *node = n->list[i];
        if (node->lost)
            event_free(node->lost);
        json_decref(node->gpus);
        free(node->hostname);
        free(node->version);
        free(node->reason);
        free(node);
    }
    free(n->list);
    *n = (struct nodes){0};
}

const char *node_state(const struct node *n)
{
    return !n->up ? "down" : n->drained ? "drained" : "up";
}

void node_set_text(char **to, const char *value)
{
    char *copy = xstrdup(value);
    free(*to);
    *to = copy;
}
