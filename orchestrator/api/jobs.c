#include "orchestrator/api/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/tasks.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/dispatch/dispatch.h"
#include "orchestrator/store/blob_row.h"
#include "orchestrator/store/job.h"
#include "orchestrator/store/task.h"

/* --- one job -------------------------------------------------------------------------------------------- */

static int parse_id(const char *text, int64_t *id)
{
    char *end;
    errno = 0;
    *id = strtoll(text, &end, 10);
    return *text < '1' || *text > '9' || *end || errno ? -1 : 0;
}

struct finding_job {
    job_then_f then;
    bool show;
};

/* What a caller may see: memory knows more (why it waits, progress), but may be ahead of the log. Nobody is
 * told of a move that a crash could still take back. */
static struct job *shown_of(struct call *c, struct job *row, struct job *live)
{
    if (!live || live->pending > 0)
        return row;
    dispatch_explain(c->orch->dispatch, live);
    return live;
}

static void on_found(struct call *c, const struct db_results *r)
{
    struct finding_job *f = c->data;
    if (db_rows(r, 0) == 0) {
        call_fail(c, ERR_NOT_FOUND, "there is no job %.20s", c->params[0]);
        return;
    }
    struct jobs *jobs = c->orch->jobs;
    struct job *row = job_from_row(r, 0, 0);
    int64_t id = row->id;
    struct job *live = jobs_find(jobs, id);
    if (f->show) {
        f->then(c, shown_of(c, row, live));
        job_destroy(row);
        return;
    }
    if (live)
        job_destroy(row);
    /* A reply may end the call: c is not looked at after this. One that is over the caller may only look at, or take back into
     * memory (requeue), and then it is memory's. */
    f->then(c, live ? live : row);
    if (!live && jobs_find(jobs, id) != row)
        job_destroy(row);
}

static void find(struct call *c, job_then_f then, bool show)
{
    int64_t id;
    struct finding_job *f = arena_alloc(&c->arena, sizeof(*f));
    if (parse_id(c->params[0], &id) < 0) {
        call_fail(c, ERR_NOT_FOUND, "there is no job \"%.20s\"", c->params[0]);
        return;
    }
    f->then = then;
    f->show = show;
    c->data = f;
    /* Security: users can only see and act on their own jobs. The row decides, also for jobs in memory. */
    call_query(c, job_select(c->orch->db, call_owner(c), id), on_found, NULL);
}

void job_find(struct call *c, job_then_f then)
{
    find(c, then, false);
}

static void reply_job(struct call *c, struct job *j)
{
    char *text = job_text(j);
    arena_keep(&c->arena, text, free);
    call_reply_text(c, 200, text);
}

void job_get(struct call *c)
{
    find(c, reply_job, true);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

struct listing {
    struct call_page page;
    struct job_filter filter;
};

static void on_list(struct call *c, const struct db_results *r)
{
    struct listing *l = c->data;
    int rows = db_rows(r, 0), shown = rows > l->page.limit ? (int)l->page.limit : rows;
    int64_t last = 0;
    json_t *items = json_array();
    for (int i = 0; i < shown; i++) {
        struct job *row = job_from_row(r, 0, i), *live = jobs_find(c->orch->jobs, row->id);
        json_array_append_new(items, job_json(shown_of(c, row, live)));
        last = row->id;
        job_destroy(row);
    }
    char *key = arena_printf(&c->arena, "%lld", (long long)last);
    call_reply_json(c, 200,
                    json_pack("{s:o, s:o}", "items", items, "next_cursor",
                              rows > shown ? json_string(call_cursor(c, key)) : json_null()));
}

static struct listing *read_listing(struct call *c)
{
    struct err err = {0};
    struct listing *l = arena_alloc(&c->arena, sizeof(*l));
    int64_t before = 0;
    if (call_page(c, &l->page, &err) == 0 && l->page.cursor && parse_id(l->page.cursor, &before) < 0)
        err_set(&err, ERR_INVALID, "?cursor= is not one that this server gave");
    if (err.code != ERR_NONE) {
        call_reply_err(c, &err);
        return NULL;
    }
    l->filter = (struct job_filter){.states = call_query_param(c, "state"),
                                    .task = call_query_param(c, "task"),
                                    .owner_name = call_query_param(c, "owner"),
                                    .before = before,
                                    .limit = l->page.limit + 1};
    c->data = l;
    return l;
}

void jobs_get(struct call *c)
{
    struct listing *l = read_listing(c);
    if (l)
        call_query(c, job_list(c->orch->db, call_owner(c), &l->filter), on_list, NULL);
}

static void on_task_there(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0) {
        task_not_found(c, c->params[0]);
        return;
    }
    struct listing *l = read_listing(c);
    if (!l)
        return;
    l->filter.task = c->params[0];
    l->filter.train_only = true;
    call_query(c, job_list(c->orch->db, call_owner(c), &l->filter), on_list, NULL);
}

