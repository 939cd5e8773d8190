#include "orchestrator/store/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int record_stream_parse(const char *name, enum record_stream *out)
{
    *out = !strcmp(name, "metrics") ? RECORD_METRICS : RECORD_LOGS;
    return !strcmp(name, "metrics") || !strcmp(name, "logs") ? 0 : -1;
}

void record_insert_add(struct db_batch *b, enum record_stream s, int64_t job, int fence, int64_t first,
                       const json_t *lines)
{
    db_add(b, s == RECORD_METRICS
                  ? "INSERT INTO metric (job_id, fence, line, record) SELECT $1, $2, $3::bigint + n - 1, r "
                    "FROM json_array_elements($4::json) WITH ORDINALITY AS l (r, n) ON CONFLICT DO NOTHING"
                  : "INSERT INTO log_line (job_id, fence, line, record) SELECT $1, $2, $3::bigint + n - 1, r "
                    "FROM json_array_elements($4::json) WITH ORDINALITY AS l (r, n) ON CONFLICT DO NOTHING");
    db_bind_int(b, job);
    db_bind_int(b, fence);
    db_bind_int(b, first);
    char *text = json_text(lines);
    db_bind_str(b, text);
    free(text);
}

struct db_batch *record_next(struct db *db, const char *jobs_json, const char *fences_json)
{
    /* A write batch, so that it sees what was submitted before it. */
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "SELECT j.v::text::bigint, f.v::text::int, "
              "coalesce((SELECT max(line) FROM metric m WHERE m.job_id = j.v::text::bigint AND m.fence = "
              "f.v::text::int), 0) + 1, "
              "coalesce((SELECT max(line) FROM log_line m WHERE m.job_id = j.v::text::bigint AND m.fence = "
              "f.v::text::int), 0) + 1 "
              "FROM json_array_elements($1::json) WITH ORDINALITY AS j (v, n) JOIN "
              "json_array_elements($2::json) WITH ORDINALITY AS f (v, n) USING (n)");
    db_bind_str(b, jobs_json);
    db_bind_str(b, fences_json);
    return b;
}

#define SEQ "((m.fence::bigint << 40) + m.line)"
#define ROW                                                                                                  \
    "SELECT " SEQ                                                                                            \
    ", json_build_object('attempt', m.fence, 'record', m.record), json_build_object('seq', " SEQ             \
    ", 'attempt', m.fence, 'record', m.record) "
#define AFTER                                                                                                \
    "WHERE m.job_id = $1 AND (m.fence, m.line) > (($2::bigint >> 40)::int, $2::bigint & 1099511627775) "

struct db_batch *record_page(struct db *db, enum record_stream s, int64_t job, int64_t since, int64_t limit,
                             bool all)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    if (s == RECORD_LOGS)
        db_add(b, ROW "FROM log_line m " AFTER "ORDER BY m.fence, m.line LIMIT $3");
    else if (all)
        db_add(b, ROW "FROM metric m " AFTER "ORDER BY m.fence, m.line LIMIT $3");
    else
        db_add(
            b, ROW
            "FROM metric m " AFTER "AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.job_id = m.job_id AND "
            "a.fence > m.fence AND a.resume_step IS NOT NULL "
            "AND (m.record ->> 'step')::double precision > a.resume_step) ORDER BY m.fence, m.line LIMIT $3");
    db_bind_int(b, job);
    db_bind_int(b, since);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *record_tail(struct db *db, int64_t job, int64_t n)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(
        b,
        "SELECT * FROM (" ROW
        "FROM log_line m WHERE m.job_id = $1 ORDER BY m.fence DESC, m.line DESC LIMIT $2) AS x ORDER BY 1");
    db_bind_int(b, job);
    db_bind_int(b, n);
    return b;
}

void artifact_insert_add(struct db_batch *b, int64_t job, int fence, const char *name, const char *kind,
                         const char *digest, int64_t size)
{
    db_add(b,
           "INSERT INTO artifact (job_id, fence, name, kind, digest, size) VALUES ($1, $2, $3, $4, $5, $6) "
           "ON CONFLICT (job_id, fence, name) DO UPDATE SET kind = excluded.kind, digest = excluded.digest, "
           "size = excluded.size");
    db_bind_int(b, job);
    db_bind_int(b, fence);
    db_bind_str(b, name);
    db_bind_str(b, kind);
    db_bind_str(b, digest);
    db_bind_int(b, size);
}

struct db_batch *artifact_list(struct db *db, int64_t job)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT DISTINCT ON (name) json_build_object('name', name, 'kind', kind, 'size', size, "
              "'digest', digest, 'attempt', fence, "
              "'created', rfc3339(created)), name FROM artifact WHERE job_id = $1 ORDER BY name, fence DESC");
    db_bind_int(b, job);
    return b;
}

struct db_batch *artifact_select(struct db *db, int64_t job, const char *name)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b,
           "SELECT digest, size FROM artifact WHERE job_id = $1 AND name = $2 ORDER BY fence DESC LIMIT 1");
    db_bind_int(b, job);
    db_bind_str(b, name);
    return b;
}

struct db_batch *checkpoint_newest(struct db *db, int64_t job)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE); /* in order with the inserts */
    db_add(b, "SELECT digest FROM artifact WHERE job_id = $1 AND kind = 'checkpoint' ORDER BY fence DESC, "
              "name DESC LIMIT 1");
    db_bind_int(b, job);
    return b;
}

struct db_batch *blob_for_node(struct db *db, const char *node, const char *digest)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT 1 FROM job j WHERE j.ended IS NULL AND $1 = ANY(j.nodes) AND ("
              "EXISTS (SELECT 1 FROM job_asset x JOIN asset a ON a.id = x.asset_id WHERE x.job_id = j.id AND "
              "(a.digest = $2 OR a.packed_digest = $2)) "
              "OR EXISTS (SELECT 1 FROM job_blob x WHERE x.job_id = j.id AND x.digest = $2) "
              "OR EXISTS (SELECT 1 FROM artifact x WHERE x.job_id = j.id AND x.kind = 'checkpoint' AND "
              "x.digest = $2)) LIMIT 1");
    db_bind_str(b, node);
    db_bind_str(b, digest);
    return b;
}

struct db_batch *record_last(struct db *db, enum record_stream s, int64_t job)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, s == RECORD_METRICS
                  ? "SELECT " SEQ
                    " FROM metric m WHERE m.job_id = $1 ORDER BY m.fence DESC, m.line DESC LIMIT 1"
                  : "SELECT " SEQ
                    " FROM log_line m WHERE m.job_id = $1 ORDER BY m.fence DESC, m.line DESC LIMIT 1");
    db_bind_int(b, job);
    return b;
}
