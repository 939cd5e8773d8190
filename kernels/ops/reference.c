/* The reference operations as a backend: float32 tensors are widened, computed in float64, and rounded once.
 * Allocates on every call; speed is not its job. */
#include "kernels/ops/reference.h"

#include <stdlib.h>

#include "base/mem.h"

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->state = (void *)(uintptr_t)op_ref_find(op->node->type->name);
    return 0;
}

static double *widen(const void *p, size_t n, enum dtype t)
{
    double *out = xreallocarray(NULL, n, sizeof(double));
    for (size_t i = 0; i < n; i++)
        out[i] = t == DTYPE_U8    ? ((const uint8_t *)p)[i]
                 : t == DTYPE_I32 ? ((const int32_t *)p)[i]
                                  : (double)((const float *)p)[i];
    return out;
}

static void narrow(const double *from, float *to, size_t n, bool add)
{
    for (size_t i = 0; i < n; i++)
        to[i] = add ? (float)((double)to[i] + from[i]) : (float)from[i];
}

static size_t in_count(const struct op *op, const struct op_call *c, int i)
{
    return (size_t)(c->rows * shape_elements(&op->in[i].shape));
}

static size_t weight_count(const struct op *op, int i)
{
    return (size_t)shape_elements(&op->node->weights[i].shape);
}

static struct ref_call wide_call(const struct op *op, const struct op_call *c)
{
    struct ref_call r = {.rows = c->rows,
                         .training = c->training,
                         .seed = c->seed,
                         .step = c->step,
                         .first_sample = c->first_sample};
    for (int i = 0; i < op->node->input_count; i++)
        r.in[i] = widen(c->in[i], in_count(op, c, i), op->in[i].dtype);
    for (int i = 0; i < op->node->weight_count; i++)
        r.weights[i] = widen(c->weights[i], weight_count(op, i), DTYPE_F32);
    return r;
}

static void free_call(const struct op *op, struct ref_call *r)
{
    for (int i = 0; i < op->node->input_count; i++)
        free((void *)(uintptr_t)r->in[i]);
    for (int i = 0; i < op->node->weight_count; i++)
        free(r->weights[i]);
    free(r->out);
    free((void *)(uintptr_t)r->grad_out);
}

static void forward(struct op *op, const struct op_call *c)
{
    const struct op_ref *ref = op->state;
    size_t n = (size_t)(c->rows * shape_elements(&op->node->shape));
    struct ref_call r = wide_call(op, c);
    if (op->node->dtype != DTYPE_F32) { /* flatten of bytes: moved, not computed */
        for (size_t i = 0; i < n * (size_t)dtype_size(op->node->dtype); i++)
            ((char *)c->out)[i] = ((const char *)c->in[0])[i];
    } else {
        r.out = xcalloc(n, sizeof(double));
        ref->forward(op->node, &r);
        narrow(r.out, c->out, n, false);
        for (int i = 0; c->training && i < op->node->weight_count; i++)
            if (!op->node->weights[i].trainable)
                narrow(r.weights[i], c->weights[i], weight_count(op, i), false);
    }
    free_call(op, &r);
}

static void backward(struct op *op, const struct op_call *c)
{
    const struct op_ref *ref = op->state;
    size_t n = (size_t)(c->rows * shape_elements(&op->node->shape));
    struct ref_call r = wide_call(op, c);
    r.out = widen(c->out, n, DTYPE_F32);
    r.grad_out = widen(c->grad_out, n, DTYPE_F32);
    for (int i = 0; i < op->node->input_count; i++)
        r.grad_in[i] = c->grad_in[i] ? xcalloc(in_count(op, c, i), sizeof(double)) : NULL;
    for (int i = 0; i < op->node->weight_count; i++)
        r.weight_grads[i] = xcalloc(weight_count(op, i), sizeof(double));
    ref->backward(op->node, &r);
    for (int i = 0; i < op->node->input_count; i++) {
        if (c->grad_in[i])
            narrow(r.grad_in[i], c->grad_in[i], in_count(op, c, i), c->accumulate[i]);
        free(r.grad_in[i]);
    }
    for (int i = 0; i < op->node->weight_count; i++) {
        if (c->weight_grads[i])
            narrow(r.weight_grads[i], c->weight_grads[i], weight_count(op, i), false);
        free(r.weight_grads[i]);
    }
    free_call(op, &r);
}

const struct op_impl *op_ref_impl(const char *type)
{
    static const struct op_impl impl = {"reference", .plan = plan, .forward = forward, .backward = backward};
    return op_ref_find(type) ? &impl : NULL;
}
