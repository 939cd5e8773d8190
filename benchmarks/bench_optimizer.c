/* bench_optimizer [TYPE] [--threads N] [--count N] [--steps N]: one update of all weights, in milliseconds. The weights are cut like those of a
 * transformer: matrices and vectors in turn. Without a TYPE every optimizer. Beside it: torch_optimizer.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/units.h"
#include "kernels/optim/optimizer.h"
#include "kernels/optim/random.h"

enum { MATRIX = 512 * 512, VECTOR = 512, MAX_STEPS = 1000 };

struct options {
    int threads, steps;
    size_t count;
    const char *type;
};

static struct optimizer_range *make_ranges(size_t count, size_t *ranges)
{
    struct optimizer_range *list = xcalloc(2 * (count / MATRIX + 1), sizeof(*list));
    size_t n = 0, at = 0;
    for (; at < count; n++) {
        bool matrix = n % 2 == 0;
        size_t want = matrix ? MATRIX : VECTOR, have = count - at < want ? count - at : want;
        list[n] = (struct optimizer_range){.first = at, .count = have, .decay = matrix};
        if (matrix && have == MATRIX) {
            list[n].rows = list[n].columns = 512;
            list[n].lengthen = 1;
        }
        at += have;
    }
    *ranges = n;
    return list;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct options *o, enum optimizer_type type)
{
    struct algorithm a;
    double times[MAX_STEPS];
    size_t n, bytes = (o->count * sizeof(float) + 63) / 64 * 64;
    algorithm_default(&a);
    algorithm_set_optimizer(&a, type);
    if (type == OPTIMIZER_SGD)
        a.optimizer.momentum = 0.9;
    struct optimizer_range *ranges = make_ranges(o->count, &n);
    struct optimizer *opt = optimizer_create(&a, o->count, ranges, n);
    float *w = aligned_alloc(64, bytes), *g = aligned_alloc(64, bytes);
    if (!w || !g)
        abort();
    random_normal(w, o->count, 1, 1, 0.02);
    random_normal(g, o->count, 1, 2, 1);
    for (int i = -3; i < o->steps; i++) {
        double from = time_monotonic();
        optimizer_begin(opt, 1e-4, 1);
        optimizer_apply(opt, w, g, o->threads);
        if (i >= 0)
            times[i] = time_monotonic() - from;
    }
    qsort(times, (size_t)o->steps, sizeof(*times), by_value);
    double median = times[o->steps / 2], moved = (3.0 + 2 * opt->state_count) * 4 * (double)o->count;
    printf("%-8s %zu weights, %d threads: %.2f ms (%.2f to %.2f), %.1f GB/s\n", optimizer_name(type),
           o->count, o->threads, median * 1e3, times[0] * 1e3, times[o->steps - 1] * 1e3,
           moved / median / 1e9);
    optimizer_destroy(opt);
    free(ranges);
    free(w);
    free(g);
}

int main(int argc, char **argv)
{
    struct options o = {.threads = 1, .steps = 50, .count = 10000000};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            o.threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--steps") && i + 1 < argc)
            o.steps = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--count") && i + 1 < argc)
            o.count = strtoul(argv[++i], NULL, 10);
        else
            o.type = argv[i];
    }
    if (o.threads < 1 || o.steps < 1 || o.steps > MAX_STEPS || o.count < 1 || o.count > 1000000000) {
        fprintf(stderr, "usage: bench_optimizer [TYPE] [--threads N] [--count N] [--steps N (to %d)]\n",
                MAX_STEPS);
        return 2;
    }
    for (int t = 0; t < OPTIMIZER_TYPE_COUNT; t++)
        if (!o.type || !strcmp(o.type, optimizer_name((enum optimizer_type)t)))
            measure(&o, (enum optimizer_type)t);
    return 0;
}
