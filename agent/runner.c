#include "agent/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/exitfile.h"
#include "agent/procs.h"
#include "agent/shepherd.h"
#include "agent/sweep.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define POLL_SECONDS  0.5
#define START_SECONDS 20.0 /* a shepherd that has not claimed its run by then never will */

struct runner {
    struct agent *agent;
    char *dir, *pid_path;
    void (*gone)(void *arg);
    void *arg;
    struct proc_id id;
    bool known, stopping, done;
    int pidfd;           /* -1: none; then the poll alone finds out */
    struct event *ended; /* pidfd is readable */
    struct event *poll;
    double started; /* monotonic; 0: not by us */
};

static bool node_restarted(const struct runner *r)
{
    char boot[40];
    proc_boot_id(boot);
    return r->known && strcmp(boot, r->id.boot) != 0;
}

/* A shepherd that did not come in time must not come later either: we take its claim. False: it came just
 * now. */
static bool claim(struct runner *r)
{
    struct proc_id self;
    struct err err = {0};
    if (r->known || proc_self(&self, &err) < 0 || proc_id_create(r->pid_path, &self, &err) == 0)
        return true;
    if (err.code == ERR_EXISTS)
        runner_look(r);
    return !r->known;
}

/* The shepherd is gone, or never came. Everything that is left of its run goes too. */
static void finish(struct runner *r)
{
    struct err err = {0};
    char *exit_path = path_join(r->dir, "exit.json"), *started_path = path_join(r->dir, "started");
    r->done = true;
    evtimer_del(r->poll);
    if (r->ended)
        event_del(r->ended);
    if (!file_exists(exit_path)) {
        bool started = file_exists(started_path), restarted = node_restarted(r);
        int found = sweep_run(r->dir);
        const char *reason = restarted ? "node_restart" : r->known ? "lost" : "launch";
        const char *message = restarted  ? "the node was restarted"
                              : r->known ? "the process that watched over the job was killed"
                                         : "the job's shepherd did not start; see the agent's log";
        log_warn("runner", message, KV_S("dir", r->dir), KV_I("processes_killed", found));
        if (exit_write(r->dir, reason, started, 1, message, &err) < 0)
            log_error("runner", "cannot write exit.json", KV_E(&err));
    }
    free(exit_path);
    free(started_path);
    r->gone(r->arg);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct runner *r = arg;
    (void)fd;
    (void)what;
    runner_look(r);
    if (r->done)
        return;
    bool late = !r->known && r->started && time_monotonic() > r->started + START_SECONDS;
    if ((r->known && !proc_alive(&r->id)) || (late && claim(r))) {
        finish(r);
        return;
    }
    struct timeval wait = backoff_timeval(POLL_SECONDS);
    evtimer_add(r->poll, &wait);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    struct runner *r = arg;
    (void)fd;
    (void)what;
    finish(r);
}

struct runner *runner_create(struct agent *agent, const char *dir, void (*gone)(void *arg), void *arg)
{
    struct runner *r = xcalloc(1, sizeof(*r));
    r->agent = agent;
    r->dir = xstrdup(dir);
    r->pid_path = path_join(dir, "shepherd.pid");
    r->gone = gone;
    r->arg = arg;
    r->pidfd = -1;
    r->poll = evtimer_new(agent->base, on_poll, r);
    return r;
}

void runner_destroy(struct runner *r)
{
    if (!r)
        return;
    event_free(r->poll);
    if (r->ended)
        event_free(r->ended);
    if (r->pidfd >= 0)
        close(r->pidfd);
    free(r->dir);
    free(r->pid_path);
    free(r);
}

static void signal_stop(struct runner *r)
{
    /* Through the pidfd nobody else can be hit, whatever became of the number. */
    if (r->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, r->pidfd, SIGTERM, NULL, 0);
    else if (proc_alive(&r->id))
        kill(r->id.pid, SIGTERM);
}

static void watch(struct runner *r)
{
    r->pidfd = (int)syscall(SYS_pidfd_open, r->id.pid, 0);
    if (r->pidfd >= 0 && !proc_alive(&r->id)) { /* the pid was already another's, or a zombie's */
        close(r->pidfd);
        r->pidfd = -1;
    }
    if (r->pidfd >= 0) {
        r->ended = event_new(r->agent->base, r->pidfd, EV_READ, on_ended, r);
        event_add(r->ended, NULL);
    }
    if (r->stopping)
        signal_stop(r);
}

void runner_look(struct runner *r)
{
    struct err err = {0};
    if (r->known || r->done)
        return;
    if (proc_id_read(r->pid_path, &r->id, &err) == 0) {
        r->known = true;
        watch(r);
    } else if (err.code != ERR_NOT_FOUND) {
        log_error("runner", "cannot read shepherd.pid", KV_E(&err));
    }
}

static void poll_soon(struct runner *r, double seconds)
{
    struct timeval wait = backoff_timeval(seconds);
    evtimer_add(r->poll, &wait);
}

int runner_start(struct runner *r, struct err *err)
{
    r->started = time_monotonic();
    if (shepherd_start(r->agent->program, r->dir, err) < 0)
        return -1;
    poll_soon(r, 0.05);
    return 0;
}

bool runner_adopt(struct runner *r)
{
    if (!file_exists(r->pid_path))
        return false;
    runner_look(r);
    poll_soon(r, 0);
    return true;
}

void runner_stop(struct runner *r, const char *reason, double grace_seconds)
{
    struct err err = {0};
    char text[128];
    char *path = path_join(r->dir, "stop.json");
    int n = snprintf(text, sizeof(text), "{\"reason\":\"%.20s\",\"grace_seconds\":%.3f}\n", reason,
                     grace_seconds);
    if (file_write_atomic(path, text, (size_t)n, 0644, &err) < 0)
        log_error("runner", "cannot write stop.json", KV_E(&err));
    free(path);
    r->stopping = true;
    runner_look(r);
    if (r->known && !r->done)
        signal_stop(r);
}
