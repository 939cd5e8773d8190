/* capture: a job's output as records. Bytes in, whole JSON lines {"t","stream","text"} out.
 *
 * A line longer than 8 KiB is split; invalid UTF-8 and NUL become U+FFFD; what passes the rate (a bucket of
 * burst bytes filled at rate bytes a second) or the total is dropped and counted, and a line says so as soon
 * as there is room. Pure: the time comes from the caller.
 */
#ifndef AGENT_CAPTURE_H
#define AGENT_CAPTURE_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

#define CAPTURE_LINE_MAX   8192
#define CAPTURE_TAIL_LINES 40 /* the last lines of stderr, kept for the job's failure message */

enum capture_stream { CAPTURE_STDOUT, CAPTURE_STDERR, CAPTURE_STREAMS };

struct capture_limits {
    int64_t total_bytes, burst_bytes, bytes_per_second; /* of text; 0: 256 MiB, 8 MiB, 1 MiB */
};

struct capture {
    struct capture_limits limits;
    struct buf part[CAPTURE_STREAMS]; /* the line that is not complete yet */
    int64_t total;
    double bucket, filled_at;
    int64_t dropped_lines, dropped_bytes;
    char *tail[CAPTURE_TAIL_LINES]; /* ring */
    size_t tail_next;
};

void capture_init(struct capture *c, const struct capture_limits *limits, double now);
void capture_free(struct capture *c);
/* Take in what was read from a pipe; complete records are appended to out. */
void capture_feed(struct capture *c, enum capture_stream stream, const char *p, size_t n, double now,
                  struct buf *out);
/* The writers are gone: lines without newline and the count of what was dropped go out. */
void capture_finish(struct capture *c, double now, struct buf *out);
/* A line of our own, never dropped. */
void capture_note(struct capture *c, const char *text, double now, struct buf *out);
/* The last lines of stderr, oldest first, as a JSON array. */
void capture_tail_json(const struct capture *c, struct buf *out);

#endif
