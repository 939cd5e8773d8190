#include "orchestrator/blob/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "orchestrator/blob/store.h"

char *blob_path(struct blob_store *s, const char *digest)
{
    return xasprintf("%s/%.2s/%s", s->dir, digest, digest + 2);
}

/* Temporaries of a process that is gone: of writers and of verifications. Uploads in progress live elsewhere.
 */
static int clear_tmp(struct blob_store *s, struct err *err)
{
    DIR *d = opendir(s->tmp);
    if (!d)
        return err_set(err, ERR_IO, "cannot read %s: %s", s->tmp, strerror(errno));
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *path = path_join(s->tmp, e->d_name);
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            rc = dir_remove(path, err);
        else if (unlink(path) < 0)
            rc = err_set(err, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
        free(path);
    }
    closedir(d);
    return rc;
}

struct blob_store *blob_store_create(const char *state_dir, struct err *err)
{
    struct blob_store *s = xcalloc(1, sizeof(*s));
    s->dir = path_join(state_dir, "blobs");
    s->tmp = path_join(state_dir, "tmp");
    if (dir_make(s->dir, 0700, err) == 0 && dir_make(s->tmp, 0700, err) == 0 && clear_tmp(s, err) == 0)
        return s;
    blob_store_destroy(s);
    return NULL;
}

void blob_store_destroy(struct blob_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->pin_count; i++)
        free(s->pins[i].digest);
    free(s->pins);
    free(s->dir);
    free(s->tmp);
    free(s);
}

const char *blob_tmp_dir(const struct blob_store *s)
{
    return s->tmp;
}

/* --- pins ----------------------------------------------------------------------------------------------- */

static struct blob_pin *find_pin(struct blob_store *s, const char *digest)
{
    for (size_t i = 0; i < s->pin_count; i++)
        if (!strcmp(s->pins[i].digest, digest))
            return &s->pins[i];
    return NULL;
}

void blob_pin(struct blob_store *s, const char *digest)
{
    struct blob_pin *p = find_pin(s, digest);
    if (!p) {
        s->pins = vec_grow(s->pins, &s->pin_cap, s->pin_count + 1, sizeof(*s->pins));
        p = &s->pins[s->pin_count++];
        *p = (struct blob_pin){.digest = xstrdup(digest)};
    }
    p->count++;
}

void blob_unpin(struct blob_store *s, const char *digest)
{
    struct blob_pin *p = find_pin(s, digest);
    if (!p || --p->count > 0)
        return;
    free(p->digest);
    *p = s->pins[--s->pin_count];
}

bool blob_pinned(struct blob_store *s, const char *digest)
{
    return find_pin(s, digest) != NULL;
}

/* --- reading -------------------------------------------------------------------------------------------- */

static bool is_digest(const char *digest, struct err *err)
{
    if (sha256_is_hex(digest))
        return true;
    err_set(err, ERR_INVALID, "a digest is 64 lower-case hex digits");
    return false;
}

int blob_open(struct blob_store *s, const char *digest, int64_t *size, struct err *err)
{
    if (!is_digest(digest, err))
        return -1;
    char *path = blob_path(s, digest);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    free(path);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0) {
        *size = st.st_size;
        return fd;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    return err_set(err, why == ENOENT ? ERR_NOT_FOUND : ERR_IO, "there is no blob %.12s...: %s", digest,
                   strerror(why));
}

bool blob_exists(struct blob_store *s, const char *digest, int64_t *size)
{
    struct err ignored;
    int64_t n = 0;
    int fd = blob_open(s, digest, &n, &ignored);
    if (fd < 0)
        return false;
    close(fd);
    if (size)
        *size = n;
    return true;
}

/* --- taking in ------------------------------------------------------------------------------------------ */

int blob_store_take(struct blob_store *s, const char *path, const char *digest, struct err *err)
{
    char *to = blob_path(s, digest);
    char *folder = xasprintf("%s/%.2s", s->dir, digest);
    struct stat st;
    int rc = 0;
    if (stat(to, &st) == 0 && S_ISREG(st.st_mode)) {
        unlink(path); /* stored already: the same bytes by the same name */
    } else {
        bool made = mkdir(folder, 0700) == 0;
        if (!made && errno != EEXIST)
            rc = err_set(err, ERR_IO, "cannot make %s: %s", folder, strerror(errno));
        else if (made)
            rc = file_sync_dir(s->dir, err);
        if (rc == 0 && rename(path, to) < 0)
            rc = err_set(err, ERR_IO, "cannot move %s into the blob store: %s", path, strerror(errno));
        if (rc == 0)
            rc = file_sync_dir(folder, err);
    }
    free(folder);
    free(to);
    return rc;
}

int blob_adopt(struct blob_store *s, const char *path, char digest[SHA256_HEX], int64_t *size,
               struct err *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int rc = -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        err_set(err, ERR_IO, "cannot take in %s: %s", path, fd < 0 ? strerror(errno) : "not a file");
    else if (sha256_of_file(path, digest, err) == 0) {
        *size = st.st_size;
        rc = fchmod(fd, 0444) < 0 || fsync(fd) < 0
                 ? err_set(err, ERR_IO, "cannot make %s durable: %s", path, strerror(errno))
                 : blob_store_take(s, path, digest, err);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int blob_adopt_sealed(struct blob_store *s, const char *path, const char *digest, struct err *err)
{
    return is_digest(digest, err) ? blob_store_take(s, path, digest, err) : -1;
}

int blob_remove(struct blob_store *s, const char *digest, struct err *err)
{
    if (!is_digest(digest, err))
        return -1;
    char *path = blob_path(s, digest);
    int rc = unlink(path) == 0 || errno == ENOENT
                 ? 0
                 : err_set(err, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    free(path);
    return rc;
}

/* --- walking -------------------------------------------------------------------------------------------- */

int blob_list_folder(struct blob_store *s, int index, int64_t older_than_seconds,
                     void (*each)(const char *digest, void *arg), void *arg)
{
    char *folder = xasprintf("%s/%02x", s->dir, (unsigned)index & 0xff);
    DIR *d = opendir(folder);
    int count = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char digest[SHA256_HEX];
        struct stat st;
        int n = snprintf(digest, sizeof(digest), "%02x%s", (unsigned)index & 0xff, e->d_name);
        if (n != 64 || !sha256_is_hex(digest) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (time(NULL) - st.st_mtime < older_than_seconds)
            continue;
        each(digest, arg);
        count++;
    }
    if (d)
        closedir(d);
    free(folder);
    return count;
}
