#include "orchestrator/store/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static void bind_json(struct db_batch *b, const json_t *v)
{
    char *text = v ? json_text(v) : NULL;
    db_bind_str(b, text);
    free(text);
}

static void bind_time(struct db_batch *b, double t)
{
    if (t > 0)
        db_bind_real(b, t);
    else
        db_bind_null(b);
}

static void bind_code(struct db_batch *b, int code)
{
    if (code >= 0)
        db_bind_int(b, code);
    else
        db_bind_null(b);
}

void job_insert_add(struct db_batch *b, const struct job *j)
{
    db_add(
        b,
        "INSERT INTO job (id, kind, owner, task_id, name, spec, state, held, priority, event_seq, submitted) "
        "VALUES ($1, $2, $3, $4, $5, $6::json, $7, $8, $9, $10, $11)");
    db_bind_int(b, j->id);
    db_bind_str(b, j->train ? "train" : "batch");
    db_bind_int(b, j->owner_id);
    if (j->task_id)
        db_bind_int(b, j->task_id);
    else
        db_bind_null(b);
    db_bind_str(b, j->name);
    bind_json(b, j->spec);
    db_bind_str(b, job_state_name(j->state));
    db_bind_bool(b, j->held);
    db_bind_int(b, j->priority);
    db_bind_int(b, j->event_seq);
    db_bind_real(b, j->submitted);
}

void job_asset_add(struct db_batch *b, int64_t job, int64_t asset_id)
{
    db_add(b, "INSERT INTO job_asset (job_id, asset_id) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    db_bind_int(b, job);
    db_bind_int(b, asset_id);
}

void job_blob_add(struct db_batch *b, int64_t job, const char *digest)
{
    db_add(b, "INSERT INTO job_blob (job_id, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    db_bind_int(b, job);
    db_bind_str(b, digest);
}

void job_update_add(struct db_batch *b, const struct job *j)
{
    db_add(b, "UPDATE job SET state = $2, held = $3, priority = $4, attempt = $5, event_seq = $6, allocation "
              "= $7::json, "
              "nodes = ARRAY(SELECT json_array_elements_text($8::json)), stopping = $9, started = $10, ended "
              "= $11, exit_code = $12, "
              "signal = $13, failure = $14::json, progress = $15::json WHERE id = $1");
    db_bind_int(b, j->id);
    db_bind_str(b, job_state_name(j->state));
    db_bind_bool(b, j->held);
    db_bind_int(b, j->priority);
    db_bind_int(b, j->attempt);
    db_bind_int(b, j->event_seq);
    bind_json(b, j->allocation);
    json_t *none = json_array();
    bind_json(b, j->nodes ? j->nodes : none);
    json_decref(none);
    db_bind_str(b, j->stopping);
    bind_time(b, j->started);
    bind_time(b, j->ended);
    bind_code(b, j->exit_code);
    bind_code(b, j->signal);
    bind_json(b, j->failure);
    bind_json(b, j->progress);
}

void job_event_add(struct db_batch *b, const struct job *j, double at, const char *event, const char *from,
                   const char *detail, const char *job_text)
{
    db_add(b, "INSERT INTO job_event (job_id, seq, at, event, \"from\", \"to\", attempt, detail, job) "
              "VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json, $9::json)");
    db_bind_int(b, j->id);
    db_bind_int(b, j->event_seq);
    db_bind_real(b, at);
    db_bind_str(b, event);
    db_bind_str(b, from);
    db_bind_str(b, job_state_name(j->state));
    db_bind_int(b, j->attempt);
    db_bind_str(b, detail);
    db_bind_str(b, job_text);
}

void attempt_place_add(struct db_batch *b, const struct job *j, double at)
{
    db_add(b, "INSERT INTO attempt (job_id, fence, allocation, placed) VALUES ($1, $2, $3::json, $4)");
    db_bind_int(b, j->id);
    db_bind_int(b, j->attempt);
    bind_json(b, j->allocation);
    db_bind_real(b, at);
}

void attempt_over_add(struct db_batch *b, int64_t job, int fence)
{
    db_add(b, "UPDATE attempt SET over = true WHERE job_id = $1 AND fence = $2");
    db_bind_int(b, job);
    db_bind_int(b, fence);
}

void attempt_resume_add(struct db_batch *b, int64_t job, int fence, int64_t step)
{
    db_add(b, "UPDATE attempt SET resume_step = $3 WHERE job_id = $1 AND fence = $2");
    db_bind_int(b, job);
    db_bind_int(b, fence);
    db_bind_int(b, step);
}

void job_progress_add(struct db_batch *b, const struct job *j)
{
    db_add(b, "UPDATE job SET progress = $2::json WHERE id = $1");
    db_bind_int(b, j->id);
    bind_json(b, j->progress);
}

/* --- reading -------------------------------------------------------------------------------------------- */

#define COLUMNS                                                                                              \
    "SELECT j.id, j.kind, j.owner, u.name, j.task_id, t.name, j.name, j.spec, j.state, j.held, j.priority, " \
    "j.attempt, j.event_seq, "                                                                               \
    "j.allocation, to_json(j.nodes), j.stopping, j.submitted, j.started, j.ended, j.exit_code, j.signal, "   \
    "j.failure, j.progress "                                                                                 \
    "FROM job j JOIN app_user u ON u.id = j.owner LEFT JOIN task t ON t.id = j.task_id "

struct db_batch *job_select(struct db *db, int64_t owner, int64_t id)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, COLUMNS "WHERE j.id = $1 AND ($2::bigint = 0 OR j.owner = $2)");
    db_bind_int(b, id);
    db_bind_int(b, owner);
    return b;
}

