/* mem: allocation that aborts with a message. For sizes that our own code fixes; a size that comes from input
 * is bounded by the caller first. Memory is released with free(). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size); /* zeroed; aborts on overflow */
void *xrealloc(void *p, size_t n);
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Grow a vector: ensures *cap >= need elements, doubling. Returns the (moved) base. */
void *vec_grow(void *base, size_t *cap, size_t need, size_t elem_size);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
