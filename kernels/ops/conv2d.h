#ifndef KERNELS_OPS_CONV2D_H
#define KERNELS_OPS_CONV2D_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

struct conv2d {
    int64_t filters, groups, channels, in[2]; /* in: height, width */
    struct window window[2];
    bool bias;
};
struct conv2d conv2d_of(const struct layer_node *n);

extern const struct layer_type layer_conv2d;
extern const struct op_ref conv2d_ref;
extern const struct op_impl conv2d_cpu; /* oneDNN; conv2d_cpu.c */

#endif