struct db_batch *job_active(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, COLUMNS "WHERE j.ended IS NULL ORDER BY j.id");
    db_add(b, "SELECT coalesce(max(id), 0) FROM job");
    return b;
}

struct db_batch *job_list(struct db *db, int64_t owner, const struct job_filter *f)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, COLUMNS "WHERE ($1::bigint = 0 OR j.owner = $1) AND ($2::text IS NULL OR j.state = "
                      "ANY(string_to_array($2, ','))) "
                      "AND ($3::text IS NULL OR t.name = $3) AND ($4::text IS NULL OR u.name = $4) AND "
                      "($5::bigint = 0 OR j.id < $5) "
                      "AND (NOT $6::boolean OR j.kind = 'train') ORDER BY j.id DESC LIMIT $7");
    db_bind_int(b, owner);
    db_bind_str(b, f->states);
    db_bind_str(b, f->task);
    db_bind_str(b, f->owner_name);
    db_bind_int(b, f->before);
    db_bind_bool(b, f->train_only);
    db_bind_int(b, f->limit);
    return b;
}

static json_t *column_json(const struct db_results *r, int s, int row, int col)
{
    const char *text = db_str(r, s, row, col);
    return text ? json_parse(text, strlen(text), NULL, NULL, NULL) : NULL;
}

struct job *job_from_row(const struct db_results *r, int s, int row)
{
    struct job *j = job_create();
    j->id = db_int(r, s, row, 0);
    j->train = !strcmp(db_str(r, s, row, 1), "train");
    j->owner_id = db_int(r, s, row, 2);
    j->owner = xstrdup(db_str(r, s, row, 3));
    j->task_id = db_int(r, s, row, 4);
    j->task = xstrdup(db_str(r, s, row, 5));
    j->name = xstrdup(db_str(r, s, row, 6));
    j->spec = column_json(r, s, row, 7);
    job_state_parse(db_str(r, s, row, 8), &j->state);
    j->held = db_bool(r, s, row, 9);
    j->priority = db_int(r, s, row, 10);
    j->attempt = (int)db_int(r, s, row, 11);
    j->event_seq = (int)db_int(r, s, row, 12);
    j->allocation = column_json(r, s, row, 13);
    j->nodes = column_json(r, s, row, 14);
    snprintf(j->stopping, sizeof(j->stopping), "%s", db_str(r, s, row, 15));
    j->submitted = db_real(r, s, row, 16);
    j->started = db_real(r, s, row, 17);
    j->ended = db_real(r, s, row, 18);
    j->exit_code = db_str(r, s, row, 19) ? (int)db_int(r, s, row, 19) : -1;
    j->signal = db_str(r, s, row, 20) ? (int)db_int(r, s, row, 20) : -1;
    j->failure = column_json(r, s, row, 21);
    j->progress = column_json(r, s, row, 22);
    return j;
}

struct db_batch *job_events(struct db *db, int64_t job, int64_t since, int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT json_build_object('seq', seq, 'at', rfc3339(to_timestamp(at)), 'event', event, 'from', "
              "\"from\", 'to', \"to\", "
              "'attempt', attempt, 'detail', detail), seq FROM job_event WHERE job_id = $1 AND seq > $2 "
              "ORDER BY seq LIMIT $3");
    db_bind_int(b, job);
    db_bind_int(b, since);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *job_states(struct db *db, int64_t job, int64_t since, int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT seq, job FROM job_event WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3");
    db_bind_int(b, job);
    db_bind_int(b, since);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *job_owner(struct db *db, int64_t job)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT owner FROM job WHERE id = $1");
    db_bind_int(b, job);
    return b;
}

struct db_batch *job_state_last(struct db *db, int64_t job)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT event_seq FROM job WHERE id = $1");
    db_bind_int(b, job);
    return b;
}
