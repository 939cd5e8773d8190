/* trainyard-agent: one per node. main reads the settings, makes the rooms in order, runs the loop, destroys
 * them in reverse. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/attempts.h"
#include "agent/cache.h"
#include "agent/identity.h"
#include "agent/inventory.h"
#include "agent/session.h"
#include "agent/shepherd.h"
#include "agent/spawn.h"
#include "agent/transfer.h"
#include "base/conf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"

#define JOB_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const struct conf_option options[] = {
    {.name = "config",
     .type = CONF_STR,
     .help = "Configuration file (JSON object with these names as keys)."},
    {.name = "state-dir",
     .type = CONF_STR,
     .help = "Folder of this agent's token, cache and attempts; made when absent."},
    {.name = "url", .type = CONF_STR, .help = "The orchestrator, as http://host:port or https://host:port."},
    {.name = "node",
     .type = CONF_STR,
     .help = "This node's name; default: the host name up to its first dot."},
    {.name = "join-token-file", .type = CONF_STR, .help = "File with the token to register with, once."},
    {.name = "ca-file",
     .type = CONF_STR,
     .help = "Certificates (PEM) to trust for https; default: the system's."},
    {.name = "cores",
     .type = CONF_INT,
     .fallback = "0",
     .min = 0,
     .max = 65536,
     .help = "Cores that jobs may use; 0: all there are."},
    {.name = "memory",
     .type = CONF_SIZE,
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "Memory that jobs may use; 0: all there is."},
    {.name = "heartbeat",
     .type = CONF_DURATION,
     .fallback = "2",
     .min = 1,
     .max = 3600,
     .help = "Time between heartbeats."},
    {.name = "grace",
     .type = CONF_DURATION,
     .fallback = "10",
     .min = 0,
     .max = 3600,
     .help = "Time between the soft signal and SIGKILL at a job's time limit."},
    {.name = "cache-size",
     .type = CONF_SIZE,
     .fallback = "50G",
     .min = 0,
     .max = INT64_MAX,
     .help = "Bound of the cache of input files."},
    {.name = "scratch-dir",
     .type = CONF_STR,
     .fallback = "/tmp",
     .help = "Where jobs' temporary folders are made; a short path."},
    {.name = "cgroups",
     .type = CONF_CHOICE,
     .fallback = "auto",
     .choices = "auto|off",
     .help = "Put each job in a cgroup where the machine lets us."},
    {.name = "trainer",
     .type = CONF_STR,
     .help = "trainyard-train; default: beside this program, then in PATH."},
    {.name = "rsh", .type = CONF_STR, .help = "trainyard-rsh; default: beside this program, then in PATH."},
    {.name = "mpirun", .type = CONF_STR, .help = "Open MPI's mpirun; default: in PATH."},
    {.name = "log-level",
     .type = CONF_CHOICE,
     .fallback = "info",
     .choices = "debug|info|warn|error",
     .help = "Least level that is logged."},
    {.name = "log-json", .type = CONF_BOOL, .fallback = "false", .help = "Log one JSON object a line."},
};

struct main_state {
    struct agent agent;
    int lock_fd;
    char *trainer, *mpirun, *rsh, *socket;
    struct passwd user;
    char hostname[256];
    struct event *term, *intr;
    bool stopping;
};

static char *own_binary(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    return n > 0 ? xstrndup(path, (size_t)n) : xstrdup("trainyard-agent");
}

/* An absolute path: what was configured, else beside our binary, else in PATH, else the bare name (and the
 * job says so). */
static char *program_find(const char *configured, const char *beside, const char *name)
{
    if (configured) {
        char *real = realpath(configured, NULL);
        return real ? real : xstrdup(configured);
    }
    const char *slash = beside ? strrchr(beside, '/') : NULL;
    char *path = slash ? xasprintf("%.*s/%s", (int)(slash - beside), beside, name) : NULL;
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    const char *search = getenv("PATH");
    char *copy = xstrdup(search ? search : JOB_PATH), *save = NULL, *found = NULL;
    for (char *dir = strtok_r(copy, ":", &save); dir && !found; dir = strtok_r(NULL, ":", &save)) {
        path = path_join(dir, name);
        if (*dir == '/' && access(path, X_OK) == 0)
            found = path;
        else
            free(path);
    }
    free(copy);
    return found ? found : xstrdup(name);
}

