/* names: a hash table from names to numbers, for files with very many. Zero-initialise. */
#ifndef KERNELS_FORMATS_NAMES_H
#define KERNELS_FORMATS_NAMES_H

#include <stddef.h>

struct names {
    struct name_slot {
        char *name;
        int value;
    } * slots;
    size_t count, cap; /* cap: 0 or a power of two */
};

int names_find(const struct names *t, const char *name);      /* -1: not there */
void names_put(struct names *t, const char *name, int value); /* adds or replaces; value >= 0 */
void names_free(struct names *t);

#endif
