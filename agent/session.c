#include "agent/session.h"

#include <stdlib.h>
#include <string.h>
#include "agent/agent.h"
#include "agent/attempts.h"
#include "agent/backoff.h"
#include "agent/identity.h"
#include "agent/inventory.h"
#include "agent/spawn.h"
#include "agent/transfer.h"
#include "base/conf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/ws.h"
#include "proto/link.h"

#define QUEUE_HIGH    (4 << 20)
#define ACK_SECONDS   0.05
#define HELLO_SECONDS 20.0 /* the orchestrator must have welcomed us by then */

struct session {
    struct agent *agent;
    char *url;
    struct ws *ws;     /* NULL while not connected */
    struct link *link; /* lives with ws from on_open on */
    bool welcomed;
    struct transfer *probe; /* is it our token that is wrong? */
    struct event *reconnect, *heartbeat, *flush, *patience;
    struct backoff backoff;
};

struct handler {
    enum msg_type type;
    void (*handle)(struct agent *agent, const json_t *doc);
};

/* What an agent answers to. welcome is the session's own. */
static const struct handler handlers[] = {
    {MSG_LAUNCH, attempts_on_launch},
    {MSG_STOP, attempts_on_stop},
    {MSG_RECORDS_ACK, attempts_on_records_ack},
    {MSG_FORGET, attempts_on_forget},
    {MSG_SPAWN, spawns_on_spawn},
    {MSG_SPAWN_OUTPUT, spawns_on_output},
    {MSG_SPAWN_EXIT, spawns_on_exit},
    {MSG_SPAWN_STOP, spawns_on_stop},
};

/* ---- the end of a connection ---- */

static void disconnect(struct session *s)
{
    link_destroy(s->link);
    s->link = NULL;
    s->ws = NULL;
    event_del(s->heartbeat);
    event_del(s->flush);
    event_del(s->patience);
    if (s->welcomed) {
        s->welcomed = false;
        attempts_session_lost(s->agent->attempts);
        spawns_session_lost(s->agent->spawns);
    }
}

static void connect_later(struct session *s)
{
    struct timeval wait = backoff_next(&s->backoff);
    evtimer_add(s->reconnect, &wait);
}

static void cut(struct session *s, const char *why)
{
    struct ws *ws = s->ws;
    log_warn("session", "closing", KV_S("reason", why));
    disconnect(s);
    if (ws)
        ws_abort(ws);
    connect_later(s);
}

/* ---- messages ---- */

static void on_welcome(struct session *s, const json_t *doc)
{
    s->welcomed = true;
    backoff_reset(&s->backoff);
    event_del(s->patience);
    log_info("session", "welcomed", KV_S("node", json_string_value(json_object_get(doc, "node"))));
    attempts_on_welcome(s->agent, doc);
}

static void deliver(enum msg_type type, const json_t *doc, void *arg)
{
    struct session *s = arg;
    if (type == MSG_WELCOME) {
        on_welcome(s, doc);
        return;
    }
    if (!s->welcomed) {
        log_warn("session", "message before welcome ignored", KV_S("type", msg_def(type)->name));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].type == type)
            handlers[i].handle(s->agent, doc);
    }
}

static void transmit(const char *text, size_t n, void *arg)
{
    struct session *s = arg;
    if (s->ws)
        ws_send_text(s->ws, text, n);
}

bool session_ready(const struct session *s)
{
    return s && s->welcomed && s->ws && ws_queued(s->ws) < QUEUE_HIGH;
}

int session_send(struct session *s, enum msg_type type, json_t *body)
{
    struct err err = {0};
    if (!s || !s->link) {
        json_decref(body);
        return -1;
    }
    if (link_send(s->link, type, body, &err) == 0)
        return 0;
    log_error("session", "cannot send", KV_S("type", msg_def(type)->name), KV_E(&err));
    if (err.code == ERR_LIMIT)
        event_active(s->patience, EV_TIMEOUT, 0); /* it reads but does not handle: cut it off */
    return -1;
}

static void say_hello(struct session *s)
{
    json_t *body = inventory_hello(s->agent->inventory);
    json_object_set_new(body, "node", json_string(s->agent->node));
    json_object_set_new(body, "version", json_string(TRAINYARD_VERSION));
    json_object_set_new(body, "protocol", json_integer(PROTO_VERSION));
    json_object_set_new(body, "attempts", attempts_hello(s->agent->attempts));
    (void)session_send(s, MSG_HELLO, body);
}

