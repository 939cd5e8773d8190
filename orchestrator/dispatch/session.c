#include "orchestrator/dispatch/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/ids.h"
#include "base/units.h"
#include "net/http_server.h"
#include "net/ws.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/dispatch/outcome.h"
#include "orchestrator/store/blob_row.h"
#include "orchestrator/store/job.h"
#include "orchestrator/store/record.h"
#include "orchestrator/stream/stream.h"
#include "proto/link.h"

#define QUEUE_MAX (8u << 20) /* bytes that an agent may leave unread */

struct session {
    struct dispatch *dispatch;
    struct node *node;
    struct ws *ws;
    struct link *link;
    struct event *flush; /* sends bare acknowledgements */
    bool greeted;
    struct session *prev, *next;
};

/* --- sending -------------------------------------------------------------------------------------------- */

static void transmit(const char *text, size_t n, void *arg)
{
    struct session *s = arg;
    if (s->ws)
        ws_send_text(s->ws, text, n);
}

static void cut(struct session *s, const char *why)
{
    log_warn("dispatch", "an agent's session is closed", KV_S("node", s->node->name), KV_S("why", why));
    if (s->ws)
        ws_close(s->ws, 1002, "protocol error");
}

void session_send(struct node *n, enum msg_type type, json_t *body)
{
    struct session *s = n->session;
    struct err err = {0};
    if (!s || !s->greeted || !s->ws) {
        json_decref(body);
        return;
    }
    if (link_send(s->link, type, body, &err) < 0 || ws_queued(s->ws) > QUEUE_MAX)
        cut(s, err.code != ERR_NONE ? err.text : "it does not read what it is sent");
}

/* --- what an agent says: an attempt's life -------------------------------------------------------------- */

/* The active job that a message is about, if its fence is the present one and it is placed on this node.
 * Fencing: anything else is answered with the order to end and forget it. */
static struct job *current(struct session *s, const json_t *doc, int *index)
{
    int64_t id = json_integer_value(json_object_get(doc, "job")),
            fence = json_integer_value(json_object_get(doc, "fence"));
    struct job *j = jobs_find(s->dispatch->orch->jobs, id);
    *index = j && j->allocation && j->attempt == fence ? job_node_index(j, s->node->name) : -1;
    return *index >= 0 ? j : NULL;
}

static void refuse(struct session *s, const json_t *doc)
{
    json_t *job = json_object_get(doc, "job"), *fence = json_object_get(doc, "fence");
    session_send(
        s->node, MSG_STOP,
        json_pack("{s:O, s:O, s:s, s:i}", "job", job, "fence", fence, "reason", "end", "grace_seconds", 0));
    session_send(s->node, MSG_FORGET, json_pack("{s:O, s:O}", "job", job, "fence", fence));
}

static void on_phase(struct session *s, const json_t *doc)
{
    int index;
    struct job *j = current(s, doc, &index);
    const char *phase = json_string_value(json_object_get(doc, "phase"));
    if (!j || index != 0)
        return; /* an old attempt, or a member of one: the head speaks for it */
    /* Idempotent: a phase that the job has passed is no news. */
    if (!strcmp(phase, "running") && j->state == JOB_STARTING)
        jobs_move(s->dispatch->orch->jobs, j, JOB_EV_RUN, NULL, NULL, NULL, NULL);
    else if (!strcmp(phase, "completing") && (j->state == JOB_STARTING || j->state == JOB_RUNNING))
        jobs_move(s->dispatch->orch->jobs, j, JOB_EV_COMPLETE, NULL, NULL, NULL, NULL);
}

/* Everyone of the allocation may delete the folder now. */
struct farewell {
    struct dispatch *dispatch;
    json_t *nodes;
    int64_t job;
    int fence;
};

static void on_over(const struct job *j, const char *text, void *arg)
{
    struct farewell *f = arg;
    size_t i;
    json_t *name;
    (void)j;
    (void)text;
    json_array_foreach(f->nodes, i, name)
    {
        struct node *n = nodes_find(&f->dispatch->nodes, json_string_value(name));
        if (n)
            session_send(n, MSG_FORGET,
                         json_pack("{s:I, s:i}", "job", (json_int_t)f->job, "fence", f->fence));
    }
    json_decref(f->nodes);
    free(f);
}

