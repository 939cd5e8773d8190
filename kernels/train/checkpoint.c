#include "kernels/train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

#define MAGIC       "TYCKPT01"
#define HEAD_BYTES  24
#define ENTRY_BYTES (CHECKPOINT_NAME_MAX + 16)
#define ALIGN       64
#define HASH_BYTES  32
#define TEMP_PREFIX ".new-"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints are written as memory stands");

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- writing ---- */

struct writer {
    int fd;
    struct sha256 hash;
    size_t at;
};

static int put(struct writer *w, const void *p, size_t n)
{
    sha256_update(&w->hash, p, n);
    w->at += n;
    return n ? file_write_all(w->fd, p, n) : 0;
}

static int put_padding(struct writer *w)
{
    static const uint8_t zeros[ALIGN];
    return put(w, zeros, aligned(w->at) - w->at);
}

static uint8_t *make_head(const struct checkpoint_part *parts, size_t count, size_t *head_bytes)
{
    *head_bytes = HEAD_BYTES + count * ENTRY_BYTES;
    uint8_t *head = xcalloc(1, *head_bytes);
    uint64_t offset = aligned(*head_bytes);
    uint32_t n = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        uint8_t *e = head + HEAD_BYTES + i * ENTRY_BYTES;
        uint64_t bytes = parts[i].bytes;
        memcpy(e, parts[i].name, strnlen(parts[i].name, CHECKPOINT_NAME_MAX - 1));
        memcpy(e + CHECKPOINT_NAME_MAX, &offset, 8);
        memcpy(e + CHECKPOINT_NAME_MAX + 8, &bytes, 8);
        offset = aligned(offset + bytes);
    }
    offset += HASH_BYTES;
    memcpy(head, MAGIC, 8);
    memcpy(head + 8, &offset, 8);
    memcpy(head + 16, &n, 4);
    return head;
}

static int write_parts(int fd, const struct checkpoint_part *parts, size_t count)
{
    struct writer w = {.fd = fd};
    uint8_t digest[HASH_BYTES];
    size_t head_bytes;
    sha256_init(&w.hash);
    uint8_t *head = make_head(parts, count, &head_bytes);
    int rc = put(&w, head, head_bytes) || put_padding(&w);
    free(head);
    for (size_t i = 0; i < count && !rc; i++)
        rc = put(&w, parts[i].data, parts[i].bytes) || put_padding(&w);
    sha256_final(&w.hash, digest);
    if (rc || file_write_all(fd, digest, sizeof(digest)))
        return -1;
    return fsync(fd);
}

/* ---- the folder ---- */

/* The step in "step-NNNNNN.ckpt", -1 if the name is another. */
static int64_t name_step(const char *name)
{
    char *end;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9')
        return -1;
    errno = 0;
    long long step = strtoll(name + 5, &end, 10);
    return errno || strcmp(end, ".ckpt") != 0 ? -1 : step;
}

struct listed {
    char *name;
    int64_t step;
};

static int newest_first(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->step < y->step ? 1 : x->step > y->step ? -1 : 0;
}

/* Checkpoints of a folder, newest first; an absent folder has none. remove_temporaries takes away what killed writers left. */
static int list(const char *dir, bool remove_temporaries, struct listed **out, size_t *count, struct err *err)
{
    size_t cap = 0;
    *out = NULL;
    *count = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0 : err_set(err, ERR_IO, "cannot read %s: %s", dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        int64_t step = name_step(e->d_name);
        if (step >= 0) {
            *out = vec_grow(*out, &cap, *count + 1, sizeof(**out));
            (*out)[(*count)++] = (struct listed){xstrdup(e->d_name), step};
        } else if (remove_temporaries && strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    closedir(d);
    if (*count > 1)
        qsort(*out, *count, sizeof(**out), newest_first);
    return 0;
}

static void list_free(struct listed *l, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(l[i].name);
    free(l);
}

/* Keep the newest; failing to delete an old file is no reason to fail. */
static void prune(const char *dir, int64_t keep)
{
    struct listed *l;
    size_t count;
    if (list(dir, true, &l, &count, NULL))
        return;
    for (size_t i = keep > 1 ? (size_t)keep : 1; i < count; i++) {
        char *path = path_join(dir, l[i].name);
        unlink(path);
        free(path);
    }
    list_free(l, count);
}

static int write_temporary(const char *path, const struct checkpoint_part *parts, size_t count,
                           struct err *err)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    int rc = write_parts(fd, parts, count);
    int error = errno;
    if (close(fd) < 0 && !rc) {
        rc = -1;
        error = errno;
    }
    if (rc) {
        unlink(path);
        return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(error));
    }
    return 0;
}

