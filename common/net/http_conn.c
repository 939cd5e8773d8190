/* The life of a connection: its states, what the clock does to it, and how it ends. */
#include "net/http_conn.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/units.h"

static void conn_free(struct http_conn *c)
{
    struct http_server *s = c->server;
    TAILQ_REMOVE(&s->conns, c, link);
    s->count--;
    if (c->file_fd >= 0)
        close(c->file_fd);
    if (c->bev)
        bufferevent_free(c->bev);
    free(c);
    server_stopped_check(s);
}

void conn_drop(struct http_conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    struct http_req *r = c->req;
    c->req = NULL;
    if (r)
        req_orphan(r);
    if (c->bev)
        bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
    if (!c->busy)
        conn_free(c);
}

/* Output moved: a slow reader is told from a dead one. */
static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    (void)out;
    if (info->n_deleted)
        ((struct http_conn *)arg)->moved = time_monotonic();
}

struct bufferevent *conn_release(struct http_conn *c)
{
    struct bufferevent *bev = c->bev;
    c->bev = NULL;
    c->req = NULL;
    evbuffer_remove_cb(bufferevent_get_output(bev), on_output, c);
    bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
    conn_drop(c);
    return bev;
}

void conn_set_state(struct http_conn *c, enum conn_state state)
{
    c->state = state;
    c->since = time_monotonic();
}

