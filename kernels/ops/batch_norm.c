/* batch_norm over the first axis of the sample (the channels of an image, the features of a row):
 *   training:   out = gamma (in - mean_batch) / sqrt(var_batch + epsilon) + beta, and the running averages
 * move: running = (1 - momentum) running + momentum batch (the variance unbiased), PyTorch's convention
 *   evaluation: the running averages take the batch's place
 */
#include "kernels/ops/norms.h"

#include <math.h>

#include "kernels/ops/cpu.h"

static const struct param_def params[] = {
    {"momentum", PARAM_REAL, .fallback = 0.1, .min = 0, .max = 1,
     .help = "Weight of the new batch in the running averages (PyTorch's meaning; Keras's is 1 minus this)."},
    {"epsilon", PARAM_REAL, .fallback = 1e-5, .min = 0, .max = 1, .min_open = true,
     .help = "Added to the variance."},
};

static int infer(struct layer_node *n, struct err *err)
{
    if (row_infer_same(n, err) < 0)
        return -1;
    if (n->shape.rank < 1)
        return err_set(err, ERR_INVALID, "batch_norm expects at least one dimension");
    struct shape channels = {1, {n->shape.dim[0]}};
    row_weight(n, "gamma", INIT_ONES, true, false)->shape = channels;
    row_weight(n, "beta", INIT_ZEROS, true, false)->shape = channels;
    row_weight(n, "running_mean", INIT_ZEROS, false, false)->shape = channels;
    row_weight(n, "running_variance", INIT_ONES, false, false)->shape = channels;
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 8, out);
}

const struct layer_type layer_batch_norm = {
    .name = "batch_norm",
    .group = "normalisation",
    .summary = "Normalises each channel over the batch, then scales and shifts it.",
    .formula = "out = gamma (in - mean) / sqrt(var + epsilon) + beta, mean and var of the channel over batch "
               "and positions",
    .source = "Ioffe and Szegedy, arXiv:1502.03167",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

enum { GAMMA, BETA, MEAN, VARIANCE };

struct extent {
    int64_t channels, plane, rows;
};

static struct extent extent_of(const struct layer_node *n, int64_t rows)
{
    return (struct extent){n->shape.dim[0], shape_elements(&n->shape) / n->shape.dim[0], rows};
}

#define EACH(e, ch, i)                                                                                       \
    for (int64_t r_ = 0; r_ < (e).rows; r_++)                                                                \
        for (int64_t i = (r_ * (e).channels + (ch)) * (e).plane, end_ = i + (e).plane; i < end_; i++)

/* Mean and biased variance of one channel; sums in float64. */
#define CHANNEL_STATS(T, NAME)                                                                               \
    static void NAME(const T *in, struct extent e, int64_t ch, double *mean, double *variance)               \
    {                                                                                                        \
        double sum = 0, squares = 0, count = (double)(e.rows * e.plane);                                     \
        EACH(e, ch, i) sum += (double)in[i];                                                                 \
        *mean = sum / count;                                                                                 \
        EACH(e, ch, i) squares += ((double)in[i] - *mean) * ((double)in[i] - *mean);                         \
        *variance = squares / count;                                                                         \
    }

CHANNEL_STATS(double, stats_ref)
CHANNEL_STATS(float, stats_cpu)

static double moved(const struct layer_node *n, double old, double batch)
{
    double m = layer_param(n, "momentum", 0);
    return (1 - m) * old + m * batch;
}

static double unbiased(struct extent e, double variance)
{
    double count = (double)(e.rows * e.plane);
    return count > 1 ? variance * count / (count - 1) : variance;
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    struct extent e = extent_of(n, c->rows);
    for (int64_t ch = 0; ch < e.channels; ch++) {
        double mean = c->weights[MEAN][ch], variance = c->weights[VARIANCE][ch];
        if (c->training) {
            stats_ref(c->in[0], e, ch, &mean, &variance);
            c->weights[MEAN][ch] = moved(n, c->weights[MEAN][ch], mean);
            c->weights[VARIANCE][ch] = moved(n, c->weights[VARIANCE][ch], unbiased(e, variance));
        }
        double inverse = 1 / sqrt(variance + layer_param(n, "epsilon", 0));
        EACH(e, ch, i)
        c->out[i] = c->weights[GAMMA][ch] * (c->in[0][i] - mean) * inverse + c->weights[BETA][ch];
    }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    struct extent e = extent_of(n, c->rows);
    for (int64_t ch = 0; ch < e.channels; ch++) {
        double mean, variance, sum = 0, dot = 0, count = (double)(e.rows * e.plane);
        stats_ref(c->in[0], e, ch, &mean, &variance);
        double inverse = 1 / sqrt(variance + layer_param(n, "epsilon", 0));
        EACH(e, ch, i)
        {
            sum += c->grad_out[i];
            dot += c->grad_out[i] * (c->in[0][i] - mean) * inverse;
        }
        c->weight_grads[BETA][ch] += sum;
        c->weight_grads[GAMMA][ch] += dot;
        if (c->grad_in[0])
            EACH(e, ch, i)
            {
                double x = (c->in[0][i] - mean) * inverse;
                c->grad_in[0][i] +=
                    c->weights[GAMMA][ch] * inverse * (c->grad_out[i] - (sum + x * dot) / count);
            }
    }
}

const struct op_ref batch_norm_ref = {"batch_norm", forward, backward};

/* The fast form: the same per channel, channels over threads; keeps mean and 1 / deviation. */
static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->kept_bytes = 2 * sizeof(double) * (size_t)op->node->shape.dim[0];
    op->backward_needs_out = false;
    return 0;
}

