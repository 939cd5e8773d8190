/* child: short-lived processes on the loop: input on stdin, bounded output, a wall-clock limit, and nothing
 * of their session left when they are done. */
#ifndef ORCHESTRATOR_VERIFY_CHILD_H
#define ORCHESTRATOR_VERIFY_CHILD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

struct children;
struct child;

/* Takes SIGCHLD of the process. */
struct children *children_create(struct event_base *base);
void children_destroy(struct children *c); /* kills what runs; callbacks are not called */

struct child_spec {
    const char *const *argv; /* argv[0] is a path; NULL-ended */
    const char *cwd;         /* NULL: ours */
    const char *const *env;  /* NULL-ended, "NAME=value"; NULL: PATH and LANG only */
    const void *input;       /* copied; wiped when sent, since it may be a password */
    size_t input_len;
    size_t max_output; /* beyond it the child is killed */
    double seconds;    /* wall clock; beyond it the child is killed */
};

struct child_result {
    int exit_code; /* -1 when a signal ended it */
    int signal;
    bool timed_out, overflowed;
    struct buf output; /* stdout */
    struct buf errors; /* the last 4 KiB of stderr */
};

typedef void (*child_done_f)(const struct child_result *result, void *arg);

/* Start one. NULL and err when it could not be started; otherwise done is called exactly once, from the loop.
 */
struct child *child_start(struct children *c, const struct child_spec *spec, child_done_f done, void *arg,
                          struct err *err);
/* Kill it; done follows. */
void child_kill(struct child *child);

/* The path of our own program, for helpers that are subcommands of it. */
const char *child_self(void);

#endif
