/* jobs: the jobs that are not over, in memory, and the only way a job's state changes: jobs_move().
 * (DESIGN 4.4)
 *
 *   jobs_move   looks the pair up in state.c, changes the job in memory at once, appends the row's change and
 * its event to the open batch commit      the open batch is sent when none is in flight, so moves that come
 * meanwhile share the next commit (group commit); a move and its event are always in one transaction effects
 * after the commit, in order: the events are published, the watcher (dispatch) is told, `done` is called
 *
 * A failed commit ends the process: what is in memory can no longer be trusted, and the next start reads the
 * log. Whatever else must be ordered with moves goes into the same write connection.
 */
#ifndef ORCHESTRATOR_JOB_JOBS_H
#define ORCHESTRATOR_JOB_JOBS_H

#include "base/err.h"
#include "orchestrator/job/job.h"
#include "orchestrator/job/state.h"
#include "orchestrator/orch.h"

struct jobs;
struct db_batch;

/* Reads every job that is not over. Runs the loop until that is done: only at start. */
struct jobs *jobs_create(struct orch *orch, struct err *err);
void jobs_destroy(struct jobs *js);

/* Told after the commit of every move; gone: the job is over and leaves memory after this call. */
typedef void (*jobs_watch_f)(struct job *j, enum job_event event, void *arg);
void jobs_watch(struct jobs *js, jobs_watch_f watch, void *arg);

struct job *jobs_find(const struct jobs *js, int64_t id); /* NULL: unknown, or over */
struct job *jobs_each(const struct jobs *js, size_t *at); /* at from 0; NULL at the end */
size_t jobs_count(const struct jobs *js, enum job_state state);

/* What a move brings with it; all may be left zero. References are taken. */
struct job_change {
    json_t *detail;     /* for the event; NULL: {} */
    json_t *allocation; /* PLACE */
    int exit_code, signal;
    bool has_exit, has_signal;
    json_t *failure;
    const char *stopping; /* CANCEL, EXPIRE, PREEMPT */
    /* Adds statements to the move's own transaction, after the job's. */
    void (*with)(struct db_batch *b, const struct job *j, void *arg);
    void *with_arg;
};
/* text: the job's JSON as this move made it, which is durable now; *j may be further on. */
typedef void (*jobs_done_f)(const struct job *j, const char *text, void *arg);

/* -1 with a sentence when the state does not allow it: nothing has happened then, and the references are
 * released. done (may be NULL) is called after the commit. */
int jobs_move(struct jobs *js, struct job *j, enum job_event event, struct job_change *change,
              jobs_done_f done, void *arg, struct err *err);

/* A new job: fill everything but id, state and times, then give it away here. It has its id afterwards. */
void jobs_submit(struct jobs *js, struct job *j, struct job_change *change, jobs_done_f done, void *arg);
/* Take a job that is over back into memory (from its row), to requeue it. */
void jobs_adopt(struct jobs *js, struct job *j);
void jobs_disown(struct jobs *js, struct job *j); /* undo that, when the requeue was refused */

/* The job's JSON as text; caller frees. */
char *job_text(const struct job *j);

#endif
