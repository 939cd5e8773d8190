#include "orchestrator/store/verification.h"

#include "orchestrator/store/blob_row.h"

static void bind_key(struct db_batch *b, const struct verification_key *k)
{
    db_bind_str(b, k->digest);
    db_bind_str(b, k->kind);
    db_bind_str(b, k->context);
    db_bind_str(b, k->trainer);
}

struct db_batch *verification_select(struct db *db, const struct verification_key *k)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT result, packed_digest, packed_size FROM verification WHERE digest = $1 AND kind = $2 "
              "AND context = $3 AND trainer = $4");
    bind_key(b, k);
    return b;
}

struct db_batch *verification_insert(struct db *db, const struct verification_key *k, const char *result,
                                     const char *packed_digest, int64_t packed_size)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    if (packed_digest)
        blob_row_add(b, packed_digest, packed_size);
    db_add(b, "INSERT INTO verification (digest, kind, context, trainer, result, packed_digest, packed_size) "
              "VALUES ($1, $2, $3, $4, $5::json, $6::digest_text, "
              "CASE WHEN $6::digest_text IS NULL THEN NULL ELSE $7::bigint END) ON CONFLICT (digest, kind, "
              "context, "
              "trainer) DO UPDATE "
              "SET result = EXCLUDED.result, packed_digest = EXCLUDED.packed_digest, packed_size = "
              "EXCLUDED.packed_size, created = now()");
    bind_key(b, k);
    db_bind_str(b, result);
    db_bind_str(b, packed_digest);
    db_bind_int(b, packed_size);
    return b;
}
