/* softmax over the last dimension: out = exp(in - max) / sum. */
#include "kernels/ops/norms.h"

#include <math.h>

#include "kernels/ops/cpu.h"

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 5, out);
}

const struct layer_type layer_softmax = {
    .name = "softmax",
    .group = "activation",
    .summary = "Probabilities over the last dimension. A model trained with softmax_cross_entropy gives "
               "logits and needs none.",
    .formula = "out_i = exp(in_i) / sum_j exp(in_j)",
    .source = "Keras Softmax",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = row_infer_same,
    .cost = cost,
};

#define SOFTMAX(T, EXP, NAME)                                                                                \
    static void NAME##_row(const T *in, T *out, int64_t n)                                                   \
    {                                                                                                        \
        T most = in[0], sum = 0;                                                                             \
        for (int64_t i = 1; i < n; i++)                                                                      \
            most = in[i] > most ? in[i] : most;                                                              \
        for (int64_t i = 0; i < n; i++)                                                                      \
            sum += out[i] = EXP(in[i] - most);                                                               \
        for (int64_t i = 0; i < n; i++)                                                                      \
            out[i] /= sum;                                                                                   \
    }                                                                                                        \
    static void NAME##_row_back(const T *out, const T *g, T *gi, int64_t n, bool add)                        \
    {                                                                                                        \
        T dot = 0;                                                                                           \
        for (int64_t i = 0; i < n; i++)                                                                      \
            dot += out[i] * g[i];                                                                            \
        for (int64_t i = 0; i < n; i++)                                                                      \
            gi[i] = (add ? gi[i] : 0) + out[i] * (g[i] - dot);                                               \
    }

SOFTMAX(double, exp, ref)
SOFTMAX(float, expf, cpu)

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t len = last_dim(n), rows = c->rows * shape_elements(&n->shape) / len;
    for (int64_t r = 0; r < rows; r++)
        ref_row(c->in[0] + r * len, c->out + r * len, len);
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t len = last_dim(n), rows = c->rows * shape_elements(&n->shape) / len;
    for (int64_t r = 0; c->grad_in[0] && r < rows; r++)
        ref_row_back(c->out + r * len, c->grad_out + r * len, c->grad_in[0] + r * len, len, true);
}

const struct op_ref softmax_ref = {"softmax", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / len;
    for (int64_t r = 0; r < rows; r++)
        cpu_row((const float *)c->in[0] + r * len, (float *)c->out + r * len, len);
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / len;
    for (int64_t r = 0; c->grad_in[0] && r < rows; r++)
        cpu_row_back((const float *)c->out + r * len, (const float *)c->grad_out + r * len,
                     (float *)c->grad_in[0] + r * len, len, c->accumulate[0]);
}

const struct op_impl softmax_cpu = {"softmax", .plan = cpu_plan, .forward = cpu_forward,
                                    .backward = cpu_backward};
