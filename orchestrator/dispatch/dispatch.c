#include "orchestrator/dispatch/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "orchestrator/dispatch/launch.h"
#include "orchestrator/dispatch/outcome.h"
#include "orchestrator/dispatch/session.h"
#include "orchestrator/store/node.h"
#include "orchestrator/store/record.h"
#include "orchestrator/store/topic.h"
#include "orchestrator/stream/stream.h"

#define EXPIRY_SLACK 60 /* seconds after its limit that a job's shepherd has to end it by itself */

/* A running attempt's time limit; the shepherd enforces it, this is for when it does not. */
struct expiry {
    struct dispatch *dispatch;
    int64_t job;
    int fence;
    struct event *timer;
    struct expiry *next;
};

/* --- nodes ---------------------------------------------------------------------------------------------- */

json_t *dispatch_node_json(struct dispatch *d, const struct node *n)
{
    int64_t cores, memory, gpus;
    char seen[40];
    json_t *jobs = json_array();
    size_t at = 0;
    for (struct job *j; (j = jobs_each(d->orch->jobs, &at));)
        if (job_node_index(j, n->name) >= 0)
            json_array_append_new(jobs, json_integer(j->id));
    scheduler_used(d->scheduler, n->name, &cores, &memory, &gpus);
    time_format_rfc3339(n->last_seen, seen, sizeof(seen));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:O, s:I, s:I, s:f, s:s, s:s, s:s, s:o}", "name", n->name,
                     "state", node_state(n), "reason", n->reason, "cores", (json_int_t)n->cores,
                     "memory_bytes", (json_int_t)n->memory_bytes, "gpus", n->gpus, "cores_used",
                     (json_int_t)cores, "memory_used_bytes", (json_int_t)n->memory_used, "load", n->load,
                     "hostname", n->hostname, "version", n->version, "last_seen", seen, "jobs", jobs);
}

struct node_news {
    struct dispatch *dispatch;
    char *text;
};

static void on_news(const struct db_results *r, const struct err *err, void *arg)
{
    struct node_news *news = arg;
    if (err)
        log_warn("dispatch", "a node's change could not be noted", KV_E(err));
    else
        stream_publish(news->dispatch->orch->stream, "nodes", db_int(r, db_rows(r, 1) ? 1 : 0, 0, 0),
                       news->text);
    free(news->text);
    free(news);
}

/* Note the node's row and tell those who watch. */
static void node_changed(struct dispatch *d, struct node *n)
{
    struct db_batch *b = db_batch_create(d->orch->db, DB_WRITE);
    struct node_news *news = xcalloc(1, sizeof(*news));
    json_t *o = dispatch_node_json(d, n);
    char *gpus = json_text(n->gpus);
    news->dispatch = d;
    news->text = json_text(o);
    node_seen_add(b, n->name, n->cores, n->memory_bytes, gpus, n->hostname, n->version);
    topic_event_add(b, "nodes", news->text);
    node_drain_add(b, n->name, n->drained, n->reason);
    db_submit(b, on_news, news);
    json_decref(o);
    free(gpus);
}

static void tell_scheduler(struct dispatch *d, const struct node *n)
{
    scheduler_node(d->scheduler, n->name, n->cores, n->memory_bytes, (int64_t)json_array_size(n->gpus),
                   n->up && !n->drained);
    event_active(d->pass, EV_TIMEOUT, 0);
}

void dispatch_node_up(struct dispatch *d, struct node *n)
{
    if (!n->up)
        log_info("dispatch", "node up", KV_S("node", n->name), KV_I("cores", n->cores));
    n->up = true;
    if (n->lost)
        event_del(n->lost);
    tell_scheduler(d, n);
    node_changed(d, n);
}

int dispatch_drain(struct dispatch *d, const char *name, bool drained, const char *reason, struct err *err)
{
    struct node *n = nodes_find(&d->nodes, name);
    if (!n)
        return err_set(err, ERR_NOT_FOUND, "there is no node \"%.64s\"", name);
    n->drained = drained;
    node_set_text(&n->reason, reason ? reason : "");
    tell_scheduler(d, n);
    node_changed(d, n);
    return 0;
}

static void send_stop(struct dispatch *d, const char *node, const struct job *j, const char *reason,
                      int grace)
{
    struct node *n = nodes_find(&d->nodes, node);
    if (n)
        session_send(n, MSG_STOP,
                     json_pack("{s:I, s:i, s:s, s:i}", "job", (json_int_t)j->id, "fence", j->attempt,
                               "reason", reason, "grace_seconds", grace));
}

