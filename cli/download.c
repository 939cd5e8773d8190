#include "cli/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "cli/api.h"
#include "cli/bar.h"

struct target {
    int fd;
    struct sha256 sum;
    struct bar bar;
    int64_t got;
    int failed; /* errno of a write */
};

static int on_data(const void *p, size_t n, int64_t total, void *arg)
{
    struct target *t = arg;
    if (file_write_all(t->fd, p, n)) {
        t->failed = errno;
        return -1;
    }
    sha256_update(&t->sum, p, n);
    t->got += (int64_t)n;
    bar_bytes(&t->bar, t->got, total);
    return 0;
}

static int make_parent(const char *file, struct err *err)
{
    char *dir = xstrdup(file), *slash = strrchr(dir, '/');
    int rc = 0;
    if (slash && slash != dir) {
        *slash = '\0';
        rc = dir_make(dir, 0777, err);
    }
    free(dir);
    return rc;
}

static int fetch(struct cli *cli, const char *path, struct target *t, const char *digest, const char *file,
                 struct err *err)
{
    struct http_call call = {.method = HTTP_M_GET, .path = path, .on_data = on_data, .arg = t};
    struct http_response r = {0};
    char hex[SHA256_HEX];
    sha256_init(&t->sum);
    int rc = api_do(cli, &call, &r, err);
    if (rc && t->failed)
        return err_set(err, ERR_IO, "cannot write %s: %s", file, strerror(t->failed));
    if (rc)
        return -1;
    if (r.status / 100 != 2)
        rc = api_refused(cli, &r, err);
    http_response_free(&r);
    sha256_hex(&t->sum, hex);
    if (!rc && *digest && strcmp(hex, digest) != 0)
        rc = err_set(err, ERR_IO, "%s arrived damaged: its SHA-256 is %s, not %s", file, hex, digest);
    return rc;
}

int download(struct cli *cli, const char *path, const char *file, const char *digest, struct err *err)
{
    bool to_stdout = strcmp(file, "-") == 0;
    const char *slash = strrchr(file, '/');
    struct target t = {.fd = STDOUT_FILENO};
    if (to_stdout)
        return fetch(cli, path, &t, digest, file, err);
    if (make_parent(file, err))
        return -1;
    char *part = xasprintf("%s.part", file);
    t.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = t.fd < 0 ? err_set(err, ERR_IO, "cannot write %s: %s", part, strerror(errno)) : 0;
    if (!rc) {
        bar_begin(&t.bar, cli->live, slash ? slash + 1 : file);
        rc = fetch(cli, path, &t, digest, file, err);
        bar_clear(&t.bar);
        if (close(t.fd) && !rc)
            rc = err_set(err, ERR_IO, "cannot write %s: %s", part, strerror(errno));
        if (!rc && rename(part, file))
            rc = err_set(err, ERR_IO, "cannot rename %s: %s", part, strerror(errno));
        if (rc)
            unlink(part);
    }
    free(part);
    return rc;
}
