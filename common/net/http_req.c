/* The request's own life and what a handler may ask it. */
#include "net/http_conn.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    body_later(arg);
}

struct http_req *req_create(struct http_conn *c)
{
    struct http_req *r = xcalloc(1, sizeof *r);
    r->server = c->server;
    r->conn = c;
    r->base = c->server->base;
    r->tls = c->tls;
    r->content_length = -1;
    memcpy(r->peer, c->peer, sizeof r->peer);
    r->later = event_new(r->base, -1, 0, on_later, r);
    TAILQ_INSERT_TAIL(&c->server->reqs, r, link);
    return r;
}

/* The peer has gone. Whoever waits for the body's end or for room to write is told from the loop. */
void req_orphan(struct http_req *r)
{
    r->conn = NULL;
    r->paused = false;
    if (r->body == BODY_READING || (r->started && r->on_drain))
        event_active(r->later, EV_TIMEOUT, 0);
}

void req_free(struct http_req *r)
{
    if (r->server)
        TAILQ_REMOVE(&r->server->reqs, r, link);
    if (r->data_destroy)
        r->data_destroy(r->data);
    event_free(r->later);
    http_headers_free(&r->headers);
    http_headers_free(&r->out);
    http_headers_free(&r->cookies);
    buf_free(&r->whole);
    free(r->path);
    free(r->query);
    free(r);
}

enum http_method http_req_method(const struct http_req *r)
{
    return r->method;
}

const char *http_req_path(const struct http_req *r)
{
    return r->path;
}

const char *http_req_query(const struct http_req *r)
{
    return r->query;
}

const char *http_req_header(const struct http_req *r, const char *name)
{
    return http_headers_get(&r->headers, name);
}

static void parse_cookies(struct http_req *r)
{
    r->cookies_parsed = true;
    for (size_t i = 0; i < r->headers.count; i++) {
        if (strcasecmp(r->headers.items[i].name, "Cookie") != 0)
            continue;
        for (const char *p = r->headers.items[i].value; *p;) {
            p += strspn(p, "; \t");
            size_t n = strcspn(p, ";"), eq = strcspn(p, "=;");
            if (eq < n) {
                char *name = xstrndup(p, eq), *value = xstrndup(p + eq + 1, n - eq - 1);
                http_headers_add(&r->cookies, name, value);
                free(name);
                free(value);
            }
            p += n;
        }
    }
}

const char *http_req_cookie(struct http_req *r, const char *name)
{
    if (!r->cookies_parsed)
        parse_cookies(r);
    for (size_t i = 0; i < r->cookies.count; i++) /* unlike header fields, cookies have case */
        if (strcmp(r->cookies.items[i].name, name) == 0)
            return r->cookies.items[i].value;
    return NULL;
}

const char *http_req_peer(const struct http_req *r)
{
    return r->peer;
}

bool http_req_tls(const struct http_req *r)
{
    return r->tls;
}

bool http_req_gone(const struct http_req *r)
{
    return !r->conn || r->conn->eof;
}

int64_t http_req_content_length(const struct http_req *r)
{
    return r->content_length;
}

void *http_req_data(const struct http_req *r)
{
    return r->data;
}

void http_req_set_data(struct http_req *r, void *data, void (*destroy)(void *data))
{
    r->data = data;
    r->data_destroy = destroy;
}

void http_req_add_header(struct http_req *r, const char *name, const char *value)
{
    http_headers_add(&r->out, name, value);
}

void http_req_add_headerf(struct http_req *r, const char *name, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    http_headers_add(&r->out, name, buf_str(&b));
    buf_free(&b);
}
