/* routes: THE table of routes, and how a request finds its row. */
#ifndef ORCHESTRATOR_API_ROUTES_H
#define ORCHESTRATOR_API_ROUTES_H

#include "net/http.h"
#include "orchestrator/api/auth.h"
#include "orchestrator/api/call.h"

struct route {
    enum http_method method;
    const char *
        path; /* segments beginning with ':' are parameters; a last segment ":rest*" takes all that follows */
    enum role role; /* the least role that may call */
    void (*handler)(struct call *c);
    const char *summary;
};

extern const struct route routes[]; /* ends with a row without path */

/* Find the row for a method and raw path; HEAD finds GET. params get decoded copies from the arena. On no
 * row: allow holds the methods that the path has ("GET, POST"), empty when the path is unknown; a segment
 * that can't be decoded is unknown. */
const struct route *route_find(const struct route *table, enum http_method method, const char *path,
                               struct arena *arena, const char *params[CALL_PARAMS], struct buf *allow);

#endif
