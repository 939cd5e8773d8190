/* One WebSocket over a bufferevent: wslay does framing, masks, UTF-8 and the closing handshake; this file
 * joins messages, keeps time and ends things. The end of the way is always: on_close (once), then a short
 * linger so that the last frame is not lost to a reset, then the memory. */
#include "net/ws_engine.h"

#include <event2/buffer.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wslay/wslay.h>
#include "base/ids.h"
#include "base/mem.h"

#define CLOSE_SECONDS  5    /* how long to wait for the peer's close frame */
#define LINGER_SECONDS 2    /* and for the end of its stream */
#define PONG_BUDGET    1024 /* pings answered while the peer reads nothing */

struct ws {
    struct event_base *base;
    struct bufferevent *bev; /* NULL during a client's handshake */
    wslay_event_context_ptr ctx;
    struct ws_handlers h;
    void *arg;
    bool server, busy, dead, closed, closing, lingering;
    bool broken;        /* the peer's frames make no sense: 1002 has been sent */
    struct buf message; /* the data message that is arriving */
    uint8_t opcode;
    struct event *timer;
    int unanswered, pongs;
    int close_code; /* what the peer's close frame said */
    char reason[128];
    void (*gone)(void *arg);
    void *gone_arg;
    void *handshake;
    void (*handshake_destroy)(void *state);
};

/* ---- the end ---- */

static void ws_free(struct ws *ws)
{
    if (ws->busy) {
        ws->dead = true;
        return;
    }
    if (ws->handshake)
        ws->handshake_destroy(ws->handshake);
    if (ws->gone)
        ws->gone(ws->gone_arg);
    wslay_event_context_free(ws->ctx);
    if (ws->bev)
        bufferevent_free(ws->bev);
    event_free(ws->timer);
    buf_free(&ws->message);
    free(ws);
}

static void ws_unbusy(struct ws *ws)
{
    ws->busy = false;
    if (ws->dead)
        ws_free(ws);
}

static void tell_closed(struct ws *ws, int code, const char *reason)
{
    if (ws->closed)
        return;
    ws->closed = true;
    wslay_event_shutdown_read(ws->ctx);
    bool was = ws->busy;
    ws->busy = true;
    if (ws->h.on_close)
        ws->h.on_close(ws, code, reason, ws->arg);
    ws->busy = was;
}

void ws_cut(struct ws *ws, int code, const char *reason)
{
    tell_closed(ws, code, reason);
    ws_free(ws);
}

void ws_abort(struct ws *ws)
{
    if (!ws || ws->closed)
        return; /* it ends by itself */
    ws->closed = true;
    wslay_event_shutdown_read(ws->ctx);
    ws_free(ws);
}

/* The closing handshake is over and its last frame has gone out. */
static void ws_linger(struct ws *ws)
{
    int code = ws->broken ? 1002 : ws->close_code;
    if (!code)
        code = wslay_event_get_close_sent(ws->ctx) ? wslay_event_get_status_code_sent(ws->ctx) : 1006;
    tell_closed(ws, code, ws->reason);
    ws->lingering = true;
    shutdown(bufferevent_getfd(ws->bev), SHUT_WR);
    event_add(ws->timer, &(struct timeval){.tv_sec = LINGER_SECONDS});
}

/* wslay would end this with a close frame that has no code; say what it is. All earlier frames are whole in
 * the output. */
static void ws_break(struct ws *ws)
{
    ws->broken = true;
    snprintf(ws->reason, sizeof ws->reason, "the peer broke the protocol");
    wslay_event_shutdown_read(ws->ctx);
    wslay_event_shutdown_write(ws->ctx);
    event_add(ws->timer, &(struct timeval){.tv_sec = CLOSE_SECONDS});
    static const char SERVER[] = "\x88\x02\x03\xea",
                      CLIENT[] = "\x88\x82\0\0\0\0\x03\xea"; /* masked with zero */
    struct evbuffer *out = bufferevent_get_output(ws->bev);
    evbuffer_add(out, ws->server ? SERVER : CLIENT, ws->server ? sizeof SERVER - 1 : sizeof CLIENT - 1);
}

/* ---- pumping ---- */

/* Take in what has arrived, send out what is queued. May free the ws. */
static void ws_pump(struct ws *ws)
{
    if (ws->busy || !ws->bev)
        return;
    if (ws->lingering || ws->broken) {
        struct evbuffer *in = bufferevent_get_input(ws->bev);
        evbuffer_drain(in, evbuffer_get_length(in));
        return;
    }
    ws->busy = true;
    int rc = wslay_event_recv(ws->ctx);
    if (!rc)
        rc = wslay_event_send(ws->ctx);
    ws->busy = false;
    if (ws->dead) {
        ws_free(ws);
        return;
    }
    if (rc) {
        ws_break(ws);
        return;
    }
    if (ws->pongs > PONG_BUDGET) {
        ws_cut(ws, 1008, "the peer sends pings and reads no answer");
        return;
    }
    bool over = !wslay_event_want_read(ws->ctx) && !wslay_event_want_write(ws->ctx);
    if (over && evbuffer_get_length(bufferevent_get_output(ws->bev)) == 0)
        ws_linger(ws);
}

