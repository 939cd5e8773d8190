/* job: rows of jobs, their events, attempts and what belongs to them. owner 0: sees all. */
#ifndef ORCHESTRATOR_STORE_JOB_H
#define ORCHESTRATOR_STORE_JOB_H

#include "orchestrator/job/job.h"
#include "orchestrator/store/db.h"

/* Statements of a move, added to a write batch; all of them commit together. */
void job_insert_add(struct db_batch *b, const struct job *j); /* the row, as it is after SUBMIT */
void job_asset_add(struct db_batch *b, int64_t job, int64_t asset_id);
void job_blob_add(struct db_batch *b, int64_t job, const char *digest);
void job_update_add(struct db_batch *b, const struct job *j); /* everything that can change */
void job_event_add(struct db_batch *b, const struct job *j, double at, const char *event, const char *from,
                   const char *detail, const char *job_json);
void attempt_place_add(struct db_batch *b, const struct job *j, double at);
void attempt_over_add(struct db_batch *b, int64_t job, int fence);
void attempt_resume_add(struct db_batch *b, int64_t job, int fence, int64_t step);
void job_progress_add(struct db_batch *b, const struct job *j);

/* Rows from which job_from_row makes a job. */
struct db_batch *job_select(struct db *db, int64_t owner, int64_t id);
struct db_batch *
job_active(struct db *db); /* all that are not over; statement 1: one row with the highest id */
/* Newest first. Filters may be NULL; states: comma-separated names; before: ids below, 0: from the newest. */
struct job_filter {
    const char *states, *task, *owner_name;
    int64_t before, limit;
    bool train_only;
};
struct db_batch *job_list(struct db *db, int64_t owner, const struct job_filter *f);
struct job *job_from_row(const struct db_results *r, int statement, int row); /* caller job_destroy()s */

/* Rows: JSON, seq. */
struct db_batch *job_events(struct db *db, int64_t job, int64_t since, int64_t limit);
/* Rows: seq, JSON of the job after each event beyond since. */
struct db_batch *job_states(struct db *db, int64_t job, int64_t since, int64_t limit);
struct db_batch *job_state_last(struct db *db, int64_t job); /* one row: its newest event's seq */
/* One row: owner id of the job, none if there is no such job. */
struct db_batch *job_owner(struct db *db, int64_t job);

#endif
