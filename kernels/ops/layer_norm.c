/* layer_norm over the last dimension: out = gamma (in - mean) / sqrt(variance + epsilon) + beta. */
#include "kernels/ops/norms.h"

#include <math.h>

#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

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

static void ref_stats(const double *in, int64_t n, double epsilon, double *mean, double *inverse)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += in[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (in[i] - *mean) * (in[i] - *mean);
    *inverse = 1 / sqrt(squares / (double)n + epsilon);
}
static void ref_row(const double *in, double *out, int64_t n, double epsilon, const double *gamma,
                    const double *beta)
{
    double mean, inverse;
    ref_stats(in, n, epsilon, &mean, &inverse);
    for (int64_t i = 0; i < n; i++)
        out[i] = gamma[i] * (in[i] - mean) * inverse + beta[i];
}
static void ref_row_back(const double *in, const double *g, int64_t n, double epsilon, const double *gamma,
                         double *gi, bool add, double *ggamma, double *gbeta)
{
    double mean, inverse, sum = 0, dot = 0;
    ref_stats(in, n, epsilon, &mean, &inverse);
    for (int64_t i = 0; i < n; i++) {
        double x = (in[i] - mean) * inverse;
        ggamma[i] += g[i] * x;
        gbeta[i] += g[i];
        sum += g[i] * gamma[i];
        dot += g[i] * gamma[i] * x;
    }
    for (int64_t i = 0; gi && i < n; i++) {
        double x = (in[i] - mean) * inverse, d = inverse * (g[i] * gamma[i] - (sum + x * dot) / (double)n);
        gi[i] = add ? gi[i] + d : d;
    }
}

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

/* Kept for the backward pass: mean and 1/sqrt(variance + epsilon) of every row. */
static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_out = false;
    op->kept_bytes =
        (size_t)(op->rows * shape_elements(&op->node->shape) / last_dim(op->node)) * 2 * sizeof(float);
    return 0;
}

VECTOR_CLONES static void cpu_rows(const float *restrict in, float *restrict out, int64_t rows, int64_t n,
                                   float epsilon, const float *restrict gamma, const float *restrict beta,
                                   float *restrict kept)
{
    for (int64_t r = 0; r < rows; r++, in += n, out += n, kept += 2) {
        float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += in[i];
        float mean = sum / (float)n;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < n; i++)
            squares += (in[i] - mean) * (in[i] - mean);
        float inverse = 1 / sqrtf(squares / (float)n + epsilon);
        for (int64_t i = 0; i < n; i++)
            out[i] = gamma[i] * (in[i] - mean) * inverse + beta[i];
        kept[0] = mean;
        kept[1] = inverse;
    }
}

VECTOR_CLONES static void cpu_rows_back(const float *restrict in, const float *restrict g, int64_t rows,
                                        int64_t n, const float *restrict gamma, const float *restrict kept,
                                        float *restrict gi, bool add)
{
    for (int64_t r = 0; r < rows; r++, in += n, g += n, gi += n, kept += 2) {
        float mean = kept[0], inverse = kept[1], sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t i = 0; i < n; i++) {
            float d = g[i] * gamma[i];
            sum += d;
            dot += d * (in[i] - mean) * inverse;
        }
        sum /= (float)n;
        dot /= (float)n;
        for (int64_t i = 0; i < n; i++) {
            float d = inverse * (g[i] * gamma[i] - sum - (in[i] - mean) * inverse * dot);
            gi[i] = add ? gi[i] + d : d;
        }
    }
}

/* Columns [from, to) of the weights' gradients. */
VECTOR_CLONES static void cpu_columns_back(const float *restrict in, const float *restrict g, int64_t rows,
                                           int64_t n, int64_t from, int64_t to, const float *restrict kept,
                                           float *restrict ggamma, float *restrict gbeta)
{
    for (int64_t i = from; i < to; i++)
        ggamma[i] = gbeta[i] = 0;
    for (int64_t r = 0; r < rows; r++, in += n, g += n, kept += 2)
        for (int64_t i = from; i < to; i++) {
            ggamma[i] += g[i] * (in[i] - kept[0]) * kept[1];
            gbeta[i] += g[i];
        }
}

static int threads_for(const struct op *op, int64_t elements)
{
    return elements < 16384 ? 1 : op->backend->threads;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / len;
    float epsilon = (float)layer_param(op->node, "epsilon", 0);
    int threads = threads_for(op, rows * len);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        int64_t from = rows * part / threads, to = rows * (part + 1) / threads;
        cpu_rows((const float *)c->in[0] + from * len, (float *)c->out + from * len, to - from, len, epsilon,
                 c->weights[0], c->weights[1], (float *)c->kept + 2 * from);
    }
}

/* A thread has a range of rows of the input's gradient and a range of columns of the weights': every sum has one order whatever
 * the number of threads. */
static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t len = last_dim(op->node), rows = c->rows * shape_elements(&op->node->shape) / len;
    const float *in = c->in[0], *g = c->grad_out, *kept = c->kept;
    float *gi = c->grad_in[0];
    int threads = threads_for(op, rows * len);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        int64_t from = rows * part / threads, to = rows * (part + 1) / threads;
        if (gi)
            cpu_rows_back(in + from * len, g + from * len, to - from, len, c->weights[0], kept + 2 * from,
                          gi + from * len, c->accumulate[0]);
        cpu_columns_back(in, g, rows, len, len * part / threads, len * (part + 1) / threads, kept,
                         c->weight_grads[0], c->weight_grads[1]);
    }
}

const struct op_impl layer_norm_cpu = {"layer_norm", .plan = cpu_plan, .forward = cpu_forward,
                                       .backward = cpu_backward};
