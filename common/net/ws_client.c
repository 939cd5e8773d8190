/* The client's side of the handshake: RFC 6455 section 4.1. */
#include <event2/buffer.h>

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/ids.h"
#include "base/mem.h"
#include "net/connect.h"
#include "net/parser.h"
#include "net/tls.h"
#include "net/ws_engine.h"

#define HANDSHAKE_SECONDS 15
#define HANDSHAKE_BYTES   16384

struct handshake {
    struct ws *ws;
    struct bufferevent *bev;
    SSL_CTX *tls;
    struct event *timer;
    struct buf request;
    char key[25], *subprotocol;
    char failure[256]; /* found before the loop ran */
};

static void handshake_destroy(void *state)
{
    struct handshake *hs = state;
    if (hs->bev)
        bufferevent_free(hs->bev);
    SSL_CTX_free(hs->tls);
    event_free(hs->timer);
    buf_free(&hs->request);
    free(hs->subprotocol);
    free(hs);
}

static void fail(struct handshake *hs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct handshake *hs, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ws_cut(hs->ws, 1006, text);
}

/* ---- the answer ---- */

struct answer {
    struct http_headers headers;
    struct buf name, value;
};

static void answer_flush(struct answer *a)
{
    if (a->value.len || a->name.len)
        http_headers_add(&a->headers, buf_str(&a->name), buf_str(&a->value));
    buf_clear(&a->name);
    buf_clear(&a->value);
}

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct answer *a = p->data;
    if (a->value.len)
        answer_flush(a);
    buf_add(&a->name, at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    buf_add(&((struct answer *)p->data)->value, at, n);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    answer_flush(p->data);
    return 1; /* no body is looked at */
}

/* NULL when the answer is a proper 101, else what is wrong with it (in text). */
static const char *check_answer(const struct handshake *hs, const char *head, size_t n, char *text,
                                size_t text_size)
{
    static const http_parser_settings SETTINGS = {
        .on_header_field = on_field, .on_header_value = on_value, .on_headers_complete = on_headers_complete};
    struct answer a = {0};
    http_parser p;
    http_parser_init(&p, HTTP_RESPONSE);
    p.data = &a;
    http_parser_execute(&p, &SETTINGS, head, n);
    char accept[29];
    ws_accept_value(hs->key, accept);
    const char *got_accept = http_headers_get(&a.headers, "Sec-WebSocket-Accept");
    const char *upgrade = http_headers_get(&a.headers, "Upgrade");
    const char *protocol = http_headers_get(&a.headers, "Sec-WebSocket-Protocol");
    const char *wrong = NULL;
    if (HTTP_PARSER_ERRNO(&p) != HPE_OK)
        snprintf(text, text_size, "the server's answer is no HTTP: %s",
                 http_errno_description(HTTP_PARSER_ERRNO(&p)));
    else if (p.status_code != 101)
        snprintf(text, text_size, "the server answered %u %s", p.status_code,
                 http_status_text((int)p.status_code));
    else if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !got_accept ||
             strcmp(got_accept, accept) != 0)
        snprintf(text, text_size, "the server's answer is no WebSocket handshake");
    else if (hs->subprotocol && (!protocol || strcmp(protocol, hs->subprotocol) != 0))
        snprintf(text, text_size, "the server does not speak %s", hs->subprotocol);
    else
        text[0] = '\0';
    wrong = text[0] ? text : NULL;
    http_headers_free(&a.headers);
    buf_free(&a.name);
    buf_free(&a.value);
    return wrong;
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct handshake *hs = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos < 0) {
        if (evbuffer_get_length(in) > HANDSHAKE_BYTES)
            fail(hs, "the server's answer has no end");
        return;
    }
    size_t n = (size_t)end.pos + 4;
    char text[256];
    const char *wrong =
        check_answer(hs, (const char *)evbuffer_pullup(in, (ev_ssize_t)n), n, text, sizeof text);
    if (wrong) {
        fail(hs, "%s", wrong);
        return;
    }
    evbuffer_drain(in, n);
    struct ws *ws = hs->ws;
    hs->bev = NULL;
    ws_set_handshake(ws, NULL, NULL);
    handshake_destroy(hs);
    ws_attach(ws, bev);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct handshake *hs = arg;
    if (what & BEV_EVENT_CONNECTED) {
        evbuffer_add(bufferevent_get_output(bev), hs->request.data, hs->request.len);
        return;
    }
    int e = EVUTIL_SOCKET_ERROR();
    struct buf tls = {0};
    if (hs->tls)
        tls_describe(bev, &tls);
    char reason[200];
    snprintf(reason, sizeof reason, "%s",
             tls.len                  ? tls.data
             : (what & BEV_EVENT_EOF) ? "it closed the connection"
                                      : strerror(e));
    buf_free(&tls);
    fail(hs, "cannot connect: %s", reason);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct handshake *hs = arg;
    fail(hs, "%s", hs->failure[0] ? hs->failure : "the server did not answer in time");
}

/* ---- the question ---- */

static void write_request(struct handshake *hs, const struct http_url *u, const struct http_headers *extra)
{
    unsigned char raw[16];
    random_bytes(raw, sizeof raw);
    EVP_EncodeBlock((unsigned char *)hs->key, raw, sizeof raw);
    bool v6 = strchr(u->host, ':') != NULL;
    buf_printf(&hs->request, "GET %s HTTP/1.1\r\nHost: %s%s%s:%d\r\n", u->path, v6 ? "[" : "", u->host,
               v6 ? "]" : "", u->port);
    buf_puts(&hs->request, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    buf_printf(&hs->request, "Sec-WebSocket-Key: %s\r\n", hs->key);
    if (hs->subprotocol)
        buf_printf(&hs->request, "Sec-WebSocket-Protocol: %s\r\n", hs->subprotocol);
    for (size_t i = 0; extra && i < extra->count; i++)
        buf_printf(&hs->request, "%s: %s\r\n", extra->items[i].name, extra->items[i].value);
    buf_puts(&hs->request, "\r\n");
}

struct ws *ws_connect(struct event_base *base, const char *url, const char *subprotocol,
                      const struct http_headers *extra, const char *ca_file, const struct ws_handlers *h,
                      void *arg, struct err *err)
{
    struct http_url u;
    if (http_url_parse(url, &u, err))
        return NULL;
    struct handshake *hs = xcalloc(1, sizeof *hs);
    hs->subprotocol = xstrdup(subprotocol);
    hs->timer = event_new(base, -1, 0, on_timer, hs);
    hs->ws = ws_create(base, false, h, arg);
    ws_set_handshake(hs->ws, hs, handshake_destroy);
    write_request(hs, &u, extra);
    struct err e = {0};
    if (u.tls)
        hs->tls = tls_client_context(ca_file, &e);
    if (!e.code)
        hs->bev = net_connect(base, &u, NULL, hs->tls, &e);
    http_url_free(&u);
    struct timeval wait = {.tv_sec = e.code ? 0 : HANDSHAKE_SECONDS};
    snprintf(hs->failure, sizeof hs->failure, "%.250s", e.code ? e.text : "");
    event_add(hs->timer, &wait);
    if (hs->bev) {
        bufferevent_setcb(hs->bev, on_read, NULL, on_event, hs);
        bufferevent_enable(hs->bev, EV_READ | EV_WRITE);
    }
    return hs->ws;
}
