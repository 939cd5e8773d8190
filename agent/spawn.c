#include "agent/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/attempts.h"
#include "agent/backoff.h"
#include "agent/exitfile.h"
#include "agent/runner.h"
#include "agent/session.h"
#include "agent/spool.h"
#include "agent/start.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define LINE_MAX_BYTES (1 << 20) /* one request: mpirun's command line is a few KiB */
#define PUMP_SECONDS   0.1

/* A request of trainyard-rsh on this node. */
struct request {
    struct spawns *room;
    struct request *next;
    struct bufferevent *peer;
    int64_t job, fence;
    char *id, *to;
    json_t *argv; /* until it was sent; NULL: on its way or running */
};

/* A daemon that this node runs for another's request. */
struct spawn {
    struct spawns *room;
    struct spawn *next;
    int64_t job, fence;
    char *id, *from, *dir;
    struct runner *runner;
    struct spool output;
    bool gone;
};

struct spawns {
    struct agent *agent;
    char *socket_path;
    struct evconnlistener *listener;
    struct request *requests;
    struct spawn *list;
    struct event *pump;
};

static void pump_soon(struct spawns *room, double seconds)
{
    struct timeval wait = backoff_timeval(seconds);
    if (!evtimer_pending(room->pump, NULL))
        evtimer_add(room->pump, &wait);
}

static json_t *envelope(const struct spawns *room, int64_t job, int64_t fence, const char *to, const char *id)
{
    return json_pack("{s:I,s:I,s:s,s:s,s:s}", "job", (json_int_t)job, "fence", (json_int_t)fence, "from",
                     room->agent->node, "to", to, "id", id);
}

/* ---- the asking side: requests from trainyard-rsh ---- */

static void request_free(struct request *q)
{
    for (struct request **at = &q->room->requests; *at; at = &(*at)->next) {
        if (*at == q) {
            *at = q->next;
            break;
        }
    }
    bufferevent_free(q->peer);
    json_decref(q->argv);
    free(q->id);
    free(q->to);
    free(q);
}

static void request_write(struct request *q, json_t *line)
{
    char *text = json_text(line);
    struct evbuffer *out = bufferevent_get_output(q->peer);
    if (evbuffer_get_length(out) <
        (size_t)(4 << 20)) /* a client that does not read loses output, not our memory */
        evbuffer_add_printf(out, "%s\n", text);
    free(text);
    json_decref(line);
}

static void peer_written(struct bufferevent *peer, void *arg)
{
    (void)peer;
    request_free(arg);
}

static void peer_event(struct bufferevent *peer, short what, void *arg);

/* The answer that ends a request. It is freed when the client has it. */
static void request_end(struct request *q, int exit_code, int sig, const char *message)
{
    request_write(q, json_pack("{s:i,s:i,s:s}", "exit_code", exit_code, "signal", sig, "message", message));
    free(q->id);
    q->id = NULL; /* nothing more is for it */
    bufferevent_setcb(q->peer, NULL, peer_written, peer_event, q);
}

static void request_pump(struct request *q)
{
    if (!q->argv || !session_ready(q->room->agent->session))
        return;
    json_t *body = envelope(q->room, q->job, q->fence, q->to, q->id);
    json_object_set(body, "argv", q->argv);
    json_object_set_new(body, "environment", json_object());
    if (session_send(q->room->agent->session, MSG_SPAWN, body) == 0) {
        json_decref(q->argv);
        q->argv = NULL;
    }
}

static bool secret_right(const struct attempt_view *a, const char *secret)
{
    struct buf b = {0};
    char *path = path_join(a->dir, "secret");
    bool right = file_read(path, 128, &b, NULL) == 0 && b.len == strlen(secret) && b.len > 0 &&
                 secret_equal(b.data, secret, b.len);
    free(path);
    buf_free(&b);
    return right;
}

static bool node_is_member(const struct launch *l, const char *node)
{
    for (size_t i = 0; i < l->node_count; i++) {
        if (strcmp(l->nodes[i].node, node) == 0)
            return true;
    }
    return false;
}

/* Security: only a process that can read the attempt's secret may start anything, and only on nodes of its
 * allocation. */
