/* activations: relu and its kin, gelu, silu, elu, tanh, sigmoid: one formula each and its derivative, elementwise. */
#ifndef KERNELS_OPS_ACTIVATIONS_H
#define KERNELS_OPS_ACTIVATIONS_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_relu, layer_gelu, layer_tanh, layer_sigmoid, layer_leaky_relu,
    layer_relu6, layer_elu, layer_silu, layer_hard_sigmoid, layer_hard_swish;
extern const struct op_ref relu_ref, gelu_ref, tanh_ref, sigmoid_ref, leaky_relu_ref, relu6_ref, elu_ref,
    silu_ref, hard_sigmoid_ref, hard_swish_ref;
/* activations_cpu.c */
extern const struct op_impl relu_cpu, gelu_cpu, tanh_cpu, sigmoid_cpu, leaky_relu_cpu, relu6_cpu, elu_cpu,
    silu_cpu, hard_sigmoid_cpu, hard_swish_cpu;

#endif
