/* trainyard-orchestrator: create the rooms, run the loop, destroy them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/ssl.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "orchestrator/api/api.h"
#include "orchestrator/api/auth.h"
#include "orchestrator/api/password.h"
#include "orchestrator/api/stream_access.h"
#include "orchestrator/api/uploads.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/blob/collect.h"
#include "orchestrator/dispatch/dispatch.h"
#include "orchestrator/job/jobs.h"
#include "orchestrator/orch.h"
#include "orchestrator/store/db.h"
#include "orchestrator/stream/stream.h"
#include "orchestrator/verify/cage.h"
#include "orchestrator/verify/child.h"
#include "orchestrator/verify/verifier.h"

// clang-format off
static const struct conf_option options[] = {
    {"config", CONF_STR, NULL, 0, 0, NULL, "A JSON file with options by name.", NULL, false},
    {"state-dir", CONF_STR, NULL, 0, 0, NULL, "Folder of everything that is kept (default ~/.local/share/trainyard).", "TRAINYARD_STATE", false},
    {"listen", CONF_STR, "127.0.0.1:7878", 0, 0, NULL, "Addresses to listen on, with commas: HOST:PORT, [IPV6]:PORT, unix:/PATH.", NULL, false},
    {"database", CONF_STR, NULL, 0, 0, NULL, "PostgreSQL connection URL.", "TRAINYARD_DATABASE", true},
    {"database-readers", CONF_INT, "4", 1, 64, NULL, "Connections that answer queries.", NULL, false},
    {"public-url", CONF_STR, NULL, 0, 0, NULL, "How browsers reach this server, when that is not the address it listens on.", NULL, false},
    {"tls-cert", CONF_STR, NULL, 0, 0, NULL, "Certificate chain (PEM); with tls-key, HTTPS is spoken.", NULL, false},
    {"tls-key", CONF_STR, NULL, 0, 0, NULL, "Private key (PEM).", NULL, false},
    {"console-dir", CONF_STR, NULL, 0, 0, NULL, "Folder of the web console's files (default: beside the program).", NULL, false},
    {"trainer", CONF_STR, NULL, 0, 0, NULL, "Path of trainyard-train (default: beside the program, then PATH).", NULL, false},
    {"dataset-max", CONF_SIZE, "0", 0, 0, NULL, "Largest dataset or upload in bytes; 0: no limit.", NULL, false},
    {"verify-children", CONF_INT, "2", 1, 256, NULL, "Verifications at once.", NULL, false},
    {"verify-seconds", CONF_DURATION, "60", 1, 86400, NULL, "Processor time of one verification.", NULL, false},
    {"verify-dataset-seconds", CONF_DURATION, "1h", 1, 604800, NULL, "Processor time of a dataset's verification.", NULL, false},
    {"verify-memory", CONF_SIZE, "8G", 1 << 26, INT64_MAX, NULL, "Memory of one verification.", NULL, false},
    {"verify-disk", CONF_SIZE, "256G", 1 << 20, INT64_MAX, NULL, "Largest file a verification may write.", NULL, false},
    {"session-seconds", CONF_DURATION, "7d", 60, 365 * 86400, NULL, "How long a browser stays signed in.", NULL, false},
    {"blob-grace", CONF_DURATION, "1h", 0, 365 * 86400, NULL, "How long an unused file is kept.", NULL, false},
    {"node-timeout", CONF_DURATION, "60", 1, 86400, NULL, "A node whose agent is away this long is down; its jobs are tried elsewhere.", NULL, false},
    {"max-connections", CONF_INT, "20000", 10, 1000000, NULL, "Open connections at once.", NULL, false},
    {"log-level", CONF_CHOICE, "info", 0, 0, "debug|info|warn|error", "What is logged.", NULL, false},
    {"log-json", CONF_BOOL, "false", 0, 0, NULL, "Log one JSON object a line.", NULL, false},
};
// clang-format on

struct program {
    struct orch orch;
    char *state_dir, *console_dir;
    int lock;
    struct ssl_ctx_st *tls;
    struct event *term, *intr;
    bool stopping;
};

/* --- folders -------------------------------------------------------------------------------------------- */

static char *default_state_dir(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/')
        return path_join(data, "trainyard");
    return home && *home ? xasprintf("%s/.local/share/trainyard", home) : NULL;
}

