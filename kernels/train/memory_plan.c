#include "kernels/train/memory_plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define ALIGN 64

/* Free stretches below the top, by offset; neighbours are merged. */
struct hole {
    size_t offset, bytes;
};

struct planner {
    struct hole *holes;
    size_t count, cap, top;
};

static void release(struct planner *p, size_t offset, size_t bytes)
{
    size_t i = 0;
    while (i < p->count && p->holes[i].offset < offset)
        i++;
    bool with_before = i > 0 && p->holes[i - 1].offset + p->holes[i - 1].bytes == offset;
    bool with_after = i < p->count && offset + bytes == p->holes[i].offset;
    if (with_before && with_after) {
        p->holes[i - 1].bytes += bytes + p->holes[i].bytes;
        memmove(&p->holes[i], &p->holes[i + 1], (--p->count - i) * sizeof(*p->holes));
    } else if (with_before) {
        p->holes[i - 1].bytes += bytes;
    } else if (with_after) {
        p->holes[i].offset = offset;
        p->holes[i].bytes += bytes;
    } else {
        p->holes = vec_grow(p->holes, &p->cap, p->count + 1, sizeof(*p->holes));
        memmove(&p->holes[i + 1], &p->holes[i], (p->count++ - i) * sizeof(*p->holes));
        p->holes[i] = (struct hole){offset, bytes};
    }
}

/* The smallest hole that is large enough, else the top (grown from a hole that reaches it). */
static size_t take(struct planner *p, size_t bytes)
{
    size_t best = p->count;
    for (size_t i = 0; i < p->count; i++)
        if (p->holes[i].bytes >= bytes && (best == p->count || p->holes[i].bytes < p->holes[best].bytes))
            best = i;
    if (best < p->count) {
        size_t at = p->holes[best].offset;
        p->holes[best].offset += bytes;
        p->holes[best].bytes -= bytes;
        if (p->holes[best].bytes == 0)
            memmove(&p->holes[best], &p->holes[best + 1], (--p->count - best) * sizeof(*p->holes));
        return at;
    }
    size_t at = p->top;
    if (p->count > 0 && p->holes[p->count - 1].offset + p->holes[p->count - 1].bytes == p->top)
        at = p->holes[--p->count].offset;
    p->top = at + bytes;
    return at;
}

static int by_first(const void *a, const void *b)
{
    const struct memory_request *x = *(struct memory_request *const *)a,
                                *y = *(struct memory_request *const *)b;
    return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : (x > y) - (x < y);
}

static int by_last(const void *a, const void *b)
{
    const struct memory_request *x = *(struct memory_request *const *)a,
                                *y = *(struct memory_request *const *)b;
    return x->last != y->last ? (x->last > y->last) - (x->last < y->last) : (x > y) - (x < y);
}

size_t memory_plan(struct memory_request *requests, size_t count)
{
    struct planner p = {0};
    struct memory_request **starts = xcalloc(count ? count : 1, sizeof(*starts)),
                          **ends = xcalloc(count ? count : 1, sizeof(*ends));
    size_t n = 0, ended = 0;
    for (size_t i = 0; i < count; i++) {
        requests[i].offset = 0;
        if (requests[i].bytes)
            starts[n++] = &requests[i];
    }
    if (n)
        memcpy(ends, starts, n * sizeof(*ends));
    qsort(starts, n, sizeof(*starts), by_first);
    qsort(ends, n, sizeof(*ends), by_last);
    for (size_t i = 0; i < n; i++) {
        for (; ended < n && ends[ended]->last < starts[i]->first; ended++)
            release(&p, ends[ended]->offset, (ends[ended]->bytes + ALIGN - 1) / ALIGN * ALIGN);
        starts[i]->offset = take(&p, (starts[i]->bytes + ALIGN - 1) / ALIGN * ALIGN);
    }
    free(starts);
    free(ends);
    free(p.holes);
    return p.top;
}
