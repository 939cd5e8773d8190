#include "kernels/formats/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t hash(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static struct name_slot *slot_of(const struct names *t, const char *name)
{
    size_t i = hash(name) & (t->cap - 1);
    while (t->slots[i].name && strcmp(t->slots[i].name, name) != 0)
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

int names_find(const struct names *t, const char *name)
{
    const struct name_slot *s = t->cap ? slot_of(t, name) : NULL;
    return s && s->name ? s->value : -1;
}

static void grow(struct names *t)
{
    struct names wider = {.cap = t->cap ? 2 * t->cap : 64};
    wider.slots = xcalloc(wider.cap, sizeof(*wider.slots));
    wider.count = t->count;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].name)
            *slot_of(&wider, t->slots[i].name) = t->slots[i];
    free(t->slots);
    *t = wider;
}

void names_put(struct names *t, const char *name, int value)
{
    if (2 * (t->count + 1) > t->cap)
        grow(t);
    struct name_slot *s = slot_of(t, name);
    if (!s->name) {
        s->name = xstrdup(name);
        t->count++;
    }
    s->value = value;
}

void names_free(struct names *t)
{
    for (size_t i = 0; i < t->cap; i++)
        free(t->slots[i].name);
    free(t->slots);
    *t = (struct names){0};
}
