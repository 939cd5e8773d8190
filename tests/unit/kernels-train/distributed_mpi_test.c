/* The collectives over MPI; ctest runs it with mpirun on three ranks. A rank that finds something wrong
 * aborts the run. */
#include "kernels/train/distributed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(x)                                                                                              \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "%s:%d: rank %d: %s: %s\n", __FILE__, __LINE__, d->rank, #x, err.text);          \
            dist_abort(d, 1);                                                                                \
        }                                                                                                    \
    } while (0)

/* Small whole numbers: their sums are exact in any order. */
static float number(int rank, size_t i)
{
    return (float)((i * 7 + (size_t)rank * 13) % 1000);
}

int main(void)
{
    enum { N = 70000 };
    struct err err = {0};
    struct dist *d = dist_create_mpi(&err);
    if (!d)
        return 1;
    float *g = dist_buffer(d, N, &err);
    MUST(g);
    MUST(!dist_buffer(d, N, NULL));
    for (int step = 0; step < 5; step++) {
        for (size_t i = 0; i < N; i++)
            g[i] = number(d->rank + step, i);
        for (size_t at = 0; at < N; at += 9999)
            MUST(!dist_reduce_start(d, at, at + 9999 < N ? 9999 : N - at, &err));
        MUST(!dist_reduce_wait(d, &err));
        for (size_t i = 0; i < N; i++) {
            float want = 0;
            for (int r = 0; r < d->size; r++)
                want += number(r + step, i);
            MUST(g[i] == want);
        }
    }
    int64_t c[2] = {d->rank, 1};
    double x = 0.5;
    MUST(!dist_sum(d, c, 2, DIST_I64, &err) && c[1] == d->size && c[0] == d->size * (d->size - 1) / 2);
    MUST(!dist_sum(d, &x, 1, DIST_F64, &err) && fabs(x - 0.5 * d->size) < 1e-12);
    for (size_t i = 0; i < N; i++)
        g[i] = d->rank == 1 % d->size ? (float)i : -1;
    MUST(!dist_broadcast(d, g, N * sizeof(float), 1 % d->size, &err));
    for (size_t i = 0; i < N; i++)
        MUST(g[i] == (float)i);
    size_t *bounds = calloc((size_t)d->size + 1, sizeof(*bounds));
    MUST(bounds);
    for (int r = 1; r <= d->size; r++)
        bounds[r] = r == d->size ? N : (size_t)r * 1003;
    for (size_t i = 0; i < N; i++)
        g[i] = number(d->rank, i);
    MUST(!dist_gather(d, g, bounds, &err));
    for (int r = 0; r < d->size; r++)
        for (size_t i = bounds[r]; i < bounds[r + 1]; i++)
            MUST(g[i] == number(r, i));
    free(bounds);
    MUST(!dist_barrier(d, &err));
    MUST(dist_reduce_start(d, N, 1, &err) == -1);
    dist_destroy(d);
    return 0;
}
