/* collect: removes blobs that nothing refers to: the row first, then the file, so that no row is ever without
 * its file. At start also files without a row (a crash between storing and committing). Fresh and pinned ones
 * are left. */
#ifndef ORCHESTRATOR_BLOB_COLLECT_H
#define ORCHESTRATOR_BLOB_COLLECT_H

#include "orchestrator/orch.h"

struct collector;

struct collector *collector_create(struct orch *orch);
void collector_destroy(struct collector *c);

#endif
