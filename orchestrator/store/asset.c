#include "orchestrator/store/asset.h"

#include <stdlib.h>

#include "orchestrator/store/blob_row.h"

/* Of rows `a` (asset), `t` (its task) and `u` (who made it). */
#define JSON_WITH(verification)                                                                              \
    "json_build_object('kind', a.kind, 'name', a.name, 'version', a.version, 'task', t.name, "               \
    "'description', a.description, "                                                                         \
    "'metadata', a.metadata, 'digest', a.digest, 'size', a.size, 'created', rfc3339(a.created), "            \
    "'created_by', u.name, "                                                                                 \
    "'verification', " verification                                                                          \
    ", 'url', '/api/v1/tasks/' || t.name || '/' || a.kind || 's/' || a.name || '@' || a.version)"
#define FULL_JSON  JSON_WITH("a.verification")
#define BRIEF_JSON JSON_WITH("(a.verification::jsonb #- '{summary,graph}' #- '{summary,preview}')")

#define MINE(n) "($" #n "::bigint = 0 OR t.owner = $" #n ")"

struct db_batch *asset_insert(struct db *db, int64_t owner, const struct asset_row *a, int *statement)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    blob_row_add(b, a->digest, a->size);
    if (a->packed_digest)
        blob_row_add(b, a->packed_digest, a->packed_size);
    *statement = db_add(
        b, "WITH t AS (SELECT t.id, t.name FROM task t WHERE t.name = $1 AND " MINE(
               2) "), "
                  "same AS (SELECT a.* FROM asset a JOIN t ON t.id = a.task_id WHERE a.kind = $3 AND a.name "
                  "= $4 AND a.digest = $5 "
                  "AND a.metadata = $6::jsonb ORDER BY a.version DESC LIMIT 1), "
                  "n AS (INSERT INTO asset_name (task_id, kind, name, last_version) SELECT id, $3, $4, 1 "
                  "FROM t WHERE NOT EXISTS (SELECT 1 FROM same) "
                  "ON CONFLICT (task_id, kind, name) DO UPDATE SET last_version = asset_name.last_version + "
                  "1 RETURNING *), "
                  "made AS (INSERT INTO asset (name_id, task_id, kind, name, version, description, metadata, "
                  "digest, size, packed_digest, packed_size, "
                  "verification, created_by) SELECT n.id, n.task_id, n.kind, n.name, n.last_version, $7, "
                  "$6::jsonb, $5, $8::bigint, $9::digest_text, "
                  "CASE WHEN $9::digest_text IS NULL THEN NULL ELSE $10::bigint END, $11::json, $12::bigint "
                  "FROM n "
                  "RETURNING *), "
                  "touched AS (UPDATE task SET updated = now() WHERE id IN (SELECT task_id FROM made)), "
                  "e AS (SELECT made.id, json_build_object('what', 'asset', 'action', 'created', 'kind', "
                  "made.kind, 'name', made.name, 'version', "
                  "made.version) AS data FROM made) "
                  "SELECT " FULL_JSON ", true, a.version, topic_event('task/' || t.name, e.data), e.data "
                  "FROM made a JOIN e ON e.id = a.id JOIN t ON t.id = a.task_id JOIN app_user u ON u.id = "
                  "a.created_by "
                  "UNION ALL SELECT " FULL_JSON ", false, a.version, NULL, NULL FROM same a JOIN t ON t.id = "
                  "a.task_id JOIN app_user u ON u.id = a.created_by");
    db_bind_str(b, a->task);
    db_bind_int(b, owner);
    db_bind_str(b, a->kind);
    db_bind_str(b, a->name);
    db_bind_str(b, a->digest);
    db_bind_str(b, a->metadata);
    db_bind_str(b, a->description);
    db_bind_int(b, a->size);
    db_bind_str(b, a->packed_digest);
    db_bind_int(b, a->packed_size);
    db_bind_str(b, a->verification);
    db_bind_int(b, a->user_id);
    return b;
}

struct db_batch *asset_same(struct db *db, int64_t owner, const char *task, const char *kind,
                            const char *name, const char *digest, const char *metadata)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT " FULL_JSON
              " FROM asset a JOIN task t ON t.id = a.task_id JOIN app_user u ON u.id = a.created_by WHERE "
              "t.name = $1 AND " MINE(2) " "
                                         "AND a.kind = $3 AND a.name = $4 AND a.digest = $5 AND a.metadata = "
                                         "$6::jsonb ORDER BY a.version DESC LIMIT 1");
    db_bind_str(b, task);
    db_bind_int(b, owner);
    db_bind_str(b, kind);
    db_bind_str(b, name);
    db_bind_str(b, digest);
    db_bind_str(b, metadata);
    return b;
}

