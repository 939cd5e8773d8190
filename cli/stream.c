#include "cli/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/server.h"
#include "net/ws.h"

#define GIVE_UP_SECONDS 300
#define MAX_TOPICS      4

struct topic {
    char *name;
    int64_t since;
};

struct stream {
    struct cli *cli;
    struct event_base *base; /* its own, so that callbacks may make blocking calls on the cli's */
    stream_event_f on_event;
    stream_ready_f on_ready;
    void *arg;
    struct topic topics[MAX_TOPICS];
    int count, subscribed;
    struct ws *ws;
    struct event *retry;
    double lost, wait; /* when the connection was lost; how long to wait before the next try */
    bool stopped, failed, opened_once;
    struct err error;
};

static void connect_now(struct stream *s);

static void subscribe(struct stream *s, int i)
{
    json_t *m = json_pack("{s:s, s:i, s:s}", "op", "subscribe", "id", i + 1, "topic", s->topics[i].name);
    if (s->topics[i].since >= 0)
        json_object_set_new(m, "since", json_integer(s->topics[i].since));
    char *text = json_text(m);
    ws_send_text(s->ws, text, strlen(text));
    free(text);
    json_decref(m);
}

static void on_open(struct ws *ws, void *arg)
{
    (void)ws;
    struct stream *s = arg;
    s->opened_once = true;
    s->lost = 0;
    s->wait = 0.2;
    s->subscribed = 0;
    for (int i = 0; i < s->count; i++)
        subscribe(s, i);
}

static void fail(struct stream *s, enum err_code code, const char *text)
{
    err_set(&s->error, code, "%s", text);
    s->failed = true;
    event_base_loopbreak(s->base);
}

static struct topic *topic_of(struct stream *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->topics[i].name, name) == 0)
            return &s->topics[i];
    return NULL;
}

static void on_text(struct ws *ws, const char *text, size_t n, void *arg)
{
    (void)ws;
    struct stream *s = arg;
    json_t *m = json_parse(text, n, NULL, NULL, NULL);
    const char *op = jstr(m, "op");
    struct topic *t = topic_of(s, jstr(m, "topic"));
    if (strcmp(op, "event") == 0 && t) {
        int64_t seq = jint(m, "seq");
        if (seq > t->since) {
            t->since = seq;
            s->on_event(t->name, seq, json_object_get(m, "data"), s->arg);
        }
    } else if (strcmp(op, "subscribed") == 0) {
        if (t && t->since < 0)
            t->since = jint(m, "seq"); /* after a loss go on from here */
        if (++s->subscribed == s->count && s->on_ready && !s->stopped)
            s->on_ready(s->arg);
    } else if (strcmp(op, "error") == 0) {
        fail(s, ERR_INVALID, jstr(m, "detail"));
    }
    json_decref(m);
}

static void on_close(struct ws *ws, int code, const char *reason, void *arg)
{
    (void)ws;
    struct stream *s = arg;
    double now = time_monotonic();
    s->ws = NULL;
    if (s->stopped || s->failed)
        return;
    s->lost = s->lost > 0 ? s->lost : now;
    bool refused = strstr(reason, "answered 4") != NULL || code == 1008;
    if (refused || now - s->lost > GIVE_UP_SECONDS || !s->opened_once) {
        char text[400];
        snprintf(text, sizeof text, "the live connection to %s %s: %s", s->cli->url,
                 s->opened_once ? "was lost" : "cannot be made", reason);
        fail(s, refused ? ERR_UNAUTHENTICATED : ERR_UNAVAILABLE, text);
        return;
    }
    struct timeval wait = {.tv_sec = (time_t)s->wait,
                           .tv_usec = (suseconds_t)((s->wait - (double)(time_t)s->wait) * 1e6)};
    event_add(s->retry, &wait);
    s->wait = s->wait * 2 > 5 ? 5 : s->wait * 2;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connect_now(arg);
}

static void connect_now(struct stream *s)
{
    static const struct ws_handlers HANDLERS = {
        .on_open = on_open, .on_text = on_text, .on_close = on_close, .max_message = 16 << 20};
    struct err e;
    struct http_headers extra = {0};
    char *url = xasprintf("%s/api/v1/stream", s->cli->url);
    if (s->cli->token)
        http_headers_addf(&extra, "Authorization", "Bearer %s", s->cli->token);
    s->ws = ws_connect(s->base, url, "trainyard.v1", &extra, s->cli->ca_file, &HANDLERS, s, &e);
    if (!s->ws)
        fail(s, e.code, e.text);
    http_headers_free(&extra);
    free(url);
}

struct stream *stream_open(struct cli *cli, stream_event_f on_event, stream_ready_f on_ready, void *arg)
{
    struct stream *s = xcalloc(1, sizeof *s);
    s->cli = cli;
    s->base = event_base_new();
    s->on_event = on_event;
    s->on_ready = on_ready;
    s->arg = arg;
    s->wait = 0.2;
    s->retry = event_new(s->base, -1, 0, on_retry, s);
    return s;
}

void stream_follow(struct stream *s, const char *topic, int64_t since)
{
    if (s->count < MAX_TOPICS)
        s->topics[s->count++] = (struct topic){xstrdup(topic), since};
}

int stream_run(struct stream *s, struct err *err)
{
    if (server_find(s->cli, err))
        return -1;
    connect_now(s);
    while (!s->stopped && !s->failed)
        if (event_base_loop(s->base, EVLOOP_ONCE))
            return err_set(err, ERR_INTERNAL, "the event loop stopped");
    if (s->failed && err)
        *err = s->error;
    return s->failed ? -1 : 0;
}

void stream_stop(struct stream *s)
{
    s->stopped = true;
    event_base_loopbreak(s->base);
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    s->stopped = true;
    ws_abort(s->ws);
    for (int i = 0; i < s->count; i++)
        free(s->topics[i].name);
    event_free(s->retry);
    event_base_free(s->base);
    free(s);
}
