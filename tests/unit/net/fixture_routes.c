/* What the test server answers:
 *   /hello          "hello\n"
 *   /echo           the body back, at most 1 MiB
 *   /stream         the body's length and a checksum; ?pause=1 stops reading now and then; ?stop=1 replies
 * 409 from inside on_data; ?max=N /refuse         401 without asking for the body /file           file.bin
 * with an ETag /chunks?n=N     N KiB streamed, 64 KiB a drain /slow           "slow" after 300 ms /headers
 * the request's fields, one a line; a header with a line break in its value /ws             echoes messages;
 * text "close N" closes with code N, "flood N" sends N KiB, "abort" aborts /stats          counters
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "net/ws.h"

struct routes {
    struct event_base *base;
    char *dir;
    int64_t requests, live, freed, gone, stream_ends, stream_errors, ws_open, ws_closed, ws_code;
};

struct call {
    struct routes *routes;
    struct http_req *req;
    struct event *timer;
    int64_t bytes, left;
    uint32_t sum;
    bool pause, stop;
};

struct routes *routes_create(struct event_base *base, const char *dir)
{
    struct routes *r = xcalloc(1, sizeof *r);
    r->base = base;
    r->dir = xstrdup(dir);
    return r;
}

void routes_destroy(struct routes *r)
{
    free(r->dir);
    free(r);
}

static void call_destroy(void *data)
{
    struct call *c = data;
    c->routes->live--;
    c->routes->freed++;
    if (c->timer)
        event_free(c->timer);
    free(c);
}

/* ---- bodies ---- */

static void on_echo(struct http_req *r, const char *body, size_t n, void *arg)
{
    (void)arg;
    http_reply(r, 200, "application/octet-stream", body, n);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    http_req_resume(((struct call *)arg)->req);
}

static int on_stream_data(struct http_req *r, const void *p, size_t n, void *arg)
{
    struct call *c = arg;
    int64_t before = c->bytes;
    for (size_t i = 0; i < n; i++)
        c->sum = c->sum * 31 + ((const unsigned char *)p)[i];
    c->bytes += (int64_t)n;
    if (c->stop) {
        http_reply(r, 409, "text/plain", "stopped\n", 8);
        return -1;
    }
    if (c->pause && before >> 19 != c->bytes >> 19) {
        http_req_pause(r);
        event_add(c->timer, &(struct timeval){.tv_usec = 2000});
    }
    return 0;
}

static void on_stream_end(struct http_req *r, const struct err *error, void *arg)
{
    struct call *c = arg;
    c->routes->stream_ends++;
    if (error) {
        c->routes->stream_errors++;
        http_reply_err(r, error);
        return;
    }
    char text[64];
    int n = snprintf(text, sizeof text, "%lld %u\n", (long long)c->bytes, c->sum);
    http_reply(r, 200, "text/plain", text, (size_t)n);
}

/* ---- replies ---- */

static void on_chunks_drain(struct http_req *r, void *arg)
{
    struct call *c = arg;
    static char piece[65536];
    if (http_req_gone(r))
        c->routes->gone++;
    if (c->left == 0 || http_req_gone(r)) {
        http_reply_end(r);
        return;
    }
    size_t n = c->left < (int64_t)sizeof piece ? (size_t)c->left : sizeof piece;
    memset(piece, 'c', sizeof piece);
    c->left -= (int64_t)n;
    http_reply_chunk(r, piece, n);
}

static void on_slow(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct call *c = arg;
    if (http_req_gone(c->req))
        c->routes->gone++;
    http_reply(c->req, 200, "text/plain", "slow\n", 5);
}

static void reply_stats(struct http_req *r, const struct routes *s)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"requests\":%lld,\"live\":%lld,\"freed\":%lld,\"gone\":%lld,\"stream_ends\":%lld,"
                     "\"stream_errors\":%lld,\"ws_open\":%lld,\"ws_closed\":%lld,\"ws_code\":%lld}",
                     (long long)s->requests, (long long)s->live - 1, (long long)s->freed, (long long)s->gone,
                     (long long)s->stream_ends, (long long)s->stream_errors, (long long)s->ws_open,
                     (long long)s->ws_closed, (long long)s->ws_code);
    http_reply(r, 200, "application/json", text, (size_t)n);
}

static void reply_file(struct http_req *r, const struct routes *s)
{
    char *path = path_join(s->dir, "file.bin");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    http_reply_file(r, fd, FIXTURE_FILE_SIZE, "application/octet-stream", "\"v1\"");
}

