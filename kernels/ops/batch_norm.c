/* batch_norm over the first axis of the sample (the channels of an image, the features of a row):
 *   training:   out = gamma (in - mean_batch) / sqrt(var_batch + epsilon) + beta, and the running averages
 * move: running = (1 - momentum) running + momentum batch (the variance unbiased), PyTorch's convention
 *   evaluation: the running averages take the batch's place
 */
#include "kernels/ops/norms.h"

#include <math.h>

#include "kernels/ops/channel_norm.h"
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
    if (n->shape.rank < 1 || n->shape.dim[0] < 1)
        return err_set(err, ERR_INVALID, "batch_norm expects at least one channel: an input (channels, ...)");
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

/* Mean and biased variance of one channel. */
static void stats_ref(const double *in, struct extent e, int64_t ch, double *mean, double *variance)
{
    double sum = 0, squares = 0, count = (double)(e.rows * e.plane);
    EACH(e, ch, i) sum += in[i];
    *mean = sum / count;
    EACH(e, ch, i) squares += (in[i] - *mean) * (in[i] - *mean);
    *variance = squares / count;
}

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

/* The fast form: two passes over memory each way (channel_norm.h). What backward needs is kept: how each channel
 * was normalised. */
static size_t lanes_of(const struct op *op)
{
    struct blocked b = blocked_must(&op->in[0]);
    return (size_t)blocked_lanes(&b);
}

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->out.layout = op->in[0].layout;
    op->out.bytes = op->in[0].bytes;
    op->kept_bytes = (sizeof(struct channel_affine) + sizeof(float)) * lanes_of(op);
    op->scratch_bytes =
        lanes_of(op) * ((size_t)op->rows * sizeof(struct channel_moments) + sizeof(struct channel_back));
    op->backward_needs_out = false;
    return 0;
}

/* Mean and biased variance of the batch in place of the running ones, which move towards them. */
static void batch_statistics(const struct op *op, const struct op_call *c, const struct channel_norm *k,
                             double *mean, double *variance, int64_t ch)
{
    const struct channel_moments *m = (const struct channel_moments *)c->scratch + ch;
    int64_t lanes = blocked_lanes(&k->b), plane = k->b.plane;
    struct extent e = {.rows = k->rows, .plane = plane};
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < k->rows; r++)
        sum += m[r * lanes].mean;
    *mean = sum / (double)k->rows;
    for (int64_t r = 0; r < k->rows; r++) {
        double d = m[r * lanes].mean - *mean;
        squares += m[r * lanes].squares + d * d * (double)plane;
    }
    *variance = squares / (double)(k->rows * plane);
    c->weights[MEAN][ch] = (float)moved(op->node, (double)c->weights[MEAN][ch], *mean);
    c->weights[VARIANCE][ch] =
        (float)moved(op->node, (double)c->weights[VARIANCE][ch], unbiased(e, *variance));
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    struct channel_norm k = channel_norm_of(op, c->rows, true);
    struct channel_affine *affine = c->training ? c->kept : c->scratch;
    float *inverse_kept = (float *)(affine + blocked_lanes(&k.b));
    double epsilon = layer_param(op->node, "epsilon", 0);
    if (c->training)
        channel_norm_moments(&k, c->in[0], c->scratch);
    for (int64_t ch = 0; ch < blocked_lanes(&k.b); ch++) {
        affine[ch] = (struct channel_affine){0};
        if (ch >= k.b.channels)
            continue;
        double mean = (double)c->weights[MEAN][ch], variance = (double)c->weights[VARIANCE][ch];
        if (c->training)
            batch_statistics(op, c, &k, &mean, &variance, ch);
        double inverse = 1 / sqrt(variance + epsilon);
        affine[ch] = (struct channel_affine){(float)mean, (float)((double)c->weights[GAMMA][ch] * inverse),
                                             c->weights[BETA][ch]};
        inverse_kept[ch] = (float)inverse;
    }
    channel_norm_apply(&k, c->in[0], affine, c->out);
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    struct channel_norm k = channel_norm_of(op, c->rows, true);
    int64_t lanes = blocked_lanes(&k.b);
    const struct channel_affine *affine = c->kept;
    const float *inverse = (const float *)(affine + lanes);
    struct channel_sums *sums = c->scratch;
    struct channel_back *back = (struct channel_back *)(sums + k.rows * lanes);
    double count = (double)(k.rows * k.b.plane);
    channel_norm_sums(&k, c->in[0], c->grad_out, affine, sums);
    for (int64_t ch = 0; ch < lanes; ch++) {
        back[ch] = (struct channel_back){0};
        if (ch >= k.b.channels)
            continue;
        double sum = 0, dot = 0, inv = (double)inverse[ch], scale = (double)affine[ch].scale;
        for (int64_t r = 0; r < k.rows; r++) {
            sum += sums[r * lanes + ch].g;
            dot += sums[r * lanes + ch].gx;
        }
        c->weight_grads[BETA][ch] = (float)sum;
        c->weight_grads[GAMMA][ch] = (float)(dot * inv);
        back[ch] = (struct channel_back){(float)scale, (float)(-scale * inv * inv * dot / count),
                                         (float)(-scale * sum / count)};
    }
    if (c->grad_in[0])
        channel_norm_back(&k, c->in[0], c->grad_out, affine, back, c->grad_in[0], c->accumulate[0]);
}

const struct op_impl batch_norm_cpu = {"batch_norm",     .any_layout = true,     .fuses_relu = true,
                                       .plan = cpu_plan, .forward = cpu_forward, .backward = cpu_backward};
