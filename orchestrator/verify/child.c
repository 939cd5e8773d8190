#include "orchestrator/verify/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define ERRORS_KEPT 4096

struct child {
    struct children *all;
    struct child *next;
    pid_t pid;
    bool exited;
    int status;
    struct event *in, *out, *err, *clock;
    char *input;
    size_t input_len, input_sent;
    size_t max_output;
    struct child_result result;
    child_done_f done;
    void *arg;
};

struct children {
    struct event_base *base;
    struct event *sigchld;
    struct child *first;
};

const char *child_self(void)
{
    return "/proc/self/exe";
}

/* --- pipes ---------------------------------------------------------------------------------------------- */

static void close_event(struct event **ev)
{
    if (!*ev)
        return;
    int fd = event_get_fd(*ev);
    event_free(*ev);
    close(fd);
    *ev = NULL;
}

static void wipe_input(struct child *c)
{
    if (c->input)
        sodium_memzero(c->input, c->input_len);
    free(c->input);
    c->input = NULL;
}

static void on_in(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct child *c = arg;
    ssize_t n = write(fd, c->input + c->input_sent, c->input_len - c->input_sent);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->input_sent += (size_t)n;
    if (n <= 0 || c->input_sent == c->input_len) {
        close_event(&c->in);
        wipe_input(c);
    }
}

/* Read what is there, but no more than a pipe can hold at once, so that one who writes without end does not hold
 * the loop; false at the end of the stream. */
static bool drain(int fd, struct buf *to, size_t max, bool keep_tail, bool *over)
{
    char piece[16384];
    for (int i = 0; i < 64 && !*over; i++) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        buf_add(to, piece, (size_t)n);
        if (keep_tail && to->len > 2 * max)
            buf_drop_front(to, to->len - max);
        else if (!keep_tail && to->len > max)
            *over = true;
    }
    return true;
}

static void on_out(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct child *c = arg;
    if (!drain(fd, &c->result.output, c->max_output, false, &c->result.overflowed))
        close_event(&c->out);
    if (c->result.overflowed) {
        child_kill(c); /* first: a closed pipe would let it die of SIGPIPE instead */
        close_event(&c->out);
    }
}

static void on_err(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct child *c = arg;
    bool over = false;
    if (!drain(fd, &c->result.errors, ERRORS_KEPT, true, &over))
        close_event(&c->err);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct child *c = arg;
    c->result.timed_out = true;
    child_kill(c);
}

/* --- life and death ------------------------------------------------------------------------------------- */

static void release(struct child *c)
{
    close_event(&c->in);
    close_event(&c->out);
    close_event(&c->err);
    if (c->clock)
        event_free(c->clock);
    wipe_input(c);
    buf_free(&c->result.output);
    buf_free(&c->result.errors);
    free(c);
}

static void finish(struct child *c)
{
    /* Its own session's group: whatever it started dies with it. */
    kill(-c->pid, SIGKILL);
    if (c->out)
        on_out(event_get_fd(c->out), 0, c);
    if (c->err)
        on_err(event_get_fd(c->err), 0, c);
    if (c->result.errors.len > ERRORS_KEPT)
        buf_drop_front(&c->result.errors, c->result.errors.len - ERRORS_KEPT);
    c->result.exit_code = WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1;
    c->result.signal = WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0;
    c->done(&c->result, c->arg);
    release(c);
}

static void on_sigchld(evutil_socket_t sig, short what, void *arg)
{
    (void)sig, (void)what;
    struct children *all = arg;
    struct child *ended = NULL;
    for (struct child **p = &all->first; *p;) {
        struct child *c = *p;
        if (waitpid(c->pid, &c->status, WNOHANG) == c->pid) {
            c->exited = true;
            *p = c->next;
            c->next = ended;
            ended = c;
        } else {
            p = &c->next;
        }
    }
    /* Afterwards, since a callback may start another. */
    while (ended) {
        struct child *c = ended;
        ended = c->next;
        finish(c);
    }
}

struct children *children_create(struct event_base *base)
{
    struct children *c = xcalloc(1, sizeof(*c));
    c->base = base;
    c->sigchld = evsignal_new(base, SIGCHLD, on_sigchld, c);
    event_add(c->sigchld, NULL);
    return c;
}

void children_destroy(struct children *c)
{
    if (!c)
        return;
    while (c->first) {
        struct child *child = c->first;
        c->first = child->next;
        kill(-child->pid, SIGKILL);
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        release(child);
    }
    event_free(c->sigchld);
    free(c);
}

void child_kill(struct child *child)
{
    if (child->exited)
        return;
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
}

static void close_pair(int fd[2])
{
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

static int spawn(const struct child_spec *spec, int in, int out, int err_fd, pid_t *pid)
{
    static const char *const plain[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err_fd, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    if (spec->cwd)
        posix_spawn_file_actions_addchdir_np(&files, spec->cwd);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn(pid, spec->argv[0], &files, &attr, (char *const *)(uintptr_t)spec->argv,
                         (char *const *)(uintptr_t)(spec->env ? spec->env : plain));
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return rc;
}

struct child *child_start(struct children *all, const struct child_spec *spec, child_done_f done, void *arg,
                          struct err *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, errs[2] = {-1, -1};
    pid_t pid = 0;
    int rc = pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0
                 ? errno
                 : spawn(spec, in[0], out[1], errs[1], &pid);
    if (rc) {
        close_pair(in);
        close_pair(out);
        close_pair(errs);
        err_set(err, ERR_UNAVAILABLE, "cannot start %s: %s", spec->argv[0], strerror(rc));
        return NULL;
    }
    close(in[0]);
    close(out[1]);
    close(errs[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(errs[0], F_SETFL, O_NONBLOCK);
    struct child *c = xcalloc(1, sizeof(*c));
    *c = (struct child){.all = all, .pid = pid, .max_output = spec->max_output, .done = done, .arg = arg};
    c->input_len = spec->input_len;
    c->input = xmalloc(spec->input_len + 1);
    if (spec->input_len)
        memcpy(c->input, spec->input, spec->input_len);
    c->in = event_new(all->base, in[1], EV_WRITE | EV_PERSIST, on_in, c);
    c->out = event_new(all->base, out[0], EV_READ | EV_PERSIST, on_out, c);
    c->err = event_new(all->base, errs[0], EV_READ | EV_PERSIST, on_err, c);
    c->clock = evtimer_new(all->base, on_clock, c);
    if (spec->input_len)
        event_add(c->in, NULL);
    else
        close_event(&c->in);
    event_add(c->out, NULL);
    event_add(c->err, NULL);
    struct timeval tv = {(time_t)spec->seconds,
                         (suseconds_t)((spec->seconds - (double)(time_t)spec->seconds) * 1e6)};
    event_add(c->clock, &tv);
    c->next = all->first;
    all->first = c;
    return c;
}
