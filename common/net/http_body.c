/* Request bodies: whole or streamed, with limit, back-pressure and every way a body can end. */
#include "net/http_conn.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/units.h"

#define PIECE 65536

/* The callback that ends the body may free the request; whoever calls this must not touch it afterwards. */
static void body_done(struct http_req *r)
{
    r->body = BODY_DONE;
    if (r->on_whole)
        r->on_whole(r, buf_str(&r->whole), r->whole.len, r->body_arg);
    else
        r->on_end(r, NULL, r->body_arg);
}

static void body_tell_failure(struct http_req *r)
{
    struct err e = r->body_err; /* the handler's reply frees r */
    if (r->on_end)
        r->on_end(r, &e, r->body_arg);
    else if (r->conn)
        http_reply_err(r, &e);
    else
        req_free(r);
}

void body_fail(struct http_req *r, enum err_code code, const char *text)
{
    err_set(&r->body_err, code, "%s", text);
    r->body = BODY_BROKEN;
    if (r->conn)
        r->conn->close_after = true;
    body_tell_failure(r);
}

/* From the event loop, for a request whose peer has gone. */
void body_later(struct http_req *r)
{
    if (r->body == BODY_READING) {
        r->body = BODY_BROKEN;
        err_set(&r->body_err, ERR_IO, "the peer went away before the end of the body");
        body_tell_failure(r);
    } else if (r->started && r->on_drain) {
        r->on_drain(r, r->drain_arg);
    }
}

static bool body_too_large(const struct http_req *r)
{
    return r->content_length > r->max || r->body_err.code == ERR_TOO_LARGE;
}

static void body_fail_too_large(struct http_req *r)
{
    char limit[32], text[160];
    units_format_size(r->max, limit, sizeof limit);
    snprintf(text, sizeof text, "the body is larger than the %s allowed here", limit);
    body_fail(r, ERR_TOO_LARGE, text);
}

/* Called by the parser for each piece. The connection outlives the handler's call, the request may not. */
void body_on_data(struct http_req *r, const void *p, size_t n)
{
    struct http_conn *c = r->conn;
    if (r->body != BODY_READING)
        return;
    if ((int64_t)n > r->max - r->got) {
        r->body_err.code = ERR_TOO_LARGE; /* body_step() tells the handler */
        return;
    }
    r->got += (int64_t)n;
    if (r->on_whole) {
        buf_add(&r->whole, p, n);
        return;
    }
    int stop = r->on_data(r, p, n, r->body_arg);
    if (stop && c->req == r) {
        r->body = BODY_BROKEN;
        c->close_after = true;
    }
}

bool body_step(struct http_conn *c)
{
    struct http_req *r = c->req;
    if (r->paused)
        return false;
    if (body_too_large(r)) {
        body_fail_too_large(r);
        return true;
    }
    if (r->message_complete) {
        body_done(r);
        return true;
    }
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct evbuffer_iovec piece;
    if (evbuffer_peek(in, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0) {
        if (c->eof)
            body_fail(r, ERR_IO, "the peer went away before the end of the body");
        return false;
    }
    size_t n = piece.iov_len < PIECE ? piece.iov_len : PIECE;
    http_parser_pause(&c->parser, 0);
    size_t used = http_parser_execute(&c->parser, parse_body_settings(), piece.iov_base, n);
    evbuffer_drain(in, used);
    c->window_bytes += (int64_t)used;
    enum http_errno e = HTTP_PARSER_ERRNO(&c->parser);
    if (e != HPE_OK && e != HPE_PAUSED && !c->dead && c->req == r && r->body == BODY_READING)
        body_fail(r, ERR_INVALID, "the framing of the body is broken: a chunk is not where it should be");
    return true;
}

/* ---- asking for it ---- */

static void body_ask(struct http_req *r, int64_t max, void *arg)
{
    r->asked = true;
    r->max = max;
    r->body_arg = arg;
    bool expected = r->body == BODY_WAITING;
    r->body = BODY_READING;
    struct http_conn *c = r->conn;
    if (!c) {
        event_active(r->later, EV_TIMEOUT, 0);
        return;
    }
    c->window = time_monotonic();
    c->window_bytes = 0;
    if (expected && r->expect_continue && r->content_length <= max &&
        evbuffer_get_length(bufferevent_get_input(c->bev)) == 0)
        evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
    conn_wake(c);
}

void http_req_read_body(struct http_req *r, size_t max, http_body_f done, void *arg)
{
    if (r->asked)
        return;
    r->on_whole = done;
    body_ask(r, (int64_t)max, arg);
}

void http_req_stream_body(struct http_req *r, int64_t max, http_data_f on_data, http_end_f on_end, void *arg)
{
    if (r->asked)
        return;
    r->on_data = on_data;
    r->on_end = on_end;
    body_ask(r, max, arg);
}

void http_req_pause(struct http_req *r)
{
    r->paused = true;
}

void http_req_resume(struct http_req *r)
{
    if (!r->paused)
        return;
    r->paused = false;
    if (r->conn) {
        r->conn->window = time_monotonic();
        r->conn->window_bytes = 0;
        conn_wake(r->conn);
    }
}
