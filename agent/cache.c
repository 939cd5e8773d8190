#include "agent/cache.h"

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
#include "agent/transfer.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"

#define WRONG_DIGEST_TRIES 3

struct cache_waiter {
    struct cache_waiter *next;
    struct fetch *fetch;
    cache_done_f done;
    void *arg;
};

/* One digest that somebody waits for. */
struct fetch {
    struct cache *cache;
    struct fetch *next;
    char digest[SHA256_HEX];
    char *path, *tmp;
    int fd;
    struct sha256 sha;
    struct transfer *transfer;
    struct event *timer; /* begin, or try again */
    struct backoff backoff;
    int wrong; /* times that the bytes were not those of the digest */
    int io_error;
    struct cache_waiter *waiters;
};

struct cache {
    struct agent *agent;
    char *dir;
    int64_t max_bytes;
    struct fetch *fetches;
};

static void fetch_free(struct fetch *f)
{
    for (struct fetch **at = &f->cache->fetches; *at; at = &(*at)->next) {
        if (*at == f) {
            *at = f->next;
            break;
        }
    }
    transfer_cancel(f->transfer);
    if (f->fd >= 0) {
        close(f->fd);
        unlink(f->tmp);
    }
    event_free(f->timer);
    free(f->path);
    free(f->tmp);
    free(f);
}

/* Give everybody the answer. The callbacks may start new fetches, so this one leaves the list first. */
static void fetch_answer(struct fetch *f, const char *path, const struct err *error)
{
    struct cache_waiter *waiters = f->waiters;
    char *keep = path ? xstrdup(path) : NULL;
    f->waiters = NULL;
    for (struct cache_waiter *w = waiters; w; w = w->next)
        w->fetch = NULL;
    fetch_free(f);
    while (waiters) {
        struct cache_waiter *w = waiters;
        waiters = w->next;
        if (w->done)
            w->done(keep, error, w->arg);
        free(w);
    }
    free(keep);
}

static void fetch_later(struct fetch *f)
{
    struct timeval wait = backoff_next(&f->backoff);
    if (f->fd >= 0) {
        close(f->fd);
        unlink(f->tmp);
        f->fd = -1;
    }
    evtimer_add(f->timer, &wait);
}

static int on_data(const void *p, size_t n, int64_t total, void *arg)
{
    struct fetch *f = arg;
    (void)total;
    if (file_write_all(f->fd, p, n) < 0) {
        f->io_error = errno;
        return -1;
    }
    sha256_update(&f->sha, p, n);
    return 0;
}

static int fetch_keep(struct fetch *f, struct err *err)
{
    char hex[SHA256_HEX];
    sha256_hex(&f->sha, hex);
    if (strcmp(hex, f->digest) != 0)
        return err_set(err, ERR_INVALID, "the bytes received for blob %.12s have digest %.12s", f->digest,
                       hex);
    if (fchmod(f->fd, 0444) < 0 || fsync(f->fd) < 0 || rename(f->tmp, f->path) < 0)
        return err_set(err, ERR_IO, "cannot keep %s: %s", f->path, strerror(errno));
    close(f->fd);
    f->fd = -1;
    return file_sync_dir(f->cache->dir, err);
}

static void evict(struct cache *c);

static void on_done(const struct http_response *response, const struct err *error, void *arg)
{
    struct fetch *f = arg;
    struct err err = {0};
    f->transfer = NULL;
    if (f->io_error) {
        err_set(&err, ERR_IO, "cannot write blob %.12s: %s", f->digest, strerror(f->io_error));
        fetch_answer(f, NULL, &err);
        return;
    }
    if (!response || response->status == 401 || response->status == 429 || response->status >= 500) {
        log_warn("cache", "cannot fetch, trying again", KV_S("digest", f->digest),
                 KV_I("status", response ? response->status : 0), KV_S("error", error ? error->text : ""));
        fetch_later(f);
        return;
    }
    if (response->status != 200) {
        err_set(&err, ERR_NOT_FOUND, "the orchestrator answered %d for blob %.12s", response->status,
                f->digest);
        fetch_answer(f, NULL, &err);
        return;
    }
    if (fetch_keep(f, &err) == 0) {
        evict(f->cache);
        fetch_answer(f, f->path, NULL);
    } else if (err.code == ERR_INVALID && ++f->wrong < WRONG_DIGEST_TRIES) {
        log_warn("cache", "wrong bytes, trying again", KV_E(&err));
        fetch_later(f);
    } else {
        fetch_answer(f, NULL, &err);
    }
}

