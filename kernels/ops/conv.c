/* conv1d, conv2d, depthwise_conv2d and the transposed conv1d, conv2d: cross-correlation, as every framework means it.
 *
 *   y[f, i] = bias[f] + sum over c, k of kernel[f, c, k] * x[c, i*stride + k*dilation - pad]       (each axis so)
 *
 * kernel is (y channels, x channels / groups, window), which is PyTorch's layout for both directions. The rows and the plain
 * reference; the fast form is conv_cpu.c. See Dumoulin and Visin, "A guide to convolution arithmetic for deep learning".
 */
#include "kernels/ops/conv.h"

#include <string.h>

#define CONV_HELP_PADDING                                                                                    \
    "valid: none; same: so that the output has ceil(input / stride); or a number of zeros on each side."
#define TRANSPOSE_HELP_PADDING                                                                               \
    "valid: none; same: so that the output has input * stride; or a number cut from each side."

#define FILTERS                                                                                              \
    {                                                                                                        \
        "filters", PARAM_INT, .required = true, .min = 1, .max = 65536, .help = "Number of output channels." \
    }
#define WINDOW(KIND, OF)                                                                                     \
    {"kernel", KIND, .fallback = 3, .min = 1, .max = 255, .help = OF " of the window."},                     \
    {                                                                                                        \
        "stride", KIND, .fallback = 1, .min = 1, .max = 255, .help = "Step of the window."                   \
    }
#define PADDING(HELP)                                                                                        \
    {                                                                                                        \
        "padding", PARAM_PADDING, .fallback_text = "valid", .choices = "valid|same", .min = 0, .max = 255,   \
                                  .help = HELP                                                               \
    }
#define DILATION(KIND)                                                                                       \
    {                                                                                                        \
        "dilation", KIND, .fallback = 1, .min = 1, .max = 255,                                               \
                          .help = "Distance between the window's elements."                                  \
    }
#define GROUPS                                                                                               \
    {                                                                                                        \
        "groups", PARAM_INT, .fallback = 1, .min = 1, .max = 65536,                                          \
                             .help = "Channels and filters are split into this many independent groups; as " \
                                     "many as channels: depthwise."                                          \
    }
#define USE_BIAS                                                                                             \
    {                                                                                                        \
        "use_bias", PARAM_BOOL, .fallback = 1, .help = "Whether a bias is added."                            \
    }
#define OUTPUT_PADDING(KIND)                                                                                 \
    {                                                                                                        \
        "output_padding", KIND, .fallback = 0, .min = 0, .max = 254,                                         \
                                .help = "Added to the output's size: which of the sizes that a convolution " \
                                        "with this stride maps to the input."                                \
    }

static const struct param_def conv2d_params[] = {
    FILTERS,
    WINDOW(PARAM_PAIR, "Height and width"),
    PADDING(CONV_HELP_PADDING),
    DILATION(PARAM_PAIR),
    GROUPS,
    USE_BIAS,
};
static const struct param_def conv1d_params[] = {
    FILTERS, WINDOW(PARAM_INT, "Length"), PADDING(CONV_HELP_PADDING), DILATION(PARAM_INT), GROUPS, USE_BIAS,
};
static const struct param_def depthwise_params[] = {
    WINDOW(PARAM_PAIR, "Height and width"),
    PADDING(CONV_HELP_PADDING),
    DILATION(PARAM_PAIR),
    {"depth_multiplier", PARAM_INT, .fallback = 1, .min = 1, .max = 1024,
     .help = "Output channels of each input channel."},
    USE_BIAS,
};
static const struct param_def conv2d_transpose_params[] = {
    FILTERS,
    WINDOW(PARAM_PAIR, "Height and width"),
    PADDING(TRANSPOSE_HELP_PADDING),
    OUTPUT_PADDING(PARAM_PAIR),
    DILATION(PARAM_PAIR),
    GROUPS,
    USE_BIAS,
};
static const struct param_def conv1d_transpose_params[] = {
    FILTERS,
    WINDOW(PARAM_INT, "Length"),
    PADDING(TRANSPOSE_HELP_PADDING),
    OUTPUT_PADDING(PARAM_INT),
    DILATION(PARAM_INT),
    GROUPS,
    USE_BIAS,
};

