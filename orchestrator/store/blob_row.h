/* blob_row: the rows that stand for blobs. */
#ifndef ORCHESTRATOR_STORE_BLOB_ROW_H
#define ORCHESTRATOR_STORE_BLOB_ROW_H

#include "orchestrator/store/db.h"

/* Add to a batch: the blob is there (or still there: it becomes fresh again). Before any row that refers to
 * it. */
void blob_row_add(struct db_batch *b, const char *digest, int64_t size);

/* Delete up to 200 rows that nothing refers to, not stored or asked for in the last `grace` seconds, and not
 * in pinned (comma-separated digests). Rows: digest. */
struct db_batch *blob_collect(struct db *db, const char *pinned, int64_t grace_seconds);
/* Of the comma-separated digests, those that have no row. Rows: digest. */
struct db_batch *blob_unknown(struct db *db, const char *digests);

#endif