static void ws_flush(struct ws *ws)
{
    if (ws->busy || !ws->bev)
        return; /* the outer pump does it */
    if (wslay_event_send(ws->ctx))
        abort(); /* on_wslay_send() takes everything: only memory can be short */
}

static ssize_t on_wslay_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n, int flags, void *arg)
{
    (void)flags;
    struct ws *ws = arg;
    int got = evbuffer_remove(bufferevent_get_input(ws->bev), p, n);
    if (got > 0)
        return got;
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t on_wslay_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *arg)
{
    (void)ctx;
    (void)flags;
    struct ws *ws = arg;
    evbuffer_add(bufferevent_get_output(ws->bev), p, n);
    return (ssize_t)n;
}

static int on_wslay_mask(wslay_event_context_ptr ctx, uint8_t *p, size_t n, void *arg)
{
    (void)ctx;
    (void)arg;
    random_bytes(p, n);
    return 0;
}

/* ---- messages: joined here, not in wslay, whose list of fragments costs far more than their bytes ---- */

static void on_frame_start(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *a,
                           void *arg)
{
    (void)ctx;
    struct ws *ws = arg;
    if (a->opcode == WSLAY_TEXT_FRAME || a->opcode == WSLAY_BINARY_FRAME) {
        ws->opcode = a->opcode;
        buf_clear(&ws->message);
    }
    /* Which frame the coming chunks belong to: control frames may stand between fragments. */
    if (wslay_is_ctrl_frame(a->opcode))
        ws->opcode |= 0x80;
    else
        ws->opcode &= 0x7f;
}

static void on_frame_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *a,
                           void *arg)
{
    (void)ctx;
    struct ws *ws = arg;
    if (!(ws->opcode & 0x80))
        buf_add(&ws->message, a->data, a->data_length);
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *a, void *arg)
{
    struct ws *ws = arg;
    if (a->opcode == WSLAY_CONNECTION_CLOSE) {
        ws->close_code = a->status_code ? a->status_code : 1005;
        if (a->msg_length > 2)
            snprintf(ws->reason, sizeof ws->reason, "%.*s", (int)a->msg_length - 2, (const char *)a->msg + 2);
        return;
    }
    if (a->opcode == WSLAY_PING)
        ws->pongs++;
    if (wslay_is_ctrl_frame(a->opcode) || ws->closing || ws->closed)
        return;
    struct buf whole = ws->message; /* the handler may end the ws */
    ws->message = (struct buf){0};
    if (a->opcode == WSLAY_TEXT_FRAME && ws->h.on_text)
        ws->h.on_text(ws, buf_str(&whole), whole.len, ws->arg);
    else if (a->opcode == WSLAY_BINARY_FRAME && ws->h.on_binary)
        ws->h.on_binary(ws, buf_str(&whole), whole.len, ws->arg);
    else
        ws_close(ws, 1003, "this kind of message is not understood here");
    (void)ctx;
    if (!ws->message.data && whole.cap <= 65536) { /* keep it for the next one */
        buf_clear(&whole);
        ws->message = whole;
    } else {
        buf_free(&whole);
    }
}

/* ---- events ---- */

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct ws *ws = arg;
    ws->unanswered = 0;
    ws_pump(ws);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct ws *ws = arg;
    if (evbuffer_get_length(bufferevent_get_output(bev)) > 0 || ws->lingering)
        return;
    ws->pongs = 0;
    if (ws->broken || (!wslay_event_want_read(ws->ctx) && !wslay_event_want_write(ws->ctx))) {
        ws_linger(ws);
        return;
    }
    if (ws->h.on_drain && !ws->closed) {
        ws->busy = true;
        ws->h.on_drain(ws, ws->arg);
        ws_unbusy(ws);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    struct ws *ws = arg;
    if (what & BEV_EVENT_CONNECTED)
        return;
    if (ws->close_code)
        ws_cut(ws, ws->close_code, ws->reason);
    else
        ws_cut(ws, 1006, "the connection was lost");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct ws *ws = arg;
    if (ws->lingering || ws->closing || ws->broken) {
        ws_cut(ws, 1006, "the peer did not answer the close");
        return;
    }
    if (ws->unanswered >= 3) {
        ws_cut(ws, 1006, "the peer answered no ping");
        return;
    }
    ws->unanswered++;
    struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    wslay_event_queue_msg(ws->ctx, &ping);
    event_add(ws->timer, &(struct timeval){.tv_sec = ws->h.ping_seconds});
    ws_flush(ws);
}

