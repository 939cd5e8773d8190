#include "orchestrator/store/task.h"

#include <stdlib.h>

#define COUNT(kind)                                                                                          \
    "(SELECT count(*) FROM asset_name n WHERE n.task_id = t.id AND n.kind = '" kind "' AND EXISTS "          \
    "(SELECT 1 FROM asset a WHERE a.name_id = n.id))"

/* Of rows `t` (task) and `u` (its owner). */
#define TASK_JSON                                                                                            \
    "json_build_object('name', t.name, 'description', t.description, 'type', t.type, 'owner', u.name, "      \
    "'labels', to_json(t.labels), "                                                                          \
    "'created', rfc3339(t.created), 'updated', rfc3339(t.updated), 'counts', json_build_object("             \
    "'datasets', " COUNT("dataset") ", 'algorithms', " COUNT("algorithm") ", 'layers', " COUNT(              \
        "layer") ", 'models', " COUNT("model") ", "                                                          \
                                               "'instances', coalesce((SELECT sum(i.instances) FROM "        \
                                               "task_instances i WHERE i.task_id = t.id), 0)::bigint))"

#define MINE(n) "($" #n "::bigint = 0 OR t.owner = $" #n ")"

struct db_batch *task_insert(struct db *db, int64_t owner_id, const char *name, const struct task_fields *f)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(
        b,
        "WITH t AS (INSERT INTO task (name, owner, description, type, labels) VALUES ($1, $2, coalesce($3, "
        "''), coalesce($4, 'other'), "
        "ARRAY(SELECT json_array_elements_text(coalesce($5, '[]')::json))) RETURNING *), "
        "e AS (SELECT topic_event('task/' || t.name, '{\"what\":\"task\",\"action\":\"created\"}') AS seq "
        "FROM t) "
        "SELECT " TASK_JSON
        ", e.seq, '{\"what\":\"task\",\"action\":\"created\"}' FROM t JOIN app_user u ON u.id = t.owner, e");
    db_bind_str(b, name);
    db_bind_int(b, owner_id);
    db_bind_str(b, f->description);
    db_bind_str(b, f->type);
    db_bind_str(b, f->labels);
    return b;
}

struct db_batch *task_select(struct db *db, int64_t owner, const char *name)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT " TASK_JSON
              " FROM task t JOIN app_user u ON u.id = t.owner WHERE t.name = $1 AND " MINE(2));
    db_bind_str(b, name);
    db_bind_int(b, owner);
    return b;
}

struct db_batch *task_update(struct db *db, int64_t owner, const char *name, const struct task_fields *f)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b,
           "WITH t AS (UPDATE task t SET description = coalesce($3, description), type = coalesce($4, type), "
           "labels = CASE WHEN $5::text IS NULL THEN labels ELSE ARRAY(SELECT "
           "json_array_elements_text($5::json)) END, updated = now() "
           "WHERE t.name = $1 AND " MINE(2) " RETURNING *), "
                                            "e AS (SELECT topic_event('task/' || t.name, "
                                            "'{\"what\":\"task\",\"action\":\"changed\"}') AS seq FROM t) "
                                            "SELECT " TASK_JSON
                                            ", e.seq, '{\"what\":\"task\",\"action\":\"changed\"}' FROM t "
                                            "JOIN app_user u ON u.id = t.owner, e");
    db_bind_str(b, name);
    db_bind_int(b, owner);
    db_bind_str(b, f->description);
    db_bind_str(b, f->type);
    db_bind_str(b, f->labels);
    return b;
}

struct db_batch *task_list(struct db *db, int64_t owner, const char *q, const char *label, const char *after,
                           int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT " TASK_JSON ", t.name FROM task t JOIN app_user u ON u.id = t.owner WHERE " MINE(
                  1) " AND ($2::text IS NULL OR "
                     "position(lower($2) IN lower(t.name)) > 0 OR position(lower($2) IN "
                     "lower(t.description)) > 0) AND ($3::text IS NULL OR $3 = ANY(t.labels)) "
                     "AND ($4::text IS NULL OR t.name > $4) ORDER BY t.name LIMIT $5");
    db_bind_int(b, owner);
    db_bind_str(b, q);
    db_bind_str(b, label);
    db_bind_str(b, after);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *task_delete(struct db *db, int64_t owner, const char *name)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "SELECT (SELECT min(job) FROM task_busy y WHERE y.task_id = t.id) FROM task t WHERE t.name = "
              "$1 AND " MINE(2));
    db_bind_str(b, name);
    db_bind_int(b, owner);
    db_add(b, "WITH gone AS (DELETE FROM task t WHERE t.name = $1 AND " MINE(
                  2) " AND NOT EXISTS (SELECT 1 FROM task_busy y WHERE y.task_id = t.id) "
                     "RETURNING name) SELECT topic_event('task/' || name, "
                     "'{\"what\":\"task\",\"action\":\"deleted\"}'), "
                     "'{\"what\":\"task\",\"action\":\"deleted\"}' FROM gone");
    db_bind_str(b, name);
    db_bind_int(b, owner);
    return b;
}

struct db_batch *task_names(struct db *db, int64_t owner)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT t.name FROM task t WHERE " MINE(1) " ORDER BY t.updated DESC LIMIT 2000");
    db_bind_int(b, owner);
    return b;
}

int task_id_add(struct db_batch *b, int64_t owner, const char *name)
{
    int s = db_add(b, "SELECT t.id FROM task t WHERE t.name = $1 AND " MINE(2));
    db_bind_str(b, name);
    db_bind_int(b, owner);
    return s;
}

struct db_batch *task_id(struct db *db, int64_t owner, const char *name)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    task_id_add(b, owner, name);
    return b;
}
