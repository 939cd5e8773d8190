/* One exchange on the client's connection: connect, request with its body as fast as the peer takes it,
 * response. */
#include "net/http_exchange.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/connect.h"
#include "net/tls.h"

#define OUTPUT_HIGH (256 * 1024)
#define PIECE       65536

static void on_read(struct bufferevent *bev, void *arg);
static void on_write(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

void client_disconnect(struct http_client *c)
{
    if (c->bev)
        bufferevent_free(c->bev);
    c->bev = NULL;
    c->connected = false;
}

/* ---- ends ---- */

static bool may_repeat(const struct exchange *x)
{
    if (x->retried || x->any_byte || (x->call.body_read && x->body_queued > 0))
        return false;
    return x->call.method != HTTP_M_POST && x->call.method != HTTP_M_PATCH
               ? true
               : http_headers_get(&x->headers, "Idempotency-Key") != NULL;
}

static void fail(struct http_client *c, enum err_code code, const char *text)
{
    struct err e;
    bool first_use = !c->reused;
    client_disconnect(c);
    if (!first_use && c->now->failure.code == 0 && code == ERR_UNAVAILABLE && may_repeat(c->now)) {
        c->now->retried = true; /* the server closed a kept connection just as we used it */
        exchange_begin(c);
        return;
    }
    if (c->now->failure.code)
        e = c->now->failure;
    else
        err_set(&e, code, "%s %s%s: %s", http_method_name(c->now->call.method), c->origin, c->now->path,
                text);
    exchange_over(c, &e);
}

void exchange_timed_out(struct http_client *c)
{
    char text[96];
    snprintf(text, sizeof text, "nothing came for %d seconds", c->now->call.timeout_seconds);
    fail(c, ERR_TIMEOUT, text);
}

static void rearm(struct http_client *c)
{
    event_add(c->timer, &(struct timeval){.tv_sec = c->now->call.timeout_seconds});
}

static void complete(struct http_client *c)
{
    struct exchange *x = c->now;
    bool all_sent = x->head_sent && x->body_queued == x->body_total &&
                    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0;
    bool spare = evbuffer_get_length(bufferevent_get_input(c->bev)) > 0;
    if (!all_sent || spare || !http_should_keep_alive(&c->parser))
        client_disconnect(c);
    exchange_over(c, NULL);
}

/* ---- response ---- */

static struct exchange *exchange_of(http_parser *p)
{
    return ((struct http_client *)p->data)->now;
}

static void field_flush(struct exchange *x)
{
    if (x->name.len)
        http_headers_add(&x->response.headers, buf_str(&x->name), buf_str(&x->value));
    buf_clear(&x->name);
    buf_clear(&x->value);
}

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = exchange_of(p);
    if (x->value.len)
        field_flush(x);
    buf_add(&x->name, at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    buf_add(&exchange_of(p)->value, at, n);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct exchange *x = exchange_of(p);
    field_flush(x);
    x->response.status = (int)p->status_code;
    x->expected = p->content_length <= (uint64_t)INT64_MAX ? (int64_t)p->content_length : -1;
    return x->call.method == HTTP_M_HEAD ? 1 : 0; /* 1: there is no body whatever Content-Length says */
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct http_client *c = p->data;
    struct exchange *x = c->now;
    x->received += (int64_t)n;
    if (x->call.on_data && x->response.status / 100 == 2) {
        int stop = x->call.on_data(at, n, x->expected, x->call.arg);
        if (stop || c->dead)
            return err_set(&x->failure, ERR_IO, "the download of %s was given up", x->path);
        return 0;
    }
    if (x->response.body.len + n > x->call.max_response)
        return err_set(&x->failure, ERR_TOO_LARGE, "the answer to %s is larger than %zu bytes", x->path,
                       x->call.max_response);
    buf_add(&x->response.body, at, n);
    return 0;
}

static int on_message_complete(http_parser *p)
{
    struct exchange *x = exchange_of(p);
    if (x->response.status / 100 == 1) { /* 100 Continue and the like: the real one follows */
        http_headers_free(&x->response.headers);
        return 0;
    }
    x->complete = true;
    http_parser_pause(p, 1);
    return 0;
}

static const http_parser_settings SETTINGS = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* Parse what is there; true when the exchange is over (and c perhaps gone). */
static bool take_input(struct http_client *c, bool eof)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct evbuffer_iovec piece;
    c->busy = true;
    while (!c->dead && !c->now->complete && evbuffer_peek(in, -1, NULL, &piece, 1) > 0 && piece.iov_len > 0) {
        c->now->any_byte = true;
        size_t used = http_parser_execute(&c->parser, &SETTINGS, piece.iov_base, piece.iov_len);
        evbuffer_drain(in, used);
        enum http_errno e = HTTP_PARSER_ERRNO(&c->parser);
        if (e != HPE_OK && e != HPE_PAUSED)
            break;
    }
    if (eof && !c->dead && !c->now->complete && HTTP_PARSER_ERRNO(&c->parser) == HPE_OK && c->now->any_byte)
        http_parser_execute(&c->parser, &SETTINGS, NULL, 0); /* a body that ends with the connection */
    c->busy = false;
    if (c->dead) {
        http_client_destroy(c);
        return true;
    }
    enum http_errno e = HTTP_PARSER_ERRNO(&c->parser);
    if (c->now->complete)
        complete(c);
    else if (e != HPE_OK)
        fail(c, ERR_IO, eof ? "the connection ended in the middle of the answer" : http_errno_description(e));
    else
        return false;
    return true;
}

/* ---- request ---- */

