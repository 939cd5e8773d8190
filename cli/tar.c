#include "cli/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define BLOCK     512
#define MAX_FILES 10000000
#define MAX_DEPTH 32

struct entry {
    char *name, *path;
    int64_t size;
};

struct tar {
    struct entry *entries;
    size_t count, cap;
    int64_t total;
    size_t at;       /* the entry that is being written */
    struct buf head; /* headers, padding or the end, not yet handed out from head_at on */
    size_t head_at;
    int fd;
    int64_t left; /* bytes of the open file */
    bool ended;
};

/* ---- headers ---- */

/* Split a name into ustar's prefix/name; false when it does not fit. */
static bool split_name(const char *name, size_t *prefix)
{
    size_t n = strlen(name);
    *prefix = 0;
    if (n <= 100)
        return true;
    for (size_t i = n > 156 ? 155 : n - 1; i > 0; i--)
        if (name[i] == '/' && n - i - 1 <= 100 && n - i - 1 > 0) {
            *prefix = i;
            return true;
        }
    return false;
}

static void put_header(struct buf *out, const char *name, size_t prefix, int64_t size, char type)
{
    char h[BLOCK] = {0};
    size_t base = prefix ? prefix + 1 : 0, n = strlen(name + base);
    memcpy(h, name + base, n > 100 ? 100 : n);
    memcpy(h + 345, name, prefix);
    memcpy(h + 100, "0000644", 7);
    memcpy(h + 108, "0000000", 7);
    memcpy(h + 116, "0000000", 7);
    snprintf(h + 124, 12, "%011llo",
             (unsigned long long)(size < (1LL << 33) ? size : 0)); /* else pax says it */
    memcpy(h + 136, "00000000000", 11);
    memset(h + 148, ' ', 8);
    h[156] = type;
    memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
    buf_add(out, h, BLOCK);
}

static void pad(struct buf *out, int64_t size)
{
    static const char ZERO[BLOCK];
    if (size % BLOCK)
        buf_add(out, ZERO, (size_t)(BLOCK - size % BLOCK));
}

/* "27 path=...\n": the number counts itself. */
static void put_pax(struct buf *out, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, n = rest + 1;
    char digits[24];
    while ((size_t)snprintf(digits, sizeof digits, "%zu", n) + rest != n)
        n++;
    buf_printf(out, "%zu %s=%s\n", n, key, value);
}

static void put_entry(struct buf *out, const struct entry *e)
{
    size_t prefix = 0;
    struct buf pax = {0};
    if (!split_name(e->name, &prefix))
        put_pax(&pax, "path", e->name);
    if (e->size >= 1LL << 33) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)e->size);
        put_pax(&pax, "size", text);
    }
    if (pax.len) {
        put_header(out, "PaxHeader", 0, (int64_t)pax.len, 'x');
        buf_add(out, pax.data, pax.len);
        pad(out, (int64_t)pax.len);
    }
    put_header(out, e->name, prefix, e->size, '0');
    buf_free(&pax);
}

/* ---- collecting ---- */

static int add_file(struct tar *t, const char *name, const char *path, int64_t size, struct err *err)
{
    if (t->count >= MAX_FILES)
        return err_set(err, ERR_TOO_LARGE, "more than %d files; pack them into one archive first", MAX_FILES);
    t->entries = vec_grow(t->entries, &t->cap, t->count + 1, sizeof *t->entries);
    t->entries[t->count++] = (struct entry){xstrdup(name), xstrdup(path), size};
    return 0;
}

static int add_path(struct tar *t, const char *name, const char *path, int depth, struct err *err);

static int add_folder(struct tar *t, const char *name, const char *path, int depth, struct err *err)
{
    DIR *dir = depth < MAX_DEPTH ? opendir(path) : NULL;
    if (!dir)
        return err_set(err, ERR_IO, "cannot read the folder %s: %s", path,
                       depth < MAX_DEPTH ? strerror(errno) : "folders are nested too deeply");
    int rc = 0;
    struct dirent *d;
    while (!rc && (d = readdir(dir))) {
        if (d->d_name[0] == '.')
            continue;
        char *sub_path = path_join(path, d->d_name);
        char *sub_name = *name ? path_join(name, d->d_name) : xstrdup(d->d_name);
        rc = add_path(t, sub_name, sub_path, depth + 1, err);
        free(sub_path);
        free(sub_name);
    }
    closedir(dir);
    return rc;
}