static void fetch_begin(struct fetch *f)
{
    struct err err = {0};
    char path[128];
    snprintf(path, sizeof(path), "/agent/v1/blobs/%s", f->digest);
    sha256_init(&f->sha);
    f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (f->fd < 0) {
        err_set(&err, ERR_IO, "cannot write %s: %s", f->tmp, strerror(errno));
        fetch_answer(f, NULL, &err);
        return;
    }
    struct http_call call = {.method = HTTP_M_GET,
                             .path = path,
                             .on_data = on_data,
                             .max_response = 65536,
                             .done = on_done,
                             .arg = f};
    f->transfer = transfer_start(f->cache->agent, NULL, &call, &err);
    if (!f->transfer)
        fetch_later(f);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct fetch *f = arg;
    (void)fd;
    (void)what;
    if (access(f->path, R_OK) == 0) {
        (void)utimensat(AT_FDCWD, f->path, NULL, 0); /* used just now: the last to be evicted */
        fetch_answer(f, f->path, NULL);
    } else if (!f->transfer) {
        fetch_begin(f);
    }
}

static struct fetch *fetch_find_or_make(struct cache *c, const char *digest)
{
    static const struct timeval now = {0, 0};
    for (struct fetch *f = c->fetches; f; f = f->next) {
        if (strcmp(f->digest, digest) == 0)
            return f;
    }
    struct fetch *f = xcalloc(1, sizeof(*f));
    f->cache = c;
    snprintf(f->digest, sizeof(f->digest), "%s", digest);
    f->path = path_join(c->dir, digest);
    f->tmp = xasprintf("%s/tmp.%s", c->dir, digest);
    f->fd = -1;
    f->backoff = (struct backoff){.least = 0.2, .most = 5};
    f->timer = evtimer_new(c->agent->base, on_timer, f);
    f->next = c->fetches;
    c->fetches = f;
    evtimer_add(f->timer, &now);
    return f;
}

struct cache_waiter *cache_fetch(struct cache *c, const char *digest, cache_done_f done, void *arg)
{
    struct cache_waiter *w = xcalloc(1, sizeof(*w));
    w->done = done;
    w->arg = arg;
    w->fetch = fetch_find_or_make(c, digest);
    w->next = w->fetch->waiters;
    w->fetch->waiters = w;
    return w;
}

void cache_cancel(struct cache_waiter *w)
{
    if (!w)
        return;
    struct fetch *f = w->fetch;
    if (!f) { /* its turn in fetch_answer is just coming */
        w->done = NULL;
        return;
    }
    for (struct cache_waiter **at = &f->waiters; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            break;
        }
    }
    free(w);
    if (!f->waiters)
        fetch_free(f);
}

/* ---- eviction ---- */

struct kept {
    char name[SHA256_HEX];
    int64_t bytes;
    struct timespec used;
    bool linked; /* an attempt has it: removing it would free nothing */
};

static int older_first(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* The files of the cache; what is no finished blob and older than this process is removed on the way when
 * asked to. */
static size_t list(struct cache *c, struct kept **out, bool clean)
{
    struct kept *all = NULL;
    size_t n = 0, cap = 0;
    DIR *d = opendir(c->dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (!sha256_is_hex(e->d_name)) {
            if (clean)
                unlinkat(dirfd(d), e->d_name, 0);
            continue;
        }
        all = vec_grow(all, &cap, n + 1, sizeof(*all));
        all[n] = (struct kept){.bytes = st.st_size, .used = st.st_mtim, .linked = st.st_nlink > 1};
        snprintf(all[n++].name, SHA256_HEX, "%.64s", e->d_name);
    }
    if (d)
        closedir(d);
    *out = all;
    return n;
}

static void evict(struct cache *c)
{
    struct kept *all = NULL;
    size_t n = list(c, &all, false);
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += all[i].bytes;
    if (n > 1)
        qsort(all, n, sizeof(*all), older_first);
    /* The newest stays even when it alone is over the bound: somebody is about to use it. */
    for (size_t i = 0; i + 1 < n && sum > c->max_bytes; i++) {
        if (all[i].linked)
            continue;
        char *path = path_join(c->dir, all[i].name);
        if (unlink(path) == 0)
            sum -= all[i].bytes;
        free(path);
    }
    free(all);
}

struct cache *cache_create(struct agent *agent, int64_t max_bytes, struct err *err)
{
    struct cache *c = xcalloc(1, sizeof(*c));
    struct kept *all = NULL;
    c->agent = agent;
    c->max_bytes = max_bytes;
    c->dir = path_join(agent->state_dir, "cache");
    if (dir_make(c->dir, 0700, err) < 0) {
        cache_destroy(c);
        return NULL;
    }
    (void)list(c, &all, true);
    free(all);
    evict(c);
    return c;
}

void cache_destroy(struct cache *c)
{
    if (!c)
        return;
    while (c->fetches) {
        struct fetch *f = c->fetches;
        while (f->waiters) {
            struct cache_waiter *w = f->waiters;
            f->waiters = w->next;
            free(w);
        }
        fetch_free(f);
    }
    free(c->dir);
    free(c);
}