static void write_head(struct http_client *c)
{
    struct exchange *x = c->now;
    struct buf b = {0};
    const struct http_url *u = &c->url;
    bool v6 = strchr(u->host, ':') != NULL;
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: %s%s%s", http_method_name(x->call.method), x->path, v6 ? "[" : "",
               u->host, v6 ? "]" : "");
    if (u->port != (u->tls ? 443 : 80))
        buf_printf(&b, ":%d", u->port);
    buf_puts(&b, "\r\nUser-Agent: trainyard/" TRAINYARD_VERSION "\r\n");
    if (c->token && !http_headers_get(&x->headers, "Authorization"))
        buf_printf(&b, "Authorization: Bearer %s\r\n", c->token);
    for (size_t i = 0; i < x->headers.count; i++)
        buf_printf(&b, "%s: %s\r\n", x->headers.items[i].name, x->headers.items[i].value);
    if (x->content_type)
        buf_printf(&b, "Content-Type: %s\r\n", x->content_type);
    enum http_method m = x->call.method;
    if (x->body_total > 0 || m == HTTP_M_POST || m == HTTP_M_PUT || m == HTTP_M_PATCH)
        buf_printf(&b, "Content-Length: %lld\r\n", (long long)x->body_total);
    buf_puts(&b, "\r\n");
    evbuffer_add(bufferevent_get_output(c->bev), b.data, b.len);
    buf_free(&b);
    x->head_sent = true;
}

/* The next piece of the body, at most n bytes, into p. -1 with x->failure set. */
static ssize_t next_piece(struct exchange *x, char *p, size_t n)
{
    int64_t left = x->body_total - x->body_queued;
    n = left < (int64_t)n ? (size_t)left : n;
    if (x->body) {
        memcpy(p, x->body + x->body_queued, n);
        return (ssize_t)n;
    }
    ssize_t got = x->call.body_read ? x->call.body_read(p, n, x->call.arg, &x->failure)
                                    : pread(x->call.body_fd, p, n, x->call.body_offset + x->body_queued);
    if (got > 0 && got <= (ssize_t)n)
        return got;
    if (!x->failure.code)
        err_set(&x->failure, ERR_IO, "the file became shorter while it was sent: %s",
                got < 0 ? strerror(errno) : "at its end");
    return -1;
}

static void report_progress(struct http_client *c)
{
    struct exchange *x = c->now;
    int64_t waiting = (int64_t)evbuffer_get_length(bufferevent_get_output(c->bev));
    int64_t sent = x->body_queued > waiting ? x->body_queued - waiting : 0;
    if (x->call.on_progress && x->body_total > 0 && sent > c->reported) {
        c->reported = sent;
        x->call.on_progress(sent, x->body_total, x->call.arg);
    }
}

static void pump_body(struct http_client *c)
{
    struct exchange *x = c->now;
    struct evbuffer *out = bufferevent_get_output(c->bev);
    char *piece = NULL;
    bool ok = true;
    while (ok && x->body_queued < x->body_total && evbuffer_get_length(out) < OUTPUT_HIGH) {
        piece = piece ? piece : xmalloc(PIECE);
        ssize_t got = next_piece(x, piece, PIECE);
        ok = got > 0;
        if (ok) {
            evbuffer_add(out, piece, (size_t)got);
            x->body_queued += got;
        }
    }
    free(piece);
    if (!ok)
        fail(c, ERR_IO, "");
}

void exchange_begin(struct http_client *c)
{
    struct exchange *x = c->now;
    http_parser_init(&c->parser, HTTP_RESPONSE);
    c->parser.data = c;
    c->reused = c->bev != NULL;
    c->reported = 0;
    x->body_queued = 0;
    x->head_sent = false;
    rearm(c);
    if (!c->bev) {
        struct err e;
        c->bev = net_connect(c->base, &c->url, c->unix_path, c->tls, &e);
        if (!c->bev) {
            fail(c, ERR_UNAVAILABLE, e.text);
            return;
        }
        bufferevent_setwatermark(c->bev, EV_READ, 0, 256 * 1024);
        /* A low mark above zero keeps an upload going while the last piece is still leaving. */
        bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_HIGH / 4, 0);
        bufferevent_set_max_single_write(c->bev, OUTPUT_HIGH);
        bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
        bufferevent_enable(c->bev, EV_READ | EV_WRITE);
        return;
    }
    write_head(c);
    pump_body(c);
}

/* ---- events ---- */

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_client *c = arg;
    if (!c->now) { /* nobody asked: not a connection to use again */
        (void)bev;
        client_disconnect(c);
        return;
    }
    rearm(c);
    take_input(c, false);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_client *c = arg;
    (void)bev;
    if (!c->now || !c->now->head_sent)
        return;
    rearm(c);
    report_progress(c);
    pump_body(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_client *c = arg;
    int e = EVUTIL_SOCKET_ERROR();
    if (!c->now) {
        client_disconnect(c);
        return;
    }
    if (what & BEV_EVENT_CONNECTED) {
        c->connected = true;
        write_head(c);
        pump_body(c);
        return;
    }
    if ((what & BEV_EVENT_WRITING) && c->connected) {
        /* The peer takes no more; its answer (a refusal) may still be on the way here. */
        bufferevent_disable(bev, EV_WRITE);
        return;
    }
    if (c->connected && take_input(c, true))
        return;
    struct buf tls = {0};
    if (c->tls)
        tls_describe(bev, &tls);
    char text[200];
    snprintf(text, sizeof text, "%s",
             tls.len                  ? tls.data
             : (what & BEV_EVENT_EOF) ? "the server closed the connection"
                                      : strerror(e));
    buf_free(&tls);
    fail(c, ERR_UNAVAILABLE, text);
}
