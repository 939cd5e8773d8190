/* arena: memory that lives as long as one request. Everything is released at once. */
#ifndef ORCHESTRATOR_API_ARENA_H
#define ORCHESTRATOR_API_ARENA_H

#include <stddef.h>

struct arena {
    struct arena_block *blocks;
};

void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned for anything */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Have free_it(p) called at the end. */
void arena_keep(struct arena *a, void *p, void (*free_it)(void *p));
void arena_free(struct arena *a);

#endif