/* Ours alone, and of one orchestrator at a time. */
static int open_state_dir(struct program *p, struct err *err)
{
    const char *given = conf_str(p->orch.conf, "state-dir");
    char *wanted = given ? xstrdup(given) : default_state_dir();
    if (!wanted)
        return err_set(err, ERR_INVALID, "there is no home folder; give --state-dir");
    int rc = dir_make(wanted, 0700, err);
    if (rc == 0 && !(p->state_dir = realpath(wanted, NULL)))
        rc = err_set(err, ERR_IO, "cannot use %s: %s", wanted, strerror(errno));
    free(wanted);
    if (rc < 0)
        return -1;
    struct stat st;
    if (stat(p->state_dir, &st) == 0 && (st.st_mode & 077) && chmod(p->state_dir, st.st_mode & 0700) < 0)
        return err_set(err, ERR_IO, "others can read %s, and that can't be changed: %s", p->state_dir,
                       strerror(errno));
    char *path = path_join(p->state_dir, "orchestrator.lock");
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0 || flock(p->lock, LOCK_EX | LOCK_NB) < 0)
        rc = err_set(err, ERR_CONFLICT, "another orchestrator uses %s", p->state_dir);
    free(path);
    p->orch.state_dir = p->state_dir;
    return rc;
}

/* PREFIX/share/trainyard/console where it is installed, BUILD/webui where it was built. */
static char *find_console(void)
{
    static const char *const places[] = {"../share/trainyard/console", "../webui"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = 0;
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
        char *dir = xasprintf("%.*s/%s", (int)(slash - self), self, places[i]);
        char *page = path_join(dir, "index.html");
        bool there = file_exists(page);
        free(page);
        if (there)
            return dir;
        free(dir);
    }
    return NULL;
}

/* --- rooms ---------------------------------------------------------------------------------------------- */

static int create_rooms(struct program *p, struct err *err)
{
    struct orch *o = &p->orch;
    const char *database = conf_str(o->conf, "database");
    if (!database)
        return err_set(err, ERR_INVALID,
                       "which database? Give --database URL, or use `trainyard up`, which starts one");
    o->children = children_create(o->base);
    if (!(o->db = db_create(o->base, database, (int)conf_int(o->conf, "database-readers"), err)) ||
        !(o->blobs = blob_store_create(o->state_dir, err)) || !(o->stream = stream_access_create(o)) ||
        !(o->verifier = verifier_create(o, err)) || !(o->auth = auth_create(o, err)) ||
        auth_first_start(o->auth, err) < 0 || !(o->uploads = uploads_create(o, err)) ||
        !(o->jobs = jobs_create(o, err)) || !(o->dispatch = dispatch_create(o, err)) ||
        !(o->api = api_create(o, p->console_dir, err)))
        return -1;
    o->collector = collector_create(o);
    return 0;
}

static void destroy_rooms(struct program *p)
{
    struct orch *o = &p->orch;
    http_server_destroy(o->http);
    collector_destroy(o->collector);
    api_destroy(o->api);
    dispatch_destroy(o->dispatch);
    o->dispatch = NULL;
    jobs_destroy(o->jobs);
    uploads_destroy(o->uploads);
    auth_destroy(o->auth);
    verifier_destroy(o->verifier);
    stream_destroy(o->stream);
    db_destroy(o->db);
    children_destroy(o->children);
    blob_store_destroy(o->blobs);
    if (p->tls)
        SSL_CTX_free(p->tls);
}

/* --- listening ------------------------------------------------------------------------------------------ */

static bool is_local(const char *address)
{
    return !strncmp(address, "127.", 4) || !strncmp(address, "localhost:", 10) ||
           !strncmp(address, "[::1]:", 6) || !strncmp(address, "unix:", 5);
}

