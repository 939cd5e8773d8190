/* conv: convolutions along one axis (channels, length) or two (channels, height, width), and their transposes.
 *
 * A convolution reads a wide side x through windows and writes one element of the narrow side y for each. The transposed
 * convolution is the same with the sides' roles changed: it reads y and writes x, as the convolution's backward pass does.
 * So one description serves all five rows; along one axis, axis 0 has size 1.
 */
#ifndef KERNELS_OPS_CONV_H
#define KERNELS_OPS_CONV_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

struct conv {
    int axes; /* 1 or 2 */
    bool transposed, bias;
    int64_t groups, x_channels, y_channels, x[2]; /* x: height, width */
    struct window window[2];                      /* .out: height, width of y */
};
struct conv conv_of(const struct layer_node *n);
/* Floats of one sample. */
int64_t conv_x_sample(const struct conv *c);
int64_t conv_y_sample(const struct conv *c);

extern const struct layer_type layer_conv1d, layer_conv2d, layer_depthwise_conv2d, layer_conv1d_transpose,
    layer_conv2d_transpose;
extern const struct op_ref conv1d_ref, conv2d_ref, depthwise_conv2d_ref, conv1d_transpose_ref,
    conv2d_transpose_ref;
/* oneDNN; conv_cpu.c */
extern const struct op_impl conv1d_cpu, conv2d_cpu, depthwise_conv2d_cpu, conv1d_transpose_cpu,
    conv2d_transpose_cpu;

#endif
