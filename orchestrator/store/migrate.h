/* migrate: brings a database to this program's schema. */
#ifndef ORCHESTRATOR_STORE_MIGRATE_H
#define ORCHESTRATOR_STORE_MIGRATE_H

#include "base/err.h"

/* Apply the files of schema/ that the database lacks, in order, each in its own transaction, under an
 * advisory lock. Refuses a database that a newer program has migrated, and one whose applied files differ
 * from ours. Blocks. */
int migrate(const char *url, struct err *err);

#endif
