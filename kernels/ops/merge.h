/* merge: add and multiply; what merge.c and merge_mixed.c share. */
#ifndef KERNELS_OPS_MERGE_H
#define KERNELS_OPS_MERGE_H

#include "kernels/ops/blocked.h"
#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_add, layer_multiply;
extern const struct op_ref add_ref, multiply_ref;
extern const struct op_impl add_cpu, multiply_cpu;

/* Where element o of an output sample comes from in input k's sample. */
int64_t merge_source(const struct layer_node *n, int k, int64_t o);

/* Inputs differ in shape or layout: the output is plain, and inputs are copied to plain scratch where they are not. */
bool merge_is_mixed(const struct op *op);
size_t merge_mixed_scratch(const struct op *op);
void merge_mixed_forward(const struct op *op, const struct op_call *c, bool product);
void merge_mixed_backward(const struct op *op, const struct op_call *c, bool product);

#endif