int checkpoint_write(const char *dir, int64_t step, const struct checkpoint_part *parts, size_t count,
                     int64_t keep, char file_name[64], struct err *err)
{
    char temporary[64];
    if (count > CHECKPOINT_MAX_PARTS)
        return err_set(err, ERR_INTERNAL, "%zu parts are too many for a checkpoint", count);
    if (dir_make(dir, 0755, err))
        return -1;
    snprintf(file_name, 64, "step-%06" PRId64 ".ckpt", step);
    snprintf(temporary, sizeof(temporary), TEMP_PREFIX "%06" PRId64 "-%d", step, (int)getpid());
    char *from = path_join(dir, temporary), *to = path_join(dir, file_name);
    int rc = write_temporary(from, parts, count, err);
    if (!rc && rename(from, to) < 0) {
        rc = err_set(err, ERR_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
        unlink(from);
    }
    if (!rc)
        rc = file_sync_dir(dir, err);
    if (!rc)
        prune(dir, keep);
    free(from);
    free(to);
    return rc;
}

int checkpoint_keep_best(const char *dir, const char *file_name, struct err *err)
{
    char *from = path_join(dir, file_name), *temporary = path_join(dir, TEMP_PREFIX CHECKPOINT_BEST),
         *to = path_join(dir, CHECKPOINT_BEST);
    unlink(temporary); /* what a killed writer left */
    int rc = link(from, temporary) || rename(temporary, to);
    if (rc)
        err_set(err, ERR_IO, "cannot keep %s as %s: %s", from, to, strerror(errno));
    unlink(temporary); /* rename leaves it when both were the same file already */
    free(from);
    free(temporary);
    free(to);
    return rc ? -1 : 0;
}

/* ---- reading ---- */

static int broken(struct err *err, const char *path, const char *why)
{
    return err_set(err, ERR_UNPROCESSABLE, "%s is not a whole checkpoint: %s", path, why);
}

static int read_parts(struct checkpoint *c, const uint8_t *p, size_t n, const char *path, struct err *err)
{
    uint64_t bytes, offset, length;
    uint32_t count;
    if (n < HEAD_BYTES + HASH_BYTES || memcmp(p, MAGIC, 8) != 0)
        return broken(err, path, "it does not begin with " MAGIC);
    memcpy(&bytes, p + 8, 8);
    memcpy(&count, p + 16, 4);
    if (bytes != n)
        return broken(err, path, "its length is not the one it states");
    if (count > CHECKPOINT_MAX_PARTS || HEAD_BYTES + (size_t)count * ENTRY_BYTES > n - HASH_BYTES)
        return broken(err, path, "its table of parts is too long");
    c->parts = xcalloc(count ? count : 1, sizeof(*c->parts));
    for (c->count = 0; c->count < count; c->count++) {
        const uint8_t *e = p + HEAD_BYTES + c->count * ENTRY_BYTES;
        struct checkpoint_part *part = &c->parts[c->count];
        memcpy(part->name, e, CHECKPOINT_NAME_MAX);
        part->name[CHECKPOINT_NAME_MAX - 1] = 0;
        memcpy(&offset, e + CHECKPOINT_NAME_MAX, 8);
        memcpy(&length, e + CHECKPOINT_NAME_MAX + 8, 8);
        if (offset % ALIGN != 0 || offset > n - HASH_BYTES || length > n - HASH_BYTES - offset)
            return broken(err, path, "a part lies outside the file");
        part->data = p + offset;
        part->bytes = length;
    }
    struct sha256 hash;
    uint8_t digest[HASH_BYTES];
    sha256_init(&hash);
    sha256_update(&hash, p, n - HASH_BYTES);
    sha256_final(&hash, digest);
    return memcmp(digest, p + n - HASH_BYTES, HASH_BYTES) == 0 ? 0 : broken(err, path, "its SHA-256 differs");
}

struct checkpoint *checkpoint_read(const void *bytes, size_t n, const char *path, struct err *err)
{
    struct checkpoint *c = xcalloc(1, sizeof(*c));
    if (read_parts(c, bytes, n, path, err)) {
        checkpoint_close(c);
        return NULL;
    }
    return c;
}

struct checkpoint *checkpoint_open(const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open checkpoint %s: %s", path,
                strerror(errno));
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < HEAD_BYTES + HASH_BYTES) {
        close(fd);
        broken(err, path, "it is too short, or not a file");
        return NULL;
    }
    size_t n = (size_t)st.st_size;
    void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    int error = errno;
    close(fd);
    if (map == MAP_FAILED) {
        err_set(err, ERR_IO, "cannot map %s: %s", path, strerror(error));
        return NULL;
    }
    struct checkpoint *c = checkpoint_read(map, n, path, err);
    if (!c) {
        munmap(map, n);
        return NULL;
    }
    c->map = map;
    c->map_bytes = n;
    return c;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    if (c->map)
        munmap(c->map, c->map_bytes);
    free(c->parts);
    free(c);
}

const struct checkpoint_part *checkpoint_find(const struct checkpoint *c, const char *name, size_t bytes,
                                              struct err *err)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct checkpoint_part *p = &c->parts[i];
        if (strcmp(p->name, name) != 0)
            continue;
        if (bytes == SIZE_MAX || p->bytes == bytes)
            return p;
        err_set(err, ERR_UNPROCESSABLE, "the checkpoint's part %s has %zu bytes, this run needs %zu", name,
                p->bytes, bytes);
        return NULL;
    }
    err_set(err, ERR_UNPROCESSABLE, "the checkpoint has no part %s", name);
    return NULL;
}

char *checkpoint_newest(const char *dir, char *skipped, size_t n, struct err *err)
{
    struct listed *l;
    size_t count;
    char *found = NULL;
    if (skipped && n)
        skipped[0] = 0;
    if (err)
        *err = (struct err){0};
    if (list(dir, false, &l, &count, err))
        return NULL;
    for (size_t i = 0; i < count && !found; i++) {
        struct err why = {0};
        char *path = path_join(dir, l[i].name);
        struct checkpoint *c = checkpoint_open(path, &why);
        if (c)
            found = path;
        else
            free(path);
        if (!c && skipped && n)
            snprintf(skipped, n, "%s", why.text);
        checkpoint_close(c);
    }
    list_free(l, count);
    return found;
}
