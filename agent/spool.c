#include "agent/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"

#define CHUNK 65536

void spool_init(struct spool *s, const char *path)
{
    memset(s, 0, sizeof(*s));
    s->path = xstrdup(path);
    s->fd = -1;
    s->next = s->kept = 1;
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    free(s->path);
    free(s->chunk);
    s->path = s->chunk = NULL;
    s->chunk_len = 0;
}

/* 1: open, 0: not there yet. A job could put anything in the place of its metrics file: only a regular file
 * is read. */
static int spool_open(struct spool *s, struct err *err)
{
    struct stat st;
    if (s->fd >= 0)
        return 1;
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (s->fd < 0)
        return errno == ENOENT ? 0 : err_set(err, ERR_IO, "cannot open %s: %s", s->path, strerror(errno));
    if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(s->fd);
        s->fd = -1;
        return err_set(err, ERR_INVALID, "%s is no regular file", s->path);
    }
    return 1;
}

/* The bytes at pos, some of them: from the piece in memory or read anew. *n is 0 at the end of the file. */
static int chunk_get(struct spool *s, int64_t pos, const char **p, size_t *n, struct err *err)
{
    if (pos < s->chunk_at || pos >= s->chunk_at + (int64_t)s->chunk_len) {
        if (!s->chunk)
            s->chunk = xmalloc(CHUNK);
        ssize_t got;
        do
            got = pread(s->fd, s->chunk, CHUNK, pos);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return err_set(err, ERR_IO, "cannot read %s: %s", s->path, strerror(errno));
        s->chunk_at = pos;
        s->chunk_len = (size_t)got;
    }
    *p = s->chunk + (pos - s->chunk_at);
    *n = s->chunk_len - (size_t)(pos - s->chunk_at);
    return 0;
}

/* The beginning of a line whose end was found long after it. */
static int line_begin(struct spool *s, int64_t at, char *line, struct err *err)
{
    ssize_t got = pread(s->fd, line, SPOOL_LINE_MAX, at);
    if (got != SPOOL_LINE_MAX)
        return err_set(err, ERR_IO, "cannot read %s: %s", s->path,
                       got < 0 ? strerror(errno) : "it became shorter");
    return 0;
}

/* Find the end of the line that begins at `at`: its length without newline, and where the next begins. 1
 * found, 0 not complete yet. The first SPOOL_LINE_MAX bytes of it are in line. */
static int line_scan(struct spool *s, int64_t at, char *line, size_t *n, int64_t *after, bool *whole,
                     struct err *err)
{
    size_t have = 0;
    /* What was looked through before without finding an end is not looked through again: a line may grow for
     * ever. */
    bool far = s->long_at == at && s->long_to > at + SPOOL_LINE_MAX;
    int64_t pos = far ? s->long_to : at;

    for (;;) {
        const char *p = NULL;
        size_t got = 0;
        if (chunk_get(s, pos, &p, &got, err) < 0)
            return -1;
        const char *nl = got > 0 ? memchr(p, '\n', got) : NULL;
        size_t part = nl ? (size_t)(nl - p) : got;
        size_t keep = far ? 0 : part < SPOOL_LINE_MAX - have ? part : SPOOL_LINE_MAX - have;
        memcpy(line + have, p, keep);
        have += keep;
        pos += (int64_t)part;
        if (!nl && got > 0)
            continue;
        s->long_at = at;
        s->long_to = pos;
        if (!nl && !(s->final && pos > at))
            return 0;
        if (far && line_begin(s, at, line, err) < 0)
            return -1;
        *n = far ? SPOOL_LINE_MAX : have;
        *whole = nl && pos - at <= SPOOL_LINE_MAX;
        *after = pos + (nl ? 1 : 0);
        return 1;
    }
}

int spool_read(struct spool *s, int max_lines, size_t max_bytes, spool_line_f each, void *arg,
               struct err *err)
{
    char text[SPOOL_LINE_MAX];
    int lines = 0, open = spool_open(s, err);
    size_t bytes = 0;

    if (open <= 0) {
        s->ended = open == 0 && s->final;
        return open;
    }
    while (lines < max_lines && bytes < max_bytes) {
        struct spool_line line = {.text = text};
        int64_t after;
        int rc = line_scan(s, s->offset, text, &line.n, &after, &line.whole, err);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            s->ended = s->final;
            break;
        }
        s->offset = after;
        s->next++;
        lines++;
        bytes += line.n;
        each(&line, arg);
    }
    return lines;
}

/* Walk from a known line to another one further on, or to the end of what is there. */
static int walk(struct spool *s, uint64_t *line, int64_t *offset, uint64_t to, struct err *err)
{
    char text[SPOOL_LINE_MAX];
    while (*line < to) {
        size_t n;
        int64_t after;
        bool whole;
        int rc = line_scan(s, *offset, text, &n, &after, &whole, err);
        if (rc <= 0)
            return rc;
        *offset = after;
        (*line)++;
    }
    return 0;
}

int spool_seek(struct spool *s, uint64_t line, struct err *err)
{
    int open = spool_open(s, err);
    if (open < 0)
        return -1;
    uint64_t at = line >= s->kept ? s->kept : 1;
    int64_t offset = line >= s->kept ? s->kept_at : 0;
    if (open && walk(s, &at, &offset, line, err) < 0)
        return -1;
    s->next = at;
    s->offset = offset;
    s->ended = false;
    return 0;
}

int spool_release(struct spool *s, uint64_t line, struct err *err)
{
    int open = spool_open(s, err);
    if (open <= 0 || line <= s->kept)
        return open < 0 ? -1 : 0;
    if (line == s->next) { /* the usual case: everything sent was acknowledged */
        s->kept = s->next;
        s->kept_at = s->offset;
        return 0;
    }
    return walk(s, &s->kept, &s->kept_at, line < s->next ? line : s->next, err);
}

void spool_resume(struct spool *s, uint64_t line, int64_t offset)
{
    s->kept = s->next = line;
    s->kept_at = s->offset = offset;
}
