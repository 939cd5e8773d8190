/* verdict: what mpirun says at its end, put for people: which rank ended how. mpirun itself ends with the
 * code of the first rank that failed, and 128 + N when that was signal N. Pure. */
#ifndef AGENT_VERDICT_H
#define AGENT_VERDICT_H

#include <jansson.h>

#define VERDICT_TAIL_LINES 20

struct verdict {
    int signal;        /* of the rank; 0: none */
    char message[200]; /* "" when mpirun said nothing that is known */
    json_t *tail;      /* the last lines before mpirun's own; new reference */
};

/* tail: the last lines of stderr, as in exit.json. node: this node's name, for a rank on it. */
void verdict_read(struct verdict *v, const json_t *tail, const char *hostname, const char *node);

#endif
