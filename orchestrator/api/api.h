/* api: the HTTP side of the orchestrator: routes, who may call them, replies, static files of the console. */
#ifndef ORCHESTRATOR_API_API_H
#define ORCHESTRATOR_API_API_H

#include "base/buf.h"
#include "base/err.h"
#include "net/http_server.h"
#include "orchestrator/orch.h"

struct api;

/* console_dir: the console's files; NULL: none. */
struct api *api_create(struct orch *orch, const char *console_dir, struct err *err);
void api_destroy(struct api *a);
void api_on_request(struct http_req *req, void *api); /* http_request_f */

/* Counters for /metrics. */
struct api_counters {
    uint64_t requests, by_class[6]; /* [2] = 2xx ... */
};
struct api_counters *api_counters(struct api *a);
const char *api_boot(const struct api *a); /* random text of this process */
const struct route *api_routes(void);

/* Let a room add its numbers to /metrics; called for every scrape. */
typedef void (*api_metrics_f)(struct buf *out, void *arg);
void api_add_metrics(struct api *a, api_metrics_f f, void *arg);
void api_more_metrics(struct orch *orch, struct buf *out); /* calls them */

#endif
