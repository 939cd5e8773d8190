/* shapes: operations that move or rescale data without weights: flatten, concat, add, rescale. */
#ifndef KERNELS_OPS_SHAPES_H
#define KERNELS_OPS_SHAPES_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_flatten, layer_concat, layer_add, layer_rescale;
extern const struct op_ref flatten_ref, concat_ref, add_ref, rescale_ref;
extern const struct op_impl flatten_cpu, concat_cpu, add_cpu, rescale_cpu;

#endif
