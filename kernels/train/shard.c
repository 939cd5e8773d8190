#include "kernels/train/shard.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static bool wanted(const char *mode, const struct dist *d, size_t count)
{
    if (d->size < 2 || strcmp(mode, "off") == 0)
        return false;
    return strcmp(mode, "on") == 0 || count >= SHARD_LEAST;
}

struct optimizer *shard_create(struct shard *s, const char *mode, const struct algorithm *a, size_t count,
                               const struct optimizer_range *ranges, size_t range_count, const struct dist *d)
{
    *s = (struct shard){0};
    if (!wanted(mode, d, count))
        return optimizer_create(a, count, ranges, range_count);
    s->bounds = xcalloc((size_t)d->size + 1, sizeof(*s->bounds));
    for (int r = 0; r < d->size; r++) {
        size_t n;
        optimizer_part(a, count, ranges, range_count, d->size, r, &s->bounds[r], &n);
        s->bounds[r + 1] = s->bounds[r] + n;
    }
    struct optimizer *o = optimizer_create_part(a, count, ranges, range_count, s->bounds[d->rank],
                                                s->bounds[d->rank + 1] - s->bounds[d->rank]);
    if (o->state_count > 0 || strcmp(mode, "on") == 0)
        return o;
    optimizer_destroy(o); /* nothing to divide: updating everything is cheaper than sharing it */
    shard_free(s);
    return optimizer_create(a, count, ranges, range_count);
}

void shard_free(struct shard *s)
{
    free(s->bounds);
    s->bounds = NULL;
}

int shard_share_weights(const struct shard *s, float *weights, struct dist *d, struct err *err)
{
    return s->bounds ? dist_gather(d, weights, s->bounds, err) : 0;
}

int shard_collect_state(const struct shard *s, const struct optimizer *o, int i, float *out, struct dist *d,
                        struct err *err)
{
    enum { BLOCK = 16 * 1024 };
    float block[BLOCK];
    if (!s->bounds) {
        if (out)
            memcpy(out, o->state[i], o->count * sizeof(*out));
        return 0;
    }
    for (int r = 0; r < d->size; r++)
        for (size_t at = s->bounds[r]; at < s->bounds[r + 1]; at += BLOCK) {
            size_t n = s->bounds[r + 1] - at < BLOCK ? s->bounds[r + 1] - at : BLOCK;
            if (r == d->rank)
                memcpy(block, o->state[i] + (at - o->part_first), n * sizeof(*block));
            if (dist_broadcast(d, block, n * sizeof(*block), r, err))
                return -1;
            if (out)
                memcpy(out + at, block, n * sizeof(*block));
        }
    return 0;
}

void shard_take_state(const struct shard *s, struct optimizer *o, int i, const float *whole)
{
    (void)s;
    if (o->part_count)
        memcpy(o->state[i], whole + o->part_first, o->part_count * sizeof(*whole));
}
