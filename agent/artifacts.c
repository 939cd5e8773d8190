#include "agent/artifacts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/session.h"
#include "agent/transfer.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"

#define COUNT_MAX  10000
#define DEPTH_MAX  16
#define STEP_BYTES (1 << 20) /* hashed in one turn of the loop: about a millisecond */
#define TRIES_MAX  5         /* answers that say the request itself was wrong */

enum artifact_state { ARTIFACT_WAITING, ARTIFACT_STORED, ARTIFACT_TOLD, ARTIFACT_LOST };

struct artifact {
    char *name;
    char digest[SHA256_HEX];
    int64_t size;
    struct timespec changed;
    ino_t inode;
    enum artifact_state state;
};

struct artifacts {
    struct agent *agent;
    int64_t job, fence;
    char *out;
    void (*changed)(void *arg);
    void *arg;
    struct artifact *items;
    size_t count, cap;
    bool collected;
    /* the one under way */
    size_t current;
    int fd; /* -1: none */
    struct sha256 sha;
    int64_t hashed;
    struct transfer *transfer;
    struct event *step; /* hash on, or try again */
    bool waiting;       /* the step event is a back-off */
    int tries;
    struct backoff backoff;
    struct buf trouble;
};

static void on_step(evutil_socket_t fd, short what, void *arg);

struct artifacts *artifacts_create(struct agent *agent, int64_t job, int64_t fence, const char *out,
                                   void (*changed)(void *arg), void *arg)
{
    struct artifacts *a = xcalloc(1, sizeof(*a));
    a->agent = agent;
    a->job = job;
    a->fence = fence;
    a->out = xstrdup(out);
    a->changed = changed;
    a->arg = arg;
    a->fd = -1;
    a->backoff = (struct backoff){.least = 0.2, .most = 5};
    a->step = evtimer_new(agent->base, on_step, a);
    return a;
}

void artifacts_destroy(struct artifacts *a)
{
    if (!a)
        return;
    transfer_cancel(a->transfer);
    if (a->fd >= 0)
        close(a->fd);
    for (size_t i = 0; i < a->count; i++)
        free(a->items[i].name);
    free(a->items);
    buf_free(&a->trouble);
    event_free(a->step);
    free(a->out);
    free(a);
}

const char *artifacts_trouble(const struct artifacts *a)
{
    return buf_str(&a->trouble);
}

static void trouble(struct artifacts *a, const char *name, const char *why)
{
    log_warn("artifacts", "not stored", KV_I("job", a->job), KV_S("name", name), KV_S("reason", why));
    if (a->trouble.len < 300)
        buf_printf(&a->trouble, "%s%.100s was not stored: %.100s", a->trouble.len ? "; " : "", name, why);
}

/* ---- which files ---- */

/* Open below out without following a link anywhere on the way. */
static int open_below(const char *out, const char *name)
{
    char *copy = xstrdup(name), *save = NULL;
    int dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    for (char *part = strtok_r(copy, "/", &save); dir >= 0 && part;) {
        char *next = strtok_r(NULL, "/", &save);
        int fd = openat(dir, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (next ? O_DIRECTORY : 0));
        int saved = errno;
        close(dir);
        errno = saved;
        dir = fd;
        part = next;
    }
    free(copy);
    return dir;
}

static bool same_file(const struct artifact *f, const struct stat *st)
{
    return f->size == st->st_size && f->inode == st->st_ino && f->changed.tv_sec == st->st_mtim.tv_sec &&
           f->changed.tv_nsec == st->st_mtim.tv_nsec;
}

