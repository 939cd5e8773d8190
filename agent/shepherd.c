#include "agent/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/capture.h"
#include "agent/cgroup.h"
#include "agent/child.h"
#include "agent/procs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define GRACE_DEFAULT 10.0
#define AFTER_SOFT    2.0 /* between SIGTERM and SIGKILL when a softer signal went first */
#define SYNC_EVERY    2.0
#define MEMORY_EVERY  0.5

struct shepherd {
    const char *dir;
    json_t *start;
    struct cgroup group;
    struct capture capture;
    struct buf out;
    int log_fd, signal_fd, pipe[CAPTURE_STREAMS];
    pid_t child;
    bool started, gone;
    int status;
    const char *reason; /* why we stopped it; NULL: it ended by itself */
    char message[256];
    double deadline;         /* of the time limit, monotonic; 0: none */
    double term_at, kill_at; /* monotonic; 0: not planned */
    double memory_at, sync_at;
    int64_t memory_bytes;
    bool dirty, write_failed;
};

static char *in_dir(const struct shepherd *s, const char *name)
{
    return path_join(s->dir, name);
}

static void out_write(struct shepherd *s)
{
    if (s->out.len == 0)
        return;
    if (file_write_all(s->log_fd, s->out.data, s->out.len) < 0 && !s->write_failed) {
        s->write_failed = true;
        log_error("shepherd", "cannot write logs.jsonl, output is lost", KV_S("error", strerror(errno)));
    }
    s->dirty = true;
    buf_clear(&s->out);
}

static void sync_now(struct shepherd *s)
{
    if (s->dirty)
        (void)fdatasync(s->log_fd);
    s->dirty = false;
}

/* ---- stopping ---- */

static void group_signal(struct shepherd *s, int sig)
{
    if (s->child > 0 && !s->gone) {
        kill(-s->child, SIGCONT);
        kill(-s->child, sig);
    }
}

/* Training is asked to write a checkpoint first: mpirun passes SIGUSR1 on to the ranks, while SIGTERM has it
 * kill them at once. Whoever cancels wants no more of it. */
static int soft_signal(const struct shepherd *s, const char *reason)
{
    bool train = json_is_true(json_object_get(s->start, "checkpoints"));
    return train && (strcmp(reason, "timeout") == 0 || strcmp(reason, "preempt") == 0) ? SIGUSR1 : SIGTERM;
}

static void stop(struct shepherd *s, const char *reason, double grace, const char *message)
{
    double now = time_monotonic();
    if (!s->reason) {
        s->reason = reason;
        snprintf(s->message, sizeof(s->message), "%s", message);
        int sig = soft_signal(s, reason);
        log_info("shepherd", "stopping", KV_S("reason", reason), KV_F("grace", grace));
        group_signal(s, grace > 0 ? sig : SIGKILL);
        if (grace > 0 && sig != SIGTERM) {
            s->term_at = now + grace;
            grace += AFTER_SOFT;
        }
        s->kill_at = now + grace;
    } else if (!s->kill_at || now + grace < s->kill_at) { /* a second stop can only be more urgent */
        s->kill_at = now + grace;
    }
}

static void stop_asked(struct shepherd *s)
{
    static const char *const reasons[] = {"cancel", "timeout", "preempt", "end"};
    char *path = in_dir(s, "stop.json");
    const char *reason = "cancel", *asked = NULL;
    double grace = GRACE_DEFAULT;
    json_t *doc = json_parse_file(path, 4096, NULL);
    if (doc) {
        (void)json_get_str(doc, "reason", false, &asked, NULL);
        (void)json_get_real(doc, "grace_seconds", false, &grace, NULL);
        for (size_t i = 0; asked && i < ARRAY_LEN(reasons); i++) {
            if (strcmp(asked, reasons[i]) == 0)
                reason = reasons[i];
        }
    }
    stop(s, reason, grace, "");
    json_decref(doc);
    free(path);
}

static void reap(struct shepherd *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->child) {
            s->gone = true;
            s->status = status;
        }
    }
}

/* Kill all that grew out of the program until nothing is left. Stopping comes first, so that nobody forks
 * away while we look; a process that cannot die (sleeping in the kernel) is waited for: no process outlives
 * its job. */
static void kill_all(struct shepherd *s)
{
    double told = time_monotonic() + 10;
    for (int round = 0;; round++) {
        pid_t *pids = NULL, *grouped = NULL;
        reap(s);
        (void)cgroup_kill(&s->group);
        size_t n = proc_descendants(getpid(), &pids);
        for (int pass = 0; pass < 2; pass++) {
            for (size_t i = 0; i < n; i++)
                kill(pids[i], pass ? SIGKILL : SIGSTOP);
        }
        size_t left = n + cgroup_pids(&s->group, &grouped);
        free(pids);
        free(grouped);
        if (left == 0)
            return;
        if (told && time_monotonic() > told) {
            log_warn("shepherd", "processes do not die", KV_I("count", left));
            told = 0;
        }
        usleep(round < 50 ? 2000 : 100000);
    }
}

