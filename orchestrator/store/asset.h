/* asset: datasets, algorithms, layers, models: immutable versions inside a task. owner 0: sees all. kind is
 * singular. */
#ifndef ORCHESTRATOR_STORE_ASSET_H
#define ORCHESTRATOR_STORE_ASSET_H

#include "orchestrator/store/db.h"

struct asset_row {
    const char *task, *kind, *name, *description;
    const char *metadata; /* JSON object */
    const char *digest;
    int64_t size;
    const char *packed_digest; /* datasets; else NULL */
    int64_t packed_size;
    const char *verification; /* JSON; its "ok" is true */
    int64_t user_id;          /* who makes it */
};

/* Add the next version, or find the one with these bytes and this metadata. Also enters the blobs. The last
 * statement's row, none when there is no such task: JSON, created (bool), version, event seq, event data; its
 * index in *statement. */
struct db_batch *asset_insert(struct db *db, int64_t owner, const struct asset_row *a, int *statement);
/* Is there such a version already? One row: JSON. */
struct db_batch *asset_same(struct db *db, int64_t owner, const char *task, const char *kind,
                            const char *name, const char *digest, const char *metadata);

/* One version (0: the newest). One row with these columns: */
enum {
    ASSET_JSON,
    ASSET_ID,
    ASSET_TASK_ID,
    ASSET_NAME,
    ASSET_VERSION,
    ASSET_DIGEST,
    ASSET_SIZE,
    ASSET_PACKED_DIGEST,
    ASSET_PACKED_SIZE,
    ASSET_VERIFICATION,
};
struct db_batch *asset_select(struct db *db, int64_t owner, const char *task, const char *kind,
                              const char *name, int64_t version);
/* The same as one more statement of a read batch; its index. */
int asset_select_add(struct db_batch *b, int64_t owner, const char *task, const char *kind, const char *name,
                     int64_t version);

/* Rows: JSON without the long parts of the summary (graph, preview), sort key. all: every version, else the
 * newest of each. */
struct db_batch *asset_list(struct db *db, int64_t owner, const char *task, const char *kind, bool all,
                            const char *after, int64_t limit);

/* Statement 0: a row when it is there, with the id of a job that uses it or NULL; statement 1: a row when
 * deleted: event seq, event data. */
struct db_batch *asset_delete(struct db *db, int64_t owner, const char *task, const char *kind,
                              const char *name, int64_t version);

/* The newest version of every layer of a task: name, version, digest, size, id. Statement 0 of a batch, or
 * one more. */
struct db_batch *layer_list(struct db *db, int64_t owner, const char *task);
int layer_list_add(struct db_batch *b, int64_t owner, const char *task);
#define LAYERS_MAX 256 /* of a task that a verification is given */

/* For "did you mean": statement 0 has the task's id if it is there, statement 1 names of this kind in it,
 * statement 2 names of tasks. */
struct db_batch *asset_names(struct db *db, int64_t owner, const char *task, const char *kind);

#endif