static int listen_on(struct program *p, struct err *err)
{
    struct orch *o = &p->orch;
    const char *cert = conf_str(o->conf, "tls-cert"), *key = conf_str(o->conf, "tls-key");
    if (!cert != !key)
        return err_set(err, ERR_INVALID, "tls-cert and tls-key belong together");
    if (cert && !(p->tls = http_tls_load(cert, key, err)))
        return -1;
    struct http_server_limits limits = {.max_connections = (int)conf_int(o->conf, "max-connections")};
    o->http = http_server_create(o->base, &limits, api_on_request, o->api);
    char *list = xstrdup(conf_str(o->conf, "listen")), *rest = list, *address;
    int rc = 0;
    while (rc == 0 && (address = strsep(&rest, ", "))) {
        if (!*address)
            continue;
        bool unix_socket = !strncmp(address, "unix:", 5);
        rc = http_server_listen(o->http, address, unix_socket ? NULL : p->tls, err);
        if (rc == 0 && !p->tls && !is_local(address))
            log_warn("main",
                     "LISTENING WITHOUT TLS ON AN ADDRESS THAT OTHERS REACH: passwords and tokens go in "
                     "clear text; use tls-cert and tls-key",
                     KV_S("address", address));
        if (rc == 0)
            log_info("main", "listening", KV_S("address", address), KV_I("port", http_server_port(o->http)));
    }
    free(list);
    return rc;
}

/* --- running -------------------------------------------------------------------------------------------- */

static void on_shut(void *arg)
{
    struct program *p = arg;
    event_base_loopbreak(p->orch.base);
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    struct program *p = arg;
    if (p->stopping) {
        event_base_loopbreak(p->orch.base); /* asked twice: at once */
        return;
    }
    p->stopping = true;
    log_info("main", "stopping", KV_I("signal", sig));
    http_server_shutdown(p->orch.http, 10, on_shut, p);
}

static int run(struct program *p)
{
    struct err err = {0};
    int code = 0;
    p->orch.base = event_base_new();
    const char *console = conf_str(p->orch.conf, "console-dir");
    p->console_dir = console ? xstrdup(console) : find_console();
    if (open_state_dir(p, &err) < 0 || create_rooms(p, &err) < 0 || listen_on(p, &err) < 0) {
        log_error("main", "cannot start", KV_E(&err));
        code = err_exit_code(err.code);
    } else {
        p->term = evsignal_new(p->orch.base, SIGTERM, on_stop, p);
        p->intr = evsignal_new(p->orch.base, SIGINT, on_stop, p);
        event_add(p->term, NULL);
        event_add(p->intr, NULL);
        log_info("main", "ready", KV_S("version", TRAINYARD_VERSION), KV_S("state", p->state_dir));
        event_base_dispatch(p->orch.base);
        db_drain(p->orch.db, 5);
        event_free(p->term);
        event_free(p->intr);
    }
    destroy_rooms(p);
    event_base_free(p->orch.base);
    if (p->lock >= 0)
        close(p->lock);
    free(p->state_dir);
    free(p->console_dir);
    log_info("main", "stopped");
    return code;
}

/* The helpers that the orchestrator starts as children of itself. */
static int helper(int argc, char **argv)
{
    if (argc >= 2 && !strcmp(argv[1], "internal-password"))
        return password_main();
    if (argc >= 2 && !strcmp(argv[1], "internal-cage"))
        return cage_main(argc - 2, argv + 2);
    if (argc >= 2 && !strcmp(argv[1], "internal-seal"))
        return seal_main(argc - 2, argv + 2);
    return -1;
}

int main(int argc, char **argv)
{
    int code = helper(argc, argv);
    if (code >= 0)
        return code;
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("trainyard-orchestrator " TRAINYARD_VERSION);
        return 0;
    }
    struct err err = {0};
    struct program p = {.lock = -1};
    int rest = 0;
    p.orch.conf =
        conf_load("trainyard-orchestrator", "The one server of Trainyard: HTTP, WebSocket, scheduler.",
                  options, (int)ARRAY_LEN(options), argc - 1, argv + 1, &rest, &err);
    if (p.orch.conf && rest < argc - 1)
        err_set(&err, ERR_INVALID, "unexpected argument \"%s\"; see --help", argv[1 + rest]);
    if (err.code)
        fprintf(stderr, "trainyard-orchestrator: %s\n", err.text);
    if (!p.orch.conf || err.code) {
        conf_destroy(p.orch.conf);
        return err_exit_code(err.code);
    }
    enum log_level level = LOG_LEVEL_INFO;
    log_level_parse(conf_str(p.orch.conf, "log-level"), &level);
    log_init(level, conf_bool(p.orch.conf, "log-json"));
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0) {
        fprintf(stderr, "trainyard-orchestrator: libsodium can't be used on this machine\n");
        code = 1;
    } else {
        code = run(&p);
    }
    conf_destroy(p.orch.conf);
    return code;
}
