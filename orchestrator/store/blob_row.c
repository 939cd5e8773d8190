#include "orchestrator/store/blob_row.h"

#include <stdlib.h>

void blob_row_add(struct db_batch *b, const char *digest, int64_t size)
{
    db_add(
        b,
        "INSERT INTO blob (digest, size) VALUES ($1, $2) ON CONFLICT (digest) DO UPDATE SET touched = now()");
    db_bind_str(b, digest);
    db_bind_int(b, size);
}

struct db_batch *blob_collect(struct db *db, const char *pinned, int64_t grace_seconds)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    /* A reference that the view does not know would be a foreign key and make this fail, not lose a blob. */
    db_add(b, "DELETE FROM blob WHERE digest IN (SELECT b.digest FROM blob b WHERE b.touched < now() - "
              "$2::bigint * interval '1 second' "
              "AND NOT EXISTS (SELECT 1 FROM blob_reference r WHERE r.digest = b.digest) AND b.digest <> ALL "
              "(string_to_array($1, ',')) "
              "ORDER BY b.touched LIMIT 200) RETURNING digest");
    db_bind_str(b, pinned);
    db_bind_int(b, grace_seconds);
    return b;
}

struct db_batch *blob_unknown(struct db *db, const char *digests)
{
    struct db_batch *b =
        db_batch_create(db, DB_WRITE); /* in order with the writes that may have just entered one */
    db_add(b, "SELECT d FROM unnest(string_to_array($1, ',')) d WHERE NOT EXISTS (SELECT 1 FROM blob b WHERE "
              "b.digest = d)");
    db_bind_str(b, digests);
    return b;
}
