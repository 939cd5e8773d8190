#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"

static char *file_of(const char *state, const char *folder, const char *name, const char *suffix)
{
    return xasprintf("%s/%s/%s.%s", state, folder, name, suffix);
}

/* ---- processes ---- */

static char process_stat(pid_t pid, unsigned long long *start)
{
    char path[64];
    struct buf text = {0};
    char state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char piece[1024];
    ssize_t n = fd >= 0 ? read(fd, piece, sizeof piece) : -1;
    if (fd >= 0)
        close(fd);
    if (n > 0)
        buf_add(&text, piece, (size_t)n);
    const char *p = text.len ? strrchr(text.data, ')') : NULL; /* the name may hold blanks and brackets */
    if (!p ||
        sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, start) != 2)
        state = 0;
    buf_free(&text);
    return state;
}

unsigned long long process_start(pid_t pid)
{
    unsigned long long start = 0;
    char state = process_stat(pid, &start);
    return state && state != 'Z' && state != 'X' ? start : 0;
}

bool process_alive(pid_t pid, unsigned long long start)
{
    return pid > 0 && start && process_start(pid) == start;
}

static bool read_pid(const char *state, const char *name, pid_t *pid, unsigned long long *start)
{
    char *path = file_of(state, "run", name, "pid");
    struct buf text = {0};
    int number = 0;
    bool ok = file_read(path, 4096, &text, NULL) == 0 && sscanf(text.data, "%d %llu", &number, start) == 2 &&
              number > 1;
    *pid = number;
    buf_free(&text);
    free(path);
    return ok;
}

pid_t daemon_running(const char *state, const char *name)
{
    pid_t pid;
    unsigned long long start;
    return read_pid(state, name, &pid, &start) && process_alive(pid, start) ? pid : 0;
}

/* ---- starting ---- */

static int open_log(const struct daemon_spec *s, struct err *err)
{
    char *path = file_of(s->state, "log", s->name, "log");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    free(path);
    return fd;
}

/* In the child: never returns. What goes wrong before exec is written into the pipe as errno. */
static void become(const struct daemon_spec *s, int in, int log, int report)
{
    setsid();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    size_t argc = 0;
    while (s->argv[argc])
        argc++;
    char **argv = xcalloc(argc + 1, sizeof *argv);
    memcpy(argv, s->argv, argc * sizeof *argv); /* execv() changes none of them, its type only says so */
    signal(SIGPIPE, SIG_DFL);
    unsetenv("TRAINYARD_TOKEN"); /* ours, not theirs */
    unsetenv("TRAINYARD_URL");
    umask(0077);
    dup2(in, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (chdir("/") == 0 && (!s->prepare || s->prepare(s->arg) == 0))
        execv(argv[0], argv);
    int e = errno ? errno : EINVAL;
    if (write(report, &e, sizeof e) < 0)
        _exit(126);
    _exit(127);
}

static int launch(const struct daemon_spec *s, int in, pid_t *pid, struct err *err)
{
    int report[2], failed = 0, log = open_log(s, err);
    if (log < 0)
        return -1;
    if (pipe2(report, O_CLOEXEC)) {
        close(log);
        return err_set(err, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    }
    fflush(NULL);
    *pid = fork();
    if (*pid == 0)
        become(s, in, log, report[1]);
    close(log);
    close(report[1]);
    bool heard = *pid > 0 && read(report[0], &failed, sizeof failed) == sizeof failed;
    close(report[0]);
    if (*pid < 0)
        return err_set(err, ERR_IO, "cannot start %s: %s", s->name, strerror(errno));
    if (heard) {
        waitpid(*pid, NULL, 0);
        return err_set(err, ERR_IO, "cannot start %s: %s", s->argv[0], strerror(failed));
    }
    return 0;
}

int daemon_start(const struct daemon_spec *spec, pid_t *pid, struct err *err)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int rc = launch(spec, in, pid, err);
    close(in);
    if (rc)
        return -1;
    char *path = file_of(spec->state, "run", spec->name, "pid");
    char text[64];
    int n = snprintf(text, sizeof text, "%d %llu\n", (int)*pid, process_start(*pid));
    rc = file_write_atomic(path, text, (size_t)n, 0600, err);
    free(path);
    if (rc)
        kill(*pid, SIGTERM);
    return rc;
}

int daemon_run(const struct daemon_spec *spec, const char *input, struct err *err)
{
    int in[2], status = 0;
    pid_t pid;
    if (pipe2(in, O_CLOEXEC))
        return err_set(err, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    int rc = launch(spec, in[0], &pid, err);
    close(in[0]);
    if (!rc && input)
        file_write_all(in[1], input, strlen(input)); /* shorter than a pipe holds */
    close(in[1]);
    if (rc)
        return -1;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return daemon_blame(spec->state, spec->name, err, "%s failed", spec->argv[0]);
}

/* ---- ending ---- */

int daemon_stop(const char *state, const char *name, int signal, double grace_seconds)
{
    pid_t pid;
    unsigned long long start;
    char *path = file_of(state, "run", name, "pid");
    int how = 0;
    if (read_pid(state, name, &pid, &start) && process_alive(pid, start)) {
        how = 1;
        double end = time_monotonic() + grace_seconds;
        kill(pid, signal);
        while (process_alive(pid, start) && time_monotonic() < end)
            usleep(20000);
        if (process_alive(pid, start)) {
            kill(pid, SIGKILL);
            how = 2;
            end = time_monotonic() + 10;
            while (process_alive(pid, start) && time_monotonic() < end)
                usleep(20000);
        }
    }
    unlink(path);
    free(path);
    return how;
}

/* ---- blame ---- */

int daemon_blame(const char *state, const char *name, struct err *err, const char *fmt, ...)
{
    char message[256], *path = file_of(state, "log", name, "log");
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    file_read(path, 64 << 20, &text, NULL);
    size_t from = text.len; /* the last four lines, at most 220 bytes */
    for (int lines = 0; from > 0 && text.len - from < 220; from--)
        if (text.data[from - 1] == '\n' && from < text.len && ++lines == 4)
            break;
    while (text.len > from && text.data[text.len - 1] == '\n')
        text.data[--text.len] = '\0';
    err_set(err, ERR_IO, "%s; the end of %s:\n%s", message, path, text.len ? text.data + from : "(empty)");
    buf_free(&text);
    free(path);
    return -1;
}