static bool is_depthwise(const struct layer_node *n)
{
    return n->type == &layer_depthwise_conv2d;
}

static bool is_transposed(const struct layer_node *n)
{
    return n->type == &layer_conv1d_transpose || n->type == &layer_conv2d_transpose;
}

static int axes_of(const struct layer_node *n)
{
    return n->type == &layer_conv1d || n->type == &layer_conv1d_transpose ? 1 : 2;
}

/* From the input's size (y) to the output's (x, 0 if there is none). */
static struct window transposed_window(const struct layer_node *n, int index, int64_t y, struct window w,
                                       int64_t *x)
{
    int64_t reach = (w.size - 1) * w.dilation + 1, more = (int64_t)layer_param(n, "output_padding", index);
    const char *padding = layer_param_text(n, "padding");
    w.out = y;
    if (padding && !strcmp(padding, "same")) {
        int64_t cut = reach > w.stride ? reach - w.stride : 0;
        w.pad_before = cut / 2;
        w.pad_after = cut - cut / 2;
        *x = y * w.stride;
    } else {
        w.pad_before = w.pad_after = padding ? 0 : (int64_t)layer_param(n, "padding", index);
        *x = (y - 1) * w.stride + reach - 2 * w.pad_before + more;
    }
    *x = *x > 0 ? *x : 0;
    return w;
}

struct conv conv_of(const struct layer_node *n)
{
    const struct shape *in = &n->in_shapes[0];
    struct conv c = {
        .axes = axes_of(n), .transposed = is_transposed(n), .bias = layer_param(n, "use_bias", 0) != 0};
    int64_t channels = in->dim[0], filters = is_depthwise(n)
                                                 ? channels * (int64_t)layer_param(n, "depth_multiplier", 0)
                                                 : (int64_t)layer_param(n, "filters", 0);
    c.groups = is_depthwise(n) ? channels : (int64_t)layer_param(n, "groups", 0);
    c.x_channels = c.transposed ? filters : channels;
    c.y_channels = c.transposed ? channels : filters;
    for (int axis = 0; axis < 2; axis++) {
        int index =
            axis - (2 - c.axes); /* of the parameter's numbers, and of the input's axes after the channels */
        if (index < 0) {
            c.x[axis] = 1;
            c.window[axis] = (struct window){.size = 1, .stride = 1, .dilation = 1, .out = 1};
            continue;
        }
        struct window w = {.size = (int64_t)layer_param(n, "kernel", index),
                           .stride = (int64_t)layer_param(n, "stride", index),
                           .dilation = (int64_t)layer_param(n, "dilation", index)};
        int64_t size = in->dim[1 + index];
        c.x[axis] = size;
        c.window[axis] = c.transposed ? transposed_window(n, index, size, w, &c.x[axis])
                                      : row_window(n, index, w.size, w.stride, w.dilation);
    }
    return c;
}

int64_t conv_x_sample(const struct conv *c)
{
    return c->x_channels * c->x[0] * c->x[1];
}

int64_t conv_y_sample(const struct conv *c)
{
    return c->y_channels * c->window[0].out * c->window[1].out;
}

static int check_sizes(const struct layer_node *n, const struct conv *c, struct err *err)
{
    for (int axis = 2 - c->axes; axis < 2; axis++) {
        const struct window *w = &c->window[axis];
        int64_t reach = (w->size - 1) * w->dilation + 1;
        const char *of = c->axes == 1 ? "length" : axis == 0 ? "height" : "width";
        if (w->out < 1)
            return err_set(
                err, ERR_INVALID,
                "%s's window reaches over %lld (dilation included), more than its input's %s of %lld: use "
                "padding \"same\" or a smaller kernel",
                n->type->name, (long long)reach, of, (long long)c->x[axis]);
        if (c->x[axis] < 1)
            return err_set(err, ERR_INVALID, "%s's padding of %lld cuts away its whole output %s: use less",
                           n->type->name, (long long)w->pad_before, of);
        int64_t more = c->transposed ? (int64_t)layer_param(n, "output_padding", axis - (2 - c->axes)) : 0;
        if (more && (more >= w->stride && more >= w->dilation))
            return err_set(err, ERR_INVALID,
                           "%s's output_padding of %lld must be smaller than its stride of %lld",
                           n->type->name, (long long)more, (long long)w->stride);
        if (more && layer_param_text(n, "padding") && !strcmp(layer_param_text(n, "padding"), "same"))
            return err_set(err, ERR_INVALID,
                           "%s's padding \"same\" gives input * stride: it takes no output_padding",
                           n->type->name);
    }
    return 0;
}

