#include "agent/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/json.h"
#include "base/mem.h"

struct plan {
    char **argv, **envp;
    const char *dir;
    const char *shm; /* name of the folder in /dev/shm for MPI's segments; NULL: none */
    int64_t memory_bytes;
    const struct cgroup *group;
    int out[2], failure; /* write ends */
};

struct failure {
    int error;
    char step[32];
};

static char **words(const json_t *array)
{
    size_t n = json_array_size(array);
    char **v = xcalloc(n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = xstrdup(json_string_value(json_array_get(array, i)));
    return v;
}

static char **pairs(const json_t *object)
{
    const char *key;
    json_t *value;
    size_t n = 0;
    char **v = xcalloc(json_object_size(object) + 1, sizeof(*v));
    json_object_foreach((json_t *)(uintptr_t)object, key, value) v[n++] =
        xasprintf("%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
    return v;
}

static void words_free(char **v)
{
    for (size_t i = 0; v[i]; i++)
        free(v[i]);
    free(v);
}

static void __attribute__((noreturn)) fail(const struct plan *p, const char *step)
{
    struct failure f = {.error = errno};
    snprintf(f.step, sizeof(f.step), "%s", step);
    ssize_t n = write(p->failure, &f, sizeof(f));
    _exit(n == sizeof(f) ? 127 : 126);
}

/* Shared memory that vanishes with the job. Needs privilege; without it the shepherd removes what it can
 * name. */
static void shm_private(const struct plan *p)
{
    char options[64];
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0) {
        if (p->memory_bytes > 0)
            snprintf(options, sizeof(options), "mode=1777,size=%lld", (long long)p->memory_bytes);
        else
            snprintf(options, sizeof(options), "mode=1777");
        (void)mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options);
    }
    if (p->shm) {
        char path[300];
        snprintf(path, sizeof(path), "/dev/shm/%s", p->shm);
        (void)mkdir(path, 0700);
    }
}

static void __attribute__((noreturn)) become(const struct plan *p, pid_t parent)
{
    const struct rlimit no_core = {0, 0};
    sigset_t none;

    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        fail(p, "tie to the shepherd");
    cgroup_enter(p->group);
    shm_private(p);
    setrlimit(RLIMIT_CORE, &no_core);
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(p->out[0], 1) < 0 || dup2(p->out[1], 2) < 0)
        fail(p, "connect its output");
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (chdir(p->dir) < 0)
        fail(p, "enter its folder");
    umask(022);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    environ = p->envp; /* execvp searches this PATH, not the agent's */
    execvp(p->argv[0], p->argv);
    fail(p, "execute it");
}

/* Nothing comes through the pipe when exec succeeded: it closes the write end. */
static int failure_read(int fd, const char *program, struct err *err)
{
    struct failure f;
    ssize_t n;
    do
        n = read(fd, &f, sizeof(f));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    if (n != sizeof(f))
        return err_set(err, ERR_IO, "cannot start %s", program);
    f.step[sizeof(f.step) - 1] = '\0';
    return err_set(err, ERR_IO, "cannot start %s: cannot %s: %s", program, f.step, strerror(f.error));
}

static void pair_close(int fd[2])
{
    for (int i = 0; i < 2; i++) {
        if (fd[i] >= 0)
            close(fd[i]);
        fd[i] = -1;
    }
}

static int fork_and_wait(struct plan *p, int failure[2], pid_t *pid, struct err *err)
{
    pid_t self = getpid();
    *pid = fork();
    if (*pid == 0)
        become(p, self);
    if (*pid < 0)
        return err_set(err, ERR_IO, "cannot fork: %s", strerror(errno));
    setpgid(*pid, *pid);
    close(failure[1]);
    failure[1] = -1;
    if (failure_read(failure[0], p->argv[0], err) == 0)
        return 0;
    waitpid(*pid, NULL, 0);
    *pid = 0;
    return -1;
}

int child_start(const json_t *start, const char *dir, const struct cgroup *group, pid_t *pid, int pipes[2],
                struct err *err)
{
    int out[2] = {-1, -1}, errs[2] = {-1, -1}, failure[2] = {-1, -1}, rc = -1;
    const char *scratch = json_string_value(json_object_get(start, "scratch"));
    const char *where = json_string_value(json_object_get(start, "directory"));
    struct plan p = {.dir = where ? where : dir,
                     .group = group,
                     .shm = scratch && strrchr(scratch, '/') ? strrchr(scratch, '/') + 1 : NULL};

    (void)json_get_int(start, "memory_bytes", false, &p.memory_bytes, NULL);
    if (json_array_size(json_object_get(start, "argv")) == 0)
        return err_set(err, ERR_INVALID, "start.json of %s has no argv", dir);
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0 || pipe2(failure, O_CLOEXEC) < 0) {
        err_set(err, ERR_IO, "cannot make pipes: %s", strerror(errno));
    } else {
        p.argv = words(json_object_get(start, "argv"));
        p.envp = pairs(json_object_get(start, "environment"));
        p.out[0] = out[1];
        p.out[1] = errs[1];
        p.failure = failure[1];
        rc = fork_and_wait(&p, failure, pid, err);
        words_free(p.argv);
        words_free(p.envp);
    }
    if (rc == 0) {
        pipes[0] = out[0];
        pipes[1] = errs[0];
        out[0] = errs[0] = -1;
        fcntl(pipes[0], F_SETFL, O_NONBLOCK);
        fcntl(pipes[1], F_SETFL, O_NONBLOCK);
    }
    pair_close(out);
    pair_close(errs);
    pair_close(failure);
    return rc;
}
