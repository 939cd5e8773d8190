/* group_norm, instance_norm: normalises groups of channels of each sample over their positions, then scales and shifts each
 * channel. instance_norm is the case of a group a channel. No batch statistics, so training and evaluation agree.
 */
#include <math.h>

#include "kernels/ops/channel_norm.h"
#include "kernels/ops/norms.h"

#define EPSILON                                                                                              \
    {                                                                                                        \
        "epsilon", PARAM_REAL, .fallback = 1e-5, .min = 0, .max = 1, .min_open = true,                       \
                               .help = "Added to the variance."                                              \
    }

static const struct param_def group_params[] = {
    {"groups", PARAM_INT, .required = true, .min = 1, .max = 65536,
     .help = "Into how many groups the channels are split; 1: all together."},
    EPSILON,
    {"affine", PARAM_BOOL, .fallback = 1,
     .help = "Whether each channel is scaled and shifted by trained weights."},
};
static const struct param_def instance_params[] = {
    EPSILON,
    {"affine", PARAM_BOOL, .fallback = 0,
     .help = "Whether each channel is scaled and shifted by trained weights (PyTorch's default: not)."},
};

enum { GAMMA, BETA };

static bool is_affine(const struct layer_node *n)
{
    return layer_param(n, "affine", 0) != 0;
}

/* Channels of a group. */
static int64_t group_of(const struct layer_node *n)
{
    return n->type == &layer_instance_norm ? 1
                                           : n->in_shapes[0].dim[0] / (int64_t)layer_param(n, "groups", 0);
}

static int infer(struct layer_node *n, struct err *err)
{
    bool instance = n->type == &layer_instance_norm;
    if (row_infer_same(n, err) < 0)
        return -1;
    if (n->shape.rank < (instance ? 2 : 1) || n->shape.dim[0] < 1)
        return row_need_rank(
                   n, 3, instance ? "channels and positions, as (channels, height, width)" : "channels first",
                   NULL, err) < 0
                   ? -1
                   : err_set(err, ERR_INVALID, "%s expects at least one channel", n->type->name);
    if (!instance && n->shape.dim[0] % (int64_t)layer_param(n, "groups", 0))
        return err_set(err, ERR_INVALID, "group_norm's %lld groups must divide its %lld channels",
                       (long long)layer_param(n, "groups", 0), (long long)n->shape.dim[0]);
    struct shape channels = {1, {n->shape.dim[0]}};
    if (is_affine(n)) {
        row_weight(n, "gamma", INIT_ONES, true, false)->shape = channels;
        row_weight(n, "beta", INIT_ZEROS, true, false)->shape = channels;
    }
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 8, out);
}

const struct layer_type layer_group_norm = {
    .name = "group_norm",
    .group = "normalisation",
    .summary = "Normalises groups of channels of each sample, then scales and shifts each channel.",
    .formula = "out = gamma (in - mean) / sqrt(var + epsilon) + beta, mean and var of the sample's group of "
               "channels",
    .source = "Wu and He, arXiv:1803.08494",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(group_params),
    .infer = infer,
    .cost = cost,
};
const struct layer_type layer_instance_norm = {
    .name = "instance_norm",
    .group = "normalisation",
    .summary = "Normalises each channel of each sample over its positions.",
    .formula = "out = gamma (in - mean) / sqrt(var + epsilon) + beta, mean and var of the sample's channel",
    .source = "Ulyanov, Vedaldi, Lempitsky, arXiv:1607.08022",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(instance_params),
    .infer = infer,
    .cost = cost,
};

/* ---- reference: one group of one sample, n elements from at on ---- */

static void stats_ref(const double *x, int64_t n, double epsilon, double *mean, double *inverse)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    *inverse = 1 / sqrt(squares / (double)n + epsilon);
}

#define EACH_GROUP                                                                                           \
    int64_t channels = n->shape.dim[0], plane = shape_elements(&n->shape) / channels,                        \
            size = group_of(n) * plane;                                                                      \
    double epsilon = layer_param(n, "epsilon", 0);                                                           \
    for (int64_t at = 0; at < c->rows * channels * plane; at += size)

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    bool affine = is_affine(n);
    EACH_GROUP
    {
        double mean, inverse;
        stats_ref(c->in[0] + at, size, epsilon, &mean, &inverse);
        for (int64_t i = at; i < at + size; i++) {
            int64_t ch = i / plane % channels;
            double x = (c->in[0][i] - mean) * inverse;
            c->out[i] = affine ? x * c->weights[GAMMA][ch] + c->weights[BETA][ch] : x;
        }
    }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    bool affine = is_affine(n);
    EACH_GROUP
    {
        double mean, inverse, sum = 0, dot = 0;
        stats_ref(c->in[0] + at, size, epsilon, &mean, &inverse);
        for (int64_t i = at; i < at + size; i++) {
            int64_t ch = i / plane % channels;
            double x = (c->in[0][i] - mean) * inverse,
                   g = c->grad_out[i] * (affine ? c->weights[GAMMA][ch] : 1);
            sum += g;
            dot += g * x;
            if (affine) {
                c->weight_grads[GAMMA][ch] += c->grad_out[i] * x;
                c->weight_grads[BETA][ch] += c->grad_out[i];
            }
        }
        for (int64_t i = at; c->grad_in[0] && i < at + size; i++) {
            double x = (c->in[0][i] - mean) * inverse,
                   g = c->grad_out[i] * (affine ? c->weights[GAMMA][i / plane % channels] : 1);
            c->grad_in[0][i] += inverse * (g - (sum + x * dot) / (double)size);
        }
    }
}