/* One agent a state folder: two would run the same attempts twice. */
static int lock_take(struct main_state *m, struct err *err)
{
    char *path = path_join(m->agent.state_dir, "agent.lock");
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = 0;
    if (m->lock_fd < 0)
        rc = err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    else if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0)
        rc = err_set(err, ERR_CONFLICT, "another trainyard-agent is running with the state folder %s",
                     m->agent.state_dir);
    free(path);
    return rc;
}

static int state_dir_prepare(struct main_state *m, struct err *err)
{
    const char *dir = conf_str(m->agent.conf, "state-dir");
    if (!dir)
        return err_set(err, ERR_INVALID,
                       "--state-dir is needed: a folder for this agent's token, cache and attempts");
    if (dir_make(dir, 0700, err) < 0)
        return -1;
    m->agent.state_dir = realpath(dir, NULL);
    if (!m->agent.state_dir)
        return err_set(err, ERR_IO, "cannot resolve %s: %s", dir, strerror(errno));
    return lock_take(m, err);
}

static int identity_prepare(struct main_state *m, struct err *err)
{
    const char *url = conf_str(m->agent.conf, "url"), *node = conf_str(m->agent.conf, "node");
    if (!url)
        return err_set(err, ERR_INVALID,
                       "--url is needed: where the orchestrator listens, such as http://127.0.0.1:7878");
    m->agent.url = xstrdup(url);
    for (size_t n = strlen(url); n > 0 && m->agent.url[n - 1] == '/'; n--)
        m->agent.url[n - 1] = '\0';
    if (gethostname(m->hostname, sizeof(m->hostname) - 1) < 0)
        snprintf(m->hostname, sizeof(m->hostname), "localhost");
    m->agent.node = node ? xstrdup(node) : xstrndup(m->hostname, strcspn(m->hostname, "."));
    return name_check("node", m->agent.node, err);
}

/* Short, and the same for the same state folder, so that a job finds the agent again after a restart. */
static char *socket_path(const struct agent *a)
{
    char hex[SHA256_HEX];
    sha256_of(a->state_dir, strlen(a->state_dir), hex);
    return xasprintf("%s/ty-agent-%.12s/socket", a->scratch_dir, hex);
}

static void site_fill(struct main_state *m)
{
    struct agent *a = &m->agent;
    const struct passwd *pw = getpwuid(geteuid());
    a->program = own_binary();
    m->trainer = program_find(conf_str(a->conf, "trainer"), a->program, "trainyard-train");
    m->rsh = program_find(conf_str(a->conf, "rsh"), a->program, "trainyard-rsh");
    m->mpirun = program_find(conf_str(a->conf, "mpirun"), NULL, "mpirun");
    m->socket = socket_path(a);
    m->user.pw_name = xstrdup(pw ? pw->pw_name : "nobody");
    m->user.pw_dir = xstrdup(pw ? pw->pw_dir : "/");
    m->user.pw_shell = xstrdup(pw && *pw->pw_shell ? pw->pw_shell : "/bin/sh");
    a->site = (struct command_site){
        .node = a->node,
        .hostname = m->hostname,
        .trainer = m->trainer,
        .mpirun = m->mpirun,
        .rsh = m->rsh,
        .path = JOB_PATH,
        .home = m->user.pw_dir,
        .user = m->user.pw_name,
        .shell = m->user.pw_shell,
        .socket = m->socket,
        .cluster = "trainyard",
        .cores = (int)inventory_cores(a->inventory),
        .root = geteuid() == 0,
    };
}

static void on_token(void *arg)
{
    struct agent *a = arg;
    session_connect(a->session);
}

static int rooms_create(struct main_state *m, struct err *err)
{
    struct agent *a = &m->agent;
    a->scratch_dir = conf_str(a->conf, "scratch-dir");
    a->ca_file = conf_str(a->conf, "ca-file");
    a->grace_seconds = conf_int(a->conf, "grace");
    a->inventory = inventory_create(conf_int(a->conf, "cores"), conf_int(a->conf, "memory"));
    site_fill(m);
    if (strcmp(conf_str(a->conf, "cgroups"), "auto") == 0)
        cgroup_detect(&a->cgroups);
    if (a->cgroups.version == 0)
        log_info("agent", "jobs run without cgroups: memory is watched by polling",
                 KV_S("reason", a->cgroups.why));
    if (!(a->identity = identity_create(a, on_token, a, err)) ||
        !(a->cache = cache_create(a, conf_int(a->conf, "cache-size"), err)) ||
        !(a->spawns = spawns_create(a, m->socket, err)) || !(a->attempts = attempts_create(a, err)) ||
        !(a->session = session_create(a, err)))
        return -1;
    return attempts_recover(a->attempts, err);
}

