/* trainyard up: everything on this machine, each part only when it is not running yet. What was said once (--listen,
 * --database, --cores) is kept in STATE/up.json and holds for the next time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/login.h"
#include "cli/paths.h"
#include "cli/postgres.h"
#include "cli/server.h"

#define READY_SECONDS 60
#define NODE_SECONDS  60

struct up {
    struct cli *cli;
    char *listen, *database, *node, *url;
    int64_t cores; /* 0: all */
    int started[3];
};

/* ---- settings ---- */

static char *pick(const char *flag, const char *env, const char *kept, const char *fallback)
{
    const char *from_env = env ? getenv(env) : NULL;
    const char *v = flag ? flag : from_env && *from_env ? from_env : kept && *kept ? kept : fallback;
    return xstrdup(v);
}

static int load_settings(struct up *u, const struct args *args, struct err *err)
{
    char *path = path_join(u->cli->state, "up.json"), host[65] = "";
    json_t *kept = file_exists(path) ? json_parse_file(path, 65536, err) : json_object();
    free(path);
    if (!kept)
        return -1;
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    u->listen = pick(args_str(args, "listen"), "TRAINYARD_LISTEN", jstr(kept, "listen"), "127.0.0.1:7878");
    u->database = pick(args_str(args, "database"), "TRAINYARD_DATABASE", jstr(kept, "database"), NULL);
    u->node = pick(args_str(args, "node"), NULL, jstr(kept, "node"), *host ? host : "local");
    u->cores = jint(kept, "cores");
    json_decref(kept);
    return args_int(args, "cores", 0, 65536, &u->cores, err);
}

static int save_settings(const struct up *u, struct err *err)
{
    json_t *doc = json_pack("{s:s, s:s*, s:s, s:I}", "listen", u->listen, "database", u->database, "node",
                            u->node, "cores", (json_int_t)u->cores);
    char *text = json_dumps(doc, JSON_INDENT(1)), *path = path_join(u->cli->state, "up.json");
    int rc = file_write_atomic(path, text, strlen(text), 0600, err);
    free(text);
    free(path);
    json_decref(doc);
    return rc;
}

/* Where clients on this machine find what listens there. */
static int make_url(struct up *u, struct err *err)
{
    const char *colon = strrchr(u->listen, ':');
    size_t n = strcspn(u->listen, ",");
    if (strncmp(u->listen, "unix:", 5) == 0 || !colon || n < 3 || strtol(colon + 1, NULL, 10) <= 0)
        return err_set(err, ERR_INVALID,
                       "--listen %s: the first address must be HOST:PORT with a port, such as 127.0.0.1:7878",
                       u->listen);
    char *first = xstrndup(u->listen, n);
    const char *port = strrchr(first, ':') + 1;
    bool any = strncmp(first, "0.0.0.0:", 8) == 0 || strncmp(first, "[::]:", 5) == 0;
    u->url = any ? xasprintf("http://127.0.0.1:%s", port) : xasprintf("http://%s", first);
    free(first);
    return 0;
}

/* ---- waiting ---- */

/* The pid is our child when we started it, else just some process. */
static bool has_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == pid || !process_start(pid);
}

static bool answers(struct up *u, const char *path)
{
    struct http_client *c = http_client_create(u->cli->base, u->url, NULL, NULL, NULL);
    struct http_call call = {.method = HTTP_M_GET, .path = path, .timeout_seconds = 5};
    struct http_response r;
    struct err e;
    bool ok = c && http_client_do(c, &call, &r, &e) == 0;
    if (ok) {
        ok = r.status == 200;
        http_response_free(&r);
    }
    http_client_destroy(c);
    return ok;
}

static int start_orchestrator(struct up *u, const char *database, struct err *err)
{
    const char *state = u->cli->state;
    pid_t pid = daemon_running(state, "orchestrator");
    u->started[1] = pid == 0;
    if (!pid) {
        char *path = paths_program("trainyard-orchestrator", err);
        if (!path)
            return -1;
        const char *argv[] = {path,      "--state-dir", state,    "--listen",
                              u->listen, "--database",  database, NULL};
        struct daemon_spec spec = {.state = state, .name = "orchestrator", .argv = argv};
        int rc = daemon_start(&spec, &pid, err);
        free(path);
        if (rc)
            return -1;
    }
    double end = time_monotonic() + READY_SECONDS;
    for (;;) {
        if (has_ended(pid)) {
            daemon_stop(state, "orchestrator", 0, 0); /* only the pid file is left of it */
            return daemon_blame(state, "orchestrator", err, "the orchestrator did not come up");
        }
        if (answers(u, "/readyz"))
            return 0;
        if (time_monotonic() > end)
            return daemon_blame(state, "orchestrator", err, "the orchestrator was not ready after %d seconds",
                                READY_SECONDS);
        usleep(30000);
    }
}

