/* norms: batch_norm, group_norm, instance_norm, layer_norm, softmax, dropout: operations over rows or channels with a little state. */
#ifndef KERNELS_OPS_NORMS_H
#define KERNELS_OPS_NORMS_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_batch_norm, layer_group_norm, layer_instance_norm, layer_layer_norm,
    layer_softmax, layer_dropout;
extern const struct op_ref batch_norm_ref, group_norm_ref, instance_norm_ref, layer_norm_ref, softmax_ref,
    dropout_ref;
extern const struct op_impl batch_norm_cpu, group_norm_cpu, instance_norm_cpu, layer_norm_cpu, softmax_cpu,
    dropout_cpu;

/* Rows that an operation over the last dimension works on, and their length. */
static inline int64_t last_dim(const struct layer_node *n)
{
    return n->shape.dim[n->shape.rank - 1];
}

#endif
