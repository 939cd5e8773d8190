/* task: tasks. owner 0: sees all. Each function gives a batch to submit. */
#ifndef ORCHESTRATOR_STORE_TASK_H
#define ORCHESTRATOR_STORE_TASK_H

#include "orchestrator/store/db.h"

/* NULL members are not changed (update) or take the default (insert). labels is a JSON array of strings. */
struct task_fields {
    const char *description, *type, *labels;
};

/* One row: JSON. ERR_EXISTS when the name is taken. */
struct db_batch *task_insert(struct db *db, int64_t owner_id, const char *name, const struct task_fields *f);
struct db_batch *task_select(struct db *db, int64_t owner, const char *name); /* one row: JSON */
/* One row: JSON, event seq, event data; none when there is no such task. */
struct db_batch *task_update(struct db *db, int64_t owner, const char *name, const struct task_fields *f);
/* Rows: JSON, name. q: part of name or description; label: one it must have. */
struct db_batch *task_list(struct db *db, int64_t owner, const char *q, const char *label, const char *after,
                           int64_t limit);
/* Statement 0: a row when the task is there, with the id of a job that is not over or NULL; statement 1: rows
 * deleted, with event seq and data. A job that refers to it may also give ERR_NOT_FOUND (foreign key). */
struct db_batch *task_delete(struct db *db, int64_t owner, const char *name);
struct db_batch *task_names(struct db *db, int64_t owner);                /* at most 2000 rows: name */
struct db_batch *task_id(struct db *db, int64_t owner, const char *name); /* one row: id */
int task_id_add(struct db_batch *b, int64_t owner, const char *name);     /* the same as one more statement */

#endif
