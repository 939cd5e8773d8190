#include "orchestrator/api/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One block holds one allocation or one thing to free: requests make few, and ASan then sees each by itself.
 */
struct arena_block {
    struct arena_block *next;
    void *kept;
    void (*free_it)(void *p);
    max_align_t data[];
};

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_block *b = xcalloc(1, sizeof(*b) + n);
    b->next = a->blocks;
    a->blocks = b;
    return b->data;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n >= 0)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

void arena_keep(struct arena *a, void *p, void (*free_it)(void *p))
{
    struct arena_block *b = xcalloc(1, sizeof(*b));
    b->kept = p;
    b->free_it = free_it;
    b->next = a->blocks;
    a->blocks = b;
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        if (b->free_it)
            b->free_it(b->kept);
        free(b);
    }
}
