/* row: what the rows (layer_X) share: checks of inputs, the usual shape rule and costs. */
#ifndef KERNELS_OPS_ROW_H
#define KERNELS_OPS_ROW_H

#include "kernels/spec/layer_type.h"

#define PARAMS(table) .params = (table), .param_count = (int)(sizeof(table) / sizeof((table)[0]))

/* Every input must be float32; names a rescale layer as the way out. */
int row_need_float(const struct layer_node *n, struct err *err);
/* Input 0 must have this rank; what: "an image (channels, height, width)"; hint follows the sentence. */
int row_need_rank(const struct layer_node *n, int rank, const char *what, const char *hint, struct err *err);
/* The output is like input 0. */
int row_infer_same(struct layer_node *n, struct err *err);
/* forward flops per element, backward the same; keeps its input. */
void row_cost_elementwise(const struct layer_node *n, double flops_per_element, struct layer_cost *out);
void row_cost_free(const struct layer_node *n, struct layer_cost *out); /* moves data only */
struct weight_def *row_weight(struct layer_node *n, const char *name, enum init_kind init, bool trainable,
                              bool decay);

/* The window of a convolution or pooling along one axis: padding before and after ("valid", "same" as Keras
 * has it, or numbers) and the output size, which is 0 when the window does not fit. */
struct window {
    int64_t size, stride, dilation, pad_before, pad_after, out;
};
/* axis: 0 height, 1 width. padding is the node's "padding" parameter. */
struct window row_window(const struct layer_node *n, int axis, int64_t size, int64_t stride,
                         int64_t dilation);

#endif