static int request_take(struct request *q, const json_t *doc, struct err *err)
{
    struct attempt_view a;
    const char *secret = NULL, *id = NULL, *host = NULL;
    bool attach = false;
    if (json_get_int(doc, "job", true, &q->job, err) < 0 ||
        json_get_int(doc, "fence", true, &q->fence, err) < 0 ||
        json_get_str(doc, "secret", true, &secret, err) < 0 || json_get_str(doc, "id", true, &id, err) < 0 ||
        json_get_str(doc, "host", true, &host, err) < 0 ||
        json_get_bool(doc, "attach", false, &attach, err) < 0 || name_check("id", id, err) < 0)
        return -1;
    if (!attempts_find(q->room->agent->attempts, q->job, q->fence, &a) || !secret_right(&a, secret))
        return err_set(err, ERR_FORBIDDEN,
                       "attempt %lld.%lld does not run here, or the secret is not its own", (long long)q->job,
                       (long long)q->fence);
    if (!node_is_member(a.launch, host))
        return err_set(err, ERR_FORBIDDEN, "node %.64s is not in the allocation of job %lld", host,
                       (long long)q->job);
    json_t *argv = json_object_get(doc, "argv");
    if (!json_is_array(argv) || json_array_size(argv) == 0)
        return err_set(err, ERR_INVALID, "\"argv\" must be an array of words");
    q->id = xstrdup(id);
    q->to = xstrdup(host);
    q->argv = attach ? NULL : json_incref(argv);
    return 0;
}

static void peer_read(struct bufferevent *peer, void *arg)
{
    struct request *q = arg;
    struct err err = {0};
    size_t n = 0;
    if (q->id)
        return; /* said all that it may say */
    char *line = evbuffer_readln(bufferevent_get_input(peer), &n, EVBUFFER_EOL_LF);
    if (!line) {
        if (evbuffer_get_length(bufferevent_get_input(peer)) > LINE_MAX_BYTES)
            request_free(q);
        return;
    }
    json_t *doc = json_parse(line, n, NULL, NULL, &err);
    free(line);
    if (!doc || request_take(q, doc, &err) < 0)
        request_end(q, 255, 0, err.text);
    else
        pump_soon(q->room, 0);
    json_decref(doc);
}

static void peer_event(struct bufferevent *peer, short what, void *arg)
{
    struct request *q = arg;
    (void)peer;
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
        return;
    if (q->id && !q->argv) /* it had been sent on */
        (void)session_send(q->room->agent->session, MSG_SPAWN_STOP,
                           envelope(q->room, q->job, q->fence, q->to, q->id));
    request_free(q);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *arg)
{
    struct spawns *room = arg;
    struct request *q = xcalloc(1, sizeof(*q));
    (void)listener;
    (void)address;
    (void)length;
    q->room = room;
    q->peer = bufferevent_socket_new(room->agent->base, fd, BEV_OPT_CLOSE_ON_FREE);
    q->next = room->requests;
    room->requests = q;
    bufferevent_setcb(q->peer, peer_read, NULL, peer_event, q);
    bufferevent_enable(q->peer, EV_READ | EV_WRITE);
}

static struct request *request_find(struct spawns *room, const json_t *doc)
{
    const char *id = json_string_value(json_object_get(doc, "id"));
    int64_t job = json_integer_value(json_object_get(doc, "job")),
            fence = json_integer_value(json_object_get(doc, "fence"));
    for (struct request *q = room->requests; q; q = q->next) {
        if (q->id && q->job == job && q->fence == fence && strcmp(q->id, id) == 0)
            return q;
    }
    return NULL;
}

void spawns_on_output(struct agent *agent, const json_t *doc)
{
    struct request *q = request_find(agent->spawns, doc);
    if (q)
        request_write(q, json_pack("{s:O,s:O}", "stream", json_object_get(doc, "stream"), "text",
                                   json_object_get(doc, "text")));
}

void spawns_on_exit(struct agent *agent, const json_t *doc)
{
    struct request *q = request_find(agent->spawns, doc);
    if (q)
        request_end(q, (int)json_integer_value(json_object_get(doc, "exit_code")),
                    (int)json_integer_value(json_object_get(doc, "signal")),
                    json_string_value(json_object_get(doc, "message")));
}

/* ---- the running side: daemons on this node ---- */