static void finish(struct session *s, struct job *j)
{
    struct job_change c;
    struct err err = {0};
    struct farewell *f = xcalloc(1, sizeof(*f));
    enum job_event event = outcome_of(j->head_end, j->stopping, j->attempt, &c);
    *f = (struct farewell){s->dispatch, json_incref(j->nodes), j->id, j->attempt};
    if (jobs_move(s->dispatch->orch->jobs, j, event, &c, on_over, f, &err) < 0) {
        log_error("dispatch", "a job that ended could not be moved", KV_I("job", j->id), KV_E(&err));
        json_decref(f->nodes);
        free(f);
    }
}

static void on_ended(struct session *s, const json_t *doc)
{
    int index;
    struct job *j = current(s, doc, &index);
    if (!j) {
        refuse(s, doc);
        return;
    }
    if (index < 64)
        j->ended_on |= (uint64_t)1 << index;
    if (index == 0 && !j->head_ended) {
        j->head_ended = true;
        json_decref(j->head_end);
        j->head_end = json_incref((json_t *)(uintptr_t)doc);
    }
    size_t nodes = json_array_size(j->allocation), i;
    uint64_t all = nodes >= 64 ? UINT64_MAX : ((uint64_t)1 << nodes) - 1;
    if (j->head_ended && (j->ended_on & all) == all) {
        finish(s, j);
        return;
    }
    json_t *share;
    json_array_foreach(j->allocation, i, share)
    {
        struct node *n = nodes_find(&s->dispatch->nodes, json_string_value(json_object_get(share, "node")));
        if (n && i > 0 && j->head_ended && !(j->ended_on >> i & 1))
            session_send(n, MSG_STOP,
                         json_pack("{s:I, s:i, s:s, s:i}", "job", (json_int_t)j->id, "fence", j->attempt,
                                   "reason", "end", "grace_seconds", 0));
    }
}

/* --- records -------------------------------------------------------------------------------------------- */

struct written {
    struct dispatch *dispatch;
    char node[65];
    int64_t job, first;
    int fence;
    enum record_stream stream;
    json_t *lines;
};

static void publish_lines(const struct written *w)
{
    char topic[64];
    size_t i;
    json_t *line;
    snprintf(topic, sizeof(topic), "job/%lld/%s", (long long)w->job,
             w->stream == RECORD_METRICS ? "metrics" : "logs");
    json_array_foreach(w->lines, i, line)
    {
        struct buf b = {0};
        buf_printf(&b, "{\"attempt\":%d,\"record\":", w->fence);
        json_append(&b, line);
        buf_putc(&b, '}');
        stream_publish(w->dispatch->orch->stream, topic, record_seq(w->fence, w->first + (int64_t)i),
                       buf_str(&b));
        buf_free(&b);
    }
}

static void on_written(const struct db_results *r, const struct err *err, void *arg)
{
    struct written *w = arg;
    struct node *n = nodes_find(&w->dispatch->nodes, w->node);
    (void)r;
    if (err) {
        /* Not acknowledged, so the agent sends it again in its next session. */
        log_warn("dispatch", "records could not be stored", KV_I("job", w->job), KV_E(err));
        if (n && n->session)
            cut(n->session, "records could not be stored");
    } else {
        publish_lines(w);
        if (n)
            session_send(n, MSG_RECORDS_ACK,
                         json_pack("{s:I, s:i, s:s, s:I}", "job", (json_int_t)w->job, "fence", w->fence,
                                   "stream", w->stream == RECORD_METRICS ? "metrics" : "logs", "next",
                                   (json_int_t)(w->first + (int64_t)json_array_size(w->lines))));
    }
    json_decref(w->lines);
    free(w);
}

/* Metrics also move the job's progress and say where a resumed attempt went on. */
static void note_metrics(struct job *j, const json_t *lines, struct db_batch *b)
{
    size_t i;
    json_t *line;
    bool changed = false;
    json_array_foreach(lines, i, line)
    {
        const char *kind = json_string_value(json_object_get(line, "kind"));
        changed |= job_note_record(j, line);
        if (kind && !strcmp(kind, "resume"))
            attempt_resume_add(b, j->id, j->attempt, json_integer_value(json_object_get(line, "step")));
    }
    if (changed)
        job_progress_add(b, j);
}

static bool all_objects(const json_t *lines)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        if (!json_is_object(line))
            return false;
    }
    return json_array_size(lines) > 0 && json_array_size(lines) <= MSG_RECORDS_LINES;
}

