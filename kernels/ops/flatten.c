/* flatten: all dimensions of a sample as one; the same bytes. */
#include "kernels/ops/shapes.h"

#include <string.h>

#include "kernels/ops/cpu.h"

static int infer(struct layer_node *n, struct err *err)
{
    (void)err;
    n->dtype = n->in_dtypes[0];
    n->shape = (struct shape){1, {shape_elements(&n->in_shapes[0])}};
    return 0;
}

const struct layer_type layer_flatten = {
    .name = "flatten",
    .group = "shape",
    .summary = "All dimensions of a sample in one.",
    .formula = "out[i] = in[i], row-major",
    .source = "Keras Flatten",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer,
    .cost = row_cost_free,
};

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    memcpy(c->out, c->in[0], sizeof(double) * (size_t)(c->rows * shape_elements(&n->shape)));
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    for (int64_t i = 0; c->grad_in[0] && i < c->rows * shape_elements(&n->shape); i++)
        c->grad_in[0][i] += c->grad_out[i];
}

const struct op_ref flatten_ref = {"flatten", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    memcpy(c->out, c->in[0], op->out.bytes / (size_t)op->rows * (size_t)c->rows);
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    if (!c->grad_in[0])
        return;
    size_t n = cpu_floats(&op->out, op->rows, c->rows);
    const float *g = c->grad_out;
    float *gi = c->grad_in[0];
    if (!c->accumulate[0])
        memcpy(gi, g, n * sizeof(float));
    for (size_t i = 0; c->accumulate[0] && i < n; i++)
        gi[i] += g[i];
}

const struct op_impl flatten_cpu = {"flatten", .plan = cpu_plan, .forward = cpu_forward,
                                    .backward = cpu_backward};
