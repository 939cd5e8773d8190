/* node: rows of nodes and partitions. */
#ifndef ORCHESTRATOR_STORE_NODE_H
#define ORCHESTRATOR_STORE_NODE_H

#include "orchestrator/store/db.h"

void node_seen_add(struct db_batch *b, const char *name, int64_t cores, int64_t memory, const char *gpus_json,
                   const char *hostname, const char *version);
void node_drain_add(struct db_batch *b, const char *name, bool drained, const char *reason);
struct db_batch *node_all(struct db *db);      /* rows: name, cores, memory, gpus, hostname, version, drained,
                                                  reason, last_seen (epoch) */
struct db_batch *partition_all(struct db *db); /* rows: JSON, name */

#endif
