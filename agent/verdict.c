#include "agent/verdict.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The lines between which mpirun puts what it has to say. */
static bool is_rule(const char *line)
{
    size_t n = strlen(line);
    return n >= 60 && strspn(line, "-") == n;
}

static void line_read(struct verdict *v, const char *line, const char *hostname, const char *node, int *rank)
{
    char host[80], what[40] = "";
    int pid, sig, code;
    if (sscanf(line,
               "mpirun noticed that process rank %d with PID %d on node %79s exited on signal %d (%39[^)])",
               rank, &pid, host, &sig, what) >= 4) {
        v->signal = sig;
        snprintf(v->message, sizeof(v->message), "rank %d on %s ended with signal %d%s%s%s", *rank,
                 strcmp(host, hostname) == 0 ? node : host, sig, *what ? " (" : "", what, *what ? ")" : "");
    }
    if (sscanf(line, " Process name: [[%*d,%*d],%d]", rank) == 1)
        return;
    if (*rank >= 0 && sscanf(line, " Exit code: %d", &code) == 1)
        snprintf(v->message, sizeof(v->message), "rank %d ended with exit code %d", *rank, code);
}

void verdict_read(struct verdict *v, const json_t *tail, const char *hostname, const char *node)
{
    int rank = -1;
    size_t n = json_array_size(tail), own = n;
    memset(v, 0, sizeof(*v));
    v->tail = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *line = json_string_value(json_array_get(tail, i));
        if (line && is_rule(line) && own == n)
            own = i;
        if (line && own < n)
            line_read(v, line, hostname, node, &rank);
    }
    /* Without a known sentence the rules may be the program's own. */
    if (!*v->message)
        own = n;
    for (size_t i = own > VERDICT_TAIL_LINES ? own - VERDICT_TAIL_LINES : 0; i < own; i++)
        json_array_append(v->tail, json_array_get(tail, i));
}
