/* buf: a growing byte string, always NUL-terminated after data[len]. Zero-initialise; buf_free() when done.
 * The buf_json_* functions write JSON without jansson, so that code in kernels/ and hot paths can emit it. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL until the first write */
    size_t len, cap;
};

void buf_free(struct buf *b);  /* releases and zeroes */
void buf_clear(struct buf *b); /* len = 0, keeps memory */
void buf_reserve(struct buf *b, size_t extra);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
void buf_drop_front(struct buf *b, size_t n); /* forget the first n bytes */
char *buf_steal(struct buf *b);               /* caller owns the string; never NULL; b is empty again */
const char *buf_str(const struct buf *b);     /* "" when empty */

void buf_json_str(struct buf *b,
                  const char *s); /* quoted and escaped; invalid UTF-8 becomes U+FFFD; NULL -> null */
void buf_json_strn(struct buf *b, const char *s, size_t n); /* the same for n bytes */
void buf_json_num(struct buf *b, double v); /* shortest round-trip form; NaN and infinities become null */

#endif
