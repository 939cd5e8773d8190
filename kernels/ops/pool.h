/* pool: the largest, or the mean, of windows of each channel: along one axis, two, or all of them (global). */
#ifndef KERNELS_OPS_POOL_H
#define KERNELS_OPS_POOL_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

struct pool {
    bool max, count_padding; /* count_padding: in a mean, as zeros */
    int64_t channels, in[2];
    struct window window[2]; /* along one axis, axis 0 has size 1 */
};
struct pool pool_of(const struct layer_node *n);

/* The part of one window that lies inside the input, and 1 / what a mean divides by. */
struct span {
    int64_t y0, y1, x0, x1;
    double share;
};
struct span pool_span(const struct pool *p, int64_t y, int64_t x);

extern const struct layer_type layer_max_pool1d, layer_max_pool2d, layer_avg_pool1d, layer_avg_pool2d,
    layer_global_max_pool, layer_global_avg_pool;
extern const struct op_ref max_pool1d_ref, max_pool2d_ref, avg_pool1d_ref, avg_pool2d_ref,
    global_max_pool_ref, global_avg_pool_ref;
/* pool_cpu.c */
extern const struct op_impl max_pool1d_cpu, max_pool2d_cpu, avg_pool1d_cpu, avg_pool2d_cpu,
    global_max_pool_cpu, global_avg_pool_cpu;

#endif
