#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/mem.h"

int file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                       strerror(errno));
    size_t total = 0;
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int rc = n < 0 ? err_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno)) : 0;
            close(fd);
            out->data[out->len] = 0;
            return rc;
        }
        out->len += (size_t)n;
        total += (size_t)n;
        if (total > max) {
            close(fd);
            return err_set(err, ERR_TOO_LARGE, "%s is larger than the %zu bytes allowed here", path, max);
        }
    }
}

int file_write_all(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

int file_sync_dir(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) {
        err_set(err, ERR_IO, "cannot make %s durable: %s", dir, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

int file_write_atomic(const char *path, const void *data, size_t n, mode_t mode, struct err *err)
{
    char tail[17];
    random_hex(tail, 16);
    char *tmp = xasprintf("%s.%s.tmp", path, tail);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int rc = -1;
    if (fd < 0) {
        err_set(err, ERR_IO, "cannot create %s: %s", tmp, strerror(errno));
    } else if (file_write_all(fd, data, n) < 0 || fsync(fd) < 0) {
        err_set(err, ERR_IO, "cannot write %s: %s", tmp, strerror(errno));
        close(fd);
        unlink(tmp);
    } else if (close(fd) < 0 || rename(tmp, path) < 0) {
        err_set(err, ERR_IO, "cannot put %s in place: %s", path, strerror(errno));
        unlink(tmp);
    } else {
        char *copy = xstrdup(path);
        rc = file_sync_dir(dirname(copy), err);
        free(copy);
    }
    free(tmp);
    return rc;
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
    char *p = xstrdup(path);
    for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(p, mode); /* an existing parent is fine; a real failure shows at the last part */
        *slash = '/';
    }
    int rc = mkdir(p, mode);
    struct stat st;
    if (rc < 0 && errno == EEXIST && stat(p, &st) == 0 && S_ISDIR(st.st_mode))
        rc = 0;
    if (rc < 0)
        err_set(err, ERR_IO, "cannot create folder %s: %s", path, strerror(errno));
    free(p);
    return rc;
}

static int remove_in(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return -1;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = remove_in(dirfd(d), e->d_name);
    int saved = errno;
    closedir(d);
    errno = saved;
    return rc < 0 ? rc : unlinkat(parent, name, AT_REMOVEDIR);
}

int dir_remove(const char *path, struct err *err)
{
    if (remove_in(AT_FDCWD, path) < 0)
        return err_set(err, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return 0;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *path_join(const char *a, const char *b)
{
    size_t n = strlen(a);
    return xasprintf("%s%s%s", a, n && a[n - 1] == '/' ? "" : "/", b);
}
