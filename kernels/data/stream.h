/* stream: bytes pulled from a file, or out of gzip or zstd, with a look ahead and a budget. */
#ifndef KERNELS_DATA_STREAM_H
#define KERNELS_DATA_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

#define STREAM_PEEK 512
/* What is packed may unpack to so many times its size, and so much more: data does, bombs do not. */
#define STREAM_MAX_RATIO  200
#define STREAM_FREE_RATIO (16 << 20)

struct stream {
    ssize_t (*pull)(struct stream *s, void *out, size_t n, struct err *err); /* 0 at the end */
    void (*close)(struct stream *s);
    void *state;
    struct stream *under; /* what it unpacks; closed with it */
    int64_t offset;       /* bytes given so far */
    int64_t *budget;      /* bytes that may still be unpacked in all; NULL: no limit */
    uint8_t peek[STREAM_PEEK];
    size_t peek_len;
};

struct stream *stream_file(const char *path, struct err *err); /* NULL on error; a regular file only */
/* Unpack s as its first bytes say (gzip, zstd; anything else is given as it is). Owns s from here on. NULL on
 * error. */
struct stream *stream_unpack(struct stream *s, int64_t *budget, struct err *err);
void stream_close(struct stream *s);

int stream_too_large(struct err *err); /* says so; -1 */
/* Up to n bytes; fewer only at the end. -1 on error: the err says at which byte. */
ssize_t stream_read(struct stream *s, void *out, size_t n, struct err *err);
/* Look at the next bytes without taking them; how many there are, at most STREAM_PEEK. */
ssize_t stream_peek(struct stream *s, const uint8_t **out, struct err *err);
int stream_skip(struct stream *s, int64_t n, struct err *err); /* an early end is an error */

#endif