/* ---- the connection ---- */

static void on_open(struct ws *ws, void *arg)
{
    struct session *s = arg;
    struct timeval flush = backoff_timeval(ACK_SECONDS), patience = backoff_timeval(HELLO_SECONDS);
    struct timeval heartbeat = backoff_timeval((double)conf_int(s->agent->conf, "heartbeat"));
    (void)ws;
    s->link = link_create(MSG_FROM_AGENT, transmit, deliver, s);
    event_add(s->flush, &flush);
    event_add(s->heartbeat, &heartbeat);
    evtimer_add(s->patience, &patience);
    say_hello(s);
}

static void on_text(struct ws *ws, const char *text, size_t n, void *arg)
{
    struct session *s = arg;
    struct err err = {0};
    (void)ws;
    if (link_receive(s->link, text, n, &err) < 0)
        cut(s, err.text);
}

static void on_drain(struct ws *ws, void *arg)
{
    struct session *s = arg;
    (void)ws;
    if (session_ready(s))
        attempts_pump_all(s->agent->attempts);
}

static void on_probed(const struct http_response *response, const struct err *error, void *arg)
{
    struct session *s = arg;
    (void)response; /* a 401 was already told to the identity */
    (void)error;
    s->probe = NULL;
}

/* A handshake that fails does not say whether the token was refused; a small request does. */
static void probe(struct session *s)
{
    struct http_call call = {
        .method = HTTP_M_HEAD,
        .path = "/agent/v1/blobs/0000000000000000000000000000000000000000000000000000000000000000",
        .body_fd = -1,
        .timeout_seconds = 10,
        .done = on_probed,
        .arg = s};
    if (!s->probe)
        s->probe = transfer_start(s->agent, NULL, &call, NULL);
}

static void on_close(struct ws *ws, int code, const char *reason, void *arg)
{
    struct session *s = arg;
    (void)ws;
    log_info("session", "connection closed", KV_I("code", code), KV_S("reason", reason ? reason : ""));
    if (!s->link)
        probe(s);
    disconnect(s);
    connect_later(s);
}

static const struct ws_handlers ws_functions = {
    .on_open = on_open,
    .on_text = on_text,
    .on_drain = on_drain,
    .on_close = on_close,
    .max_message = MSG_MAX_BYTES,
    .ping_seconds = 5,
};

static void connect_now(struct session *s)
{
    struct err err = {0};
    struct http_headers headers = {0};
    const char *token = identity_token(s->agent->identity);
    if (s->ws || !token)
        return;
    http_headers_addf(&headers, "Authorization", "Bearer %s", token);
    s->ws = ws_connect(s->agent->base, s->url, PROTO_SUBPROTOCOL, &headers, s->agent->ca_file, &ws_functions,
                       s, &err);
    http_headers_free(&headers);
    if (!s->ws) {
        log_warn("session", "cannot connect", KV_E(&err));
        connect_later(s);
    }
}

static void on_reconnect(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connect_now(arg);
}

void session_connect(struct session *s)
{
    event_del(s->reconnect);
    connect_now(s);
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    (void)what;
    if (s->welcomed)
        (void)session_send(s, MSG_HEARTBEAT, inventory_heartbeat(s->agent->inventory));
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    (void)what;
    link_flush_ack(s->link);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    cut(arg, "the orchestrator does not answer");
}

struct session *session_create(struct agent *agent, struct err *err)
{
    struct session *s = xcalloc(1, sizeof(*s));
    (void)err;
    s->agent = agent;
    s->url = xasprintf("%s/agent/v1", agent->url);
    s->backoff = (struct backoff){.least = 0.2, .most = 5};
    s->reconnect = evtimer_new(agent->base, on_reconnect, s);
    s->patience = evtimer_new(agent->base, on_patience, s);
    s->heartbeat = event_new(agent->base, -1, EV_PERSIST, on_heartbeat, s);
    s->flush = event_new(agent->base, -1, EV_PERSIST, on_flush, s);
    return s;
}

void session_destroy(struct session *s)
{
    if (!s)
        return;
    if (s->ws)
        ws_abort(s->ws);
    transfer_cancel(s->probe);
    link_destroy(s->link);
    event_free(s->reconnect);
    event_free(s->patience);
    event_free(s->heartbeat);
    event_free(s->flush);
    free(s->url);
    free(s);
}