void conn_wake(struct http_conn *c)
{
    bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* ---- input ---- */

/* Between requests some clients send a stray empty line. */
static void skip_empty_lines(struct evbuffer *in)
{
    char two[2];
    while (evbuffer_copyout(in, two, 2) == 2 && two[0] == '\r' && two[1] == '\n')
        evbuffer_drain(in, 2);
}

static bool headers_step(struct http_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    if (c->state == CONN_IDLE) {
        skip_empty_lines(in);
        if (evbuffer_get_length(in) > 0)
            conn_set_state(c, CONN_HEADERS);
    }
    char detail[160];
    int status = c->state == CONN_HEADERS ? conn_parse_head(c, detail, sizeof detail) : 0;
    if (status == 0) {
        if (c->eof)
            conn_drop(c);
        return false;
    }
    if (status != 1) {
        reply_refuse(c, status, detail);
        return false;
    }
    conn_set_state(c, CONN_REQUEST);
    c->server->on_request(c->req, c->server->arg);
    return true;
}

/* One thing that can be done with the input; false when there is nothing. */
static bool conn_step(struct http_conn *c)
{
    switch (c->state) {
    case CONN_IDLE:
    case CONN_HEADERS:
        return headers_step(c);
    case CONN_REQUEST:
        return c->req && c->req->body == BODY_READING && body_step(c);
    case CONN_LINGER: {
        struct evbuffer *in = bufferevent_get_input(c->bev);
        evbuffer_drain(in, evbuffer_get_length(in));
        if (c->eof)
            conn_drop(c);
        return false;
    }
    case CONN_FLUSH:
        return false;
    }
    return false;
}

void conn_process(struct http_conn *c)
{
    if (c->busy)
        return;
    c->busy = true;
    while (!c->dead && conn_step(c))
        ;
    c->busy = false;
    if (c->dead)
        conn_free(c);
}

/* ---- output ---- */

/* Close the write side and wait for the peer's end: closing with unread input would reset the connection and
 * take the reply with it. */
static void conn_linger(struct http_conn *c)
{
    if (c->eof) {
        conn_drop(c);
        return;
    }
    conn_set_state(c, CONN_LINGER);
    SSL *ssl = c->tls ? bufferevent_openssl_get_ssl(c->bev) : NULL;
    if (ssl)
        SSL_shutdown(ssl);
    else
        shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    conn_wake(c);
}

/* Copy the next piece of a reply file (TLS only; plain connections use sendfile). False on a read error. */
static bool conn_pump_file(struct http_conn *c)
{
    char *piece = xmalloc(65536);
    bool ok = true;
    struct evbuffer *out = bufferevent_get_output(c->bev);
    while (ok && c->file_left > 0 && evbuffer_get_length(out) < HTTP_OUTPUT_HIGH) {
        size_t n = c->file_left < 65536 ? (size_t)c->file_left : 65536;
        ssize_t got = pread(c->file_fd, piece, n, c->file_at);
        ok = got > 0;
        if (ok) {
            evbuffer_add(out, piece, (size_t)got);
            c->file_at += got;
            c->file_left -= got;
        }
    }
    free(piece);
    if (c->file_left == 0) {
        close(c->file_fd);
        c->file_fd = -1;
    }
    return ok;
}

static void conn_flushed(struct http_conn *c)
{
    if (c->file_fd >= 0) {
        if (!conn_pump_file(c))
            conn_drop(c); /* the length was promised: only a cut tells the peer that it is not all there */
        return;
    }
    if (c->close_after || c->server->stopping) {
        conn_linger(c);
        return;
    }
    conn_set_state(c, CONN_IDLE);
    conn_process(c);
}

void conn_replied(struct http_conn *c)
{
    c->req = NULL;
    conn_set_state(c, CONN_FLUSH);
    c->moved = c->since;
    if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0) /* a streamed reply that went out already */
        bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    conn_process(arg);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_conn *c = arg;
    if (evbuffer_get_length(bufferevent_get_output(bev)) > 0)
        return;
    if (c->state == CONN_FLUSH) {
        conn_flushed(c);
        return;
    }
    struct http_req *r = c->req;
    if (c->state == CONN_REQUEST && r && r->started && r->on_drain) {
        c->busy = true;
        r->on_drain(r, r->drain_arg);
        c->busy = false;
        if (c->dead)
            conn_free(c);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    struct http_conn *c = arg;
    if (what & BEV_EVENT_CONNECTED)
        return; /* TLS handshake done */
    if ((what & BEV_EVENT_EOF) && !(what & BEV_EVENT_WRITING)) {
        c->eof = true;
        c->close_after = true;
        conn_process(c);
        return;
    }
    conn_drop(c);
}

/* ---- beginning and clock ---- */

void conn_create(struct http_server *s, struct bufferevent *bev, bool tls, const char *peer)
{
    struct http_conn *c = xcalloc(1, sizeof *c);
    c->server = s;
    c->bev = bev;
    c->tls = tls;
    c->file_fd = -1;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    s->count++;
    conn_set_state(c, CONN_IDLE);
    c->moved = c->since;
    size_t high = s->limits.max_header_bytes + 4096 > 65536 ? s->limits.max_header_bytes + 4096 : 65536;
    bufferevent_setwatermark(bev, EV_READ, 0, high);
    bufferevent_set_max_single_write(bev, 256 * 1024);
    bufferevent_set_max_single_read(bev, 65536);
    evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
    bufferevent_setcb(bev, on_read, on_write, on_event, c);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    server_keep_ticking(s);
}

static void check_body_rate(struct http_conn *c, double now)
{
    const struct http_server_limits *l = &c->server->limits;
    if (c->req->paused || evbuffer_get_length(bufferevent_get_input(c->bev)) > 0) {
        c->window = now; /* it is we who are slow */
        c->window_bytes = 0;
        return;
    }
    double seconds = now - c->window;
    if (seconds < l->body_window_seconds)
        return;
    if ((double)c->window_bytes < seconds * l->body_min_rate) {
        c->busy = true;
        body_fail(c->req, ERR_TIMEOUT, "the body came too slowly");
        c->busy = false;
        if (c->dead)
            conn_free(c);
        return;
    }
    c->window = now;
    c->window_bytes = 0;
}

void conn_check_clock(struct http_conn *c, double now)
{
    const struct http_server_limits *l = &c->server->limits;
    double age = now - c->since;
    bool stalled =
        evbuffer_get_length(bufferevent_get_output(c->bev)) > 0 && now - c->moved > HTTP_STALL_SECONDS;
    switch (c->state) {
    case CONN_IDLE:
        if (age > l->idle_seconds)
            conn_drop(c);
        break;
    case CONN_HEADERS:
        if (age > l->header_seconds)
            reply_refuse(c, 408, "the header of the request did not arrive in time");
        break;
    case CONN_REQUEST:
        if (stalled)
            conn_drop(c);
        else if (c->req && c->req->body == BODY_READING)
            check_body_rate(c, now);
        break;
    case CONN_FLUSH:
        if (stalled)
            conn_drop(c);
        break;
    case CONN_LINGER:
        if (age > HTTP_LINGER_SECONDS)
            conn_drop(c);
        break;
    }
}
