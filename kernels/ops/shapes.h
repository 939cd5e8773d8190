/* shapes: operations that move or rescale data without weights: flatten, reshape, permute,
 * slice, pad, upsample, concat, rescale. */
#ifndef KERNELS_OPS_SHAPES_H
#define KERNELS_OPS_SHAPES_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_flatten, layer_concat, layer_rescale, layer_reshape, layer_permute,
    layer_slice, layer_pad, layer_upsample;
extern const struct op_ref flatten_ref, concat_ref, rescale_ref, reshape_ref, permute_ref, slice_ref, pad_ref,
    upsample_ref;
extern const struct op_impl flatten_cpu, concat_cpu, rescale_cpu, reshape_cpu, permute_cpu, slice_cpu,
    pad_cpu, upsample_cpu;

#endif