/* The token of the user admin, written by an orchestrator whose database was new. */
static int use_token(struct up *u, struct err *err)
{
    struct cli *cli = u->cli;
    char *path = path_join(cli->state, "admin.token"), *client = path_join(cli->state, "client.json");
    struct buf text = {0};
    int rc = 0;
    free(cli->url);
    cli->url = xstrdup(u->url);
    if (!cli->token_flag && file_read(path, 4096, &text, NULL) == 0) {
        buf_str(&text);
        while (text.len && (unsigned char)text.data[text.len - 1] <= ' ')
            text.data[--text.len] = '\0';
        free(cli->token);
        cli->token = xstrdup(text.data);
        rc = server_save(client, cli->url, cli->token, err);
    } else if (cli->token_flag) {
        free(cli->token);
        cli->token = xstrdup(cli->token_flag);
    }
    buf_free(&text);
    free(path);
    free(client);
    return rc;
}

static bool node_is_up(struct up *u)
{
    json_t *nodes = NULL;
    struct err e;
    bool up = false;
    size_t i;
    json_t *node;
    if (u->cli->token && api_get(u->cli, &nodes, &e, "/nodes") == 0)
        json_array_foreach(json_object_get(nodes, "items"), i,
                           node) if (strcmp(jstr(node, "name"), u->node) == 0 &&
                                     strcmp(jstr(node, "state"), "down") != 0) up = true;
    json_decref(nodes);
    return up;
}

static int start_agent(struct up *u, struct err *err)
{
    const char *state = u->cli->state;
    pid_t pid = daemon_running(state, "agent");
    u->started[2] = pid == 0;
    if (!pid) {
        char *path = paths_program("trainyard-agent", err), *dir = path_join(state, "agent");
        char *join = path_join(state, "join.token"), cores[24];
        snprintf(cores, sizeof cores, "%lld", (long long)u->cores);
        const char *argv[] = {path, "--state-dir", dir,     "--url",   u->url, "--join-token-file",
                              join, "--node",      u->node, "--cores", cores,  NULL};
        struct daemon_spec spec = {.state = state, .name = "agent", .argv = argv};
        int rc = path && dir_make(dir, 0700, err) == 0 ? daemon_start(&spec, &pid, err) : -1;
        free(path);
        free(dir);
        free(join);
        if (rc)
            return -1;
    }
    double end = time_monotonic() + NODE_SECONDS;
    while (u->cli->token && !node_is_up(u)) {
        if (has_ended(pid)) {
            daemon_stop(state, "agent", 0, 0);
            return daemon_blame(state, "agent", err, "the agent did not come up");
        }
        if (time_monotonic() > end)
            return daemon_blame(state, "agent", err, "the node %s was not up after %d seconds", u->node,
                                NODE_SECONDS);
        usleep(30000);
    }
    return 0;
}

/* ---- all of it ---- */

static int make_folders(const char *state, struct err *err)
{
    static const char *const SUBS[] = {"run", "log"};
    if (dir_make(state, 0700, err))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(SUBS); i++) {
        char *dir = path_join(state, SUBS[i]);
        int rc = dir_make(dir, 0700, err);
        free(dir);
        if (rc)
            return -1;
    }
    return 0;
}

/* Two `trainyard up` at once would both find nothing running. */
static int take_lock(const char *state, struct err *err)
{
    char *path = path_join(state, "run/up.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX))
        err_set(err, ERR_IO, "cannot lock %s: %s", path, strerror(errno));
    free(path);
    return fd;
}

static void report(const struct up *u)
{
    static const char *const NAMES[] = {"postgres", "orchestrator", "agent"};
    if (u->cli->json) {
        json_t *doc = json_pack("{s:s, s:s, s:s}", "url", u->url, "state", u->cli->state, "node", u->node);
        for (int i = 0; i < 3; i++) {
            pid_t pid = daemon_running(u->cli->state, NAMES[i]);
            if (pid)
                json_object_set_new(doc, NAMES[i],
                                    json_pack("{s:i, s:b}", "pid", (int)pid, "started", u->started[i]));
        }
        api_print(doc);
        json_decref(doc);
        return;
    }
    for (int i = 0; i < 3; i++) {
        pid_t pid = daemon_running(u->cli->state, NAMES[i]);
        if (pid)
            printf("%-13s %s (pid %d)\n", NAMES[i], u->started[i] ? "started" : "is running", (int)pid);
    }
    printf("node          %s\nstate folder  %s\n", u->node, u->cli->state);
}

static int bring_up(struct up *u, struct err *err)
{
    char *database = u->database ? xstrdup(u->database) : NULL;
    int rc = u->database ? 0 : postgres_up(u->cli->state, &database, &u->started[0], err);
    if (!rc)
        rc = start_orchestrator(u, database, err);
    free(database);
    if (rc || use_token(u, err) || start_agent(u, err))
        return -1;
    report(u);
    if (!u->cli->token)
        fprintf(stderr,
                "The database is not new, so no admin token was written: sign in with `trainyard login --url "
                "%s`.\n",
                u->url);
    else if (!u->cli->json && login_print_link(u->cli, err))
        return -1;
    return 0;
}

int up_run(struct cli *cli, const struct args *args, struct err *err)
{
    struct up u = {.cli = cli};
    if (make_folders(cli->state, err))
        return -1;
    int lock = take_lock(cli->state, err), rc = lock < 0 ? -1 : 0;
    if (!rc)
        rc = load_settings(&u, args, err) || make_url(&u, err) || save_settings(&u, err) ? -1
                                                                                         : bring_up(&u, err);
    if (lock >= 0)
        close(lock);
    free(u.listen);
    free(u.database);
    free(u.node);
    free(u.url);
    return rc;
}