static void on_records(struct session *s, const json_t *doc)
{
    int index;
    struct job *j = current(s, doc, &index);
    enum record_stream stream;
    json_t *lines = json_object_get(doc, "lines");
    int64_t first = json_integer_value(json_object_get(doc, "first"));
    if (!j || index != 0) {
        refuse(s, doc);
        return;
    }
    if (record_stream_parse(json_string_value(json_object_get(doc, "stream")), &stream) < 0 || first < 1 ||
        !all_objects(lines)) {
        cut(s, "records that are none");
        return;
    }
    struct db_batch *b = db_batch_create(s->dispatch->orch->db, DB_WRITE);
    struct written *w = xcalloc(1, sizeof(*w));
    *w = (struct written){.dispatch = s->dispatch,
                          .job = j->id,
                          .first = first,
                          .fence = j->attempt,
                          .stream = stream,
                          .lines = json_incref(lines)};
    snprintf(w->node, sizeof(w->node), "%s", s->node->name);
    record_insert_add(b, stream, j->id, j->attempt, first, lines);
    if (stream == RECORD_METRICS)
        note_metrics(j, lines, b);
    db_submit(b, on_written, w);
}

/* --- artifacts ------------------------------------------------------------------------------------------ */

struct stored {
    struct dispatch *dispatch;
    char node[65], digest[SHA256_HEX];
};

static void on_stored(const struct db_results *r, const struct err *err, void *arg)
{
    struct stored *a = arg;
    struct node *n = nodes_find(&a->dispatch->nodes, a->node);
    (void)r;
    blob_unpin(a->dispatch->orch->blobs, a->digest);
    if (err) {
        log_warn("dispatch", "an artifact could not be noted", KV_S("digest", a->digest), KV_E(err));
        if (n && n->session)
            cut(n->session, "an artifact could not be noted"); /* it comes again */
    }
    free(a);
}

static void on_artifact(struct session *s, const json_t *doc)
{
    int index;
    struct job *j = current(s, doc, &index);
    const char *name = json_string_value(json_object_get(doc, "name")),
               *digest = json_string_value(json_object_get(doc, "digest"));
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    int64_t size = 0;
    if (!j || index != 0) {
        refuse(s, doc);
        return;
    }
    bool checkpoint = kind && !strcmp(kind, "checkpoint");
    if (!path_is_safe(name) || !sha256_is_hex(digest) ||
        !blob_exists(s->dispatch->orch->blobs, digest, &size) ||
        size != json_integer_value(json_object_get(doc, "size"))) {
        cut(s, "an artifact whose bytes are not here");
        return;
    }
    struct db_batch *b = db_batch_create(s->dispatch->orch->db, DB_WRITE);
    struct stored *a = xcalloc(1, sizeof(*a));
    a->dispatch = s->dispatch;
    snprintf(a->node, sizeof(a->node), "%s", s->node->name);
    memcpy(a->digest, digest, SHA256_HEX);
    blob_pin(s->dispatch->orch->blobs, digest);
    blob_row_add(b, digest, size);
    artifact_insert_add(b, j->id, j->attempt, name, checkpoint ? "checkpoint" : "artifact", digest, size);
    db_submit(b, on_stored, a);
}

/* --- hello ---------------------------------------------------------------------------------------------- */

struct greeting {
    struct dispatch *dispatch;
    char node[65];
    json_t *attempts; /* of hello */
};

static bool has_attempt(const json_t *attempts, const struct job *j)
{
    size_t i;
    json_t *a;
    json_array_foreach(attempts, i, a)
    {
        if (json_integer_value(json_object_get(a, "job")) == j->id &&
            json_integer_value(json_object_get(a, "fence")) == j->attempt)
            return true;
    }
    return false;
}

/* What the agent should have and has not: launched again when it has not begun, lost when it had. */
static void reconcile(struct session *s, const json_t *attempts)
{
    struct jobs *js = s->dispatch->orch->jobs;
    size_t at = 0;
    for (struct job *j; (j = jobs_each(js, &at));) {
        if (!job_state_is_active(j->state) || job_node_index(j, s->node->name) < 0)
            continue;
        bool there = has_attempt(attempts, j);
        if (there && j->stopping[0])
            session_send(s->node, MSG_STOP,
                         json_pack("{s:I, s:i, s:s, s:i}", "job", (json_int_t)j->id, "fence", j->attempt,
                                   "reason", j->stopping, "grace_seconds", 10));
        else if (!there && j->state == JOB_STARTING && !j->pending)
            dispatch_launch(s->dispatch, j);
        else if (!there && j->state != JOB_STARTING)
            dispatch_lost(s->dispatch, j, s->node->name);
    }
}

