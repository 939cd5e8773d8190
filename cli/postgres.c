/* PostgreSQL refuses to run as root. Started by root it runs as the account `postgres`, in a state folder that is root's own
 * and closed to all others (/root is 0700, and so is the state folder). No permission is changed for it: its process gets the
 * one capability that lets it pass folders (CAP_DAC_READ_SEARCH, else CAP_DAC_OVERRIDE) as an ambient one, and only when it
 * can't do without. What it writes it owns. */
#include "cli/postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/daemon.h"
#include "net/http.h"

#define SOCKET_NAME "/.s.PGSQL.5432.lock" /* the longest name in the socket folder */
#define SOCKET_MAX  107
#define UP_SECONDS  60

struct pg {
    const char *state;
    char *bin, *data, *socket_dir;
    bool root;
    struct passwd *account; /* of root: who runs it */
};

/* ---- the account ---- */

static int set_capabilities(int permitted, bool ambient)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (permitted >= 0) {
        unsigned bit = 1u << (permitted % 32);
        data[permitted / 32] = (struct __user_cap_data_struct){bit, bit, bit};
    }
    if (syscall(SYS_capset, &header, data))
        return -1;
    return ambient ? prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, permitted, 0, 0) : 0;
}

/* In the child: become the account, keeping what is needed to reach the data folder and nothing else. */
static int become_account(void *arg)
{
    const struct pg *pg = arg;
    if (!pg->root)
        return 0;
    const struct passwd *a = pg->account;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) ||
        setresgid(a->pw_gid, a->pw_gid, a->pw_gid) || setresuid(a->pw_uid, a->pw_uid, a->pw_uid))
        return -1;
    setenv("HOME", "/", 1);
    /* The effective capabilities went with root; what access(2) says now holds without any. */
    if (access(pg->data, R_OK | W_OK | X_OK) == 0 && access(pg->socket_dir, W_OK | X_OK) == 0)
        return set_capabilities(-1, false);
    static const int WANTED[] = {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE};
    for (size_t i = 0; i < ARRAY_LEN(WANTED); i++) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct now[2];
        if (syscall(SYS_capget, &header, now) || !(now[0].permitted & 1u << WANTED[i]))
            continue;
        now[0].effective = 1u << WANTED[i];
        int fd =
            syscall(SYS_capset, &header, now) == 0 ? open(pg->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd >= 0) {
            close(fd);
            return set_capabilities(WANTED[i], true);
        }
    }
    errno = EACCES;
    return -1;
}

static int find_account(struct pg *pg, struct err *err)
{
    pg->root = geteuid() == 0;
    if (!pg->root)
        return 0;
    pg->account = getpwnam("postgres");
    if (!pg->account)
        return err_set(
            err, ERR_NOT_FOUND,
            "PostgreSQL does not run as root, and there is no account \"postgres\" to run it as; install the "
            "package postgresql, or run trainyard as another user");
    return 0;
}

/* ---- folders ---- */

static char *find_bin(struct err *err)
{
    glob_t g = {0};
    char *best = NULL;
    int version = -1;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc; i++) {
            int v = atoi(g.gl_pathv[i] + strlen("/usr/lib/postgresql/"));
            if (v > version) {
                free(best);
                version = v;
                best = xstrndup(g.gl_pathv[i], strlen(g.gl_pathv[i]) - strlen("/postgres"));
            }
        }
    globfree(&g);
    if (!best)
        err_set(err, ERR_NOT_FOUND,
                "PostgreSQL is not installed (nothing in /usr/lib/postgresql/*/bin): install the package "
                "postgresql, or name a "
                "database with --database postgresql://...");
    return best;
}

/* A folder of the account's own, closed to others. */
static int own_folder(const struct pg *pg, const char *path, struct err *err)
{
    if (mkdir(path, 0700) && errno != EEXIST)
        return err_set(err, ERR_IO, "cannot make %s: %s", path, strerror(errno));
    struct stat st;
    if (lstat(path, &st) || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_IO, "%s is no folder", path);
    if (pg->root && st.st_uid != pg->account->pw_uid &&
        lchown(path, pg->account->pw_uid, pg->account->pw_gid))
        return err_set(err, ERR_IO, "cannot give %s to %s: %s", path, pg->account->pw_name, strerror(errno));
    return 0;
}

/* Where the socket is: STATE/run/pg, or a short folder noted in STATE/run/pg.path when that path is too long for one. */
static char *socket_folder(const struct pg *pg, bool make, struct err *err)
{
    char *dir = path_join(pg->state, "run/pg"), *note = path_join(pg->state, "run/pg.path");
    if (strlen(dir) + strlen(SOCKET_NAME) > SOCKET_MAX) {
        struct buf text = {0};
        free(dir);
        dir = NULL;
        if (file_read(note, 4096, &text, NULL) == 0 && text.len && file_exists(text.data)) {
            dir = buf_steal(&text);
        } else if (make) {
            char made[] = "/tmp/trainyard-pg-XXXXXX";
            if (!mkdtemp(made) || file_write_atomic(note, made, strlen(made), 0600, err))
                err_set(err, ERR_IO, "cannot make a folder for PostgreSQL's socket in /tmp: %s",
                        strerror(errno));
            else
                dir = xstrdup(made);
        }
        buf_free(&text);
    }
    free(note);
    if (dir && make && own_folder(pg, dir, err)) {
        free(dir);
        dir = NULL;
    }
    return dir;
}