static void spawn_free(struct spawn *s)
{
    for (struct spawn **at = &s->room->list; *at; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    runner_destroy(s->runner);
    spool_close(&s->output);
    free(s->id);
    free(s->from);
    free(s->dir);
    free(s);
}

static void exit_send(struct spawns *room, int64_t job, int64_t fence, const char *to, const char *id,
                      int exit_code, int sig, const char *message)
{
    json_t *body = envelope(room, job, fence, to, id);
    json_object_set_new(body, "exit_code", json_integer(exit_code));
    json_object_set_new(body, "signal", json_integer(sig));
    json_object_set_new(body, "message", json_string(message));
    (void)session_send(room->agent->session, MSG_SPAWN_EXIT, body);
}

static void on_line(const struct spool_line *line, void *arg)
{
    struct spawn *s = arg;
    json_t *record = json_parse(line->text, line->n, NULL, NULL, NULL);
    const char *stream = json_string_value(json_object_get(record, "stream")),
               *text = json_string_value(json_object_get(record, "text"));
    if (stream && text) {
        json_t *body = envelope(s->room, s->job, s->fence, s->from, s->id);
        json_object_set_new(body, "stream", json_string(stream));
        json_object_set_new(body, "text", json_sprintf("%s\n", text));
        (void)session_send(s->room->agent->session, MSG_SPAWN_OUTPUT, body);
    }
    json_decref(record);
}

/* False: it was freed. */
static bool spawn_pump(struct spawn *s)
{
    struct err err = {0};
    struct exit_info e;
    runner_look(s->runner);
    while (session_ready(s->room->agent->session) && spool_read(&s->output, 256, 65536, on_line, s, &err) > 0)
        continue;
    if (!s->gone || !session_ready(s->room->agent->session))
        return true;
    if (exit_read(s->dir, &e, &err) == 0) {
        exit_send(s->room, s->job, s->fence, s->from, s->id, e.exit_code, e.signal,
                  e.started ? "" : e.message);
        exit_clear(&e);
    } else {
        exit_send(s->room, s->job, s->fence, s->from, s->id, 1, 0, err.text);
    }
    spawn_free(s);
    return false;
}

static void on_gone(void *arg)
{
    struct spawn *s = arg;
    s->gone = true;
    s->output.final = true;
    attempts_spawn_changed(s->room->agent->attempts, s->job, s->fence);
    pump_soon(s->room, 0);
}

static struct spawn *spawn_create(struct spawns *room, int64_t job, int64_t fence, const char *id,
                                  const char *from, char *dir)
{
    struct spawn *s = xcalloc(1, sizeof(*s));
    char *logs = path_join(dir, "logs.jsonl");
    s->room = room;
    s->job = job;
    s->fence = fence;
    s->id = xstrdup(id);
    s->from = xstrdup(from);
    s->dir = dir;
    s->runner = runner_create(room->agent, dir, on_gone, s);
    spool_init(&s->output, logs);
    s->next = room->list;
    room->list = s;
    free(logs);
    return s;
}

static struct spawn *spawn_find(struct spawns *room, int64_t job, int64_t fence, const char *id)
{
    for (struct spawn *s = room->list; s; s = s->next) {
        if (s->job == job && s->fence == fence && strcmp(s->id, id) == 0)
            return s;
    }
    return NULL;
}

static int spawn_begin(struct spawns *room, const struct attempt_view *a, const json_t *doc, const char *id,
                       const char *from, struct err *err)
{
    char *dir = xasprintf("%s/spawn/%s", a->dir, id), *file = path_join(dir, "spawn.json");
    char *text = json_text(doc);
    int rc = dir_make(dir, 0755, err);
    if (rc == 0)
        rc = file_write_atomic(file, text, strlen(text), 0600, err);
    if (rc == 0)
        rc = start_write(room->agent, a->launch, a->dir, dir, json_object_get(doc, "argv"), err);
    free(file);
    free(text);
    if (rc < 0) {
        free(dir);
        return -1;
    }
    struct spawn *s = spawn_create(room, a->job, a->fence, id, from, dir);
    rc = runner_start(s->runner, err);
    if (rc < 0)
        spawn_free(s);
    return rc;
}

void spawns_on_spawn(struct agent *agent, const json_t *doc)
{
    struct spawns *room = agent->spawns;
    struct attempt_view a;
    struct err err = {0};
    int64_t job = json_integer_value(json_object_get(doc, "job")),
            fence = json_integer_value(json_object_get(doc, "fence"));
    const char *id = json_string_value(json_object_get(doc, "id")),
               *from = json_string_value(json_object_get(doc, "from"));
    if (spawn_find(room, job, fence, id))
        return; /* said twice */
    /* Security: only nodes of the same allocation may start something here, and only inside it. */
    if (name_check("id", id, &err) < 0)
        (void)0;
    else if (!attempts_find(agent->attempts, job, fence, &a) || !node_is_member(a.launch, from))
        err_set(&err, ERR_FORBIDDEN, "job %lld.%lld is not running on node %s", (long long)job,
                (long long)fence, agent->node);
    else if (spawn_begin(room, &a, doc, id, from, &err) == 0) {
        attempts_spawn_changed(agent->attempts, job, fence);
        pump_soon(room, PUMP_SECONDS);
        return;
    }
    log_warn("spawn", "refused", KV_I("job", job), KV_E(&err));
    exit_send(room, job, fence, from, id, 255, 0, err.text);
}

void spawns_on_stop(struct agent *agent, const json_t *doc)
{
    struct spawn *s = spawn_find(agent->spawns, json_integer_value(json_object_get(doc, "job")),
                                 json_integer_value(json_object_get(doc, "fence")),
                                 json_string_value(json_object_get(doc, "id")));
    if (s && !s->gone)
        runner_stop(s->runner, "end", 1);
}

int spawns_count(const struct spawns *room, int64_t job, int64_t fence)
{
    int n = 0;
    for (const struct spawn *s = room->list; s; s = s->next)
        n += s->job == job && s->fence == fence && !s->gone;
    return n;
}

int spawns_stop_attempt(struct spawns *room, int64_t job, int64_t fence, const char *reason,
                        double grace_seconds)
{
    int n = 0;
    for (struct spawn *s = room->list; s; s = s->next) {
        if (s->job != job || s->fence != fence || s->gone)
            continue;
        runner_stop(s->runner, reason, grace_seconds);
        n++;
    }
    return n;
}

static int adopt_one(struct spawns *room, int64_t job, int64_t fence, char *dir)
{
    char *file = path_join(dir, "spawn.json"), *ended = path_join(dir, "exit.json");
    json_t *doc = file_exists(ended) ? NULL : json_parse_file(file, 4 << 20, NULL);
    const char *id = json_string_value(json_object_get(doc, "id")),
               *from = json_string_value(json_object_get(doc, "from"));
    int adopted = 0;
    if (id && from) {
        struct spawn *s = spawn_create(room, job, fence, id, from, dir);
        adopted = runner_adopt(s->runner);
        if (!adopted)
            spawn_free(s);
    } else {
        free(dir);
    }
    free(file);
    free(ended);
    json_decref(doc);
    return adopted;
}

int spawns_adopt(struct spawns *room, int64_t job, int64_t fence, const char *attempt_dir)
{
    char *dir = path_join(attempt_dir, "spawn");
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] != '.')
            n += adopt_one(room, job, fence, path_join(dir, e->d_name));
    }
    if (d)
        closedir(d);
    free(dir);
    if (n)
        pump_soon(room, PUMP_SECONDS);
    return n;
}

