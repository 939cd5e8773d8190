#include "orchestrator/stream/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "net/ws.h"
#include "orchestrator/api/auth.h"
#include "orchestrator/stream/topic.h"

#define SUBPROTOCOL     "trainyard.v1"
#define MESSAGE_MAX     8192 /* bytes of what a client sends */
#define TOPICS_MAX      64   /* of one connection */
#define CONNECTIONS_MAX 2000
#define PAGE            256       /* events asked of a source at once */
#define HIGH_MARK       (1 << 20) /* bytes queued beyond which a reader is slow */
#define BUCKETS         1024
#define RECHECK_SECONDS 60
#define RETRY_SECONDS   1
#define STALLS_MAX      5

struct source {
    struct source *next;
    char *pattern;
    stream_source_f source;
    void *arg;
};

/* One topic of one connection. */
struct sub {
    struct sub *next;        /* of the connection */
    struct sub *bucket_next; /* of the topic's bucket */
    struct conn *conn;
    char topic[TOPIC_MAX + 1];
    json_int_t id; /* of the subscribe request */
    enum { SUB_ASKING, SUB_PLACING, SUB_CATCHING, SUB_WAITING, SUB_LIVE } state;
    bool has_since;
    int64_t sent;             /* everything up to here was sent, or was before `since` */
    int64_t newest;           /* the highest published so far that was not sent live */
    int64_t asked;            /* `sent` when the page was asked */
    int stalls;               /* pages in a row that brought nothing although something newer was published */
    struct stream_page *page; /* asked of the source, not ended */
    struct ticket *ticket;    /* asked of allow, not answered */
    struct event *retry;
};

struct stream_page {
    struct sub *sub; /* NULL: gone meanwhile */
    int64_t last;
};

struct ticket {
    struct conn *conn; /* NULL: gone meanwhile */
    struct sub *sub;   /* NULL: is the user still welcome? */
};

struct conn {
    struct stream *stream;
    struct conn *next;
    struct ws *ws;
    struct user user;
    struct sub *subs;
    int sub_count;
    struct ticket *recheck;
};

struct stream {
    struct event_base *base;
    stream_allow_f allow;
    stream_filter_f filter;
    void *arg;
    struct source *sources;
    struct conn *conns;
    int conn_count;
    struct sub *buckets[BUCKETS];
    struct event *recheck;
};

/* --- sending -------------------------------------------------------------------------------------------- */

static void send_json(struct conn *c, json_t *message)
{
    char *text = json_text(message);
    json_decref(message);
    ws_send_text(c->ws, text, strlen(text));
    free(text);
}

static void send_error(struct conn *c, json_int_t id, const char *detail)
{
    send_json(c, json_pack("{s:s, s:I, s:s}", "op", "error", "id", id, "detail", detail));
}

static void send_event(struct sub *s, int64_t seq, const char *json_data)
{
    struct stream *stream = s->conn->stream;
    s->sent = seq;
    if (stream->filter && !stream->filter(&s->conn->user, s->topic, json_data, stream->arg))
        return;
    struct buf b = {0};
    buf_printf(&b, "{\"op\":\"event\",\"topic\":\"%s\",\"seq\":%lld,\"data\":%s}", s->topic, (long long)seq,
               json_data);
    ws_send_text(s->conn->ws, b.data, b.len);
    buf_free(&b);
}

static void send_subscribed(struct sub *s)
{
    send_json(s->conn, json_pack("{s:s, s:I, s:s, s:I}", "op", "subscribed", "id", s->id, "topic", s->topic,
                                 "seq", (json_int_t)s->sent));
}

/* --- subscriptions -------------------------------------------------------------------------------------- */

