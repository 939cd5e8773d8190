/* Answers: whole, problem+json, file (sendfile, ranges, ETag), streamed. Every one ends in finish(), which
 * frees the request. */
#include "net/http_conn.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/units.h"

static bool has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* Will the connection be closed after this reply? */
static bool closes(const struct http_req *r)
{
    const struct http_conn *c = r->conn;
    return c->close_after || !r->keep_alive || !r->message_complete || r->body == BODY_BROKEN ||
           c->server->stopping;
}

/* Status line, the collected fields, and those every reply has. length < 0: chunked or until close. */
static void put_head(struct http_req *r, int status, const char *type, int64_t length)
{
    struct buf b = {0};
    buf_printf(&b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http_status_text(status),
               server_date(r->server));
    for (size_t i = 0; i < r->out.count; i++)
        buf_printf(&b, "%s: %s\r\n", r->out.items[i].name, r->out.items[i].value);
    if (type)
        buf_printf(&b, "Content-Type: %s\r\n", type);
    if (length >= 0 && has_body(status))
        buf_printf(&b, "Content-Length: %lld\r\n", (long long)length);
    if (r->chunked)
        buf_puts(&b, "Transfer-Encoding: chunked\r\n");
    if (closes(r))
        buf_puts(&b, "Connection: close\r\n");
    else if (r->http_1_0)
        buf_puts(&b, "Connection: keep-alive\r\n");
    buf_puts(&b, "\r\n");
    evbuffer_add(bufferevent_get_output(r->conn->bev), b.data, b.len);
    buf_free(&b);
}

/* The reply is complete: the connection goes on, the request is over. */
static void finish(struct http_req *r)
{
    struct http_conn *c = r->conn;
    if (c) {
        if (closes(r))
            c->close_after = true;
        conn_replied(c);
    }
    req_free(r);
}

void http_reply(struct http_req *r, int status, const char *content_type, const void *body, size_t n)
{
    if (r->conn) {
        put_head(r, status, has_body(status) ? content_type : NULL, (int64_t)n);
        if (r->method != HTTP_M_HEAD && has_body(status) && n)
            evbuffer_add(bufferevent_get_output(r->conn->bev), body, n);
    }
    finish(r);
}

static void problem(struct buf *b, int status, const char *title, const char *detail)
{
    buf_puts(b, "{\"type\":\"about:blank\",\"title\":");
    buf_json_str(b, title);
    buf_printf(b, ",\"status\":%d,\"detail\":", status);
    buf_json_str(b, detail);
    buf_putc(b, '}');
}

void http_reply_err(struct http_req *r, const struct err *err)
{
    int status = err_http_status(err->code);
    const char *title = err_title(err->code);
    if (r->body_err.code == ERR_TIMEOUT && err->code == ERR_TIMEOUT) {
        status = 408; /* the peer was slow, not a part behind us */
        title = http_status_text(408);
    }
    if (status == 401 && !http_headers_get(&r->out, "WWW-Authenticate"))
        http_req_add_header(r, "WWW-Authenticate", "Bearer");
    struct buf b = {0};
    problem(&b, status, title, err->text);
    http_reply(r, status, "application/problem+json", b.data, b.len);
    buf_free(&b);
}

void reply_refuse(struct http_conn *c, int status, const char *detail)
{
    struct buf body = {0}, head = {0};
    problem(&body, status, http_status_text(status), detail);
    buf_printf(
        &head,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n\r\n",
        status, http_status_text(status), server_date(c->server), body.len);
    struct evbuffer *out = bufferevent_get_output(c->bev);
    evbuffer_add(out, head.data, head.len);
    evbuffer_add(out, body.data, body.len);
    buf_free(&head);
    buf_free(&body);
    c->close_after = true;
    conn_replied(c);
}

/* ---- files ---- */

/* Weak comparison of an entity tag with a list (RFC 9110 section 8.8.3.2). */
static bool etag_listed(const char *list, const char *etag)
{
    if (strcmp(list, "*") == 0)
        return true;
    size_t n = strlen(etag);
    for (const char *p = list; *p;) {
        p += strspn(p, ", \t");
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        if (*p != '"')
            return false;
        size_t len = strcspn(p + 1, "\"") + 2;
        if (len == n && strncmp(p, etag, n) == 0)
            return true;
        p += strnlen(p, len);
    }
    return false;
}

