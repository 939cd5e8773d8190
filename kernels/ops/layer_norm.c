/* layer_norm over the last dimension: out = gamma (in - mean) / sqrt(variance + epsilon) + beta. */
#include "kernels/ops/norms.h"

#include <math.h>

#include "kernels/ops/cpu.h"

static const struct param_def params[] = {
    {"epsilon", PARAM_REAL, .fallback = 1e-5, .min = 0, .max = 1, .min_open = true,
     .help = "Added to the variance."},
};

static int infer(struct layer_node *n, struct err *err)
{
    if (row_infer_same(n, err) < 0)
        return -1;
    if (n->shape.rank < 1)
        return err_set(err, ERR_INVALID, "layer_norm expects at least one dimension");
    struct shape last = {1, {last_dim(n)}};
    row_weight(n, "gamma", INIT_ONES, true, false)->shape = last;
    row_weight(n, "beta", INIT_ZEROS, true, false)->shape = last;
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 8, out);
}

const struct layer_type layer_layer_norm = {
    .name = "layer_norm",
    .group = "normalisation",
    .summary = "Normalises each row of the last dimension, then scales and shifts it.",
    .formula = "out = gamma (in - mean(in)) / sqrt(var(in) + epsilon) + beta",
    .source = "Ba, Kiros and Hinton, arXiv:1607.06450",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

#define LAYER_NORM(T, NAME)                                                                                  \
    static void NAME##_stats(const T *in, int64_t n, T epsilon, T *mean, T *inverse)                         \
    {                                                                                                        \
        T sum = 0, squares = 0;                                                                              \
        for (int64_t i = 0; i < n; i++)                                                                      \
            sum += in[i];                                                                                    \
        *mean = sum / (T)n;                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                      \
            squares += (in[i] - *mean) * (in[i] - *mean);                                                    \
        *inverse = 1 / (T)sqrt((double)(squares / (T)n + epsilon));                                          \
    }                                                                                                        \
    static void NAME##_row(const T *in, T *out, int64_t n, T epsilon, const T *gamma, const T *beta)         \
    {                                                                                                        \
        T mean, inverse;                                                                                     \
        NAME##_stats(in, n, epsilon, &mean, &inverse);                                                       \
        for (int64_t i = 0; i < n; i++)                                                                      \
            out[i] = gamma[i] * (in[i] - mean) * inverse + beta[i];                                          \
    }                                                                                                        \
    static void NAME##_row_back(const T *in, const T *g, int64_t n, T epsilon, const T *gamma, T *gi,        \
                                bool add, T *ggamma, T *gbeta)                                               \
    {                                                                                                        \
        T mean, inverse, sum = 0, dot = 0;                                                                   \
        NAME##_stats(in, n, epsilon, &mean, &inverse);                                                       \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            T x = (in[i] - mean) * inverse;                                                                  \
            ggamma[i] += g[i] * x;                                                                           \
            gbeta[i] += g[i];                                                                                \
            sum += g[i] * gamma[i];                                                                          \
            dot += g[i] * gamma[i] * x;                                                                      \
        }                                                                                                    \
        for (int64_t i = 0; gi && i < n; i++) {                                                              \
            T x = (in[i] - mean) * inverse, d = inverse * (g[i] * gamma[i] - (sum + x * dot) / (T)n);        \
            gi[i] = add ? gi[i] + d : d;                                                                     \
        }                                                                                                    \
    }

LAYER_NORM(double, ref)
LAYER_NORM(float, cpu)

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t len = last_dim(n), rows = c->rows * shape_elements(&n->shape) / len;
    for (int64_t r = 0; r < rows; r++)
        ref_row(c->in[0] + r * len, c->out + r * len, len, layer_param(n, "epsilon", 0), c->weights[0],
                c->weights[1]);
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t len = last_dim(n), rows = c->rows * shape_elements(&n->shape) / len;
    for (int64_t r = 0; r < rows; r++)
        ref_row_back(c->in[0] + r * len, c->grad_out + r * len, len, layer_param(n, "epsilon", 0),
                     c->weights[0], c->grad_in[0] ? c->grad_in[0] + r * len : NULL, true, c->weight_grads[0],
                     c->weight_grads[1]);
}

const struct op_ref layer_norm_ref = {"layer_norm", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_out = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / len;
    float epsilon = (float)layer_param(op->node, "epsilon", 0);
    int threads = rows * len < 16384 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++)
        cpu_row((const float *)c->in[0] + r * len, (float *)c->out + r * len, len, epsilon, c->weights[0],
                c->weights[1]);
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / len;
    float epsilon = (float)layer_param(op->node, "epsilon", 0), *gi = c->grad_in[0];
    for (int64_t i = 0; i < len; i++)
        c->weight_grads[0][i] = c->weight_grads[1][i] = 0;
    /* One thread: the sums over rows keep one order. */
    for (int64_t r = 0; r < rows; r++)
        cpu_row_back((const float *)c->in[0] + r * len, (const float *)c->grad_out + r * len, len, epsilon,
                     c->weights[0], gi ? gi + r * len : NULL, c->accumulate[0], c->weight_grads[0],
                     c->weight_grads[1]);
}

const struct op_impl layer_norm_cpu = {"layer_norm", .plan = cpu_plan, .forward = cpu_forward,
                                       .backward = cpu_backward};
