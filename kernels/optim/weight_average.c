#include "kernels/optim/weight_average.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/vector.h"

#define PIECE ((size_t)16384)

struct weight_average *weight_average_create(const struct algorithm *a, const float *weights, size_t count)
{
    if (!a->weight_average.on)
        return NULL;
    struct weight_average *e = xcalloc(1, sizeof(*e));
    e->decay = a->weight_average.decay;
    e->every_steps = a->weight_average.every_steps;
    e->warmup = a->weight_average.warmup;
    e->count = count;
    e->average = xcalloc(count ? count : 1, sizeof(*e->average));
    memcpy(e->average, weights, count * sizeof(*weights));
    return e;
}

void weight_average_destroy(struct weight_average *e)
{
    if (e)
        free(e->average);
    free(e);
}

VECTOR_CLONES static void add(float *restrict average, const float *restrict w, size_t n, float rest)
{
    for (size_t i = 0; i < n; i++)
        average[i] += rest * (w[i] - average[i]);
}

VECTOR_CLONES static void swap(float *restrict a, float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

void weight_average_add(struct weight_average *e, const float *weights, int64_t step, int threads)
{
    if (!e || step % e->every_steps)
        return;
    double decay = e->decay, begin = (1 + (double)e->additions) / (10 + (double)e->additions);
    if (e->warmup && begin < decay)
        decay = begin;
    e->additions++;
    size_t pieces = (e->count + PIECE - 1) / PIECE;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = 0; i < pieces; i++) {
        size_t at = i * PIECE, n = e->count - at < PIECE ? e->count - at : PIECE;
        add(e->average + at, weights + at, n, (float)(1 - decay));
    }
}

void weight_average_swap(struct weight_average *e, float *weights, int threads)
{
    if (!e)
        return;
    size_t pieces = (e->count + PIECE - 1) / PIECE;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = 0; i < pieces; i++) {
        size_t at = i * PIECE, n = e->count - at < PIECE ? e->count - at : PIECE;
        swap(e->average + at, weights + at, n);
    }
    e->swapped = !e->swapped;
}
