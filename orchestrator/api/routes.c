#include "orchestrator/api/routes.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/api/assets.h"
#include "orchestrator/api/cluster.h"
#include "orchestrator/api/jobs.h"
#include "orchestrator/api/nodes.h"
#include "orchestrator/api/sessions.h"
#include "orchestrator/api/tasks.h"
#include "orchestrator/api/uploads.h"
#include "orchestrator/api/verify.h"

#define GET     HTTP_M_GET
#define POST    HTTP_M_POST
#define PATCH   HTTP_M_PATCH
#define PUT     HTTP_M_PUT
#define DELETE  HTTP_M_DELETE
#define HEAD    HTTP_M_HEAD
#define OPTIONS HTTP_M_OPTIONS

// clang-format off
const struct route routes[] = {
    /* health, and what describes this server */
    {GET,    "/healthz",                                   ROLE_NONE,     health_get,          "the process answers"},
    {GET,    "/readyz",                                    ROLE_NONE,     ready_get,           "the database answers too"},
    {GET,    "/version",                                   ROLE_NONE,     version_get,         "name and version"},
    {GET,    "/api/v1/healthz",                            ROLE_NONE,     health_get,          "the process answers"},
    {GET,    "/api/v1/readyz",                             ROLE_NONE,     ready_get,           "the database answers too"},
    {GET,    "/api/v1/version",                            ROLE_NONE,     version_get,         "name and version"},
    {GET,    "/metrics",                                   ROLE_OPERATOR, metrics_get,         "counters for Prometheus"},
    {GET,    "/api/v1/metrics",                            ROLE_OPERATOR, metrics_get,         "counters for Prometheus"},
    {GET,    "/api/v1/openapi.json",                       ROLE_VIEWER,   openapi_get,         "this API, machine-readable"},
    {GET,    "/api/v1/layer-types",                        ROLE_VIEWER,   layer_types_get,     "the layer types that models may use"},
    {GET,    "/api/v1/stream",                             ROLE_VIEWER,   stream_get,          "WebSocket: events of topics"},

    /* sessions, users, tokens */
    {POST,   "/api/v1/sessions",                           ROLE_NONE,     session_create,      "sign in with a password or a token"},
    {GET,    "/api/v1/sessions/current",                   ROLE_VIEWER,   session_get,         "who am I"},
    {DELETE, "/api/v1/sessions/current",                   ROLE_VIEWER,   session_end,         "sign out"},
    {POST,   "/api/v1/users",                              ROLE_ADMIN,    user_create,         "add a user"},
    {GET,    "/api/v1/users",                              ROLE_ADMIN,    users_get,           "list users"},
    {POST,   "/api/v1/tokens",                             ROLE_VIEWER,   token_create,        "make a token for myself"},
    {GET,    "/api/v1/tokens",                             ROLE_VIEWER,   tokens_get,          "list my tokens"},
    {DELETE, "/api/v1/tokens/:id",                         ROLE_VIEWER,   token_remove,        "revoke a token"},

    /* tasks */
    {POST,   "/api/v1/tasks",                              ROLE_USER,     task_create,         "make a task"},
    {GET,    "/api/v1/tasks",                              ROLE_VIEWER,   tasks_get,           "list tasks"},
    {GET,    "/api/v1/tasks/:task",                        ROLE_VIEWER,   task_get,            "one task"},
    {PATCH,  "/api/v1/tasks/:task",                        ROLE_USER,     task_patch,          "change description, type or labels"},
    {DELETE, "/api/v1/tasks/:task",                        ROLE_USER,     task_remove,         "delete a task with its assets"},

    /* training runs of a task; before the assets, whose :kind would take them */
    {POST,   "/api/v1/tasks/:task/instances",              ROLE_USER,     instance_create,     "submit a training run"},
    {GET,    "/api/v1/tasks/:task/instances",              ROLE_VIEWER,   instances_get,       "list a task's training runs"},

    /* assets: :kind is datasets, algorithms, layers or models */
    {POST,   "/api/v1/tasks/:task/:kind",                  ROLE_USER,     asset_create,        "upload, verify and keep an asset"},
    {GET,    "/api/v1/tasks/:task/:kind",                  ROLE_VIEWER,   assets_get,          "list assets of a kind"},
    {GET,    "/api/v1/tasks/:task/:kind/:name",            ROLE_VIEWER,   asset_get,           "one asset, newest or name@version"},
    {DELETE, "/api/v1/tasks/:task/:kind/:name",            ROLE_USER,     asset_remove,        "delete one version"},
    {GET,    "/api/v1/tasks/:task/:kind/:name/content",    ROLE_VIEWER,   asset_content,       "its bytes"},
    {GET,    "/api/v1/tasks/:task/:kind/:name/verification", ROLE_VIEWER, asset_verification,  "its checks"},
    {GET,    "/api/v1/tasks/:task/datasets/:name/preview", ROLE_VIEWER,   dataset_preview,     "samples and statistics"},
    {GET,    "/api/v1/tasks/:task/models/:name/graph",     ROLE_VIEWER,   model_graph,         "nodes, edges, shapes"},

    /* jobs */
    {POST,   "/api/v1/jobs",                               ROLE_USER,     job_submit,          "submit a batch script"},
    {GET,    "/api/v1/jobs",                               ROLE_VIEWER,   jobs_get,            "list jobs, newest first"},
    {GET,    "/api/v1/jobs/:id",                           ROLE_VIEWER,   job_get,             "one job"},
    {POST,   "/api/v1/jobs/:id/cancel",                    ROLE_USER,     job_cancel,          "end it"},
    {POST,   "/api/v1/jobs/:id/hold",                      ROLE_USER,     job_hold,            "keep it from starting"},
    {POST,   "/api/v1/jobs/:id/release",                   ROLE_USER,     job_release,         "let it start again"},
    {POST,   "/api/v1/jobs/:id/requeue",                   ROLE_USER,     job_requeue,         "put it back into the queue"},
    {POST,   "/api/v1/jobs/:id/resume",                    ROLE_USER,     job_requeue,         "go on from its newest checkpoint"},
    {POST,   "/api/v1/jobs/:id/clone",                     ROLE_USER,     job_clone,           "submit the same again"},
    {GET,    "/api/v1/jobs/:id/events",                    ROLE_VIEWER,   job_events_get,      "the log of its states"},
    {GET,    "/api/v1/jobs/:id/metrics",                   ROLE_VIEWER,   job_metrics_get,     "what it measured"},
    {GET,    "/api/v1/jobs/:id/logs",                      ROLE_VIEWER,   job_logs_get,        "what it printed"},
    {GET,    "/api/v1/jobs/:id/artifacts",                 ROLE_VIEWER,   job_artifacts_get,   "the files it left"},
    {GET,    "/api/v1/jobs/:id/artifacts/:name*",          ROLE_VIEWER,   job_artifact_get,    "one of them"},

    /* the cluster */
    {GET,    "/api/v1/nodes",                              ROLE_VIEWER,   nodes_get,           "the machines"},
    {POST,   "/api/v1/nodes/:node/drain",                  ROLE_OPERATOR, node_drain,          "nothing new starts there"},
    {POST,   "/api/v1/nodes/:node/resume",                 ROLE_OPERATOR, node_resume,         "things start there again"},
    {GET,    "/api/v1/partitions",                         ROLE_VIEWER,   partitions_get,      "sets of nodes"},

    /* agents */
    {POST,   "/agent/v1/register",                         ROLE_JOIN,     agent_register,      "a machine joins: join token to agent token"},
    {GET,    "/agent/v1",                                  ROLE_AGENT,    agent_connect,       "WebSocket of an agent"},
    {GET,    "/agent/v1/blobs/:digest",                    ROLE_AGENT,    agent_blob_get,      "bytes that a job on the node needs"},
    {PUT,    "/agent/v1/blobs/:digest",                    ROLE_AGENT,    agent_blob_put,      "bytes that a job left"},

    /* verification without keeping */
    {POST,   "/api/v1/verify/fit",                         ROLE_USER,     verify_fit_post,     "do dataset, algorithm and model fit"},
    {POST,   "/api/v1/verify/:kind",                       ROLE_USER,     verify_post,         "check a file"},

    /* resumable uploads (tus 1.0.0) */
    {OPTIONS, "/api/v1/uploads",                           ROLE_NONE,     uploads_options,     "what of tus is spoken"},
    {POST,   "/api/v1/uploads",                            ROLE_USER,     upload_create,       "begin an upload"},
    {HEAD,   "/api/v1/uploads/:id",                        ROLE_USER,     upload_head,         "how far it is"},
    {PATCH,  "/api/v1/uploads/:id",                        ROLE_USER,     upload_patch,        "the next bytes"},
    {DELETE, "/api/v1/uploads/:id",                        ROLE_USER,     upload_remove,       "give it up"},

    {0},
};
// clang-format on