static void rooms_destroy(struct main_state *m)
{
    struct agent *a = &m->agent;
    session_destroy(a->session);
    a->session = NULL;
    attempts_destroy(a->attempts);
    spawns_destroy(a->spawns);
    cache_destroy(a->cache);
    identity_destroy(a->identity);
    transfers_destroy(a);
    inventory_destroy(a->inventory);
    cgroup_site_clear(&a->cgroups);
    free(a->program);
    free(a->node);
    free(a->url);
    free(a->state_dir);
    free(m->trainer);
    free(m->rsh);
    free(m->mpirun);
    free(m->socket);
    free(m->user.pw_name);
    free(m->user.pw_dir);
    free(m->user.pw_shell);
    conf_destroy(a->conf);
    if (m->lock_fd >= 0)
        close(m->lock_fd);
}

/* ---- the end ---- */

static void on_all_stopped(void *arg)
{
    struct main_state *m = arg;
    char *path = path_join(m->agent.state_dir, "stop-jobs");
    unlink(path);
    free(path);
    event_base_loopbreak(m->agent.base);
}

/* Jobs outlive the agent, unless the file stop-jobs asks for their end too. */
static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    struct main_state *m = arg;
    char *path = path_join(m->agent.state_dir, "stop-jobs");
    bool stop_jobs = file_exists(path);
    (void)what;
    free(path);
    log_info("agent", stop_jobs ? "stopping, with the jobs" : "stopping, jobs go on", KV_I("signal", sig));
    if (!stop_jobs || m->stopping) {
        event_base_loopbreak(m->agent.base);
        return;
    }
    m->stopping = true;
    attempts_stop_all(m->agent.attempts, "cancel", (double)m->agent.grace_seconds, on_all_stopped, m);
}

static int run(struct main_state *m, struct err *err)
{
    struct agent *a = &m->agent;
    if (state_dir_prepare(m, err) < 0 || identity_prepare(m, err) < 0 || rooms_create(m, err) < 0)
        return -1;
    m->term = evsignal_new(a->base, SIGTERM, on_signal, m);
    m->intr = evsignal_new(a->base, SIGINT, on_signal, m);
    event_add(m->term, NULL);
    event_add(m->intr, NULL);
    log_info("agent", "started", KV_S("node", a->node), KV_S("url", a->url),
             KV_S("version", TRAINYARD_VERSION), KV_I("cgroups", a->cgroups.version),
             KV_S("trainer", m->trainer), KV_S("mpirun", m->mpirun));
    identity_start(a->identity);
    event_base_dispatch(a->base);
    event_free(m->term);
    event_free(m->intr);
    return 0;
}

int main(int argc, char **argv)
{
    struct main_state m = {.lock_fd = -1};
    struct err err = {0};
    enum log_level level = LOG_LEVEL_INFO;
    int rest = 0, rc = 0;

    log_init(level, false);
    if (argc == 3 && strcmp(argv[1], "shepherd") == 0)
        return shepherd_main(argv[2]);
    m.agent.conf = conf_load("trainyard-agent", "Runs jobs on this node for a Trainyard orchestrator.",
                             options, ARRAY_LEN(options), argc - 1, argv + 1, &rest, &err);
    if (!m.agent.conf && err.code == ERR_NONE)
        return 0;
    if (m.agent.conf && rest < argc - 1)
        err_set(&err, ERR_INVALID, "unexpected word \"%.60s\"; see --help", argv[1 + rest]);
    if (err.code != ERR_NONE) {
        fprintf(stderr, "trainyard-agent: %s\n", err.text);
        conf_destroy(m.agent.conf);
        return err_exit_code(err.code);
    }
    (void)log_level_parse(conf_str(m.agent.conf, "log-level"), &level);
    log_init(level, conf_bool(m.agent.conf, "log-json"));
    signal(SIGPIPE, SIG_IGN);
    m.agent.base = event_base_new();
    if (run(&m, &err) < 0) {
        log_error("agent", "cannot run", KV_E(&err));
        rc = err_exit_code(err.code);
    }
    rooms_destroy(&m);
    event_base_free(m.agent.base);
    return rc;
}
