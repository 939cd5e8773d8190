/* upload: resumable uploads in progress; their bytes are in STATE/uploads. owner 0: sees all. */
#ifndef ORCHESTRATOR_STORE_UPLOAD_H
#define ORCHESTRATOR_STORE_UPLOAD_H

#include "orchestrator/store/db.h"

#define UPLOADS_PER_USER 100

/* One row: expires as an HTTP date; none when the user has too many already. */
struct db_batch *upload_insert(struct db *db, const char *id, int64_t user_id, int64_t size,
                               const char *metadata, int64_t lifetime_seconds);
struct db_batch *upload_select(struct db *db, int64_t owner,
                               const char *id); /* size, metadata, expires as an HTTP date */
struct db_batch *upload_delete(struct db *db, int64_t owner, const char *id); /* affected */
struct db_batch *upload_expire(struct db *db); /* rows: ids that were removed */
struct db_batch *upload_ids(struct db *db);    /* rows: every id */

#endif
