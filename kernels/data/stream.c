#include "kernels/data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/mem.h"

#define CHUNK 65536

/* ---- any stream ---- */

void stream_close(struct stream *s)
{
    if (!s)
        return;
    if (s->close)
        s->close(s);
    stream_close(s->under);
    free(s);
}

int stream_too_large(struct err *err)
{
    return err_set(
        err, ERR_TOO_LARGE,
        "the data unpacks to more than %d times its size, or to more than the limit of this server allows",
        STREAM_MAX_RATIO);
}

static ssize_t pull_all(struct stream *s, uint8_t *out, size_t n, struct err *err)
{
    size_t got = 0;
    while (got < n) {
        ssize_t k = s->pull(s, out + got, n - got, err);
        if (k < 0)
            return -1;
        if (k == 0)
            break;
        got += (size_t)k;
        int64_t made = s->offset + (int64_t)s->peek_len + (int64_t)got;
        bool bomb = s->under && made > STREAM_FREE_RATIO + STREAM_MAX_RATIO * s->under->offset;
        if (s->budget && ((*s->budget -= k) < 0 || bomb))
            return stream_too_large(err);
    }
    return (ssize_t)got;
}

ssize_t stream_read(struct stream *s, void *out, size_t n, struct err *err)
{
    size_t have = n < s->peek_len ? n : s->peek_len;
    memcpy(out, s->peek, have);
    memmove(s->peek, s->peek + have, s->peek_len - have);
    s->peek_len -= have;
    ssize_t more = have < n ? pull_all(s, (uint8_t *)out + have, n - have, err) : 0;
    if (more < 0)
        return -1;
    s->offset += (int64_t)have + more;
    return (ssize_t)have + more;
}

ssize_t stream_peek(struct stream *s, const uint8_t **out, struct err *err)
{
    ssize_t more = pull_all(s, s->peek + s->peek_len, STREAM_PEEK - s->peek_len, err);
    if (more < 0)
        return -1;
    s->peek_len += (size_t)more;
    *out = s->peek;
    return (ssize_t)s->peek_len;
}

int stream_skip(struct stream *s, int64_t n, struct err *err)
{
    uint8_t waste[16384];
    while (n > 0) {
        size_t want = n < (int64_t)sizeof(waste) ? (size_t)n : sizeof(waste);
        ssize_t got = stream_read(s, waste, want, err);
        if (got < 0)
            return -1;
        if ((size_t)got < want)
            return err_set(err, ERR_INVALID, "it ends at byte %lld, in the middle", (long long)s->offset);
        n -= got;
    }
    return 0;
}

/* ---- files ---- */

static ssize_t file_pull(struct stream *s, void *out, size_t n, struct err *err)
{
    int fd = (int)(intptr_t)s->state;
    for (;;) {
        ssize_t k = read(fd, out, n);
        if (k >= 0)
            return k;
        if (errno != EINTR)
            return err_set(err, ERR_IO, "cannot read: %s", strerror(errno));
    }
}

static void file_close(struct stream *s)
{
    close((int)(intptr_t)s->state);
}

struct stream *stream_file(const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        err_set(err, ERR_INVALID, "%s is not a regular file", path);
        return NULL;
    }
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    struct stream *s = xcalloc(1, sizeof(*s));
    *s = (struct stream){.pull = file_pull, .close = file_close, .state = (void *)(intptr_t)fd};
    return s;
}

/* ---- gzip ---- */

#ifdef HAVE_ZLIB
struct gzip {
    z_stream z;
    uint8_t in[CHUNK];
    bool ended; /* a member ended; another may follow */
};

/* More input if there is none; false at the end of what is under us. */
static int gzip_fill(struct stream *s, struct gzip *g, struct err *err)
{
    if (g->z.avail_in)
        return 1;
    ssize_t k = stream_read(s->under, g->in, sizeof(g->in), err);
    if (k < 0)
        return -1;
    g->z.next_in = g->in;
    g->z.avail_in = (unsigned)k;
    return k > 0;
}

