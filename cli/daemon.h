/* daemon: programs that `trainyard up` leaves running and `trainyard down` finds again: STATE/run/NAME.pid holds the pid and
 * the start time, so that a pid used again by another program is never mistaken for ours. */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"

struct daemon_spec {
    const char *state, *name;  /* "postgres", "orchestrator", "agent" */
    const char *const *argv;   /* argv[0] is the path; ended by NULL */
    int (*prepare)(void *arg); /* in the child before exec; non-zero: errno says why; may be NULL */
    void *arg;
};

/* Start it in a session of its own, input from /dev/null, output appended to STATE/log/NAME.log, and write the pid file. */
int daemon_start(const struct daemon_spec *spec, pid_t *pid, struct err *err);
pid_t daemon_running(const char *state, const char *name); /* 0: it is not */
/* Send the signal, wait, then SIGKILL; removes the pid file. 0: it was not running, 1: it ended, 2: it had to be killed. */
int daemon_stop(const char *state, const char *name, int signal, double grace_seconds);
/* The last lines of its log put after the message in err: why did it not come up? Returns -1. */
int daemon_blame(const char *state, const char *name, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Run a program to its end with output to the log; 0, or -1 with its status in err. */
int daemon_run(const struct daemon_spec *spec, const char *input, struct err *err);

bool process_alive(pid_t pid, unsigned long long start); /* that very process, not a zombie */
unsigned long long process_start(pid_t pid);             /* 0: none */

#endif
