#include "orchestrator/blob/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/mem.h"
#include "orchestrator/blob/store.h"

/* Start writing back this often, so that the fsync at the end finds little to do and doesn't hold up the
 * loop. */
#define WRITE_BACK_EVERY (4 << 20)

struct blob_writer {
    struct blob_store *store;
    char *path;
    int fd;
    struct sha256 hash;
    int64_t size, written_back;
    bool sealed;
    char digest[SHA256_HEX];
};

struct blob_writer *blob_writer_create(struct blob_store *s, struct err *err)
{
    char name[33];
    random_hex(name, 32);
    struct blob_writer *w = xcalloc(1, sizeof(*w));
    w->store = s;
    w->path = path_join(s->tmp, name);
    sha256_init(&w->hash);
    /* Read-only for all once written: a caged child reads it under another user; the folder above keeps
     * others out. */
    w->fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (w->fd >= 0 && fchmod(w->fd, 0444) == 0) /* the umask is strict */
        return w;
    err_set(err, ERR_IO, "cannot create %s: %s", w->path, strerror(errno));
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w);
    return NULL;
}

int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err)
{
    if (file_write_all(w->fd, p, n) < 0)
        return err_set(err, ERR_IO, "cannot store the upload: %s", strerror(errno));
    sha256_update(&w->hash, p, n);
    w->size += (int64_t)n;
    if (w->size - w->written_back >= WRITE_BACK_EVERY) {
        sync_file_range(w->fd, w->written_back, w->size - w->written_back, SYNC_FILE_RANGE_WRITE);
        w->written_back = w->size;
    }
    return 0;
}

const char *blob_writer_seal(struct blob_writer *w, char digest[SHA256_HEX], int64_t *size)
{
    if (!w->sealed)
        sha256_hex(&w->hash, w->digest);
    w->sealed = true;
    memcpy(digest, w->digest, SHA256_HEX);
    *size = w->size;
    return w->path;
}

int blob_writer_finish(struct blob_writer *w, const char *expect, char digest[SHA256_HEX], int64_t *size,
                       struct err *err)
{
    blob_writer_seal(w, digest, size);
    int rc = 0;
    if (expect && strcmp(expect, digest) != 0)
        rc = err_set(err, ERR_UNPROCESSABLE, "the bytes have digest %s, not %s", digest, expect);
    else if (fsync(w->fd) < 0)
        rc = err_set(err, ERR_IO, "cannot make %s durable: %s", w->path, strerror(errno));
    else
        rc = blob_store_take(w->store, w->path, digest, err);
    blob_writer_discard(w);
    return rc;
}

void blob_writer_discard(struct blob_writer *w)
{
    if (!w)
        return;
    close(w->fd);
    unlink(w->path); /* gone already when it was taken in */
    free(w->path);
    free(w);
}