int asset_select_add(struct db_batch *b, int64_t owner, const char *task, const char *kind, const char *name,
                     int64_t version)
{
    int s = db_add(b, "SELECT " FULL_JSON ", a.id, a.task_id, a.name, a.version, a.digest, a.size, "
                      "a.packed_digest, a.packed_size, a.verification "
                      "FROM asset a JOIN task t ON t.id = a.task_id JOIN app_user u ON u.id = a.created_by "
                      "WHERE t.name = $1 AND " MINE(2) " "
                                                       "AND a.kind = $3 AND a.name = $4 AND ($5::bigint = 0 "
                                                       "OR a.version = $5) ORDER BY a.version DESC LIMIT 1");
    db_bind_str(b, task);
    db_bind_int(b, owner);
    db_bind_str(b, kind);
    db_bind_str(b, name);
    db_bind_int(b, version);
    return s;
}

struct db_batch *asset_select(struct db *db, int64_t owner, const char *task, const char *kind,
                              const char *name, int64_t version)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    asset_select_add(b, owner, task, kind, name, version);
    return b;
}

struct db_batch *asset_list(struct db *db, int64_t owner, const char *task, const char *kind, bool all,
                            const char *after, int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    /* Versions count down within a name: the key puts the newest first. '!' sorts before what names are made
     * of. */
    db_add(b, "SELECT " BRIEF_JSON
              ", k.key FROM task t JOIN asset a ON a.task_id = t.id JOIN app_user u ON u.id = a.created_by, "
              "LATERAL (SELECT a.name || '!' || to_char(9999999999 - a.version, 'FM0000000000') COLLATE "
              "\"C\" AS key) k "
              "WHERE t.name = $1 AND " MINE(2) " AND a.kind = $3 AND ($4::bool OR NOT EXISTS (SELECT 1 FROM "
                                               "asset b WHERE b.name_id = a.name_id "
                                               "AND b.version > a.version)) AND ($5::text IS NULL OR k.key > "
                                               "$5 COLLATE \"C\") ORDER BY k.key LIMIT $6");
    db_bind_str(b, task);
    db_bind_int(b, owner);
    db_bind_str(b, kind);
    db_bind_bool(b, all);
    db_bind_str(b, after);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *asset_delete(struct db *db, int64_t owner, const char *task, const char *kind,
                              const char *name, int64_t version)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    static const char *const sql[] = {
        "SELECT (SELECT min(job) FROM asset_busy y WHERE y.asset_id = a.id) FROM asset a JOIN task t ON t.id "
        "= a.task_id "
        "WHERE t.name = $1 AND " MINE(2) " AND a.kind = $3 AND a.name = $4 AND a.version = $5",
        "WITH gone AS (DELETE FROM asset a USING task t WHERE t.id = a.task_id AND t.name = $1 AND " MINE(
            2) " AND a.kind = $3 AND a.name = $4 "
               "AND a.version = $5 AND NOT EXISTS (SELECT 1 FROM asset_busy y WHERE y.asset_id = a.id) "
               "RETURNING json_build_object('what', 'asset', 'action', 'deleted', 'kind', a.kind, 'name', "
               "a.name, 'version', a.version) AS data) "
               "SELECT topic_event('task/' || $1, data), data FROM gone",
    };
    for (int i = 0; i < 2; i++) {
        db_add(b, sql[i]);
        db_bind_str(b, task);
        db_bind_int(b, owner);
        db_bind_str(b, kind);
        db_bind_str(b, name);
        db_bind_int(b, version);
    }
    return b;
}

int layer_list_add(struct db_batch *b, int64_t owner, const char *task)
{
    int s = db_add(
        b, "SELECT DISTINCT ON (a.name) a.name, a.version, a.digest, a.size, a.id FROM asset a JOIN task t "
           "ON t.id = a.task_id "
           "WHERE t.name = $1 AND " MINE(2) " AND a.kind = 'layer' ORDER BY a.name, a.version DESC LIMIT $3");
    db_bind_str(b, task);
    db_bind_int(b, owner);
    db_bind_int(b, LAYERS_MAX);
    return s;
}

struct db_batch *layer_list(struct db *db, int64_t owner, const char *task)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    layer_list_add(b, owner, task);
    return b;
}

struct db_batch *asset_names(struct db *db, int64_t owner, const char *task, const char *kind)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT t.id FROM task t WHERE t.name = $1 AND " MINE(2));
    db_bind_str(b, task);
    db_bind_int(b, owner);
    db_add(b,
           "SELECT DISTINCT a.name FROM asset a JOIN task t ON t.id = a.task_id WHERE t.name = $1 AND " MINE(
               2) " AND a.kind = $3 LIMIT 2000");
    db_bind_str(b, task);
    db_bind_int(b, owner);
    db_bind_str(b, kind);
    db_add(b, "SELECT t.name FROM task t WHERE " MINE(1) " ORDER BY t.updated DESC LIMIT 2000");
    db_bind_int(b, owner);
    return b;
}
