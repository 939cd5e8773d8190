/* records: an attempt's two streams, metrics and logs, on their way from the files of the attempt to the
 * orchestrator's database. The files are the spool: nothing is held in memory, and a line is sent again until
 * it is acknowledged. */
#ifndef AGENT_RECORDS_H
#define AGENT_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct agent;
struct records;

/* dir: the attempt's folder. on_metric is shown every metrics record as it is sent (again). */
struct records *records_create(struct agent *agent, int64_t job, int64_t fence, const char *dir,
                               void (*on_metric)(const json_t *record, void *arg), void *arg);
void records_destroy(struct records *r); /* NULL is legal */

/* A new session begins: nothing is sent until welcome says what to start from. */
void records_suspend(struct records *r);
void records_resume(struct records *r, uint64_t next_metrics, uint64_t next_logs);
void records_ack(struct records *r, const char *stream, uint64_t next);
void records_final(struct records *r); /* the writers are gone: take the last line even without newline */
void records_pump(struct records *r);  /* send what is there, within the window */
bool records_done(const struct records *r);          /* final, and all acknowledged */
bool records_metrics_begun(const struct records *r); /* is there a first metrics line? */

#endif