static void take(struct artifacts *a, const char *name, const struct stat *st)
{
    struct artifact *f = NULL;
    for (size_t i = 0; i < a->count && !f; i++) {
        if (strcmp(a->items[i].name, name) == 0)
            f = &a->items[i];
    }
    if (f && same_file(f, st) && f->state != ARTIFACT_LOST)
        return;
    if (f && a->fd >= 0 && f == &a->items[a->current])
        return; /* under way: what changes meanwhile is seen when its bytes are compared */
    if (!f) {
        if (a->count >= COUNT_MAX) {
            if (a->count == COUNT_MAX)
                trouble(a, name, "a job may leave at most 10000 files");
            return;
        }
        a->items = vec_grow(a->items, &a->cap, a->count + 1, sizeof(*a->items));
        f = &a->items[a->count++];
        *f = (struct artifact){.name = xstrdup(name)};
    }
    f->size = st->st_size;
    f->inode = st->st_ino;
    f->changed = st->st_mtim;
    f->state = ARTIFACT_WAITING;
}

static bool name_usable(const char *name)
{
    json_t *text = json_string(name); /* NULL when it is no UTF-8 */
    bool good = text && path_is_safe(name);
    json_decref(text);
    return good;
}

static void walk(struct artifacts *a, int dir_fd, const char *prefix, int depth)
{
    DIR *d = fdopendir(dir_fd);
    if (!d) {
        close(dir_fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *name = *prefix ? path_join(prefix, e->d_name) : xstrdup(e->d_name);
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
            trouble(a, name, errno == ELOOP ? "links are not followed" : strerror(errno));
        else if (!name_usable(name))
            trouble(a, "a file", "its name is not usable as an artifact's");
        else if (S_ISREG(st.st_mode))
            take(a, name, &st);
        else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            walk(a, fd, name, depth + 1);
            fd = -1;
        } else {
            trouble(a, name, "neither a regular file nor a folder of at most 16 levels");
        }
        if (fd >= 0)
            close(fd);
        free(name);
    }
    closedir(d);
}

void artifacts_add(struct artifacts *a, const char *name)
{
    struct stat st;
    if (!name_usable(name))
        return;
    int fd = open_below(a->out, name);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        take(a, name, &st);
    if (fd >= 0)
        close(fd);
    artifacts_pump(a);
}