/* ---- making ---- */

/* initdb into a folder that gets its name only when all is done: what was cut short is thrown away. */
static int make_cluster(struct pg *pg, struct err *err)
{
    char *final = pg->data, *fresh = xasprintf("%s.new", pg->data), *initdb = path_join(pg->bin, "initdb");
    char *postgres = path_join(pg->bin, "postgres");
    const char *make[] = {initdb,
                          "-D",
                          fresh,
                          "-U",
                          "trainyard",
                          "-A",
                          "trust",
                          "-E",
                          "UTF8",
                          "--locale=C.UTF-8",
                          "--no-instructions",
                          NULL};
    const char *single[] = {postgres, "--single", "-D", fresh, "postgres", NULL};
    struct daemon_spec spec = {
        .state = pg->state, .name = "postgres", .argv = make, .prepare = become_account, .arg = pg};
    pg->data = fresh;
    int rc = dir_remove(fresh, err) || own_folder(pg, fresh, err) ? -1 : daemon_run(&spec, NULL, err);
    spec.argv = single;
    if (!rc)
        rc = daemon_run(&spec, "CREATE DATABASE trainyard;\n", err);
    if (!rc && rename(fresh, final))
        rc = err_set(err, ERR_IO, "cannot rename %s: %s", fresh, strerror(errno));
    pg->data = final;
    free(fresh);
    free(initdb);
    free(postgres);
    return rc;
}

/* ---- starting ---- */

/* The server writes "ready" into the eighth line of postmaster.pid. */
static bool is_ready(const struct pg *pg)
{
    char *path = path_join(pg->data, "postmaster.pid");
    struct buf text = {0};
    bool ready = file_read(path, 4096, &text, NULL) == 0 && strstr(text.data, "\nready") != NULL;
    buf_free(&text);
    free(path);
    return ready;
}

static int wait_ready(const struct pg *pg, pid_t pid, struct err *err)
{
    double end = time_monotonic() + UP_SECONDS;
    while (!is_ready(pg)) {
        if (waitpid(pid, NULL, WNOHANG) == pid || !process_start(pid))
            return daemon_blame(pg->state, "postgres", err, "PostgreSQL ended as soon as it was started");
        if (time_monotonic() > end)
            return daemon_blame(pg->state, "postgres", err, "PostgreSQL was not ready after %d seconds",
                                UP_SECONDS);
        usleep(20000);
    }
    return 0;
}

static int start(struct pg *pg, struct err *err)
{
    char *postgres = path_join(pg->bin, "postgres");
    char *sockets = xasprintf("unix_socket_directories=%s", pg->socket_dir);
    char *stale = path_join(pg->data, "postmaster.pid");
    const char *argv[] = {postgres,
                          "-D",
                          pg->data,
                          "-c",
                          "listen_addresses=",
                          "-c",
                          sockets,
                          "-c",
                          "unix_socket_permissions=0700",
                          NULL};
    struct daemon_spec spec = {
        .state = pg->state, .name = "postgres", .argv = argv, .prepare = become_account, .arg = pg};
    pid_t pid;
    struct buf text = {0};
    /* Left by a server that was killed; one that lives keeps us out by itself. */
    if (file_read(stale, 4096, &text, NULL) == 0 && !process_start(atoi(text.data)))
        unlink(stale);
    buf_free(&text);
    int rc = daemon_start(&spec, &pid, err);
    if (!rc)
        rc = wait_ready(pg, pid, err);
    free(postgres);
    free(sockets);
    free(stale);
    return rc;
}

static void pg_free(struct pg *pg)
{
    free(pg->bin);
    free(pg->data);
    free(pg->socket_dir);
}

int postgres_up(const char *state, char **url, int *started, struct err *err)
{
    struct pg pg = {.state = state, .data = path_join(state, "pg")};
    bool running = daemon_running(state, "postgres") != 0;
    int rc = find_account(&pg, err);
    if (!rc)
        rc = (pg.socket_dir = socket_folder(&pg, !running, err)) ? 0 : -1;
    if (!rc && !running)
        rc = (pg.bin = find_bin(err)) ? 0 : -1;
    if (!rc && !running && !file_exists(pg.data))
        rc = make_cluster(&pg, err);
    if (!rc && !running)
        rc = start(&pg, err);
    if (!rc) {
        struct buf b = {0};
        buf_puts(&b, "postgresql:///trainyard?host=");
        http_percent_encode(&b, pg.socket_dir);
        buf_puts(&b, "&user=trainyard");
        *url = buf_steal(&b);
        *started = !running;
    }
    pg_free(&pg);
    return rc;
}

int postgres_down(const char *state)
{
    struct pg pg = {.state = state};
    int how = daemon_stop(state, "postgres", SIGINT, 30); /* SIGINT: fast shutdown */
    char *dir = socket_folder(&pg, false, NULL), *note = path_join(state, "run/pg.path");
    if (dir)
        dir_remove(dir, NULL);
    unlink(note);
    free(dir);
    free(note);
    return how;
}