static struct sub **bucket_of(struct stream *s, const char *topic)
{
    uint32_t h = 2166136261u;
    for (const char *p = topic; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return &s->buckets[h % BUCKETS];
}

static const struct source *source_of(const struct stream *s, const char *topic)
{
    for (const struct source *x = s->sources; x; x = x->next)
        if (topic_matches(x->pattern, topic))
            return x;
    return NULL;
}

static void sub_free(struct sub *s)
{
    for (struct sub **p = bucket_of(s->conn->stream, s->topic); *p; p = &(*p)->bucket_next)
        if (*p == s) {
            *p = s->bucket_next;
            break;
        }
    for (struct sub **p = &s->conn->subs; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    s->conn->sub_count--;
    if (s->page)
        s->page->sub = NULL;
    if (s->ticket)
        s->ticket->conn = NULL;
    if (s->retry)
        event_free(s->retry);
    free(s);
}

static struct sub *find_sub(struct conn *c, const char *topic)
{
    for (struct sub *s = c->subs; s; s = s->next)
        if (!strcmp(s->topic, topic))
            return s;
    return NULL;
}

/* --- catching up ---------------------------------------------------------------------------------------- */

static void ask_source(struct sub *s, int limit)
{
    const struct source *source = source_of(s->conn->stream, s->topic);
    if (!source) {
        s->state = SUB_LIVE;
        return;
    }
    struct stream_page *page = xcalloc(1, sizeof(*page));
    page->sub = s;
    s->page = page;
    source->source(page, s->topic, s->sent, limit, source->arg);
}

/* Go on from where it stands: at once when the reader keeps up, else when it has drained. */
static void catch_up(struct sub *s)
{
    if (ws_queued(s->conn->ws) > HIGH_MARK) {
        s->state = SUB_WAITING;
        return;
    }
    s->state = SUB_CATCHING;
    s->asked = s->sent;
    ask_source(s, PAGE);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct sub *s = arg;
    if (s->state == SUB_PLACING)
        ask_source(s, 0);
    else
        catch_up(s);
}

static void retry_later(struct sub *s)
{
    if (!s->retry)
        s->retry = evtimer_new(s->conn->stream->base, on_retry, s);
    event_add(s->retry, &(struct timeval){RETRY_SECONDS, 0});
}

void stream_source_event(struct stream_page *page, int64_t seq, const char *json_data)
{
    struct sub *s = page->sub;
    if (s && s->state == SUB_CATCHING && seq > s->sent)
        send_event(s, seq, json_data);
}

void stream_source_last(struct stream_page *page, int64_t seq)
{
    page->last = seq;
}

/* Where a subscription without `since` begins, or what to tell one with it, is known now. */
static void placed(struct sub *s, int64_t last)
{
    if (!s->has_since)
        s->sent = last;
    int64_t since = s->sent;
    s->sent = last;
    send_subscribed(s);
    s->sent = since;
    if (s->sent < last || s->sent < s->newest)
        catch_up(s);
    else
        s->state = SUB_LIVE;
}

void stream_source_end(struct stream_page *page, bool more, bool failed)
{
    struct sub *s = page->sub;
    int64_t last = page->last;
    free(page);
    if (!s)
        return;
    s->page = NULL;
    if (failed)
        retry_later(s);
    else if (s->state == SUB_PLACING)
        placed(s, last);
    else if (s->sent > s->asked && (more || s->newest > s->sent)) {
        s->stalls = 0;
        catch_up(s);
    } else if (s->newest > s->sent && s->stalls++ < STALLS_MAX)
        retry_later(s); /* published, but the source does not have it yet */
    else
        s->state = SUB_LIVE;
}

void stream_publish(struct stream *stream, const char *topic, int64_t seq, const char *json_data)
{
    struct sub *next;
    for (struct sub *s = *bucket_of(stream, topic); s; s = next) {
        next = s->bucket_next;
        if (strcmp(s->topic, topic) != 0 || seq <= s->sent)
            continue;
        if (s->state != SUB_LIVE) {
            /* It comes from the source: the catch-up goes on until it has passed this one. */
            if (seq > s->newest)
                s->newest = seq;
        } else if (ws_queued(s->conn->ws) > HIGH_MARK) {
            send_json(s->conn, json_pack("{s:s, s:s, s:I}", "op", "lagged", "topic", s->topic, "seq",
                                         (json_int_t)s->sent));
            s->newest = seq;
            s->state = SUB_WAITING;
        } else {
            send_event(s, seq, json_data);
        }
    }
}

/* --- what clients say ----------------------------------------------------------------------------------- */

static void on_allowed(bool allowed, void *arg)
{
    struct ticket *t = arg;
    struct conn *c = t->conn;
    struct sub *s = t->sub;
    free(t);
    if (!c)
        return; /* gone meanwhile */
    if (!s) {
        c->recheck = NULL;
        if (!allowed)
            ws_close(c->ws, 1008, "this session or token has ended");
        return;
    }
    s->ticket = NULL;
    if (!allowed) {
        send_error(c, s->id, "there is no such topic, or it is not yours");
        sub_free(s);
        return;
    }
    if (source_of(c->stream, s->topic)) {
        s->state = SUB_PLACING;
        ask_source(s, 0);
    } else {
        s->state = SUB_LIVE;
        send_subscribed(s);
    }
}

static void subscribe(struct conn *c, json_int_t id, const char *topic, const json_t *since)
{
    struct sub *old = find_sub(c, topic);
    if (old)
        sub_free(old);
    if (!topic_is_name(topic) || c->sub_count >= TOPICS_MAX) {
        send_error(c, id,
                   c->sub_count >= TOPICS_MAX ? "too many topics on one connection"
                                              : "this is not the name of a topic");
        return;
    }
    struct sub *s = xcalloc(1, sizeof(*s));
    s->conn = c;
    s->id = id;
    memcpy(s->topic, topic, strlen(topic));
    s->has_since = since != NULL;
    s->sent = since ? json_integer_value(since) : 0;
    s->next = c->subs;
    c->subs = s;
    c->sub_count++;
    struct sub **bucket = bucket_of(c->stream, topic);
    s->bucket_next = *bucket;
    *bucket = s;
    struct ticket *t = xcalloc(1, sizeof(*t));
    *t = (struct ticket){c, s};
    s->ticket = t;
    c->stream->allow(&c->user, s->topic, on_allowed, t, c->stream->arg);
}

static void on_text(struct ws *ws, const char *text, size_t n, void *arg)
{
    (void)ws;
    struct conn *c = arg;
    struct err err = {0};
    const char *op = "", *topic = NULL;
    int64_t id = 0;
    json_t *m = json_parse(text, n, NULL, NULL, &err);
    const json_t *since = json_object_get(m, "since");
    if (!m || json_get_str(m, "op", true, &op, &err) < 0 || json_get_int(m, "id", false, &id, &err) < 0 ||
        json_get_str(m, "topic", false, &topic, &err) < 0)
        send_error(c, id, err.text);
    else if (since && !json_is_null(since) && (!json_is_integer(since) || json_integer_value(since) < 0))
        send_error(c, id, "\"since\" must be a sequence number: an integer from 0");
    else if (!strcmp(op, "ping"))
        send_json(c, json_pack("{s:s, s:I}", "op", "pong", "id", (json_int_t)id));
    else if (!strcmp(op, "subscribe") && topic)
        subscribe(c, id, topic, json_is_null(since) ? NULL : since);
    else if (!strcmp(op, "unsubscribe") && topic) {
        struct sub *s = find_sub(c, topic);
        if (s)
            sub_free(s);
        send_json(c, json_pack("{s:s, s:I}", "op", "unsubscribed", "id", (json_int_t)id));
    } else
        send_error(c, id, "\"op\" is subscribe or unsubscribe with a \"topic\", or ping");
    json_decref(m);
    /* Who asks and never reads gets no further answers. */
    if (ws_queued(c->ws) > 4 * HIGH_MARK)
        ws_close(c->ws, 1008, "too much unread");
}

static void on_drain(struct ws *ws, void *arg)
{
    (void)ws;
    struct conn *c = arg;
    for (struct sub *s = c->subs; s; s = s->next)
        if (s->state == SUB_WAITING)
            catch_up(s);
}

/* --- connections ---------------------------------------------------------------------------------------- */

static void conn_free(struct conn *c)
{
    while (c->subs)
        sub_free(c->subs);
    if (c->recheck)
        c->recheck->conn = NULL;
    for (struct conn **p = &c->stream->conns; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    c->stream->conn_count--;
    free(c);
}

static void on_close(struct ws *ws, int code, const char *reason, void *arg)
{
    (void)ws, (void)reason;
    log_debug("stream", "closed", KV_I("code", code));
    conn_free(arg);
}

/* Is the token among those of a comma-separated header? */
static bool offers(const char *header, const char *token)
{
    size_t n = strlen(token);
    for (const char *p = header; p && *p;) {
        p += strspn(p, " ,\t");
        size_t len = strcspn(p, ", \t");
        if (len == n && !memcmp(p, token, n))
            return true;
        p += len;
    }
    return false;
}

void stream_accept(struct stream *s, struct http_req *r, const struct user *user)
{
    static const struct ws_handlers handlers = {
        .on_text = on_text, .on_drain = on_drain, .on_close = on_close, .max_message = MESSAGE_MAX};
    struct err err;
    const char *offered = http_req_header(r, "Sec-WebSocket-Protocol");
    if (offered && !offers(offered, SUBPROTOCOL)) {
        err_set(&err, ERR_INVALID, "the subprotocol here is " SUBPROTOCOL);
        http_reply_err(r, &err);
        return;
    }
    if (s->conn_count >= CONNECTIONS_MAX) {
        err_set(&err, ERR_UNAVAILABLE, "too many streams are open");
        http_reply_err(r, &err);
        return;
    }
    struct conn *c = xcalloc(1, sizeof(*c));
    c->stream = s;
    c->user = *user;
    c->ws = http_upgrade_ws(r, offered ? SUBPROTOCOL : NULL, &handlers, c);
    if (!c->ws) {
        free(c);
        return;
    }
    c->next = s->conns;
    s->conns = c;
    s->conn_count++;
}

static void on_recheck(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct stream *s = arg;
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->recheck)
            continue;
        struct ticket *t = xcalloc(1, sizeof(*t));
        t->conn = c;
        c->recheck = t;
        s->allow(&c->user, "", on_allowed, t, s->arg);
    }
}

/* --- life ----------------------------------------------------------------------------------------------- */

struct stream *stream_create(struct event_base *base, stream_allow_f allow, void *arg)
{
    struct stream *s = xcalloc(1, sizeof(*s));
    s->base = base;
    s->allow = allow;
    s->arg = arg;
    s->recheck = event_new(base, -1, EV_PERSIST, on_recheck, s);
    event_add(s->recheck, &(struct timeval){RECHECK_SECONDS, 0});
    return s;
}

void stream_set_filter(struct stream *s, stream_filter_f filter)
{
    s->filter = filter;
}

void stream_add_source(struct stream *s, const char *pattern, stream_source_f source, void *arg)
{
    struct source *x = xcalloc(1, sizeof(*x));
    *x = (struct source){s->sources, xstrdup(pattern), source, arg};
    s->sources = x;
}

int stream_connections(const struct stream *s)
{
    return s->conn_count;
}

void stream_destroy(struct stream *s)
{
    if (!s)
        return;
    while (s->conns) {
        struct conn *c = s->conns;
        ws_abort(c->ws);
        conn_free(c);
    }
    while (s->sources) {
        struct source *x = s->sources;
        s->sources = x->next;
        free(x->pattern);
        free(x);
    }
    event_free(s->recheck);
    free(s);
}