static void cpu_channel(const struct op *op, const struct op_call *c, struct extent e, int64_t ch)
{
    double mean = (double)c->weights[MEAN][ch], variance = (double)c->weights[VARIANCE][ch];
    double *kept = c->kept;
    if (c->training) {
        stats_cpu(c->in[0], e, ch, &mean, &variance);
        c->weights[MEAN][ch] = (float)moved(op->node, (double)c->weights[MEAN][ch], mean);
        c->weights[VARIANCE][ch] =
            (float)moved(op->node, (double)c->weights[VARIANCE][ch], unbiased(e, variance));
    }
    double inverse = 1 / sqrt(variance + layer_param(op->node, "epsilon", 0));
    if (c->training) {
        kept[2 * ch] = mean;
        kept[2 * ch + 1] = inverse;
    }
    float scale = (float)((double)c->weights[GAMMA][ch] * inverse), shift = c->weights[BETA][ch],
          centre = (float)mean;
    const float *in = c->in[0];
    float *out = c->out;
    EACH(e, ch, i) out[i] = (in[i] - centre) * scale + shift;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    struct extent e = extent_of(op->node, c->rows);
    int threads = e.rows * e.plane * e.channels < 16384 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t ch = 0; ch < e.channels; ch++)
        cpu_channel(op, c, e, ch);
}

static void cpu_channel_back(const struct op_call *c, struct extent e, int64_t ch)
{
    const double *kept = c->kept;
    const float *in = c->in[0], *g = c->grad_out;
    float *gi = c->grad_in[0];
    float mean = (float)kept[2 * ch], inverse = (float)kept[2 * ch + 1];
    double sum = 0, dot = 0, count = (double)(e.rows * e.plane);
    EACH(e, ch, i)
    {
        sum += (double)g[i];
        dot += (double)(g[i] * ((in[i] - mean) * inverse));
    }
    c->weight_grads[BETA][ch] = (float)sum;
    c->weight_grads[GAMMA][ch] = (float)dot;
    if (!gi)
        return;
    float scale = c->weights[GAMMA][ch] * inverse, a = (float)(sum / count), b = (float)(dot / count);
    bool add = c->accumulate[0];
    EACH(e, ch, i)
    {
        float d = scale * (g[i] - a - (in[i] - mean) * inverse * b);
        gi[i] = add ? gi[i] + d : d;
    }
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    struct extent e = extent_of(op->node, c->rows);
    int threads = e.rows * e.plane * e.channels < 16384 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t ch = 0; ch < e.channels; ch++)
        cpu_channel_back(c, e, ch);
}

const struct op_impl batch_norm_cpu = {"batch_norm", .plan = cpu_plan, .forward = cpu_forward,
                                       .backward = cpu_backward};
