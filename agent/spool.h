/* spool: reading an append-only file of lines while another process writes it. A line counts when its newline
 * is there.
 *
 * The reader knows lines by number, from 1, and remembers the byte place of the oldest line that may be
 * wanted again (the first not yet acknowledged), so going back costs a scan of the unacknowledged part only.
 * No event loop.
 */
#ifndef AGENT_SPOOL_H
#define AGENT_SPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define SPOOL_LINE_MAX 16384 /* a longer line counts as one and is given cut off */

struct spool {
    char *path;
    int fd;                   /* -1 until the file exists */
    uint64_t next;            /* number of the next line to read */
    int64_t offset;           /* its byte place */
    uint64_t kept;            /* oldest line that may be wanted again */
    int64_t kept_at;          /* its byte place */
    bool final;               /* the writer has gone: a last line without newline counts */
    bool ended;               /* final, and everything was read */
    int64_t long_at, long_to; /* of an unfinished line: where it begins, how far it was looked through */
    char *chunk;              /* the piece of the file read last */
    int64_t chunk_at;
    size_t chunk_len;
};

struct spool_line {
    const char *text; /* without newline; valid during the callback */
    size_t n;
    bool whole; /* false: cut at SPOOL_LINE_MAX, or the writer died before its newline */
};

void spool_init(struct spool *s, const char *path);
void spool_close(struct spool *s);

/* Read at most max_lines and about max_bytes. Returns how many lines were given; 0: nothing complete is there
 * now. */
typedef void (*spool_line_f)(const struct spool_line *line, void *arg);
int spool_read(struct spool *s, int max_lines, size_t max_bytes, spool_line_f each, void *arg,
               struct err *err);

/* Read on from this line. A line beyond the end is fine: reading goes on there when the file gets so far. */
int spool_seek(struct spool *s, uint64_t line, struct err *err);
/* Start from what an earlier run of the agent knew to be acknowledged, instead of from the beginning. */
void spool_resume(struct spool *s, uint64_t line, int64_t offset);
/* Lines before this one will not be wanted again. */
int spool_release(struct spool *s, uint64_t line, struct err *err);

#endif
