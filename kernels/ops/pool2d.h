/* pool2d: max_pool2d and avg_pool2d differ in one line each and share everything else. */
#ifndef KERNELS_OPS_POOL2D_H
#define KERNELS_OPS_POOL2D_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

struct pool2d {
    int64_t channels, in[2];
    struct window window[2];
    bool max;
};
struct pool2d pool2d_of(const struct layer_node *n);

extern const struct layer_type layer_max_pool2d, layer_avg_pool2d;
extern const struct op_ref max_pool2d_ref, avg_pool2d_ref;
extern const struct op_impl max_pool2d_cpu, avg_pool2d_cpu; /* oneDNN; pool2d_cpu.c */

#endif
