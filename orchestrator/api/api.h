/* api: the HTTP side of the orchestrator: routes, who may call them, replies, static files of the console. */
#ifndef ORCHESTRATOR_API_API_H
#define ORCHESTRATOR_API_API_H

#include "base/err.h"
#include "net/http_server.h"
#include "orchestrator/orch.h"

struct api;

struct api *api_create(struct orch *orch, struct err *err);
void api_destroy(struct api *a);
void api_on_request(struct http_req *req, void *api); /* http_request_f */

/* Counters for /metrics. */
struct api_counters {
    uint64_t requests, by_class[6]; /* [2] = 2xx ... */
};
struct api_counters *api_counters(struct api *a);
const char *api_boot(const struct api *a); /* random text of this process */
const struct route *api_routes(void);

#endif
