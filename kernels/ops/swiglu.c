/* swiglu: the first half of the last dimension, through silu, times the second half. */
#include <math.h>

#include "kernels/ops/cpu.h"
#include "kernels/ops/norms.h"
#include "kernels/ops/sequence.h"
#include "kernels/ops/vmath.h"

static int infer(struct layer_node *n, struct err *err)
{
    char got[96];
    if (row_infer_same(n, err) < 0)
        return -1;
    int64_t *last = &n->shape.dim[n->shape.rank - 1];
    shape_format(&n->in_shapes[0], got, sizeof(got));
    if (*last % 2)
        return err_set(err, ERR_INVALID, "swiglu halves the last dimension, which must be even, got %s", got);
    *last /= 2;
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    double elements = (double)shape_elements(&n->shape);
    *out = (struct layer_cost){elements * 10, elements * 20, elements * 4};
}

const struct layer_type layer_swiglu = {
    .name = "swiglu",
    .group = "activation",
    .summary = "A gated activation: half of the channels, through silu, times the other half.",
    .formula = "out = silu(a) b, in = [a, b] along the last dimension; silu(a) = a / (1 + exp(-a))",
    .source = "Shazeer, arXiv:2002.05202",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer,
    .cost = cost,
};

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t half = last_dim(n), rows = c->rows * shape_elements(&n->shape) / half;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < half; i++) {
            double a = c->in[0][r * 2 * half + i], b = c->in[0][r * 2 * half + half + i];
            c->out[r * half + i] = a / (1 + exp(-a)) * b;
        }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t half = last_dim(n), rows = c->rows * shape_elements(&n->shape) / half;
    for (int64_t r = 0; c->grad_in[0] && r < rows; r++)
        for (int64_t i = 0; i < half; i++) {
            double a = c->in[0][r * 2 * half + i], b = c->in[0][r * 2 * half + half + i],
                   g = c->grad_out[r * half + i];
            double s = 1 / (1 + exp(-a));
            c->grad_in[0][r * 2 * half + i] += g * b * s * (1 + a * (1 - s));
            c->grad_in[0][r * 2 * half + half + i] += g * a * s;
        }
}

const struct op_ref swiglu_ref = {"swiglu", forward, backward};

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_out = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t half = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / half;
    int threads = rows * half < 16384 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *a = (const float *)c->in[0] + r * 2 * half, *b = a + half;
        float *out = (float *)c->out + r * half;
        for (int64_t i = 0; i < half; i++)
            out[i] = a[i] * v_sigmoid(a[i]) * b[i];
    }
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t half = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / half;
    int threads = rows * half < 16384 ? 1 : op->backend->threads;
    float keep = c->accumulate[0] ? 1 : 0;
    if (!c->grad_in[0])
        return;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *a = (const float *)c->in[0] + r * 2 * half, *b = a + half,
                    *g = (const float *)c->grad_out + r * half;
        float *ga = (float *)c->grad_in[0] + r * 2 * half, *gb = ga + half;
        if (keep == 0)
            for (int64_t i = 0; i < 2 * half; i++)
                ga[i] = 0;
        for (int64_t i = 0; i < half; i++) {
            float s = v_sigmoid(a[i]);
            ga[i] += g[i] * b[i] * s * (1 + a[i] * (1 - s));
            gb[i] += g[i] * a[i] * s;
        }
    }
}

const struct op_impl swiglu_cpu = {"swiglu", .plan = plan, .forward = cpu_forward, .backward = cpu_backward};
