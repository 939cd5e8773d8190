#include "agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/cache.h"
#include "base/file.h"
#include "base/mem.h"

#define COPY_MAX (64LL << 20) /* larger ones are linked all the same: a copy would hold up the loop */

struct file {
    struct files *all;
    const struct launch_file *spec;
    struct cache_waiter *waiter;
};

struct files {
    struct agent *agent;
    const char *dir;
    struct file *items;
    size_t count, left;
    struct event *none; /* when there is nothing to fetch */
    struct err error;
    void (*done)(const struct err *error, void *arg);
    void *arg;
};

static int copy_file(const char *from, const char *to, mode_t mode, struct err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC),
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    ssize_t n = -1;
    if (in >= 0 && out >= 0) {
        char chunk[65536];
        while ((n = read(in, chunk, sizeof(chunk))) > 0 && file_write_all(out, chunk, (size_t)n) == 0)
            continue;
        n = n == 0 ? 0 : -1;
    }
    int saved = errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return n == 0 ? 0 : err_set(err, ERR_IO, "cannot copy %s to %s: %s", from, to, strerror(saved));
}

static int place(const struct files *f, const struct launch_file *spec, const char *from, struct err *err)
{
    struct stat st;
    char *to = path_join(f->dir, spec->path);
    char *slash = strrchr(to, '/');
    *slash = '\0';
    int rc = dir_make(to, 0755, err);
    *slash = '/';
    if (rc == 0 && unlink(to) < 0 && errno != ENOENT)
        rc = err_set(err, ERR_IO, "cannot replace %s: %s", to, strerror(errno));
    if (rc == 0 && stat(from, &st) < 0)
        rc = err_set(err, ERR_IO, "cannot look at %s: %s", from, strerror(errno));
    if (rc == 0) {
        bool script = strcmp(spec->path, LAUNCH_SCRIPT) == 0;
        if (!script && (spec->cache || st.st_size > COPY_MAX) && link(from, to) == 0)
            rc = 0;
        else
            rc = copy_file(from, to, script ? 0755 : 0644, err);
    }
    free(to);
    return rc;
}

static void one_less(struct files *f)
{
    if (--f->left == 0)
        f->done(f->error.code ? &f->error : NULL, f->arg); /* may destroy f */
}

static void on_blob(const char *path, const struct err *error, void *arg)
{
    struct file *item = arg;
    struct files *f = item->all;
    struct err err = {0};
    item->waiter = NULL;
    if (!path && !f->error.code)
        err_set(&f->error, error->code, "file %s: %s", item->spec->path, error->text);
    if (path && place(f, item->spec, path, &err) < 0 && !f->error.code)
        f->error = err;
    one_less(f);
}

static void on_none(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    one_less(arg);
}

struct files *files_fetch(struct agent *agent, const struct launch *l, const char *dir,
                          void (*done)(const struct err *error, void *arg), void *arg)
{
    static const struct timeval now = {0, 0};
    struct files *f = xcalloc(1, sizeof(*f));
    *f = (struct files){.agent = agent, .dir = dir, .count = l->file_count, .done = done, .arg = arg};
    f->left = f->count ? f->count : 1;
    f->items = xcalloc(f->count + 1, sizeof(*f->items));
    f->none = evtimer_new(agent->base, on_none, f);
    if (f->count == 0)
        evtimer_add(f->none, &now);
    for (size_t i = 0; i < f->count; i++) {
        f->items[i] = (struct file){.all = f, .spec = &l->files[i]};
        f->items[i].waiter = cache_fetch(agent->cache, l->files[i].digest, on_blob, &f->items[i]);
    }
    return f;
}

void files_destroy(struct files *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        cache_cancel(f->items[i].waiter);
    event_free(f->none);
    free(f->items);
    free(f);
}