/* ---- making ---- */

struct ws *ws_create(struct event_base *base, bool server, const struct ws_handlers *h, void *arg)
{
    static const struct wslay_event_callbacks CALLBACKS = {
        .recv_callback = on_wslay_recv,
        .send_callback = on_wslay_send,
        .genmask_callback = on_wslay_mask,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_frame_chunk,
        .on_msg_recv_callback = on_message,
    };
    struct ws *ws = xcalloc(1, sizeof *ws);
    ws->base = base;
    ws->server = server;
    ws->h = *h;
    ws->arg = arg;
    if (!ws->h.max_message)
        ws->h.max_message = 1 << 20;
    if (ws->h.ping_seconds <= 0)
        ws->h.ping_seconds = 20;
    int rc = server ? wslay_event_context_server_init(&ws->ctx, &CALLBACKS, ws)
                    : wslay_event_context_client_init(&ws->ctx, &CALLBACKS, ws);
    if (rc)
        abort(); /* out of memory, as in mem.h */
    wslay_event_config_set_no_buffering(ws->ctx, 1);
    wslay_event_config_set_max_recv_msg_length(ws->ctx, ws->h.max_message);
    ws->timer = event_new(base, -1, 0, on_timer, ws);
    return ws;
}

void ws_attach(struct ws *ws, struct bufferevent *bev)
{
    ws->bev = bev;
    bufferevent_setwatermark(bev, EV_READ, 0, 65536);
    bufferevent_set_max_single_write(bev, 256 * 1024);
    bufferevent_setcb(bev, on_read, on_write, on_event, ws);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    event_add(ws->timer, &(struct timeval){.tv_sec = ws->h.ping_seconds});
    /* Frames may have come with the handshake; they wait for the loop, so that the caller has the pointer
     * first. */
    bufferevent_trigger(bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    if (ws->server || !ws->h.on_open)
        return;
    ws->busy = true;
    ws->h.on_open(ws, ws->arg);
    ws_unbusy(ws);
}

void ws_set_owner(struct ws *ws, void (*gone)(void *arg), void *arg)
{
    ws->gone = gone;
    ws->gone_arg = arg;
}

void ws_set_handshake(struct ws *ws, void *state, void (*destroy)(void *state))
{
    ws->handshake = state;
    ws->handshake_destroy = destroy;
}

void *ws_handshake(const struct ws *ws)
{
    return ws->handshake;
}

void ws_accept_value(const char *key, char out[29])
{
    char text[128];
    unsigned char digest[EVP_MAX_MD_SIZE];
    int n = snprintf(text, sizeof text, "%.64s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(text, (size_t)n, digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, 20);
}

/* ---- using ---- */

static void queue(struct ws *ws, uint8_t opcode, const void *p, size_t n)
{
    if (ws->closed || ws->closing || ws->broken)
        return;
    struct wslay_event_msg m = {.opcode = opcode, .msg = p, .msg_length = n};
    if (wslay_event_queue_msg(ws->ctx, &m) == 0)
        ws_flush(ws);
}

void ws_send_text(struct ws *ws, const char *text, size_t n)
{
    queue(ws, WSLAY_TEXT_FRAME, text, n);
}

void ws_send_binary(struct ws *ws, const void *p, size_t n)
{
    queue(ws, WSLAY_BINARY_FRAME, p, n);
}

size_t ws_queued(const struct ws *ws)
{
    size_t n = wslay_event_get_queued_msg_length(ws->ctx);
    return ws->bev ? n + evbuffer_get_length(bufferevent_get_output(ws->bev)) : n;
}

void *ws_arg(const struct ws *ws)
{
    return ws->arg;
}

void ws_set_arg(struct ws *ws, void *arg)
{
    ws->arg = arg;
}

void ws_close(struct ws *ws, int code, const char *reason)
{
    if (ws->closed || ws->closing || ws->broken)
        return;
    ws->closing = true;
    event_add(ws->timer, &(struct timeval){.tv_sec = ws->bev ? CLOSE_SECONDS : 0});
    if (!ws->bev)
        return; /* a client still in its handshake: ends from the loop */
    size_t n = reason ? strnlen(reason, 120) : 0;
    wslay_event_queue_close(ws->ctx, (uint16_t)code, (const uint8_t *)reason, n);
    if (reason && !ws->reason[0])
        snprintf(ws->reason, sizeof ws->reason, "%.*s", (int)n, reason);
    ws_flush(ws);
}