static ssize_t gzip_pull(struct stream *s, void *out, size_t n, struct err *err)
{
    struct gzip *g = s->state;
    g->z.next_out = out;
    g->z.avail_out = (unsigned)(n < (1u << 30) ? n : 1u << 30);
    unsigned wanted = g->z.avail_out;
    while (g->z.avail_out == wanted) {
        int more = gzip_fill(s, g, err);
        if (more < 0)
            return -1;
        if (g->ended) {
            /* Another member, or padding that is not ours. */
            if (!more || g->z.next_in[0] != 0x1f)
                return 0;
            inflateReset(&g->z);
            g->ended = false;
        }
        if (!more)
            return err_set(err, ERR_INVALID, "the gzip data is cut off after %lld bytes of content",
                           (long long)s->offset);
        int rc = inflate(&g->z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END)
            g->ended = true;
        else if (rc != Z_OK)
            return err_set(err, ERR_INVALID, "the gzip data is damaged after %lld bytes of content: %s",
                           (long long)s->offset, g->z.msg ? g->z.msg : zError(rc));
    }
    return (ssize_t)(wanted - g->z.avail_out);
}

static void gzip_close(struct stream *s)
{
    struct gzip *g = s->state;
    inflateEnd(&g->z);
    free(g);
}

static struct stream *stream_gzip(struct stream *under, struct err *err)
{
    struct gzip *g = xcalloc(1, sizeof(*g));
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
        free(g);
        err_set(err, ERR_INTERNAL, "zlib cannot start");
        return NULL;
    }
    struct stream *s = xcalloc(1, sizeof(*s));
    *s = (struct stream){.pull = gzip_pull, .close = gzip_close, .state = g, .under = under};
    return s;
}
#endif

/* ---- zstd ---- */

#ifdef HAVE_ZSTD
struct zst {
    ZSTD_DStream *z;
    ZSTD_inBuffer in;
    uint8_t data[CHUNK];
    bool inside; /* a frame is open */
};

static ssize_t zstd_pull(struct stream *s, void *out, size_t n, struct err *err)
{
    struct zst *g = s->state;
    ZSTD_outBuffer to = {out, n, 0};
    while (to.pos == 0) {
        if (g->in.pos == g->in.size) {
            ssize_t k = stream_read(s->under, g->data, sizeof(g->data), err);
            if (k < 0)
                return -1;
            if (k == 0 && g->inside)
                return err_set(err, ERR_INVALID, "the zstd data is cut off after %lld bytes of content",
                               (long long)s->offset);
            if (k == 0)
                return 0;
            g->in = (ZSTD_inBuffer){g->data, (size_t)k, 0};
        }
        size_t rc = ZSTD_decompressStream(g->z, &to, &g->in);
        if (ZSTD_isError(rc))
            return err_set(err, ERR_INVALID, "the zstd data is damaged after %lld bytes of content: %s",
                           (long long)s->offset, ZSTD_getErrorName(rc));
        g->inside = rc != 0;
    }
    return (ssize_t)to.pos;
}

static void zstd_close(struct stream *s)
{
    struct zst *g = s->state;
    ZSTD_freeDStream(g->z);
    free(g);
}

static struct stream *stream_zstd(struct stream *under, struct err *err)
{
    struct zst *g = xcalloc(1, sizeof(*g));
    g->z = ZSTD_createDStream();
    /* 128 MiB of window: what the zstd program writes without --long. */
    if (!g->z || ZSTD_isError(ZSTD_DCtx_setParameter(g->z, ZSTD_d_windowLogMax, 27))) {
        ZSTD_freeDStream(g->z);
        free(g);
        err_set(err, ERR_INTERNAL, "zstd cannot start");
        return NULL;
    }
    struct stream *s = xcalloc(1, sizeof(*s));
    *s = (struct stream){.pull = zstd_pull, .close = zstd_close, .state = g, .under = under};
    return s;
}
#endif

struct stream *stream_unpack(struct stream *s, int64_t *budget, struct err *err)
{
    const uint8_t *head;
    ssize_t n = stream_peek(s, &head, err);
    struct stream *outer = s;
    if (n < 0) {
        stream_close(s);
        return NULL;
    }
    bool gzip = n >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
    bool zstd = n >= 4 && !memcmp(head, "\x28\xb5\x2f\xfd", 4);
#ifdef HAVE_ZLIB
    if (gzip)
        outer = stream_gzip(s, err);
#else
    if (gzip && (outer = NULL, true))
        err_set(err, ERR_UNSUPPORTED, "it is gzip data, and this trainer was built without zlib");
#endif
#ifdef HAVE_ZSTD
    if (zstd)
        outer = stream_zstd(s, err);
#else
    if (zstd && (outer = NULL, true))
        err_set(err, ERR_UNSUPPORTED, "it is zstd data, and this trainer was built without zstd");
#endif
    if (!outer)
        stream_close(s);
    else if (outer != s)
        outer->budget = budget;
    return outer;
}