/* Put n bytes of fd from `at` behind the head. Takes fd. */
static void send_file(struct http_conn *c, int fd, int64_t at, int64_t n)
{
    if (c->tls) { /* must be read to be encrypted: a piece at a time, as the output drains */
        c->file_fd = fd;
        c->file_at = at;
        c->file_left = n;
        return;
    }
    struct evbuffer_file_segment *seg = evbuffer_file_segment_new(fd, at, n, EVBUF_FS_CLOSE_ON_FREE);
    if (!seg) {
        close(fd);
        conn_drop(c);
        return;
    }
    if (evbuffer_add_file_segment(bufferevent_get_output(c->bev), seg, 0, n))
        conn_drop(c);
    evbuffer_file_segment_free(seg); /* the buffer holds its own reference */
}

void http_reply_file(struct http_req *r, int fd, int64_t size, const char *content_type, const char *etag)
{
    int64_t first = 0, last = size - 1;
    const char *match = http_req_header(r, "If-None-Match");
    const char *if_range = http_req_header(r, "If-Range");
    int range = 0;
    if (etag)
        http_req_add_header(r, "ETag", etag);
    http_req_add_header(r, "Accept-Ranges", "bytes");
    if (r->method == HTTP_M_GET && (!if_range || (etag && strcmp(if_range, etag) == 0)))
        range = http_range_parse(http_req_header(r, "Range"), size, &first, &last);
    if (match && etag && etag_listed(match, etag)) {
        close(fd);
        http_reply(r, 304, NULL, NULL, 0);
        return;
    }
    if (range < 0) {
        close(fd);
        http_req_add_headerf(r, "Content-Range", "bytes */%lld", (long long)size);
        struct buf b = {0};
        problem(&b, 416, http_status_text(416), "the range asked for lies beyond the end of the file");
        http_reply(r, 416, "application/problem+json", b.data, b.len);
        buf_free(&b);
        return;
    }
    if (range > 0)
        http_req_add_headerf(r, "Content-Range", "bytes %lld-%lld/%lld", (long long)first, (long long)last,
                             (long long)size);
    int64_t n = last - first + 1;
    if (!r->conn) {
        close(fd);
        finish(r);
        return;
    }
    put_head(r, range > 0 ? 206 : 200, content_type, n);
    if (r->method == HTTP_M_HEAD || n == 0)
        close(fd);
    else
        send_file(r->conn, fd, first, n); /* may drop the connection: r->conn is NULL then */
    finish(r);
}

/* ---- streamed ---- */

void http_reply_start(struct http_req *r, int status, const char *content_type,
                      void (*on_drain)(struct http_req *r, void *arg), void *arg)
{
    r->started = true;
    r->on_drain = on_drain;
    r->drain_arg = arg;
    if (!r->conn) {
        if (on_drain)
            event_active(r->later, EV_TIMEOUT, 0);
        return;
    }
    bool known = http_headers_get(&r->out, "Content-Length") != NULL;
    r->chunked = has_body(status) && !r->http_1_0 && !known;
    if (r->http_1_0 && !known)
        r->keep_alive = false; /* the end of the connection is the end of the body */
    put_head(r, status, content_type, -1);
}

void http_reply_chunk(struct http_req *r, const void *p, size_t n)
{
    if (!r->conn) {
        if (r->on_drain) /* as if it had gone out at once, so that the handler comes to its end */
            event_active(r->later, EV_TIMEOUT, 0);
        return;
    }
    if (n == 0 || r->method == HTTP_M_HEAD) { /* nothing to send: it has drained already */
        bufferevent_trigger(r->conn->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
        return;
    }
    struct evbuffer *out = bufferevent_get_output(r->conn->bev);
    if (evbuffer_get_length(out) == 0)
        r->conn->moved = time_monotonic(); /* nothing was waiting until now */
    if (r->chunked)
        evbuffer_add_printf(out, "%zx\r\n", n);
    evbuffer_add(out, p, n);
    if (r->chunked)
        evbuffer_add(out, "\r\n", 2);
}

void http_reply_end(struct http_req *r)
{
    if (r->conn && r->chunked && r->method != HTTP_M_HEAD)
        evbuffer_add(bufferevent_get_output(r->conn->bev), "0\r\n\r\n", 5);
    finish(r);
}