static void add_weights(struct layer_node *n, const struct conv *c)
{
    int64_t per_group = c->x_channels / c->groups, area = c->window[0].size * c->window[1].size;
    struct weight_def *w = row_weight(n, "kernel", INIT_HE_UNIFORM, true, true);
    w->shape = (struct shape){2, {c->y_channels, per_group}};
    for (int axis = 2 - c->axes; axis < 2; axis++)
        w->shape.dim[w->shape.rank++] = c->window[axis].size;
    w->fan_in = (c->transposed ? c->y_channels / c->groups : per_group) * area;
    w->fan_out = (c->transposed ? per_group : c->y_channels / c->groups) * area;
    if (c->bias)
        row_weight(n, "bias", INIT_ZEROS, true, false)->shape =
            (struct shape){1, {c->transposed ? c->x_channels : c->y_channels}};
}

static int infer(struct layer_node *n, struct err *err)
{
    int axes = axes_of(n);
    if (row_need_float(n, err) < 0 ||
        row_need_rank(n, 1 + axes,
                      axes == 1 ? "a sequence (channels, length)" : "an image (channels, height, width)",
                      axes == 1 ? "a permute layer brings the channels to the front" : NULL, err) < 0)
        return -1;
    if (axes == 1 && !layer_param_text(n, "padding") &&
        layer_param(n, "padding", 0) != layer_param(n, "padding", 1))
        return err_set(err, ERR_INVALID, "%s has one axis: its padding is one number", n->type->name);
    struct conv c = conv_of(n);
    if (c.x_channels < 1 || c.y_channels < 1 || c.x_channels % c.groups || c.y_channels % c.groups)
        return err_set(err, ERR_INVALID,
                       "%s's %lld groups must divide both its %lld input channels and its %lld filters",
                       n->type->name, (long long)c.groups, (long long)n->in_shapes[0].dim[0],
                       (long long)(c.transposed ? c.x_channels : c.y_channels));
    if (check_sizes(n, &c, err) < 0)
        return -1;
    n->dtype = DTYPE_F32;
    n->shape = (struct shape){1, {c.transposed ? c.x_channels : c.y_channels}};
    for (int axis = 2 - axes; axis < 2; axis++)
        n->shape.dim[n->shape.rank++] = c.transposed ? c.x[axis] : c.window[axis].out;
    add_weights(n, &c);
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    struct conv c = conv_of(n);
    double products = (double)conv_y_sample(&c) * (double)(c.x_channels / c.groups) *
                      (double)(c.window[0].size * c.window[1].size);
    *out = (struct layer_cost){2 * products, 4 * products, (double)shape_elements(&n->shape) * 4};
}

#define CONV_ROW(NAME, SUMMARY, FORMULA, SOURCE, TABLE)                                                      \
    const struct layer_type layer_##NAME = {.name = #NAME,                                                   \
                                            .group = "convolution",                                          \
                                            .summary = SUMMARY,                                              \
                                            .formula = FORMULA,                                              \
                                            .source = SOURCE,                                                \
                                            .min_inputs = 1,                                                 \
                                            .max_inputs = 1,                                                 \
                                            PARAMS(TABLE),                                                   \
                                            .infer = infer,                                                  \
                                            .cost = cost}

CONV_ROW(conv2d, "Two-dimensional convolution over an image (channels, height, width).",
         "out[f,y,x] = bias[f] + sum_{c,i,j} kernel[f,c,i,j] in[c, y s + i d - p, x s + j d - p]",
         "Dumoulin and Visin, arXiv:1603.07285", conv2d_params);
CONV_ROW(conv1d, "Convolution along a sequence (channels, length).",
         "out[f,x] = bias[f] + sum_{c,j} kernel[f,c,j] in[c, x s + j d - p]",
         "Dumoulin and Visin, arXiv:1603.07285", conv1d_params);
