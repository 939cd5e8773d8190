/* backend: what computes a graph's operations. A backend has one op_impl per layer type name; "reference" is
 * plain loops straight from the formulas (the tests' yardstick), "cpu" is oneDNN and vector loops, "cuda"
 * fills the same slots from a plugin.
 *
 * How the executor uses it, for each node in order:
 *   plan      once: sizes, layout of the output, bytes to keep for the backward pass, scratch; makes
 * primitives forward   in[], weights[] -> out, kept backward  grad_out, in[], out, kept, weights[] ->
 * grad_in[] (those wanted), weight_grads[] (overwritten) release Nothing is allocated between plan and
 * release but what a first call with another number of rows makes.
 *
 * Tensors are (rows, shape), row-major, unless the op chose a layout of the backend's own for its output
 * (NULL is plain). An op whose any_layout is false is always given plain tensors: the executor puts
 * backend->convert in between. The gradient of a tensor has the tensor's layout. Weights and their gradients
 * are always plain float32; an op may keep its own copy in another layout and refreshes it when
 * call->weights_version changed.
 */
#ifndef KERNELS_BACKEND_BACKEND_H
#define KERNELS_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "kernels/spec/layer_type.h"

struct backend;
struct layout; /* the backend's own; NULL is plain row-major */

struct op_tensor {
    struct shape shape; /* of one sample */
    enum dtype dtype;
    struct layout *layout;
    size_t bytes; /* for op->rows samples, padding of the layout included */
};

/* One planned operation. */
struct op {
    struct backend *backend;
    const struct op_impl *impl;
    const struct layer_node *node;
    int64_t rows;  /* most samples of one call */
    bool training; /* a backward pass will follow */
    bool wants_input_grad[LAYER_MAX_INPUTS];
    struct op_tensor in[LAYER_MAX_INPUTS]; /* given */
    /* filled by plan */
    struct op_tensor out;
    size_t kept_bytes;                          /* from forward to backward, beside in[] and out */
    size_t scratch_bytes;                       /* within one call; shared by all ops */
    bool backward_needs_in, backward_needs_out; /* false lets the executor reuse the memory */
    bool relu;   /* executor asks before plan (impl->fuses_relu): out = max(out, 0), backward accordingly */
    void *state; /* the implementation's */
};

struct op_call {
    int64_t rows; /* 1 <= rows <= op->rows */
    bool training;
    const void *in[LAYER_MAX_INPUTS];
    void *out;
    float *weights[LAYER_MAX_WEIGHTS]; /* as node->weights; states are written when training */
    uint64_t weights_version;
    void *kept, *scratch; /* 64-byte aligned */
    uint64_t seed, step;  /* dropout: Philox of (seed, node name's stream, step and element) */
    int64_t first_sample; /* of this rank in the global batch, so that results do not depend on the number of
                             ranks */
    /* backward */
    const void *grad_out;
    void *grad_in[LAYER_MAX_INPUTS];        /* NULL: not wanted */
    bool accumulate[LAYER_MAX_INPUTS];      /* add to grad_in instead of writing it */
    float *weight_grads[LAYER_MAX_WEIGHTS]; /* written; NULL for states */
};

struct op_impl {
    const char *type; /* the row's name */
    bool any_layout;  /* takes inputs in the backend's own layouts */
    bool fuses_relu;
    int (*plan)(struct op *op, struct err *err);
    void (*forward)(struct op *op, const struct op_call *c);
    void (*backward)(struct op *op,
                     const struct op_call *c); /* NULL: no gradient passes (rescale of integers) */
    void (*release)(struct op *op);            /* NULL: nothing to release */
};

struct backend {
    const char *name;
    int threads;
    const struct op_impl *(*find)(const struct backend *b, const char *type); /* NULL: lacks it */
    const struct op_impl *user; /* for layers that users wrote as programs; NULL: lacks it */
    /* Device memory; on the host 64-byte aligned. */
    void *(*alloc)(struct backend *b, size_t bytes, struct err *err);
    void (*free)(struct backend *b, void *p);
    /* rows samples between layouts of one shape (dtype float32): from `from` to `to`; accumulate adds. */
    void (*convert)(struct backend *b, const struct op_tensor *from, const void *src,
                    const struct op_tensor *to, void *dst, int64_t rows, bool accumulate);
    /* DTYPE_BF16: operations planned from now on may multiply in bfloat16 (their sums are float32) where that is faster; all they are
     * given is rounded to it anyway. NULL: has no such instructions. */
    void (*set_precision)(struct backend *b, enum dtype t);
    void (*destroy)(struct backend *b);
    void *state;
};

/* "cpu" or "reference"; threads 0: all cores this process may use. NULL and an err that lists what there is.
 * Caller backend_destroy()s after all its ops. */
struct backend *backend_create(const char *name, int threads, struct err *err);
void backend_destroy(struct backend *b); /* NULL is legal */

/* How the backend computes a layer; NULL: it cannot. */
const struct op_impl *op_impl_of(const struct backend *b, const struct layer_node *n);

/* Plan one op: finds the implementation, checks, calls plan. -1 names the layer. op's node, rows, training,
 * in[], wants_input_grad and relu are set by the caller. */
int op_plan(struct backend *b, struct op *op, struct err *err);
void op_release(struct op *op);

/* Each backend's constructor (backend/reference.c, backend/cpu.c). */
struct backend *backend_reference_create(int threads, struct err *err);
struct backend *backend_cpu_create(int threads, struct err *err);

#endif
