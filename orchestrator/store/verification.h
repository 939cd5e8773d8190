/* verification: what was found out about bytes before, so that the same need not be checked twice. */
#ifndef ORCHESTRATOR_STORE_VERIFICATION_H
#define ORCHESTRATOR_STORE_VERIFICATION_H

#include "orchestrator/store/db.h"

struct verification_key {
    const char *digest, *kind, *context, *trainer;
};

/* One row: result, packed digest, packed size. */
struct db_batch *verification_select(struct db *db, const struct verification_key *k);
/* packed_digest NULL: none; its blob row is entered too. */
struct db_batch *verification_insert(struct db *db, const struct verification_key *k, const char *result,
                                     const char *packed_digest, int64_t packed_size);

#endif