/* Every node of the job's allocation. */
static void stop_everywhere(struct dispatch *d, const struct job *j, const char *reason, int grace)
{
    size_t i;
    json_t *share;
    json_array_foreach(j->allocation, i, share)
        send_stop(d, json_string_value(json_object_get(share, "node")), j, reason, grace);
}

void dispatch_lost(struct dispatch *d, struct job *j, const char *node)
{
    struct err err = {0};
    char message[200];
    snprintf(message, sizeof(message), "node %s was lost", node);
    struct job_change c = {
        .detail = json_pack("{s:s, s:s}", "node", node, "message", message),
        .failure = json_pack("{s:s, s:s, s:[]}", "reason", "node_lost", "message", message, "tail")};
    enum job_event event = !strcmp(j->stopping, "cancel")    ? JOB_EV_CANCELLED
                           : !strcmp(j->stopping, "timeout") ? JOB_EV_TIME_OUT
                           : !strcmp(j->stopping, "preempt") ? JOB_EV_REQUEUE
                           : j->attempt < OUTCOME_TRIES      ? JOB_EV_REQUEUE
                                                             : JOB_EV_NODE_FAIL;
    /* The other nodes still run their part of it, and the next attempt may be placed there. */
    stop_everywhere(d, j, "end", 0);
    if (jobs_move(d->orch->jobs, j, event, &c, NULL, NULL, &err) < 0)
        log_warn("dispatch", "a lost job could not be moved", KV_I("job", j->id), KV_E(&err));
}

struct lost_arg {
    struct dispatch *dispatch;
    struct node *node;
};

static void on_lost(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct lost_arg *a = arg;
    struct dispatch *d = a->dispatch;
    struct node *n = a->node;
    if (n->session)
        return;
    log_warn("dispatch", "node down: its agent has been away too long", KV_S("node", n->name));
    n->up = false;
    tell_scheduler(d, n);
    node_changed(d, n);
    size_t at = 0;
    for (struct job *j; (j = jobs_each(d->orch->jobs, &at));)
        if (job_state_is_active(j->state) && job_node_index(j, n->name) >= 0)
            dispatch_lost(d, j, n->name);
}

static void free_lost(const struct node *n)
{
    if (n->lost)
        free(event_get_callback_arg(n->lost));
}

void dispatch_node_away(struct dispatch *d, struct node *n)
{
    if (!n->lost) {
        struct lost_arg *a = xcalloc(1, sizeof(*a));
        *a = (struct lost_arg){d, n};
        n->lost = evtimer_new(d->orch->base, on_lost, a);
    }
    struct timeval wait = {conf_int(d->orch->conf, "node-timeout"), 0};
    event_add(n->lost, &wait);
}

/* --- launching and stopping ------------------------------------------------------------------------------
 */

struct launching {
    struct dispatch *dispatch;
    int64_t job;
    int fence;
};

static void send_launch(struct dispatch *d, struct job *j, const char *resume)
{
    size_t i;
    json_t *share;
    json_array_foreach(j->allocation, i, share)
    {
        struct node *n = nodes_find(&d->nodes, json_string_value(json_object_get(share, "node")));
        if (n)
            session_send(n, MSG_LAUNCH,
                         json_pack("{s:I, s:i, s:o}", "job", (json_int_t)j->id, "fence", j->attempt, "launch",
                                   launch_object(j, i, resume)));
    }
}

/* Its end was asked for before it was launched: no agent knows of it, so none will report its end. */
static void end_unlaunched(struct dispatch *d, struct job *j)
{
    struct err err = {0};
    struct job_change c = {.detail = json_pack("{s:s}", "message", "ended before it was launched")};
    enum job_event event = !strcmp(j->stopping, "timeout")   ? JOB_EV_TIME_OUT
                           : !strcmp(j->stopping, "preempt") ? JOB_EV_REQUEUE
                                                             : JOB_EV_CANCELLED;
    if (jobs_move(d->orch->jobs, j, event, &c, NULL, NULL, &err) < 0)
        log_error("dispatch", "a job could not be ended", KV_I("job", j->id), KV_E(&err));
}

static void launch_or_end(struct dispatch *d, struct job *j, const char *resume)
{
    if (j->state == JOB_COMPLETING && j->stopping[0])
        end_unlaunched(d, j);
    else
        send_launch(d, j, resume);
}

static void on_checkpoint(const struct db_results *r, const struct err *err, void *arg)
{
    struct launching *l = arg;
    struct job *j = jobs_find(l->dispatch->orch->jobs, l->job);
    if (j && job_state_is_active(j->state) && j->attempt == l->fence && !err)
        launch_or_end(l->dispatch, j, db_rows(r, 0) ? db_str(r, 0, 0, 0) : NULL);
    free(l);
}