static void on_next(const struct db_results *r, const struct err *err, void *arg)
{
    struct greeting *g = arg;
    struct node *n = nodes_find(&g->dispatch->nodes, g->node);
    struct session *s = n ? n->session : NULL;
    json_t *keep = json_array(), *drop = json_array(), *a;
    size_t i;
    struct err problem = {0};
    json_array_foreach(g->attempts, i, a)
    {
        int index;
        json_t *job = json_object_get(a, "job"), *fence = json_object_get(a, "fence");
        if (!err && s && current(s, a, &index))
            for (int row = 0; row < db_rows(r, 0); row++) {
                if (db_int(r, 0, row, 0) == json_integer_value(job) &&
                    db_int(r, 0, row, 1) == json_integer_value(fence))
                    json_array_append_new(keep, json_pack("{s:O, s:O, s:I, s:I}", "job", job, "fence", fence,
                                                          "metrics", (json_int_t)db_int(r, 0, row, 2), "logs",
                                                          (json_int_t)db_int(r, 0, row, 3)));
            }
        else
            json_array_append_new(drop, json_pack("{s:O, s:O}", "job", job, "fence", fence));
    }
    if (s && err) {
        cut(s, "the database is away");
    } else if (s && !s->greeted && s->link) {
        s->greeted = true;
        if (link_send(s->link, MSG_WELCOME,
                      json_pack("{s:s, s:O, s:O}", "node", n->name, "keep", keep, "drop", drop),
                      &problem) < 0)
            cut(s, problem.text);
        else
            reconcile(s, g->attempts);
        dispatch_node_up(g->dispatch, n);
    }
    json_decref(keep);
    json_decref(drop);
    json_decref(g->attempts);
    free(g);
}

static void take_inventory(struct node *n, const json_t *doc)
{
    json_t *gpus = json_object_get(doc, "gpus");
    n->cores = json_integer_value(json_object_get(doc, "cores"));
    n->memory_bytes = json_integer_value(json_object_get(doc, "memory_bytes"));
    if (json_is_array(gpus)) {
        json_decref(n->gpus);
        n->gpus = json_incref(gpus);
    }
    const char *hostname = json_string_value(json_object_get(doc, "hostname")),
               *version = json_string_value(json_object_get(doc, "version"));
    node_set_text(&n->hostname, hostname ? hostname : "");
    node_set_text(&n->version, version ? version : "");
}

static void on_hello(struct session *s, const json_t *doc)
{
    const char *name = json_string_value(json_object_get(doc, "node"));
    json_t *attempts = json_object_get(doc, "attempts"), *a, *jobs = json_array(), *fences = json_array();
    size_t i;
    /* Security: an agent speaks only for the node of its token. */
    if (strcmp(name, s->node->name) != 0 || s->greeted || json_array_size(attempts) > 10000) {
        json_decref(jobs);
        json_decref(fences);
        cut(s, "a hello of another node, or a second one");
        return;
    }
    take_inventory(s->node, doc);
    json_array_foreach(attempts, i, a)
    {
        json_array_append_new(jobs, json_integer(json_integer_value(json_object_get(a, "job"))));
        json_array_append_new(fences, json_integer(json_integer_value(json_object_get(a, "fence"))));
    }
    struct greeting *g = xcalloc(1, sizeof(*g));
    g->dispatch = s->dispatch;
    g->attempts = attempts ? json_incref(attempts) : json_array();
    snprintf(g->node, sizeof(g->node), "%s", s->node->name);
    char *jobs_text = json_text(jobs), *fences_text = json_text(fences);
    db_submit(record_next(s->dispatch->orch->db, jobs_text, fences_text), on_next, g);
    free(jobs_text);
    free(fences_text);
    json_decref(jobs);
    json_decref(fences);
}

static void on_heartbeat(struct session *s, const json_t *doc)
{
    s->node->load = json_number_value(json_object_get(doc, "load"));
    s->node->memory_used = json_integer_value(json_object_get(doc, "memory_used_bytes"));
}

/* --- passing on between agents -------------------------------------------------------------------------- */

static bool in_allocation(const struct job *j, const char *node)
{
    return node && job_node_index(j, node) >= 0;
}