/* ---- WebSocket ---- */

static void on_ws_text(struct ws *ws, const char *text, size_t n, void *arg)
{
    if (strncmp(text, "close ", 6) == 0) {
        ws_close(ws, atoi(text + 6), "as asked");
    } else if (strncmp(text, "flood ", 6) == 0) {
        struct buf b = {0};
        for (int i = 0; i < 1024; i++)
            buf_putc(&b, 'f');
        for (int i = atoi(text + 6); i > 0; i--)
            ws_send_text(ws, b.data, b.len);
        buf_free(&b);
    } else if (strcmp(text, "abort") == 0) {
        ((struct routes *)arg)->ws_closed++; /* there will be no on_close */
        ws_abort(ws);
    } else {
        ws_send_text(ws, text, n);
    }
}

static void on_ws_binary(struct ws *ws, const void *p, size_t n, void *arg)
{
    (void)arg;
    ws_send_binary(ws, p, n);
}

static void on_ws_close(struct ws *ws, int code, const char *reason, void *arg)
{
    (void)ws;
    (void)reason;
    struct routes *s = arg;
    s->ws_closed++;
    s->ws_code = code;
}

static void upgrade(struct http_req *r, struct routes *s)
{
    bool text_only = strcmp(http_req_query(r), "text") == 0;
    struct ws_handlers h = {.on_text = on_ws_text,
                            .on_binary = text_only ? NULL : on_ws_binary,
                            .on_close = on_ws_close,
                            .max_message = 2 << 20,
                            .ping_seconds = strcmp(http_req_query(r), "fast") == 0 ? 1 : 0};
    if (http_upgrade_ws(r, "echo.v1", &h, s))
        s->ws_open++;
}

/* ---- dispatch ---- */

static void reply_headers(struct http_req *r)
{
    struct buf b = {0};
    const char *cookie = http_req_cookie(r, "two");
    buf_printf(&b, "x=%s cookie=%s query=%s peer=%s", http_req_header(r, "x-test"), cookie ? cookie : "none",
               http_req_query(r), http_req_peer(r));
    http_req_add_header(r, "X-Evil", "a\r\nInjected: yes");
    http_reply(r, 200, "text/plain", b.data, b.len);
    buf_free(&b);
}

static void begin_stream(struct http_req *r, struct call *c)
{
    char *max = http_query_get(http_req_query(r), "max");
    c->pause = strstr(http_req_query(r), "pause=1") != NULL;
    c->stop = strstr(http_req_query(r), "stop=1") != NULL;
    c->timer = evtimer_new(c->routes->base, on_resume, c);
    http_req_stream_body(r, max ? atoll(max) : INT64_MAX, on_stream_data, on_stream_end, c);
    free(max);
}

void routes_on_request(struct http_req *r, void *arg)
{
    struct routes *s = arg;
    struct call *c = xcalloc(1, sizeof *c);
    c->routes = s;
    c->req = r;
    s->requests++;
    s->live++;
    http_req_set_data(r, c, call_destroy);
    const char *path = http_req_path(r);
    if (strcmp(path, "/hello") == 0) {
        http_reply(r, 200, "text/plain", "hello\n", 6);
    } else if (strcmp(path, "/echo") == 0) {
        http_req_read_body(r, 1 << 20, on_echo, NULL);
    } else if (strcmp(path, "/stream") == 0) {
        begin_stream(r, c);
    } else if (strcmp(path, "/refuse") == 0) {
        struct err e;
        err_set(&e, ERR_UNAUTHENTICATED, "who are you?");
        http_reply_err(r, &e);
    } else if (strcmp(path, "/file") == 0) {
        reply_file(r, s);
    } else if (strcmp(path, "/chunks") == 0) {
        char *n = http_query_get(http_req_query(r), "n");
        c->left = n ? atoll(n) * 1024 : 0;
        free(n);
        http_reply_start(r, 200, "text/plain", on_chunks_drain, c);
    } else if (strcmp(path, "/slow") == 0) {
        c->timer = evtimer_new(s->base, on_slow, c);
        event_add(c->timer, &(struct timeval){.tv_usec = 300000});
    } else if (strcmp(path, "/headers") == 0) {
        reply_headers(r);
    } else if (strcmp(path, "/ws") == 0) {
        upgrade(r, s);
    } else if (strcmp(path, "/stats") == 0) {
        reply_stats(r, s);
    } else {
        struct err e;
        err_set(&e, ERR_NOT_FOUND, "there is no %s", path);
        http_reply_err(r, &e);
    }
}