void dispatch_launch(struct dispatch *d, struct job *j)
{
    if (j->attempt == 1 || !j->train) {
        launch_or_end(d, j, NULL);
        return;
    }
    /* A later attempt goes on from the newest checkpoint that an earlier one left. */
    struct launching *l = xcalloc(1, sizeof(*l));
    *l = (struct launching){d, j->id, j->attempt};
    db_submit(checkpoint_newest(d->orch->db, j->id), on_checkpoint, l);
}

void dispatch_stop(struct dispatch *d, const struct job *j, int grace_seconds)
{
    stop_everywhere(d, j, j->stopping[0] ? j->stopping : "cancel", grace_seconds);
}

static void on_expired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct expiry *x = arg;
    struct dispatch *d = x->dispatch;
    struct job *j = jobs_find(d->orch->jobs, x->job);
    struct job_change c = {.stopping = "timeout"};
    if (j && j->attempt == x->fence && j->state != JOB_COMPLETING &&
        jobs_move(d->orch->jobs, j, JOB_EV_EXPIRE, &c, NULL, NULL, NULL) == 0)
        dispatch_stop(d, j, 10);
    for (struct expiry **at = &d->expiries; *at; at = &(*at)->next) {
        if (*at == x) {
            *at = x->next;
            break;
        }
    }
    event_free(x->timer);
    free(x);
}

static void watch_time(struct dispatch *d, const struct job *j)
{
    int64_t limit = job_time_limit(j);
    if (limit <= 0)
        return;
    struct expiry *x = xcalloc(1, sizeof(*x));
    double left = (double)(limit + EXPIRY_SLACK) - (time_now() - (j->started > 0 ? j->started : time_now()));
    struct timeval wait = {left > 1 ? (time_t)left : 1, 0};
    *x = (struct expiry){d, j->id, j->attempt, NULL, d->expiries};
    x->timer = evtimer_new(d->orch->base, on_expired, x);
    d->expiries = x;
    evtimer_add(x->timer, &wait);
}

/* --- the scheduler -------------------------------------------------------------------------------------- */

struct decided {
    int64_t job;
    json_t *allocation;
};

struct decisions {
    struct dispatch *dispatch;
    struct decided *list;
    size_t count, cap;
};

static void on_place(int64_t job, const struct sched_share *shares, int count, void *arg)
{
    struct decisions *all = arg;
    struct job *j = jobs_find(all->dispatch->orch->jobs, job);
    json_t *allocation = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(allocation,
                              json_pack("{s:s, s:I, s:I}", "node", shares[i].node, "ranks",
                                        (json_int_t)shares[i].ranks, "cores",
                                        (json_int_t)(shares[i].ranks * job_request(j).cores_per_rank)));
    all->list = vec_grow(all->list, &all->cap, all->count + 1, sizeof(*all->list));
    all->list[all->count++] = (struct decided){job, allocation};
}

void dispatch_explain(struct dispatch *d, struct job *j)
{
    char why[300];
    struct sched_wait wait;
    if (j->state != JOB_PENDING || j->held || !scheduler_why(d->scheduler, j->id, why, sizeof(why), &wait))
        return;
    free(j->reason);
    j->reason = xstrdup(why);
}

static void on_pass(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct dispatch *d = arg;
    struct decisions all = {.dispatch = d};
    scheduler_pass(d->scheduler, time_now(), on_place, &all);
    for (size_t i = 0; i < all.count; i++) {
        struct err err = {0};
        struct job *j = jobs_find(d->orch->jobs, all.list[i].job);
        if (j->state != JOB_PENDING || j->held) {
            /* Cancelled or held, which the scheduler hears of when it is committed: what it took is free. */
            scheduler_remove(d->scheduler, j->id, time_now());
            json_decref(all.list[i].allocation);
            event_active(d->pass, EV_TIMEOUT, 0);
            continue;
        }
        struct job_change c = {.allocation = all.list[i].allocation,
                               .detail = json_pack("{s:O}", "allocation", all.list[i].allocation)};
        if (jobs_move(d->orch->jobs, j, JOB_EV_PLACE, &c, NULL, NULL, &err) < 0) {
            log_error("dispatch", "a placed job could not be moved", KV_I("job", j->id), KV_E(&err));
            scheduler_remove(d->scheduler, j->id, time_now());
        }
    }
    free(all.list);
}

static struct sched_job asked_of(const struct job *j)
{
    return (struct sched_job){.id = j->id,
                              .owner = j->owner_id,
                              .priority = j->priority,
                              .submitted = j->submitted,
                              .time_limit = job_time_limit(j),
                              .request = job_request(j)};
}

static void add_waiting(struct dispatch *d, const struct job *j)
{
    struct sched_job asked = asked_of(j);
    if (!j->held)
        scheduler_add(d->scheduler, &asked);
}