/* ---- the room ---- */

void spawns_session_lost(struct spawns *room)
{
    (void)room; /* what runs goes on; what was not sent yet goes with the next session */
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct spawns *room = arg;
    (void)fd;
    (void)what;
    for (struct request *q = room->requests; q; q = q->next)
        request_pump(q);
    for (struct spawn *s = room->list, *next; s; s = next) {
        next = s->next;
        spawn_pump(s);
    }
    if (room->requests || room->list)
        pump_soon(room, PUMP_SECONDS);
}

/* The folder of the socket is ours alone; the name is short whatever the state folder is called. */
static int socket_prepare(const char *path, struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    char *dir = xstrdup(path);
    *strrchr(dir, '/') = '\0';
    int rc = 0;
    if (strlen(path) >= sizeof(address->sun_path))
        rc = err_set(err, ERR_INVALID, "%s is too long for a socket's name: choose a shorter --scratch-dir",
                     path);
    else if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        rc = err_set(err, ERR_IO, "cannot make %s: %s", dir, strerror(errno));
    else if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        rc = err_set(err, ERR_FORBIDDEN, "%s must be a folder of this user's alone (mode 0700)", dir);
    if (rc == 0) {
        address->sun_family = AF_UNIX;
        snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
        unlink(path); /* of an agent that was killed; agent.lock says that no other lives */
    }
    free(dir);
    return rc;
}

struct spawns *spawns_create(struct agent *agent, const char *socket_path, struct err *err)
{
    struct sockaddr_un address = {0};
    struct spawns *room = xcalloc(1, sizeof(*room));
    room->agent = agent;
    room->socket_path = xstrdup(socket_path);
    room->pump = evtimer_new(agent->base, on_pump, room);
    if (socket_prepare(socket_path, &address, err) == 0) {
        room->listener = evconnlistener_new_bind(agent->base, on_accept, room,
                                                 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64,
                                                 (struct sockaddr *)&address, sizeof(address));
        if (!room->listener)
            err_set(err, ERR_IO, "cannot listen on %s: %s", socket_path, strerror(errno));
    }
    if (!room->listener) {
        spawns_destroy(room);
        return NULL;
    }
    return room;
}

void spawns_destroy(struct spawns *room)
{
    if (!room)
        return;
    while (room->requests)
        request_free(room->requests);
    while (room->list)
        spawn_free(room->list);
    if (room->listener) {
        evconnlistener_free(room->listener);
        unlink(room->socket_path);
        *strrchr(room->socket_path, '/') = '\0';
        rmdir(room->socket_path);
    }
    event_free(room->pump);
    free(room->socket_path);
    free(room);
}
