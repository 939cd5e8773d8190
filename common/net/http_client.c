#include "net/http_exchange.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "net/tls.h"

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_client *c = arg;
    if (c->now || TAILQ_EMPTY(&c->queue))
        return;
    c->now = TAILQ_FIRST(&c->queue);
    TAILQ_REMOVE(&c->queue, c->now, link);
    exchange_begin(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    exchange_timed_out(arg);
}

static int parse_origin(struct http_client *c, const char *origin, const char *ca_file, struct err *err)
{
    if (strncmp(origin, "unix:", 5) == 0) {
        c->unix_path = xstrdup(origin + 5);
        snprintf(c->url.host, sizeof c->url.host, "localhost");
        c->url.port = 80;
        return 0;
    }
    if (http_url_parse(origin, &c->url, err))
        return -1;
    if (c->url.tls && !(c->tls = tls_client_context(ca_file, err)))
        return -1;
    return 0;
}

struct http_client *http_client_create(struct event_base *base, const char *origin_url,
                                       const char *bearer_token, const char *ca_file, struct err *err)
{
    struct http_client *c = xcalloc(1, sizeof *c);
    c->base = base;
    TAILQ_INIT(&c->queue);
    c->origin = xstrdup(origin_url);
    c->token = xstrdup(bearer_token);
    c->kick = event_new(base, -1, 0, on_kick, c);
    c->timer = event_new(base, -1, 0, on_timer, c);
    if (parse_origin(c, origin_url, ca_file, err)) {
        http_client_destroy(c);
        return NULL;
    }
    return c;
}

/* ---- calls ---- */

static struct exchange *exchange_create(const struct http_call *call)
{
    struct exchange *x = xcalloc(1, sizeof *x);
    x->call = *call;
    x->path = xstrdup(call->path);
    x->content_type = xstrdup(call->content_type);
    for (size_t i = 0; call->headers && i < call->headers->count; i++)
        http_headers_add(&x->headers, call->headers->items[i].name, call->headers->items[i].value);
    if (call->body_read) {
        x->body_total = call->body_total;
    } else if (call->body_from_fd) {
        x->body_total = call->body_len_fd;
    } else if (call->body) {
        x->body = xmalloc(call->body_len + 1);
        memcpy(x->body, call->body, call->body_len);
        x->body_total = (int64_t)call->body_len;
    }
    if (x->call.max_response == 0)
        x->call.max_response = 16 << 20;
    if (x->call.timeout_seconds <= 0)
        x->call.timeout_seconds = 60;
    return x;
}

static void exchange_free(struct exchange *x)
{
    free(x->path);
    free(x->content_type);
    free(x->body);
    http_headers_free(&x->headers);
    http_response_free(&x->response);
    buf_free(&x->name);
    buf_free(&x->value);
    free(x);
}

static void enqueue(struct http_client *c, struct exchange *x)
{
    TAILQ_INSERT_TAIL(&c->queue, x, link);
    if (!c->now)
        event_active(c->kick, EV_TIMEOUT, 0);
}

void http_client_send(struct http_client *c, const struct http_call *call)
{
    enqueue(c, exchange_create(call));
}

void exchange_over(struct http_client *c, const struct err *err)
{
    struct exchange *x = c->now;
    c->now = NULL;
    event_del(c->timer);
    if (x->keep_rc) {
        *x->keep_rc = err ? -1 : 0;
        if (err && x->keep_err)
            *x->keep_err = *err;
        if (!err) {
            *x->keep = x->response;
            x->response = (struct http_response){0};
        }
    } else if (x->call.done) {
        c->busy = true;
        x->call.done(err ? NULL : &x->response, err, x->call.arg);
        c->busy = false;
    }
    exchange_free(x);
    if (c->dead)
        http_client_destroy(c);
    else if (!TAILQ_EMPTY(&c->queue))
        event_active(c->kick, EV_TIMEOUT, 0);
}

void http_client_destroy(struct http_client *c)
{
    if (!c)
        return;
    if (c->busy) { /* from a callback: the caller up the stack comes back here */
        c->dead = true;
        return;
    }
    client_disconnect(c);
    if (c->now)
        exchange_free(c->now);
    struct exchange *x;
    while ((x = TAILQ_FIRST(&c->queue))) {
        TAILQ_REMOVE(&c->queue, x, link);
        exchange_free(x);
    }
    event_free(c->kick);
    event_free(c->timer);
    SSL_CTX_free(c->tls);
    http_url_free(&c->url);
    free(c->origin);
    free(c->unix_path);
    free(c->token);
    free(c);
}

int http_client_do(struct http_client *c, const struct http_call *call, struct http_response *out,
                   struct err *err)
{
    int rc = 1;
    struct exchange *x = exchange_create(call);
    x->keep = out;
    x->keep_err = err;
    x->keep_rc = &rc;
    *out = (struct http_response){0};
    enqueue(c, x);
    while (rc == 1)
        if (event_base_loop(c->base, EVLOOP_ONCE))
            return err_set(err, ERR_INTERNAL, "the event loop stopped before the answer came");
    return rc;
}

void http_response_free(struct http_response *r)
{
    http_headers_free(&r->headers);
    buf_free(&r->body);
    r->status = 0;
}
