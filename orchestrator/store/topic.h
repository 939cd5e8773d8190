/* topic: topics whose events the database counts: task/T, queue, nodes. */
#ifndef ORCHESTRATOR_STORE_TOPIC_H
#define ORCHESTRATOR_STORE_TOPIC_H

#include "orchestrator/store/db.h"

/* Add the topic's next event to a write batch; the index of its statement, whose row's column 0 is the seq.
 * Publish with stream_publish() after the commit. */
int topic_event_add(struct db_batch *b, const char *topic, const char *json_data);
/* Rows after `since`: seq, data. */
struct db_batch *topic_event_page(struct db *db, const char *topic, int64_t since, int64_t limit);
struct db_batch *topic_last(struct db *db, const char *topic); /* one row: seq; none when the topic is new */

#endif