/* spawn, spawn_output, spawn_exit, spawn_stop: from one node of an allocation to another of the same. */
static void pass_on(struct session *s, enum msg_type type, const json_t *doc)
{
    int index;
    struct job *j = current(s, doc, &index);
    const char *from = json_string_value(json_object_get(doc, "from")),
               *to = json_string_value(json_object_get(doc, "to"));
    struct node *target = to ? nodes_find(&s->dispatch->nodes, to) : NULL;
    bool mine = from && !strcmp(from, s->node->name);
    const char *why = !mine                         ? "only the sender's own node may be named in from"
                      : !j                          ? "this attempt does not run here"
                      : !in_allocation(j, to)       ? "that node is not in the job's allocation"
                      : !target || !target->session ? "that node's agent is not connected"
                                                    : NULL;
    json_t *body = json_copy((json_t *)(uintptr_t)doc);
    json_object_del(body, "type");
    json_object_del(body, "seq");
    json_object_del(body, "ack");
    if (!why) {
        session_send(target, type, body);
        return;
    }
    if (type == MSG_SPAWN)
        session_send(s->node, MSG_SPAWN_EXIT,
                     json_pack("{s:O, s:O, s:s, s:s, s:O, s:i, s:i, s:s}", "job", json_object_get(doc, "job"),
                               "fence", json_object_get(doc, "fence"), "from", to ? to : "", "to",
                               s->node->name, "id", json_object_get(doc, "id"), "exit_code", 255, "signal", 0,
                               "message", why));
    json_decref(body);
}

/* --- the connection ------------------------------------------------------------------------------------- */

static void deliver(enum msg_type type, const json_t *doc, void *arg)
{
    struct session *s = arg;
    s->node->last_seen = time_now();
    if (type == MSG_ACK)
        return;
    if (!s->greeted && type != MSG_HELLO && type != MSG_HEARTBEAT) {
        cut(s, "the first message must be hello");
        return;
    }
    switch (type) {
    case MSG_HELLO:
        on_hello(s, doc);
        break;
    case MSG_HEARTBEAT:
        on_heartbeat(s, doc);
        break;
    case MSG_PHASE:
        on_phase(s, doc);
        break;
    case MSG_RECORDS:
        on_records(s, doc);
        break;
    case MSG_ARTIFACT:
        on_artifact(s, doc);
        break;
    case MSG_ENDED:
        on_ended(s, doc);
        break;
    case MSG_SPAWN:
    case MSG_SPAWN_OUTPUT:
    case MSG_SPAWN_EXIT:
    case MSG_SPAWN_STOP:
        pass_on(s, type, doc);
        break;
    default:
        cut(s, "a message that only the orchestrator may send");
    }
}

static void on_text(struct ws *ws, const char *text, size_t n, void *arg)
{
    struct session *s = arg;
    struct err err = {0};
    (void)ws;
    if (link_receive(s->link, text, n, &err) < 0)
        cut(s, err.text);
}

static void session_free(struct session *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        s->dispatch->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
    link_destroy(s->link);
    event_free(s->flush);
    free(s);
}

static void on_close(struct ws *ws, int code, const char *reason, void *arg)
{
    struct session *s = arg;
    struct node *n = s->node;
    (void)ws;
    s->ws = NULL;
    log_info("dispatch", "an agent's connection closed", KV_S("node", n->name), KV_I("code", code),
             KV_S("reason", reason ? reason : ""));
    if (n->session == s) {
        n->session = NULL;
        dispatch_node_away(s->dispatch, n);
    }
    session_free(s);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    (void)what;
    if (s->ws)
        link_flush_ack(s->link);
}

static const struct ws_handlers handlers = {
    .on_text = on_text, .on_close = on_close, .max_message = MSG_MAX_BYTES, .ping_seconds = 5};

void session_accept(struct dispatch *d, struct http_req *req, const char *node)
{
    struct session *s = xcalloc(1, sizeof(*s));
    s->dispatch = d;
    s->node = nodes_make(&d->nodes, node);
    s->link = link_create(MSG_FROM_ORCHESTRATOR, transmit, deliver, s);
    s->flush = event_new(d->orch->base, -1, EV_PERSIST, on_flush, s);
    s->next = d->sessions;
    if (s->next)
        s->next->prev = s;
    d->sessions = s;
    s->ws = http_upgrade_ws(req, PROTO_SUBPROTOCOL, &handlers, s);
    if (!s->ws) {
        session_free(s);
        return;
    }
    struct session *old = s->node->session;
    s->node->session = s;
    s->node->last_seen = time_now();
    if (old && old->ws) {
        log_info("dispatch", "an agent's new connection replaces its old one", KV_S("node", node));
        ws_close(old->ws, 1001, "replaced by a newer connection");
    }
    struct timeval every = {0, 50000};
    event_add(s->flush, &every);
}

void session_close_all(struct dispatch *d)
{
    while (d->sessions) {
        struct session *s = d->sessions;
        if (s->ws)
            ws_abort(s->ws);
        s->node->session = NULL;
        session_free(s);
    }
}