void instances_get(struct call *c)
{
    call_query(c, task_id(c->orch->db, call_owner(c), c->params[0]), on_task_there, NULL);
}

/* --- acting on one -------------------------------------------------------------------------------------- */

static void on_acted(const struct job *j, const char *text, void *arg)
{
    struct call *c = arg;
    (void)j;
    call_reply_text(c, 200, arena_strdup(&c->arena, text));
}

static void act(struct call *c, struct job *j, enum job_event event, struct job_change *change)
{
    struct err err = {0};
    if (jobs_move(c->orch->jobs, j, event, change, on_acted, c, &err) < 0)
        call_reply_err(c, &err);
}

static void cancel(struct call *c, struct job *j)
{
    struct job_change change = {.stopping = "cancel", .detail = json_pack("{s:s}", "by", c->user.name)};
    struct dispatch *dispatch = c->orch->dispatch;
    struct err err = {0};
    if (jobs_move(c->orch->jobs, j, JOB_EV_CANCEL, &change, on_acted, c, &err) < 0)
        call_reply_err(c, &err);
    else if (
        job_state_is_active(
            j->state)) /* the agents may begin at once: the reply waits for the commit, the end need not */
        dispatch_stop(dispatch, j, 10);
}

static void hold(struct call *c, struct job *j)
{
    struct job_change change = {.detail = json_pack("{s:s}", "by", c->user.name)};
    act(c, j, JOB_EV_HOLD, &change);
}

static void release(struct call *c, struct job *j)
{
    struct job_change change = {.detail = json_pack("{s:s}", "by", c->user.name)};
    act(c, j, JOB_EV_RELEASE, &change);
}

static void requeue(struct call *c, struct job *j)
{
    struct err err = {0};
    struct job_change change = {.detail = json_pack("{s:s}", "by", c->user.name)};
    if (job_state_is_active(j->state)) {
        json_decref(change.detail);
        call_fail(c, ERR_CONFLICT, "a job that is %s cannot be requeued; cancel it first",
                  job_state_name(j->state));
        return;
    }
    bool over = job_state_is_final(j->state) && !jobs_find(c->orch->jobs, j->id);
    if (over)
        jobs_adopt(c->orch->jobs, j);
    if (jobs_move(c->orch->jobs, j, JOB_EV_REQUEUE, &change, on_acted, c, &err) < 0) {
        call_reply_err(c, &err);
        if (over)
            jobs_disown(c->orch->jobs, j);
    }
}

void job_cancel(struct call *c)
{
    job_find(c, cancel);
}

void job_hold(struct call *c)
{
    job_find(c, hold);
}

void job_release(struct call *c)
{
    job_find(c, release);
}

void job_requeue(struct call *c)
{
    job_find(c, requeue);
}

/* --- taking one in -------------------------------------------------------------------------------------- */

struct entering {
    struct call *call;
    const int64_t *asset_ids;
    int count;
    const char *digest;
    int64_t size;
    char *text, *location;
};

static void with_entry(struct db_batch *b, const struct job *j, void *arg)
{
    struct entering *e = arg;
    for (int i = 0; i < e->count; i++)
        job_asset_add(b, j->id, e->asset_ids[i]);
    if (e->digest) {
        blob_row_add(b, e->digest, e->size);
        job_blob_add(b, j->id, e->digest);
    }
    e->text = job_text(j);
    arena_keep(&e->call->arena, e->text, free);
    e->location = arena_printf(&e->call->arena, "/api/v1/jobs/%lld", (long long)j->id);
    call_answer_with(e->call, b, 201, e->location, e->text);
}

static void on_entered(const struct job *j, const char *text, void *arg)
{
    struct entering *e = arg;
    (void)j;
    (void)text;
    call_reply_created(e->call, e->location, e->text);
}

void job_enqueue(struct call *c, struct job *j, const int64_t *asset_ids, int count, const char *digest)
{
    struct entering *e = arena_alloc(&c->arena, sizeof(*e));
    *e = (struct entering){.call = c, .asset_ids = asset_ids, .count = count, .digest = digest};
    if (digest)
        blob_exists(c->orch->blobs, digest, &e->size);
    struct job_change change = {
        .with = with_entry, .with_arg = e, .detail = json_pack("{s:s}", "by", c->user.name)};
    jobs_submit(c->orch->jobs, j, &change, on_entered, e);
}