void artifacts_collect(struct artifacts *a)
{
    if (a->collected)
        return;
    a->collected = true;
    int fd = open(a->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        walk(a, fd, "", 0);
    artifacts_pump(a);
}

/* ---- one file after the other ---- */

static void settle(struct artifacts *a, enum artifact_state state)
{
    close(a->fd);
    a->fd = -1;
    a->tries = 0;
    a->items[a->current].state = state;
    backoff_reset(&a->backoff);
    artifacts_pump(a);
    a->changed(a->arg);
}

static void lose(struct artifacts *a, const char *why)
{
    trouble(a, a->items[a->current].name, why);
    settle(a, ARTIFACT_LOST);
}

static void step_again(struct artifacts *a)
{
    event_active(a->step, EV_TIMEOUT, 0);
}

static void hash_begin(struct artifacts *a)
{
    struct stat st;
    struct artifact *f = &a->items[a->current];
    if (fstat(a->fd, &st) == 0) {
        f->size = st.st_size;
        f->changed = st.st_mtim;
    }
    sha256_init(&a->sha);
    a->hashed = 0;
    *f->digest = '\0';
    step_again(a);
}

static void retry_later(struct artifacts *a)
{
    struct timeval wait = backoff_next(&a->backoff);
    a->waiting = true;
    evtimer_add(a->step, &wait);
}

/* An answer that is neither success nor for us to decide. True: handled. */
static bool answer_bad(struct artifacts *a, const struct http_response *r, const struct err *error)
{
    char text[120];
    if (!r || r->status == 401 || r->status == 429 || r->status >= 500) {
        log_warn("artifacts", "cannot store, trying again", KV_I("job", a->job),
                 KV_S("name", a->items[a->current].name), KV_I("status", r ? r->status : 0),
                 KV_S("error", error ? error->text : ""));
        retry_later(a);
        return true;
    }
    if (r->status < 300)
        return false;
    snprintf(text, sizeof(text), "the orchestrator answered %d: %.80s", r->status, buf_str(&r->body));
    if (r->status == 413 || ++a->tries >= TRIES_MAX)
        lose(a, text);
    else
        retry_later(a); /* the file may have changed under way; it is hashed anew */
    return true;
}

static void on_put(const struct http_response *r, const struct err *error, void *arg)
{
    struct artifacts *a = arg;
    a->transfer = NULL;
    if (!answer_bad(a, r, error))
        settle(a, ARTIFACT_STORED);
}

static void send_call(struct artifacts *a, enum http_method method, http_response_f done)
{
    struct err err = {0};
    char path[128];
    const struct artifact *f = &a->items[a->current];
    snprintf(path, sizeof(path), "/agent/v1/blobs/%s", f->digest);
    struct http_call call = {
        .method = method, .path = path, .body_fd = -1, .max_response = 65536, .done = done, .arg = a};
    if (method == HTTP_M_PUT) {
        call.body_from_fd = true;
        call.body_fd = a->fd;
        call.body_len_fd = f->size;
        call.content_type = "application/octet-stream";
    }
    a->transfer = transfer_start(a->agent, NULL, &call, &err);
    if (!a->transfer)
        retry_later(a);
}

static void on_head(const struct http_response *r, const struct err *error, void *arg)
{
    struct artifacts *a = arg;
    a->transfer = NULL;
    if (r && r->status == 404)
        send_call(a, HTTP_M_PUT, on_put);
    else if (!answer_bad(a, r, error))
        settle(a, ARTIFACT_STORED);
}

static void hash_step(struct artifacts *a)
{
    static char chunk[STEP_BYTES];
    struct artifact *f = &a->items[a->current];
    ssize_t n = pread(a->fd, chunk, sizeof(chunk), a->hashed);
    if (n < 0) {
        lose(a, strerror(errno));
        return;
    }
    if (n > 0) {
        sha256_update(&a->sha, chunk, (size_t)n);
        a->hashed += n;
        step_again(a);
        return;
    }
    f->size = a->hashed; /* what was hashed is what is sent */
    sha256_hex(&a->sha, f->digest);
    send_call(a, HTTP_M_HEAD, on_head);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    struct artifacts *a = arg;
    (void)fd;
    (void)what;
    if (a->fd < 0 || a->transfer)
        return;
    if (a->waiting) {
        a->waiting = false;
        hash_begin(a);
    } else {
        hash_step(a);
    }
}

static void next_begin(struct artifacts *a)
{
    for (size_t i = 0; i < a->count; i++) {
        struct artifact *f = &a->items[i];
        if (f->state != ARTIFACT_WAITING)
            continue;
        int fd = open_below(a->out, f->name);
        if (fd < 0) {
            /* While the program runs it may remove old checkpoints; afterwards nobody should. */
            if (a->collected)
                trouble(a, f->name, strerror(errno));
            f->state = ARTIFACT_LOST;
            continue;
        }
        a->current = i;
        a->fd = fd;
        hash_begin(a);
        return;
    }
}

static bool tell(struct artifacts *a, struct artifact *f)
{
    const char *kind = strncmp(f->name, "checkpoints/", 12) == 0 ? "checkpoint" : "artifact";
    json_t *body =
        json_pack("{s:I,s:I,s:s,s:s,s:I,s:s}", "job", (json_int_t)a->job, "fence", (json_int_t)a->fence,
                  "name", f->name, "digest", f->digest, "size", (json_int_t)f->size, "kind", kind);
    return session_send(a->agent->session, MSG_ARTIFACT, body) == 0;
}

void artifacts_pump(struct artifacts *a)
{
    for (size_t i = 0; i < a->count && session_ready(a->agent->session); i++) {
        if (a->items[i].state == ARTIFACT_STORED && tell(a, &a->items[i]))
            a->items[i].state = ARTIFACT_TOLD;
    }
    if (a->fd < 0)
        next_begin(a);
}

void artifacts_forget_told(struct artifacts *a)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].state == ARTIFACT_TOLD)
            a->items[i].state = ARTIFACT_STORED;
    }
}

bool artifacts_done(const struct artifacts *a)
{
    bool done = a->collected;
    for (size_t i = 0; i < a->count && done; i++)
        done = a->items[i].state == ARTIFACT_TOLD || a->items[i].state == ARTIFACT_LOST;
    return done;
}
