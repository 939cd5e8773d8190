#include "orchestrator/api/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "orchestrator/api/call.h"
#include "orchestrator/api/console.h"
#include "orchestrator/api/routes.h"
#include "orchestrator/store/user.h"

#define EXPIRE_EVERY_SECONDS 600

struct api {
    struct orch *orch;
    struct api_counters counters;
    struct console *console;
    struct event *expire;
    char boot[33];
    struct metrics_source {
        api_metrics_f f;
        void *arg;
    } metrics[16];
    int metrics_count;
};

struct api_counters *api_counters(struct api *a)
{
    return &a->counters;
}

const char *api_boot(const struct api *a)
{
    return a->boot;
}

const struct route *api_routes(void)
{
    return routes;
}

void api_add_metrics(struct api *a, api_metrics_f f, void *arg)
{
    if (a->metrics_count == (int)ARRAY_LEN(a->metrics)) {
        log_error("api", "too many rooms add metrics; enlarge the table");
        return;
    }
    a->metrics[a->metrics_count++] = (struct metrics_source){f, arg};
}

void api_more_metrics(struct orch *orch, struct buf *out)
{
    const struct api *a = orch->api;
    for (int i = 0; i < a->metrics_count; i++)
        a->metrics[i].f(out, a->metrics[i].arg);
}

/* --- one request ---------------------------------------------------------------------------------------- */

static void call_free(void *p)
{
    struct call *c = p;
    arena_free(&c->arena);
    free(c);
}

static bool is_ours(const char *path)
{
    static const char *const prefixes[] = {"/api/", "/agent/"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (!strncmp(path, prefixes[i], strlen(prefixes[i])))
            return true;
    return false;
}

static void not_routed(struct call *c, const struct buf *allow)
{
    if (!allow->len) {
        call_fail(c, ERR_NOT_FOUND, "there is nothing at %.200s; see /api/v1/openapi.json",
                  http_req_path(c->req));
        return;
    }
    http_req_add_header(c->req, "Allow", buf_str(allow));
    if (http_req_method(c->req) == HTTP_M_OPTIONS) {
        call_reply_empty(c);
        return;
    }
    call_reply_status(c, 405, "Method not allowed",
                      arena_printf(&c->arena, "use one of %s here", buf_str(allow)));
}

static void on_authenticated(const struct user *user, const struct err *err, void *arg)
{
    struct call *c = arg;
    if (err) {
        if (err->code == ERR_UNAUTHENTICATED)
            http_req_add_header(c->req, "WWW-Authenticate", "Bearer realm=\"trainyard\"");
        call_reply_err(c, err);
    } else if (!user) {
        http_req_add_header(c->req, "WWW-Authenticate", "Bearer realm=\"trainyard\"");
        call_fail(c, ERR_UNAUTHENTICATED,
                  "send \"Authorization: Bearer TOKEN\", or sign in at POST /api/v1/sessions");
    } else if (!role_allows(user->role, c->route->role)) {
        /* Security: the least role is the table's; what a role may see of others' things is in each query. */
        call_fail(c, ERR_FORBIDDEN, "this needs the role %s; you are %s %s", role_name(c->route->role),
                  role_name(user->role), user->name);
    } else {
        c->user = *user;
        c->route->handler(c);
    }
}

void api_on_request(struct http_req *req, void *arg)
{
    struct api *a = arg;
    a->counters.requests++;
    struct call *c = xcalloc(1, sizeof(*c));
    c->req = req;
    c->orch = a->orch;
    http_req_set_data(req, c, call_free);
    http_req_add_header(req, "X-Content-Type-Options", "nosniff");
    struct buf allow = {0};
    c->route = route_find(routes, http_req_method(req), http_req_path(req), &c->arena, c->params, &allow);
    if (c->route && c->route->role == ROLE_NONE)
        c->route->handler(c);
    else if (c->route)
        auth_check(a->orch->auth, req, on_authenticated, c);
    else if (allow.len || is_ours(http_req_path(req)))
        not_routed(c, &allow);
    else
        console_serve(a->console, c);
    buf_free(&allow);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static void on_expire(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct api *a = arg;
    if (db_ready(a->orch->db))
        db_submit(expire_old(a->orch->db), NULL, NULL);
}

struct api *api_create(struct orch *orch, const char *console_dir, struct err *err)
{
    struct api *a = xcalloc(1, sizeof(*a));
    a->orch = orch;
    random_hex(a->boot, 32);
    a->console = console_create(console_dir, err);
    if (!a->console) {
        free(a);
        return NULL;
    }
    a->expire = event_new(orch->base, -1, EV_PERSIST, on_expire, a);
    event_add(a->expire, &(struct timeval){EXPIRE_EVERY_SECONDS, 0});
    event_active(a->expire, EV_TIMEOUT, 0);
    return a;
}

void api_destroy(struct api *a)
{
    if (!a)
        return;
    event_free(a->expire);
    console_destroy(a->console);
    free(a);
}