static int ask(const json_t *o, const char *key, int64_t fallback, int64_t min, int64_t max, json_t *out,
               struct err *err)
{
    int64_t v = fallback;
    if (json_get_int(o, key, false, &v, err) < 0)
        return -1;
    if (v < min || v > max)
        return err_set(err, ERR_INVALID, "\"%s\" must be from %lld to %lld, not %lld", key, (long long)min,
                       (long long)max, (long long)v);
    json_object_set_new(out, key, json_integer(v));
    return 0;
}

static json_t *read_resources(const json_t *body, struct err *err)
{
    static const char *const members[] = {"ranks",         "cores_per_rank", "memory_bytes",
                                          "gpus_per_rank", "partition",      NULL};
    const json_t *given = json_object_get(body, "resources");
    json_t *none = json_object(), *out = json_object();
    const json_t *o = given ? given : none;
    const char *partition = "default";
    int rc = json_only_members(o, members, err);
    if (rc == 0)
        rc = ask(o, "ranks", 1, 1, 1024, out, err);
    if (rc == 0)
        rc = ask(o, "cores_per_rank", 1, 1, 4096, out, err);
    if (rc == 0)
        rc = ask(o, "memory_bytes", 0, 0, (int64_t)1 << 50, out, err);
    if (rc == 0)
        rc = ask(o, "gpus_per_rank", 0, 0, 1, out, err);
    if (rc == 0)
        rc = json_get_str(o, "partition", false, &partition, err);
    if (rc == 0 && strcmp(partition, "default") != 0)
        rc = err_set(err, ERR_INVALID, "there is no partition \"%.64s\"; there is: default", partition);
    json_object_set_new(out, "partition", json_string(partition));
    json_decref(none);
    if (rc < 0) {
        err_prefix(err, "resources");
        json_decref(out);
        return NULL;
    }
    return out;
}

struct job *job_new(struct call *c, const json_t *body, struct err *err)
{
    const char *name = NULL;
    int64_t limit = 0, priority = 0;
    if (json_get_str(body, "name", false, &name, err) < 0 ||
        json_get_int(body, "time_limit_seconds", false, &limit, err) < 0 ||
        json_get_int(body, "priority", false, &priority, err) < 0)
        return NULL;
    if (name && (strlen(name) == 0 || strlen(name) > 200)) {
        err_set(err, ERR_INVALID, "\"name\" must have 1 to 200 characters");
        return NULL;
    }
    if (limit < 0 || limit > 10 * 365 * 86400LL) {
        err_set(err, ERR_INVALID, "\"time_limit_seconds\" must be from 1 to ten years, or 0 for none");
        return NULL;
    }
    /* Security: only operators raise a job above others. */
    if (priority < -1000000 ||
        priority > (c->user.role >= ROLE_OPERATOR && c->user.role <= ROLE_ADMIN ? 1000000 : 0)) {
        err_set(err, priority > 0 && priority <= 1000000 ? ERR_FORBIDDEN : ERR_INVALID,
                "\"priority\" may be from -1000000 to 0 (operators: to 1000000)");
        return NULL;
    }
    json_t *resources = read_resources(body, err);
    if (!resources)
        return NULL;
    struct job *j = job_create();
    j->owner_id = c->user.id;
    j->owner = xstrdup(c->user.name);
    j->name = xstrdup(name ? name : "job");
    j->priority = priority;
    j->spec = json_pack("{s:o, s:o}", "resources", resources, "time_limit_seconds",
                        limit > 0 ? json_integer(limit) : json_null());
    return j;
}

/* --- a batch script ------------------------------------------------------------------------------------- */

static int store_script(struct call *c, const char *script, char digest[SHA256_HEX], struct err *err)
{
    int64_t size;
    struct blob_writer *w = blob_writer_create(c->orch->blobs, err);
    if (!w)
        return -1;
    if (blob_writer_add(w, script, strlen(script), err) < 0) {
        blob_writer_discard(w);
        return -1;
    }
    return blob_writer_finish(w, NULL, digest, &size, err);
}

static int check_words(const json_t *body, struct err *err)
{
    const json_t *arguments = json_object_get(body, "arguments"),
                 *environment = json_object_get(body, "environment"), *v;
    const char *key;
    size_t i;
    if (arguments && (!json_is_array(arguments) || json_array_size(arguments) > 1000))
        return err_set(err, ERR_INVALID, "\"arguments\" must be an array of at most 1000 strings");
    json_array_foreach(arguments, i, v) if (!json_is_string(v)) return err_set(
        err, ERR_INVALID, "argument %zu must be a string", i);
    if (environment && (!json_is_object(environment) || json_object_size(environment) > 1000))
        return err_set(err, ERR_INVALID, "\"environment\" must be an object of at most 1000 strings");
    json_object_foreach((json_t *)(uintptr_t)environment, key, v)
    {
        if (!json_is_string(v) || !*key || strchr(key, '='))
            return err_set(err, ERR_INVALID, "environment \"%.60s\" must be a name with a string", key);
    }
    return 0;
}

