/* rms_norm over the last dimension: out = gamma in / sqrt(mean(in^2) + epsilon). */
#include <math.h>

#include "kernels/ops/cpu.h"
#include "kernels/ops/norms.h"
#include "kernels/ops/sequence.h"

static const struct param_def params[] = {
    {"epsilon", PARAM_REAL, .fallback = 1e-6, .min = 0, .max = 1, .min_open = true,
     .help = "Added to the mean of the squares."},
};

static int infer(struct layer_node *n, struct err *err)
{
    if (row_infer_same(n, err) < 0)
        return -1;
    row_weight(n, "gamma", INIT_ONES, true, false)->shape = (struct shape){1, {last_dim(n)}};
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 4, out);
}

const struct layer_type layer_rms_norm = {
    .name = "rms_norm",
    .group = "normalisation",
    .summary = "Divides each row of the last dimension by its root mean square, then scales it.",
    .formula = "out = gamma in / sqrt(mean(in^2) + epsilon)",
    .source = "Zhang and Sennrich, arXiv:1910.07467",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

#define RMS_NORM(T, NAME)                                                                                    \
    static T NAME##_scale(const T *in, int64_t n, T epsilon)                                                 \
    {                                                                                                        \
        T squares = 0;                                                                                       \
        for (int64_t i = 0; i < n; i++)                                                                      \
            squares += in[i] * in[i];                                                                        \
        return 1 / (T)sqrt((double)(squares / (T)n + epsilon));                                              \
    }                                                                                                        \
    static void NAME##_row(const T *in, T *out, int64_t n, T epsilon, const T *gamma)                        \
    {                                                                                                        \
        T scale = NAME##_scale(in, n, epsilon);                                                              \
        for (int64_t i = 0; i < n; i++)                                                                      \
            out[i] = gamma[i] * in[i] * scale;                                                               \
    }                                                                                                        \
    static void NAME##_row_back(const T *in, const T *g, int64_t n, T epsilon, const T *gamma, T *gi,        \
                                bool add, T *ggamma)                                                         \
    {                                                                                                        \
        T scale = NAME##_scale(in, n, epsilon), dot = 0;                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            ggamma[i] += g[i] * in[i] * scale;                                                               \
            dot += g[i] * gamma[i] * in[i];                                                                  \
        }                                                                                                    \
        dot *= scale * scale / (T)n;                                                                         \
        for (int64_t i = 0; gi && i < n; i++) {                                                              \
            T d = scale * (g[i] * gamma[i] - in[i] * dot);                                                   \
            gi[i] = add ? gi[i] + d : d;                                                                     \
        }                                                                                                    \
    }

RMS_NORM(double, ref)
RMS_NORM(float, cpu)

static int64_t rows_of(const struct layer_node *n, int64_t rows)
{
    return rows * shape_elements(&n->shape) / last_dim(n);
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t len = last_dim(n);
    for (int64_t r = 0; r < rows_of(n, c->rows); r++)
        ref_row(c->in[0] + r * len, c->out + r * len, len, layer_param(n, "epsilon", 0), c->weights[0]);
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t len = last_dim(n);
    for (int64_t r = 0; r < rows_of(n, c->rows); r++)
        ref_row_back(c->in[0] + r * len, c->grad_out + r * len, len, layer_param(n, "epsilon", 0),
                     c->weights[0], c->grad_in[0] ? c->grad_in[0] + r * len : NULL, true, c->weight_grads[0]);
}

const struct op_ref rms_norm_ref = {"rms_norm", forward, backward};

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_out = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = rows_of(op->node, c->rows);
    float epsilon = (float)layer_param(op->node, "epsilon", 0);
    int threads = rows * len < 16384 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++)
        cpu_row((const float *)c->in[0] + r * len, (float *)c->out + r * len, len, epsilon, c->weights[0]);
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = rows_of(op->node, c->rows);
    float epsilon = (float)layer_param(op->node, "epsilon", 0), *gi = c->grad_in[0];
    for (int64_t i = 0; i < len; i++)
        c->weight_grads[0][i] = 0;
    /* One thread: the sums over rows keep one order. */
    for (int64_t r = 0; r < rows; r++)
        cpu_row_back((const float *)c->in[0] + r * len, (const float *)c->grad_out + r * len, len, epsilon,
                     c->weights[0], gi ? gi + r * len : NULL, c->accumulate[0], c->weight_grads[0]);
}

const struct op_impl rms_norm_cpu = {"rms_norm", .plan = plan, .forward = cpu_forward,
                                     .backward = cpu_backward};