CONV_ROW(depthwise_conv2d, "Convolution of each channel by itself.",
         "out[c m + k, y, x] = bias[c m + k] + sum_{i,j} kernel[c m + k, 0, i, j] in[c, y s + i d - p, x s + "
         "j d - p]",
         "Howard et al., arXiv:1704.04861", depthwise_params);
CONV_ROW(conv2d_transpose, "Transposed convolution: spreads each element over a window; makes images larger.",
         "out[f, y s + i d - p, x s + j d - p] += kernel[c,f,i,j] in[c,y,x], plus bias[f]",
         "Zeiler et al., CVPR 2010; PyTorch ConvTranspose2d", conv2d_transpose_params);
CONV_ROW(conv1d_transpose, "Transposed convolution along a sequence (channels, length).",
         "out[f, x s + j d - p] += kernel[c,f,j] in[c,x], plus bias[f]", "PyTorch ConvTranspose1d",
         conv1d_transpose_params);

/* ---- reference ---- */

/* Calls for every product: element i of x, k of the kernel, o of y. */
#define EACH_PRODUCT(BODY)                                                                                   \
    const struct window *h = &c.window[0], *w = &c.window[1];                                                \
    int64_t ipg = c.x_channels / c.groups, opg = c.y_channels / c.groups;                                    \
    for (int64_t r = 0; r < call->rows; r++)                                                                 \
        for (int64_t f = 0; f < c.y_channels; f++)                                                           \
            for (int64_t y = 0; y < h->out; y++)                                                             \
                for (int64_t x = 0; x < w->out; x++) {                                                       \
                    int64_t o = ((r * c.y_channels + f) * h->out + y) * w->out + x;                          \
                    for (int64_t q = 0; q < ipg; q++)                                                        \
                        for (int64_t a = 0; a < h->size; a++)                                                \
                            for (int64_t b = 0; b < w->size; b++) {                                          \
                                int64_t iy = y * h->stride + a * h->dilation - h->pad_before;                \
                                int64_t ix = x * w->stride + b * w->dilation - w->pad_before;                \
                                if (iy < 0 || iy >= c.x[0] || ix < 0 || ix >= c.x[1])                        \
                                    continue;                                                                \
                                int64_t i =                                                                  \
                                    ((r * c.x_channels + f / opg * ipg + q) * c.x[0] + iy) * c.x[1] + ix;    \
                                int64_t k = ((f * ipg + q) * h->size + a) * w->size + b;                     \
                                BODY;                                                                        \
                            }                                                                                \
                }

static void forward(const struct layer_node *n, const struct ref_call *call)
{
    struct conv c = conv_of(n);
    int64_t all = shape_elements(&n->shape), area = all / n->shape.dim[0];
    for (int64_t o = 0; o < call->rows * all; o++)
        call->out[o] = c.bias ? call->weights[1][o / area % n->shape.dim[0]] : 0;
    EACH_PRODUCT({
        if (c.transposed)
            call->out[i] += call->in[0][o] * call->weights[0][k];
        else
            call->out[o] += call->in[0][i] * call->weights[0][k];
    })
}

static void backward(const struct layer_node *n, const struct ref_call *call)
{
    struct conv c = conv_of(n);
    int64_t all = shape_elements(&n->shape), area = all / n->shape.dim[0];
    for (int64_t o = 0; c.bias && o < call->rows * all; o++)
        call->weight_grads[1][o / area % n->shape.dim[0]] += call->grad_out[o];
    EACH_PRODUCT({
        int64_t from = c.transposed ? o : i; /* of the input */
        int64_t to = c.transposed ? i : o;   /* of the output */
        call->weight_grads[0][k] += call->grad_out[to] * call->in[0][from];
        if (call->grad_in[0])
            call->grad_in[0][from] += call->grad_out[to] * call->weights[0][k];
    })
}

const struct op_ref conv1d_ref = {"conv1d", forward, backward};
const struct op_ref conv2d_ref = {"conv2d", forward, backward};
const struct op_ref depthwise_conv2d_ref = {"depthwise_conv2d", forward, backward};
const struct op_ref conv1d_transpose_ref = {"conv1d_transpose", forward, backward};
const struct op_ref conv2d_transpose_ref = {"conv2d_transpose", forward, backward};
