/* activations: relu, gelu, tanh, sigmoid: one formula each and its derivative, elementwise. */
#ifndef KERNELS_OPS_ACTIVATIONS_H
#define KERNELS_OPS_ACTIVATIONS_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_relu, layer_gelu, layer_tanh, layer_sigmoid;
extern const struct op_ref relu_ref, gelu_ref, tanh_ref, sigmoid_ref;
extern const struct op_impl relu_cpu, gelu_cpu, tanh_cpu, sigmoid_cpu; /* activations_cpu.c */

#endif