/* ---- the loop ---- */

static void pipe_read(struct shepherd *s, int stream, bool to_the_end)
{
    static char chunk[65536];
    for (;;) {
        ssize_t n = s->pipe[stream] < 0 ? -1 : read(s->pipe[stream], chunk, sizeof(chunk));
        if (n > 0)
            capture_feed(&s->capture, (enum capture_stream)stream, chunk, (size_t)n, time_now(), &s->out);
        out_write(s);
        if (n == 0) {
            close(s->pipe[stream]);
            s->pipe[stream] = -1;
        }
        if (n <= 0 || !to_the_end)
            return;
    }
}

static void signals_read(struct shepherd *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else
            stop_asked(s);
    }
}

static void memory_check(struct shepherd *s, double now)
{
    char text[160];
    if (s->memory_at == 0 || now < s->memory_at)
        return;
    s->memory_at = now + MEMORY_EVERY;
    int64_t used = proc_descendants_rss(getpid());
    if (used <= s->memory_bytes)
        return;
    snprintf(text, sizeof(text), "%lld bytes of memory in use, the limit is %lld", (long long)used,
             (long long)s->memory_bytes);
    stop(s, "memory", 0, text);
}

static void clock_check(struct shepherd *s)
{
    double now = time_monotonic();
    if (s->deadline && now >= s->deadline) {
        char text[96];
        snprintf(text, sizeof(text), "the time limit of %lld s has passed",
                 (long long)json_integer_value(json_object_get(s->start, "time_limit_seconds")));
        s->deadline = 0;
        double grace = GRACE_DEFAULT;
        (void)json_get_real(s->start, "grace_seconds", false, &grace, NULL);
        stop(s, "timeout", grace, text);
    }
    if (s->term_at && now >= s->term_at) {
        s->term_at = 0;
        group_signal(s, SIGTERM);
    }
    if (s->kill_at && now >= s->kill_at) {
        s->kill_at = 0;
        group_signal(s, SIGKILL);
        kill_all(s); /* mpirun in a session of its own, ranks in groups of theirs */
    }
    memory_check(s, now);
    if (s->dirty && now >= s->sync_at) {
        sync_now(s);
        s->sync_at = now + SYNC_EVERY;
    }
}

static int wait_ms(const struct shepherd *s)
{
    double at[] = {s->deadline, s->term_at, s->kill_at, s->memory_at, s->dirty ? s->sync_at : 0};
    double now = time_monotonic(), least = now + 3600;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        if (at[i] && at[i] < least)
            least = at[i];
    }
    return least <= now ? 0 : (int)((least - now) * 1000) + 1;
}

static void loop(struct shepherd *s)
{
    while (!s->gone) {
        struct pollfd fds[3] = {
            {.fd = s->signal_fd, .events = POLLIN},
            {.fd = s->pipe[0], .events = POLLIN},
            {.fd = s->pipe[1], .events = POLLIN},
        };
        if (poll(fds, 3, wait_ms(s)) > 0) {
            for (int i = 0; i < CAPTURE_STREAMS; i++) {
                if (fds[1 + i].revents)
                    pipe_read(s, i, false);
            }
            if (fds[0].revents)
                signals_read(s);
        }
        clock_check(s);
    }
}

/* ---- beginning and end ---- */

