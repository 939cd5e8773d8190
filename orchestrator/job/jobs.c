#include "orchestrator/job/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "orchestrator/store/job.h"
#include "orchestrator/store/topic.h"
#include "orchestrator/stream/stream.h"

/* One move in a batch: what is to be done when it is durable. */
struct move {
    int64_t job;
    enum job_event event;
    int event_seq, queue_statement;
    char *text; /* the job as the outside sees it after this move */
    jobs_done_f done;
    void *arg;
};

struct flight {
    struct jobs *jobs;
    struct db_batch *batch;
    struct move *moves;
    size_t count, cap;
};

struct jobs {
    struct orch *orch;
    struct job **list; /* by id */
    size_t count, cap;
    int64_t last_id;
    struct flight *open; /* being filled; NULL: none */
    bool in_flight, loaded;
    struct event *flush;
    jobs_watch_f watch;
    void *watch_arg;
    struct err load_err;
};

char *job_text(const struct job *j)
{
    json_t *o = job_json(j);
    char *text = json_text(o);
    json_decref(o);
    return text;
}

/* --- the table ------------------------------------------------------------------------------------------ */

static size_t place_of(const struct jobs *js, int64_t id)
{
    size_t low = 0, high = js->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (js->list[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct job *jobs_find(const struct jobs *js, int64_t id)
{
    size_t at = place_of(js, id);
    return at < js->count && js->list[at]->id == id ? js->list[at] : NULL;
}

struct job *jobs_each(const struct jobs *js, size_t *at)
{
    return *at < js->count ? js->list[(*at)++] : NULL;
}

size_t jobs_count(const struct jobs *js, enum job_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < js->count; i++)
        n += js->list[i]->state == state;
    return n;
}

void jobs_adopt(struct jobs *js, struct job *j)
{
    size_t at = place_of(js, j->id);
    js->list = vec_grow(js->list, &js->cap, js->count + 1, sizeof(struct job *));
    memmove(js->list + at + 1, js->list + at, (js->count - at) * sizeof(struct job *));
    js->list[at] = j;
    js->count++;
}

void jobs_disown(struct jobs *js, struct job *j)
{
    size_t at = place_of(js, j->id);
    memmove(js->list + at, js->list + at + 1, (js->count - at - 1) * sizeof(struct job *));
    js->count--;
}

static void forget(struct jobs *js, struct job *j)
{
    jobs_disown(js, j);
    job_destroy(j);
}

/* --- commit and effects --------------------------------------------------------------------------------- */

static void send_open(struct jobs *js);

static void effects_of(struct jobs *js, const struct db_results *r, struct move *m)
{
    char topic[64];
    snprintf(topic, sizeof(topic), "job/%lld/state", (long long)m->job);
    stream_publish(js->orch->stream, topic, m->event_seq, m->text);
    stream_publish(js->orch->stream, "queue", db_int(r, m->queue_statement, 0, 0), m->text);
    struct job *j = jobs_find(js, m->job);
    if (!j)
        return;
    j->pending--;
    if (js->watch)
        js->watch(j, m->event, js->watch_arg);
    if (m->done)
        m->done(j, m->text, m->arg);
    if (job_state_is_final(j->state) && j->pending == 0)
        forget(js, j);
}

static void on_committed(const struct db_results *r, const struct err *err, void *arg)
{
    struct flight *f = arg;
    struct jobs *js = f->jobs;
    if (err) {
        log_error("job", "a move could not be committed; ending, so that the next start reads the log",
                  KV_E(err));
        _exit(70);
    }
    js->in_flight = false;
    for (size_t i = 0; i < f->count; i++) {
        effects_of(js, r, &f->moves[i]);
        free(f->moves[i].text);
    }
    free(f->moves);
    free(f);
    if (js->open)
        send_open(js);
}

static void send_open(struct jobs *js)
{
    if (js->in_flight || !js->open)
        return;
    struct flight *f = js->open;
    js->open = NULL;
    js->in_flight = true;
    db_submit(f->batch, on_committed, f);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    send_open(arg);
}

static struct flight *open_flight(struct jobs *js)
{
    if (!js->open) {
        js->open = xcalloc(1, sizeof(*js->open));
        js->open->jobs = js;
        js->open->batch = db_batch_create(js->orch->db, DB_WRITE);
        /* Sent when this turn of the loop is over, so that what one event moves shares a commit. */
        event_active(js->flush, EV_TIMEOUT, 0);
    }
    return js->open;
}

/* --- moves ---------------------------------------------------------------------------------------------- */

static void set_json(json_t **to, json_t *v)
{
    json_decref(*to);
    *to = v;
}

static json_t *names_of(const json_t *allocation)
{
    json_t *names = json_array();
    size_t i;
    json_t *share;
    json_array_foreach(allocation, i, share) json_array_append(names, json_object_get(share, "node"));
    return names;
}

/* The row's side effects on the job itself. */
static void apply(struct job *j, unsigned does, struct job_change *c, double now)
{
    if (does & JOB_DO_HOLD)
        j->held = true;
    if (does & JOB_DO_RELEASE)
        j->held = false;
    if (does & JOB_DO_ATTEMPT) {
        j->attempt++;
        j->stopping[0] = 0;
        j->ended_on = 0;
        j->head_ended = false;
        set_json(&j->head_end, NULL);
        set_json(&j->allocation, json_incref(c->allocation));
        set_json(&j->nodes, names_of(c->allocation));
        free(j->reason);
        j->reason = NULL;
    }
    if (does & JOB_DO_STARTED)
        j->started = j->started > 0 ? j->started : now;
    if (does & JOB_DO_STOPPING)
        snprintf(j->stopping, sizeof(j->stopping), "%s", c->stopping ? c->stopping : "cancel");
    if (does & JOB_DO_FREE)
        set_json(&j->allocation, NULL);
    if (does & JOB_DO_ENDED) {
        j->ended = now;
        j->exit_code = c->has_exit ? c->exit_code : -1;
        j->signal = c->has_signal ? c->signal : -1;
        set_json(&j->failure, json_incref(c->failure));
    }
    if (does & JOB_DO_AGAIN) {
        j->started = j->ended = 0;
        j->exit_code = j->signal = -1;
        j->stopping[0] = 0;
        set_json(&j->failure, NULL);
    }
}

static void add_move(struct jobs *js, struct job *j, enum job_event event, int from, unsigned does,
                     struct job_change *c, double now, jobs_done_f done, void *arg)
{
    struct flight *f = open_flight(js);
    struct db_batch *b = f->batch;
    f->moves = vec_grow(f->moves, &f->cap, f->count + 1, sizeof(*f->moves));
    struct move *m = &f->moves[f->count++];
    char *detail = c->detail ? json_text(c->detail) : xstrdup("{}");
    *m = (struct move){.job = j->id,
                       .event = event,
                       .event_seq = j->event_seq,
                       .text = job_text(j),
                       .done = done,
                       .arg = arg};
    if (event == JOB_EV_SUBMIT)
        job_insert_add(b, j);
    else
        job_update_add(b, j);
    if (does & JOB_DO_ATTEMPT)
        attempt_place_add(b, j, now);
    if (does & JOB_DO_FREE)
        attempt_over_add(b, j->id, j->attempt);
    job_event_add(b, j, now, job_event_name(event),
                  from == JOB_STATE_NONE ? NULL : job_state_name((enum job_state)from), detail, m->text);
    if (c->with)
        c->with(b, j, c->with_arg);
    m->queue_statement = topic_event_add(b, "queue", m->text);
    j->pending++;
    free(detail);
}

static void release_change(struct job_change *c)
{
    json_decref(c->detail);
    json_decref(c->allocation);
    json_decref(c->failure);
}

int jobs_move(struct jobs *js, struct job *j, enum job_event event, struct job_change *change,
              jobs_done_f done, void *arg, struct err *err)
{
    struct job_change none = {0}, *c = change ? change : &none;
    enum job_state to;
    unsigned does;
    int from = (int)j->state;
    if (job_state_next(from, event, &to, &does, err) < 0) {
        release_change(c);
        return -1;
    }
    double now = time_now();
    j->state = to;
    j->event_seq++;
    apply(j, does, c, now);
    add_move(js, j, event, from, does, c, now, done, arg);
    log_info("job", job_event_name(event), KV_I("job", j->id),
             KV_S("from", job_state_name((enum job_state)from)), KV_S("to", job_state_name(to)),
             KV_I("attempt", j->attempt));
    release_change(c);
    return 0;
}

void jobs_submit(struct jobs *js, struct job *j, struct job_change *change, jobs_done_f done, void *arg)
{
    struct job_change none = {0}, *c = change ? change : &none;
    enum job_state to;
    unsigned does;
    job_state_next(JOB_STATE_NONE, JOB_EV_SUBMIT, &to, &does, NULL);
    double now = time_now();
    j->id = ++js->last_id;
    j->state = to;
    j->event_seq = 1;
    j->submitted = now;
    jobs_adopt(js, j);
    add_move(js, j, JOB_EV_SUBMIT, JOB_STATE_NONE, does, c, now, done, arg);
    log_info("job", "submit", KV_I("job", j->id), KV_S("owner", j->owner), KV_S("name", j->name));
    release_change(c);
}

/* --- start ---------------------------------------------------------------------------------------------- */

static void on_loaded(const struct db_results *r, const struct err *err, void *arg)
{
    struct jobs *js = arg;
    js->loaded = true;
    if (err) {
        js->load_err = *err;
        return;
    }
    for (int i = 0; i < db_rows(r, 0); i++)
        jobs_adopt(js, job_from_row(r, 0, i));
    js->last_id = db_int(r, 1, 0, 0);
    log_info("job", "read what is not over", KV_I("jobs", js->count));
}

struct jobs *jobs_create(struct orch *orch, struct err *err)
{
    struct jobs *js = xcalloc(1, sizeof(*js));
    js->orch = orch;
    js->flush = event_new(orch->base, -1, 0, on_flush, js);
    db_submit(job_active(orch->db), on_loaded, js);
    while (!js->loaded && event_base_loop(orch->base, EVLOOP_ONCE) == 0)
        ;
    if (js->load_err.code != ERR_NONE || !js->loaded) {
        *err = js->load_err;
        err_prefix(err, "reading the jobs");
        jobs_destroy(js);
        return NULL;
    }
    return js;
}

void jobs_watch(struct jobs *js, jobs_watch_f watch, void *arg)
{
    js->watch = watch;
    js->watch_arg = arg;
}

void jobs_destroy(struct jobs *js)
{
    if (!js)
        return;
    if (js->open) {
        for (size_t i = 0; i < js->open->count; i++)
            free(js->open->moves[i].text);
        free(js->open->moves);
        db_batch_discard(js->open->batch);
        free(js->open);
    }
    for (size_t i = 0; i < js->count; i++)
        job_destroy(js->list[i]);
    free(js->list);
    if (js->flush)
        event_free(js->flush);
    free(js);
}
