/* record: metrics and log lines by (job, fence, line); artifacts. seq = fence * 2^40 + line
 * (docs/architecture.md section 6). */
#ifndef ORCHESTRATOR_STORE_RECORD_H
#define ORCHESTRATOR_STORE_RECORD_H

#include <jansson.h>
#include "orchestrator/store/db.h"

#define RECORD_SEQ_SHIFT 40
static inline int64_t record_seq(int64_t fence, int64_t line)
{
    return (fence << RECORD_SEQ_SHIFT) + line;
}

enum record_stream { RECORD_METRICS, RECORD_LOGS };
int record_stream_parse(const char *name, enum record_stream *out);

/* Lines first, first + 1, ...; those that are there are left. lines: JSON array of objects. */
void record_insert_add(struct db_batch *b, enum record_stream s, int64_t job, int fence, int64_t first,
                       const json_t *lines);
/* One row for each (job, fence) pair given as parallel JSON arrays: job, fence, next metrics line, next log
 * line. */
struct db_batch *record_next(struct db *db, const char *jobs_json, const char *fences_json);
/* Rows: seq, {"attempt","record"} text, {"seq","attempt","record"} text. all false: metrics of earlier
 * attempts beyond the step at which a later one resumed are left out. */
struct db_batch *record_page(struct db *db, enum record_stream s, int64_t job, int64_t since, int64_t limit,
                             bool all);
struct db_batch *record_last(struct db *db, enum record_stream s,
                             int64_t job); /* one row: the newest seq; none when empty */
struct db_batch *record_tail(struct db *db, int64_t job,
                             int64_t n); /* the last n log lines, in order; rows as above */

void artifact_insert_add(struct db_batch *b, int64_t job, int fence, const char *name, const char *kind,
                         const char *digest, int64_t size);
struct db_batch *artifact_list(struct db *db,
                               int64_t job); /* rows: JSON, name; the newest attempt's of each name */
struct db_batch *artifact_select(struct db *db, int64_t job, const char *name); /* one row: digest, size */
struct db_batch *checkpoint_newest(struct db *db, int64_t job);                 /* one row: digest */
/* One row when this blob belongs to something placed on the node: an asset, script or checkpoint of a job
 * that is active there. */
struct db_batch *blob_for_node(struct db *db, const char *node, const char *digest);

#endif