static void add_running(struct dispatch *d, const struct job *j)
{
    struct sched_job asked = asked_of(j);
    size_t count = json_array_size(j->allocation), i;
    struct sched_share *shares = xcalloc(count, sizeof(*shares));
    json_t *share;
    json_array_foreach(j->allocation, i, share)
    {
        shares[i].node = json_string_value(json_object_get(share, "node"));
        shares[i].ranks = json_integer_value(json_object_get(share, "ranks"));
    }
    scheduler_add_running(d->scheduler, &asked, j->started > 0 ? j->started : time_now(), shares, (int)count);
    free(shares);
}

/* A move is durable. */
static void on_move(struct job *j, enum job_event event, void *arg)
{
    struct dispatch *d = arg;
    /* What follows looks at the job as it is now: a later move may be on its way. */
    if (event == JOB_EV_PLACE) {
        if (job_state_is_active(j->state))
            dispatch_launch(d, j);
        return;
    }
    if (event == JOB_EV_RUN) {
        watch_time(d, j);
        return;
    }
    if (job_state_is_active(j->state))
        return;
    scheduler_remove(d->scheduler, j->id, time_now());
    if (j->state == JOB_PENDING)
        add_waiting(d, j);
    event_active(d->pass, EV_TIMEOUT, 0);
}

/* --- start and end -------------------------------------------------------------------------------------- */

static void on_nodes(const struct db_results *r, const struct err *err, void *arg)
{
    struct dispatch *d = arg;
    d->loaded = true;
    if (err) {
        d->load_err = *err;
        return;
    }
    for (int i = 0; i < db_rows(r, 0); i++) {
        struct node *n = nodes_make(&d->nodes, db_str(r, 0, i, 0));
        const char *gpus = db_str(r, 0, i, 3);
        json_t *list = json_parse(gpus, strlen(gpus), NULL, NULL, NULL);
        n->cores = db_int(r, 0, i, 1);
        n->memory_bytes = db_int(r, 0, i, 2);
        if (json_is_array(list)) {
            json_decref(n->gpus);
            n->gpus = json_incref(list);
        }
        json_decref(list);
        node_set_text(&n->hostname, db_str(r, 0, i, 4));
        node_set_text(&n->version, db_str(r, 0, i, 5));
        n->drained = db_bool(r, 0, i, 6);
        node_set_text(&n->reason, db_str(r, 0, i, 7));
        n->last_seen = db_real(r, 0, i, 8);
        scheduler_node(d->scheduler, n->name, n->cores, n->memory_bytes, (int64_t)json_array_size(n->gpus),
                       false);
    }
}

/* Jobs that were active wait for their agents, but not for ever. */
static void take_up_jobs(struct dispatch *d)
{
    size_t at = 0, i;
    for (struct job *j; (j = jobs_each(d->orch->jobs, &at));) {
        json_t *share;
        if (j->state == JOB_PENDING) {
            add_waiting(d, j);
            continue;
        }
        add_running(d, j);
        watch_time(d, j);
        json_array_foreach(j->allocation, i, share)
            dispatch_node_away(d, nodes_make(&d->nodes, json_string_value(json_object_get(share, "node"))));
    }
}

struct dispatch *dispatch_create(struct orch *orch, struct err *err)
{
    struct dispatch *d = xcalloc(1, sizeof(*d));
    d->orch = orch;
    d->scheduler = scheduler_create(NULL);
    d->pass = event_new(orch->base, -1, 0, on_pass, d);
    db_submit(node_all(orch->db), on_nodes, d);
    while (!d->loaded && event_base_loop(orch->base, EVLOOP_ONCE) == 0)
        ;
    if (!d->loaded || d->load_err.code != ERR_NONE) {
        *err = d->load_err;
        err_prefix(err, "reading the nodes");
        dispatch_destroy(d);
        return NULL;
    }
    take_up_jobs(d);
    jobs_watch(orch->jobs, on_move, d);
    return d;
}

void dispatch_destroy(struct dispatch *d)
{
    if (!d)
        return;
    session_close_all(d);
    if (d->orch->jobs)
        jobs_watch(d->orch->jobs, NULL, NULL);
    while (d->expiries) {
        struct expiry *x = d->expiries;
        d->expiries = x->next;
        event_free(x->timer);
        free(x);
    }
    for (size_t i = 0; i < d->nodes.count; i++)
        free_lost(d->nodes.list[i]);
    nodes_free(&d->nodes);
    scheduler_destroy(d->scheduler);
    event_free(d->pass);
    free(d);
}

void dispatch_accept(struct dispatch *d, struct http_req *req, const char *node)
{
    session_accept(d, req, node);
}
