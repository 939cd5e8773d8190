#include "orchestrator/api/console.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

struct console {
    int dir; /* -1: none */
};

const char *content_type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
        {".csv", "text/csv; charset=utf-8"},
        {".wasm", "application/wasm"},
        {".jsonl", "application/x-ndjson"},
    };
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        size_t e = strlen(types[i].ending);
        if (n > e && !strcasecmp(name + n - e, types[i].ending))
            return types[i].type;
    }
    return "application/octet-stream";
}

struct console *console_create(const char *dir, struct err *err)
{
    (void)err;
    struct console *c = xcalloc(1, sizeof(*c));
    c->dir = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (c->dir < 0)
        log_info("api", "no console: the API is served alone", KV_S("console-dir", dir ? dir : "none"));
    return c;
}

void console_destroy(struct console *c)
{
    if (!c)
        return;
    if (c->dir >= 0)
        close(c->dir);
    free(c);
}

/* Open a regular file below the folder. Security: the kernel itself refuses to leave the folder or to follow
 * a link. */
static int open_file(struct console *con, const char *path, struct stat *st)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    if (con->dir < 0 || !path_is_safe(path))
        return -1;
    int fd = (int)syscall(SYS_openat2, con->dir, path, &how, sizeof(how));
    if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Is the coding among those of Accept-Encoding, and not with q=0? */
static bool accepts(const char *header, const char *coding)
{
    size_t n = strlen(coding);
    for (const char *p = header; p && *p;) {
        p += strspn(p, " ,");
        size_t len = strcspn(p, ",");
        if (len >= n && !strncasecmp(p, coding, n) && (len == n || p[n] == ';' || p[n] == ' ')) {
            const char *q = strstr(p, "q=0");
            return !(q && q < p + len && strspn(q + 2, "0.") == strcspn(q + 2, ", "));
        }
        p += len;
    }
    return false;
}

/* The file, or its compressed form when there is one and the client takes it. */
static int open_best(struct console *con, struct call *c, const char *path, struct stat *st,
                     const char **coding)
{
    static const struct {
        const char *name, *ending;
    } codings[] = {{"br", ".br"}, {"gzip", ".gz"}};
    const char *header = http_req_header(c->req, "Accept-Encoding");
    *coding = NULL;
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        if (!accepts(header, codings[i].name))
            continue;
        int fd = open_file(con, arena_printf(&c->arena, "%s%s", path, codings[i].ending), st);
        if (fd >= 0) {
            *coding = codings[i].name;
            return fd;
        }
    }
    return open_file(con, path, st);
}

static void send_file(struct call *c, int fd, const struct stat *st, const char *path, const char *coding)
{
    struct http_req *r = c->req;
    http_req_add_header(r, "Content-Security-Policy", policy);
    http_req_add_header(r, "X-Frame-Options", "DENY");
    http_req_add_header(r, "Referrer-Policy", "no-referrer");
    http_req_add_header(r, "Cross-Origin-Opener-Policy", "same-origin");
    http_req_add_header(r, "Vary", "Accept-Encoding");
    /* Names under assets/ hold a hash of the content: another content has another name. */
    http_req_add_header(r, "Cache-Control",
                        !strncmp(path, "assets/", 7) ? "public, max-age=31536000, immutable" : "no-cache");
    if (coding)
        http_req_add_header(r, "Content-Encoding", coding);
    const char *etag = arena_printf(&c->arena, "\"%llx-%llx%s\"",
                                    (unsigned long long)st->st_mtim.tv_sec * 1000000000ull +
                                        (unsigned long long)st->st_mtim.tv_nsec,
                                    (unsigned long long)st->st_size, coding ? coding : "");
    http_reply_file(r, fd, st->st_size, content_type_of(path), etag);
}

void console_serve(struct console *con, struct call *c)
{
    enum http_method m = http_req_method(c->req);
    const char *raw = http_req_path(c->req);
    if (m != HTTP_M_GET && m != HTTP_M_HEAD) {
        call_fail(c, ERR_NOT_FOUND, "there is nothing at %.200s; the API is under /api/v1", raw);
        return;
    }
    char *path = http_percent_decode(raw, strlen(raw), false);
    if (path)
        arena_keep(&c->arena, path, free);
    const char *file = path && path[0] == '/' ? path + 1 : "";
    struct stat st;
    const char *coding;
    int fd = *file ? open_best(con, c, file, &st, &coding) : -1;
    if (fd < 0) {
        /* A path of the application, not of a file: give it the page, which finds its way by the address. A
         * name in such a path may have a dot ("/tasks/iris.v2"); files lie at the top and in assets/. */
        bool page = path && strncmp(file, "assets/", 7) != 0 && (strchr(file, '/') || !strchr(file, '.'));
        file = "index.html";
        fd = page ? open_best(con, c, file, &st, &coding) : -1;
    }
    if (fd >= 0)
        send_file(c, fd, &st, file, coding);
    else if (con->dir < 0)
        call_fail(c, ERR_NOT_FOUND, "this server has no console; its API is under /api/v1");
    else
        call_fail(c, ERR_NOT_FOUND, "there is nothing at %.200s", raw);
}
