/* reference: the plain form of every operation, in float64, straight from its formula. What the fast
 * implementations and the gradients are checked against, and what the "reference" backend runs.
 *
 * Tensors are plain (rows, shape). backward adds to grad_in and weight_grads, which its caller has zeroed;
 * those that are NULL are not wanted.
 */
#ifndef KERNELS_OPS_REFERENCE_H
#define KERNELS_OPS_REFERENCE_H

#include "kernels/backend/backend.h"

struct ref_call {
    int64_t rows;
    bool training;
    const double *in[LAYER_MAX_INPUTS];
    double *out;
    double *weights[LAYER_MAX_WEIGHTS]; /* states are written when training */
    uint64_t seed, step;
    int64_t first_sample;
    const double *grad_out;
    double *grad_in[LAYER_MAX_INPUTS];
    double *weight_grads[LAYER_MAX_WEIGHTS];
};

struct op_ref {
    const char *type;
    void (*forward)(const struct layer_node *n, const struct ref_call *c);
    void (*backward)(const struct layer_node *n, const struct ref_call *c);
};

const struct op_ref *op_ref_find(const char *type); /* NULL if none */
const struct op_impl *
op_ref_impl(const char *type); /* any op_ref as an op_impl of a host backend; NULL if none */

#endif