/* --- finding a row -------------------------------------------------------------------------------------- */

/* Match one path; parameters decoded into params (left unset when arena is NULL). */
static bool matches(const char *pattern, const char *path, struct arena *arena, const char **params)
{
    int n = 0;
    for (;;) {
        if (*pattern != '/' || *path != '/')
            return *pattern == 0 && *path == 0;
        pattern++;
        path++;
        size_t plen = strcspn(pattern, "/"), len = strcspn(path, "/");
        if (*pattern != ':') {
            if (plen != len || memcmp(pattern, path, len) != 0)
                return false;
        } else {
            bool rest = pattern[plen - 1] == '*';
            if (rest)
                len = strlen(path);
            if (len == 0 || n >= CALL_PARAMS)
                return false;
            char *text = http_percent_decode(path, len, false);
            bool good = text && *text && (rest || !strchr(text, '/'));
            if (good)
                params[n++] = arena_strdup(arena, text);
            free(text);
            if (!good)
                return false;
        }
        pattern += plen;
        path += len;
    }
}

/* Literal segments win over parameters: "datasets/:name/preview" over ":kind/:name/content" never clash, but
 * "/verify/fit" does with "/verify/:kind"; the table has the literal row first. */
const struct route *route_find(const struct route *table, enum http_method method, const char *path,
                               struct arena *arena, const char *params[CALL_PARAMS], struct buf *allow)
{
    for (const struct route *r = table; r->path; r++) {
        const char *found[CALL_PARAMS] = {0};
        if (!matches(r->path, path, arena, found))
            continue;
        if (r->method == method || (method == HTTP_M_HEAD && r->method == HTTP_M_GET)) {
            memcpy(params, found, sizeof(found));
            return r;
        }
        const char *name = http_method_name(r->method);
        if (!allow->len || !strstr(buf_str(allow), name))
            buf_printf(allow, "%s%s", allow->len ? ", " : "", name);
        if (r->method == HTTP_M_GET && !strstr(buf_str(allow), "HEAD"))
            buf_puts(allow, ", HEAD");
    }
    return NULL;
}