static int prepare(struct shepherd *s, struct err *err)
{
    struct proc_id self;
    sigset_t set;
    char *start = in_dir(s, "start.json"), *pid = in_dir(s, "shepherd.pid"), *logs = in_dir(s, "logs.jsonl");
    int rc = -1;

    if (!(s->start = json_parse_file(start, 4 << 20, err)) || proc_self(&self, err) < 0 ||
        proc_id_create(pid, &self, err) < 0)
        goto out;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->log_fd = open(logs, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (s->signal_fd < 0 || s->log_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        err_set(err, ERR_IO, "cannot prepare %s: %s", s->dir, strerror(errno));
    else
        rc = 0;
out:
    free(start);
    free(pid);
    free(logs);
    return rc;
}

static void limits_set(struct shepherd *s)
{
    struct cgroup_site site;
    const char *name = "run";
    int64_t cores = 0, seconds = 0;
    (void)json_get_str(s->start, "group", false, &name, NULL);
    (void)json_get_int(s->start, "cores", false, &cores, NULL);
    (void)json_get_int(s->start, "memory_bytes", false, &s->memory_bytes, NULL);
    (void)json_get_int(s->start, "time_limit_seconds", false, &seconds, NULL);
    cgroup_site_from_json(&site, json_object_get(s->start, "cgroups"));
    cgroup_create(&s->group, &site, name, s->memory_bytes, (int)cores);
    cgroup_site_clear(&site);
    double now = time_monotonic();
    s->deadline = seconds > 0 ? now + (double)seconds : 0;
    s->memory_at = s->memory_bytes > 0 && !s->group.memory_limited ? now + MEMORY_EVERY : 0;
}

static void mark_started(struct shepherd *s)
{
    char *path = in_dir(s, "started");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    free(path);
}

static void run(struct shepherd *s, struct err *err)
{
    char *stop_file = in_dir(s, "stop.json");
    /* The order matters: whoever asks us to stop writes the file first and looks for shepherd.pid then. */
    if (file_exists(stop_file)) {
        stop_asked(s);
    } else if (child_start(s->start, s->dir, &s->group, &s->child, s->pipe, err) < 0) {
        s->reason = "launch";
        snprintf(s->message, sizeof(s->message), "%.250s", err->text);
        capture_note(&s->capture, s->message, time_now(), &s->out);
    } else {
        s->started = true;
        mark_started(s);
        loop(s);
    }
    free(stop_file);
}

static void scratch_remove(const struct shepherd *s)
{
    const char *scratch = NULL;
    struct err err = {0};
    (void)json_get_str(s->start, "scratch", false, &scratch, NULL);
    if (!scratch || !strrchr(scratch, '/') || !strrchr(scratch, '/')[1])
        return;
    char *shm =
        xasprintf("/dev/shm/%s", strrchr(scratch, '/') + 1); /* where /dev/shm could not be made private */
    if (dir_remove(scratch, &err) < 0 || dir_remove(shm, &err) < 0)
        log_warn("shepherd", "scratch left behind", KV_E(&err));
    free(shm);
}

static void reason_settle(struct shepherd *s)
{
    if (s->started && cgroup_oom_kills(&s->group) > 0 &&
        !(WIFEXITED(s->status) && WEXITSTATUS(s->status) == 0)) {
        s->reason = "memory";
        snprintf(s->message, sizeof(s->message),
                 "the kernel killed a process: the job's memory limit is %lld bytes",
                 (long long)s->memory_bytes);
    }
    if (!s->reason)
        s->reason = WIFSIGNALED(s->status) ? "signal" : "exit";
}

static int exit_write(struct shepherd *s, struct err *err)
{
    struct buf b = {0};
    char *path = in_dir(s, "exit.json"), *metrics = in_dir(s, "metrics.jsonl");
    int sig = s->started && WIFSIGNALED(s->status) ? WTERMSIG(s->status) : 0;
    int code = !s->started ? 127 : sig ? 128 + sig : WEXITSTATUS(s->status);
    int fd = open(metrics, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        (void)fdatasync(fd);
        close(fd);
    }
    buf_printf(&b, "{\"started\":%s,\"exit_code\":%d,\"signal\":%d,\"reason\":\"%s\",\"message\":",
               s->started ? "true" : "false", code, sig, s->reason);
    buf_json_str(&b, s->message);
    buf_puts(&b, ",\"tail\":");
    capture_tail_json(&s->capture, &b);
    buf_printf(&b, ",\"ended\":%.6f}\n", time_now());
    int rc = file_write_atomic(path, b.data, b.len, 0644, err);
    buf_free(&b);
    free(path);
    free(metrics);
    return rc;
}

int shepherd_main(const char *dir)
{
    struct shepherd s = {.dir = dir, .log_fd = -1, .signal_fd = -1, .pipe = {-1, -1}};
    struct err err = {0};
    int rc = 0;

    if (prepare(&s, &err) < 0) {
        log_error("shepherd", "cannot start", KV_S("dir", dir), KV_E(&err));
        json_decref(s.start);
        return err.code == ERR_EXISTS ? 3 : 1;
    }
    capture_init(&s.capture, NULL, time_now());
    limits_set(&s);
    run(&s, &err);
    kill_all(&s);
    for (int i = 0; i < CAPTURE_STREAMS; i++)
        pipe_read(&s, i, true);
    capture_finish(&s.capture, time_now(), &s.out);
    out_write(&s);
    sync_now(&s);
    reason_settle(&s);
    scratch_remove(&s);
    if (exit_write(&s, &err) < 0) {
        log_error("shepherd", "cannot say how it ended", KV_E(&err));
        rc = 1;
    }
    cgroup_remove(&s.group);
    capture_free(&s.capture);
    buf_free(&s.out);
    json_decref(s.start);
    close(s.log_fd);
    close(s.signal_fd);
    return rc;
}

int shepherd_start(const char *program, const char *dir, struct err *err)
{
    char *log_path = path_join(dir, "shepherd.log");
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "shepherd", (char *)(uintptr_t)dir, NULL};
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        /* The middle process ends at once, so the shepherd is nobody's child and its end nobody's to collect.
         */
        setsid();
        int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644), null_fd = open("/dev/null", O_RDWR);
        if (log_fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(log_fd, 2) < 0)
            _exit(126);
        pid_t shepherd = fork();
        if (shepherd != 0)
            _exit(shepherd < 0 ? 126 : 0);
        setsid();
        (void)close_range(3, ~0U, 0);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(program, argv);
        dprintf(2, "cannot run %s: %s\n", program, strerror(errno));
        _exit(127);
    }
    free(log_path);
    if (pid < 0)
        return err_set(err, ERR_IO, "cannot fork: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_IO, "cannot start the shepherd of %s", dir);
    return 0;
}