static int add_path(struct tar *t, const char *name, const char *path, int depth, struct err *err)
{
    struct stat link, st;
    if (lstat(path, &link) || stat(path, &st))
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", path,
                       strerror(errno));
    if (S_ISDIR(st.st_mode)) /* a link to a folder may lead back here */
        return S_ISLNK(link.st_mode) && depth > 0 ? 0
                                                  : add_folder(t, depth > 0 ? name : "", path, depth, err);
    if (S_ISREG(st.st_mode))
        return add_file(t, name, path, st.st_size, err);
    return depth > 0 ? 0 : err_set(err, ERR_INVALID, "%s is neither a file nor a folder", path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int check_names(const struct tar *t, struct err *err)
{
    for (size_t i = 1; i < t->count; i++)
        if (strcmp(t->entries[i - 1].name, t->entries[i].name) == 0)
            return err_set(err, ERR_INVALID,
                           "%s and %s would both be called \"%s\"; put them into folders of one folder",
                           t->entries[i - 1].path, t->entries[i].path, t->entries[i].name);
    if (t->count == 0)
        return err_set(err, ERR_INVALID, "there is no file to send");
    return 0;
}

struct tar *tar_create(const char *const *paths, int count, struct err *err)
{
    struct tar *t = xcalloc(1, sizeof *t);
    t->fd = -1;
    int rc = 0;
    for (int i = 0; i < count && !rc; i++) {
        const char *slash = strrchr(paths[i], '/');
        rc = add_path(t, slash && slash[1] ? slash + 1 : paths[i], paths[i], 0, err);
    }
    if (!rc && t->count)
        qsort(t->entries, t->count, sizeof *t->entries, by_name);
    if (rc || check_names(t, err)) {
        tar_destroy(t);
        return NULL;
    }
    for (size_t i = 0; i < t->count; i++) {
        struct buf head = {0};
        put_entry(&head, &t->entries[i]);
        t->total += (int64_t)head.len + (t->entries[i].size + BLOCK - 1) / BLOCK * BLOCK;
        buf_free(&head);
    }
    t->total += 2 * BLOCK;
    return t;
}

int tar_files(const struct tar *t)
{
    return (int)t->count;
}

int64_t tar_size(const struct tar *t)
{
    return t->total;
}

/* ---- reading it out ---- */

/* Queue what comes next: the header of the next file, or the end. */
static int advance(struct tar *t, struct err *err)
{
    static const char ZERO[2 * BLOCK];
    buf_clear(&t->head);
    t->head_at = 0;
    if (t->fd >= 0) { /* a file has just ended */
        close(t->fd);
        t->fd = -1;
        pad(&t->head, t->entries[t->at++].size);
    }
    if (t->at == t->count) {
        if (!t->ended)
            buf_add(&t->head, ZERO, sizeof ZERO);
        t->ended = true;
        return 0;
    }
    const struct entry *e = &t->entries[t->at];
    t->fd = open(e->path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", e->path, strerror(errno));
    t->left = e->size;
    put_entry(&t->head, e);
    return 0;
}

ssize_t tar_read(void *p, size_t n, void *tar, struct err *err)
{
    struct tar *t = tar;
    if (t->head_at == t->head.len && t->left == 0 && advance(t, err))
        return -1;
    size_t waiting = t->head.len - t->head_at;
    if (waiting) {
        n = waiting < n ? waiting : n;
        memcpy(p, t->head.data + t->head_at, n);
        t->head_at += n;
        return (ssize_t)n;
    }
    n = t->left < (int64_t)n ? (size_t)t->left : n;
    ssize_t got = n ? read(t->fd, p, n) : 0;
    if (got <= 0)
        return err_set(err, ERR_IO, "%s: %s", t->at < t->count ? t->entries[t->at].path : "the archive",
                       got < 0 ? strerror(errno) : "the file became shorter while it was sent");
    t->left -= got;
    return got;
}

void tar_destroy(struct tar *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->entries[i].name);
        free(t->entries[i].path);
    }
    free(t->entries);
    buf_free(&t->head);
    if (t->fd >= 0)
        close(t->fd);
    free(t);
}