/* A batch job on its way, while its task is looked up. */
struct batch {
    struct job *job; /* NULL once it is given away */
    const char *digest, *task;
};

static void batch_drop(void *arg)
{
    struct batch *b = arg;
    job_destroy(b->job);
    free(b);
}

static void enqueue_batch(struct call *c, struct batch *b)
{
    struct job *j = b->job;
    b->job = NULL;
    job_enqueue(c, j, NULL, 0, b->digest);
}

static void on_batch_task(struct call *c, const struct db_results *r)
{
    struct batch *b = c->data;
    if (db_rows(r, 0) == 0) {
        task_not_found(c, b->task);
        return;
    }
    b->job->task = xstrdup(b->task);
    b->job->task_id = db_int(r, 0, 0, 0);
    enqueue_batch(c, b);
}

static void submit_batch(struct call *c)
{
    static const char *const members[] = {
        "kind",     "name",      "script",      "task", "resources", "time_limit_seconds",
        "priority", "arguments", "environment", "held", NULL};
    struct err err = {0};
    const char *kind = "batch", *script = NULL, *task = NULL;
    bool held = false;
    char digest[SHA256_HEX];
    struct job *j = NULL;
    int rc = json_only_members(c->body, members, &err);
    if (rc == 0)
        rc = json_get_str(c->body, "kind", false, &kind, &err);
    if (rc == 0 && strcmp(kind, "batch") != 0)
        rc = err_set(
            &err, ERR_INVALID,
            "\"kind\" must be \"batch\" here; training runs are submitted at /tasks/{task}/instances");
    if (rc == 0)
        rc = json_get_str(c->body, "script", true, &script, &err);
    if (rc == 0 && strncmp(script, "#!", 2) != 0)
        rc = err_set(&err, ERR_INVALID,
                     "the script must begin with #! and its interpreter, such as #!/bin/sh");
    if (rc == 0)
        rc = json_get_str(c->body, "task", false, &task, &err);
    if (rc == 0)
        rc = json_get_bool(c->body, "held", false, &held, &err);
    if (rc == 0)
        rc = check_words(c->body, &err);
    if (rc == 0 && !(j = job_new(c, c->body, &err)))
        rc = -1;
    if (rc == 0)
        rc = store_script(c, script, digest, &err);
    if (rc < 0) {
        job_destroy(j);
        call_reply_err(c, &err);
        return;
    }
    j->held = held;
    json_object_set_new(j->spec, "script", json_string(digest));
    static const char *const copied[] = {"arguments", "environment"};
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(c->body, copied[i]))
            json_object_set(j->spec, copied[i], json_object_get(c->body, copied[i]));
    struct batch *b = xcalloc(1, sizeof(*b));
    *b = (struct batch){j, arena_strdup(&c->arena, digest), task};
    arena_keep(&c->arena, b, batch_drop);
    c->data = b;
    /* Security: the task is looked up for this caller; those of others are not there. */
    if (task)
        call_query(c, task_id(c->orch->db, call_owner(c), task), on_batch_task, NULL);
    else
        enqueue_batch(c, b);
}

void job_submit(struct call *c)
{
    call_read_json(c, 4 << 20, submit_batch);
}

/* --- again ---------------------------------------------------------------------------------------------- */

static void clone(struct call *c, struct job *j)
{
    struct job *copy = job_create();
    copy->train = j->train;
    copy->owner_id = c->user.id;
    copy->owner = xstrdup(c->user.name);
    copy->task_id = j->task_id;
    copy->task = xstrdup(j->task);
    copy->name = xstrdup(j->name);
    copy->priority = j->priority > 0 ? 0 : j->priority;
    copy->spec = json_deep_copy(j->spec);
    json_object_set_new(copy->spec, "resubmitted_from", json_integer(j->id));
    const json_t *ids = json_object_get(j->spec, "asset_ids");
    size_t n = json_array_size(ids);
    int64_t *list = arena_alloc(&c->arena, (n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = json_integer_value(json_array_get(ids, i));
    const char *script = json_string_value(json_object_get(j->spec, "script"));
    job_enqueue(c, copy, list, (int)n, script ? arena_strdup(&c->arena, script) : NULL);
}

static void claim_clone(struct call *c)
{
    job_find(c, clone);
}

void job_clone(struct call *c)
{
    call_claim(c, claim_clone);
}
