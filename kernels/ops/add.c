/* add: the sum of its inputs, all of one shape. */
#include "kernels/ops/shapes.h"

#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0)
        return -1;
    for (int i = 1; i < n->input_count; i++) {
        if (shape_equal(&n->in_shapes[0], &n->in_shapes[i]))
            continue;
        char a[96], b[96];
        shape_format(&n->in_shapes[0], a, sizeof(a));
        shape_format(&n->in_shapes[i], b, sizeof(b));
        return err_set(err, ERR_INVALID, "add expects inputs of one shape, got %s and %s", a, b);
    }
    n->shape = n->in_shapes[0];
    n->dtype = DTYPE_F32;
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, n->input_count - 1, out);
}

const struct layer_type layer_add = {
    .name = "add",
    .group = "merge",
    .summary = "Sum of two or more inputs of one shape.",
    .formula = "out = in_0 + in_1 + ...",
    .source = "Keras Add",
    .min_inputs = 2,
    .max_inputs = LAYER_MAX_INPUTS,
    .infer = infer,
    .cost = cost,
};

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    for (int64_t i = 0; i < c->rows * shape_elements(&n->shape); i++) {
        c->out[i] = 0;
        for (int k = 0; k < n->input_count; k++)
            c->out[i] += c->in[k][i];
    }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    for (int k = 0; k < n->input_count; k++)
        for (int64_t i = 0; c->grad_in[k] && i < c->rows * shape_elements(&n->shape); i++)
            c->grad_in[k][i] += c->grad_out[i];
}

const struct op_ref add_ref = {"add", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

VECTOR_CLONES static void add_to(float *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += in[i];
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    float *out = (float *)c->out + from;
    memcpy(out, (const float *)c->in[0] + from, count * sizeof(float));
    for (int k = 1; k < op->node->input_count; k++)
        add_to(out, (const float *)c->in[k] + from, count);
    CPU_PARALLEL_END
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    /* Input after input: the same tensor may be given twice. */
    for (int k = 0; k < op->node->input_count; k++) {
        if (!c->grad_in[k])
            continue;
        CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
        if (c->accumulate[k])
            add_to((float *)c->grad_in[k] + from, (const float *)c->grad_out + from, count);
        else
            memcpy((float *)c->grad_in[k] + from, (const float *)c->grad_out + from, count * sizeof(float));
        CPU_PARALLEL_END
    }
}

const struct op_impl add_cpu = {"add", .plan = cpu_plan, .forward = cpu_forward, .backward = cpu_backward};