const struct op_ref group_norm_ref = {"group_norm", forward, backward};
const struct op_ref instance_norm_ref = {"instance_norm", forward, backward};

/* ---- fast form: channel_norm with a set of statistics a row; keeps how each channel was normalised ---- */

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    struct blocked b = blocked_must(&op->in[0]);
    size_t all = (size_t)op->rows * (size_t)blocked_lanes(&b);
    op->out.layout = op->in[0].layout;
    op->out.bytes = op->in[0].bytes;
    op->kept_bytes = (sizeof(struct channel_affine) + sizeof(float)) * all;
    op->scratch_bytes = (sizeof(struct channel_moments) + sizeof(struct channel_back)) * all + op->kept_bytes;
    op->backward_needs_out = false;
    return 0;
}

/* From the moments of its channels: a group's affine form. */
static void normalise_group(const struct op_call *c, const struct channel_norm *k, double epsilon,
                            bool affine, const struct channel_moments *m, int64_t first, int64_t size,
                            struct channel_affine *to, float *inverse)
{
    double mean = 0, squares = 0, plane = (double)k->b.plane;
    for (int64_t ch = first; ch < first + size; ch++)
        mean += m[ch].mean / (double)size;
    for (int64_t ch = first; ch < first + size; ch++)
        squares += m[ch].squares + (m[ch].mean - mean) * (m[ch].mean - mean) * plane;
    double inv = 1 / sqrt(squares / (plane * (double)size) + epsilon);
    for (int64_t ch = first; ch < first + size; ch++) {
        double gamma = affine ? (double)c->weights[GAMMA][ch] : 1;
        to[ch] =
            (struct channel_affine){(float)mean, (float)(gamma * inv), affine ? c->weights[BETA][ch] : 0};
        inverse[ch] = (float)inv;
    }
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    struct channel_norm k = channel_norm_of(op, c->rows, false);
    k.sets = k.rows;
    int64_t lanes = blocked_lanes(&k.b), size = group_of(op->node);
    struct channel_moments *moments = c->scratch;
    struct channel_affine *a = c->training ? c->kept : (void *)(moments + op->rows * lanes);
    float *inverse = (float *)(a + k.rows * lanes);
    double epsilon = layer_param(op->node, "epsilon", 0);
    channel_norm_moments(&k, c->in[0], moments);
    for (int64_t r = 0; r < k.rows; r++) {
        for (int64_t ch = 0; ch < k.b.channels; ch += size)
            normalise_group(c, &k, epsilon, is_affine(op->node), moments + r * lanes, ch, size, a + r * lanes,
                            inverse + r * lanes);
        for (int64_t ch = k.b.channels; ch < lanes; ch++)
            a[r * lanes + ch] = (struct channel_affine){0};
    }
    channel_norm_apply(&k, c->in[0], a, c->out);
}

/* The gradient through a group's mean and deviation. */
static void back_group(const struct op_call *c, const struct channel_norm *k, bool affine,
                       const struct channel_sums *s, float inverse, int64_t first, int64_t size,
                       struct channel_back *to)
{
    double sum = 0, dot = 0, count = (double)(k->b.plane * size), inv = (double)inverse;
    for (int64_t ch = first; ch < first + size; ch++) {
        double gamma = affine ? (double)c->weights[GAMMA][ch] : 1;
        sum += gamma * s[ch].g;
        dot += gamma * s[ch].gx;
    }
    for (int64_t ch = first; ch < first + size; ch++)
        to[ch] = (struct channel_back){(float)(inv * (affine ? (double)c->weights[GAMMA][ch] : 1)),
                                       (float)(-inv * inv * inv * dot / count), (float)(-inv * sum / count)};
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    struct channel_norm k = channel_norm_of(op, c->rows, false);
    k.sets = k.rows;
    int64_t lanes = blocked_lanes(&k.b), size = group_of(op->node);
    const struct channel_affine *a = c->kept;
    const float *inverse = (const float *)(a + k.rows * lanes);
    struct channel_sums *sums = c->scratch;
    struct channel_back *back = (struct channel_back *)(sums + k.rows * lanes);
    channel_norm_sums(&k, c->in[0], c->grad_out, a, sums);
    for (int64_t ch = 0; is_affine(op->node) && ch < k.b.channels; ch++) {
        double gamma = 0, beta = 0;
        for (int64_t r = 0; r < k.rows; r++) {
            beta += sums[r * lanes + ch].g;
            gamma += sums[r * lanes + ch].gx * (double)inverse[r * lanes + ch];
        }
        c->weight_grads[GAMMA][ch] = (float)gamma;
        c->weight_grads[BETA][ch] = (float)beta;
    }
    if (!c->grad_in[0])
        return;
    for (int64_t r = 0; r < k.rows; r++) {
        for (int64_t ch = 0; ch < k.b.channels; ch += size)
            back_group(c, &k, is_affine(op->node), sums + r * lanes, inverse[r * lanes + ch], ch, size,
                       back + r * lanes);
        for (int64_t ch = k.b.channels; ch < lanes; ch++)
            back[r * lanes + ch] = (struct channel_back){0};
    }
    channel_norm_back(&k, c->in[0], c->grad_out, a, back, c->grad_in[0], c->accumulate[0]);
}

const struct op_impl group_norm_cpu = {"group_norm",     .any_layout = true,     .fuses_relu = true,
                                       .plan = cpu_plan, .forward = cpu_forward, .backward = cpu_backward};
const struct op_impl instance_norm_cpu = {"instance_norm",  .any_layout = true,     .fuses_relu = true,
                                          .plan = cpu_plan, .forward = cpu_forward, .backward = cpu_backward};
