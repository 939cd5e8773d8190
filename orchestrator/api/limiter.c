#include "orchestrator/api/limiter.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"

#define KEYS 4096
#define KEPT 32 /* the last so many times of a key; more are not told apart */

struct entry {
    uint8_t key[8]; /* of a hash: names can be long */
    double times[KEPT];
    int count, next;
    double last;
};

struct limiter {
    double window;
    struct entry *entries;
    int used;
};

struct limiter *limiter_create(double window_seconds)
{
    struct limiter *l = xcalloc(1, sizeof(*l));
    l->window = window_seconds;
    l->entries = xcalloc(KEYS, sizeof(*l->entries));
    return l;
}

void limiter_destroy(struct limiter *l)
{
    if (!l)
        return;
    free(l->entries);
    free(l);
}

static struct entry *find(struct limiter *l, const char *key, uint8_t digest[8])
{
    struct sha256 hash;
    uint8_t full[32];
    sha256_init(&hash);
    sha256_update(&hash, key, strlen(key));
    sha256_final(&hash, full);
    memcpy(digest, full, 8);
    for (int i = 0; i < l->used; i++)
        if (!memcmp(l->entries[i].key, digest, 8))
            return &l->entries[i];
    return NULL;
}

void limiter_add(struct limiter *l, const char *key, double now)
{
    uint8_t digest[8];
    struct entry *e = find(l, key, digest);
    if (!e) {
        e = &l->entries[0];
        for (int i = 1; l->used == KEYS && i < KEYS; i++)
            if (l->entries[i].last < e->last)
                e = &l->entries[i];
        if (l->used < KEYS)
            e = &l->entries[l->used++];
        memset(e, 0, sizeof(*e));
        memcpy(e->key, digest, 8);
    }
    e->times[e->next] = e->last = now;
    e->next = (e->next + 1) % KEPT;
    if (e->count < KEPT)
        e->count++;
}

int limiter_count(struct limiter *l, const char *key, double now)
{
    uint8_t digest[8];
    const struct entry *e = find(l, key, digest);
    int n = 0;
    for (int i = 0; e && i < e->count; i++)
        n += now - e->times[i] < l->window;
    return n;
}
