/* conv2d: two-dimensional convolution (cross-correlation, as every framework means it).
 *
 *   out[f, y, x] = bias[f] + sum over c, i, j of kernel[f, c, i, j] * in[c, y*stride + i*dilation - pad,
 * x*stride + ...]
 *
 * kernel is (filters, channels / groups, kh, kw), PyTorch's layout. The row, the plain reference; the fast
 * one is conv2d_cpu.c. See Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
 */
#include "kernels/ops/conv2d.h"

static const struct param_def params[] = {
    {"filters", PARAM_INT, .required = true, .min = 1, .max = 65536, .help = "Number of output channels."},
    {"kernel", PARAM_PAIR, .fallback = 3, .min = 1, .max = 255, .help = "Height and width of the window."},
    {"stride", PARAM_PAIR, .fallback = 1, .min = 1, .max = 255, .help = "Step of the window."},
    {"padding", PARAM_PADDING, .fallback_text = "valid", .choices = "valid|same", .min = 0, .max = 255,
     .help = "valid: none; same: so that the output has ceil(input / stride); or a number of zeros on each "
             "side."},
    {"dilation", PARAM_PAIR, .fallback = 1, .min = 1, .max = 255,
     .help = "Distance between the window's elements."},
    {"groups", PARAM_INT, .fallback = 1, .min = 1, .max = 65536,
     .help = "Channels and filters are split into this many independent groups."},
    {"use_bias", PARAM_BOOL, .fallback = 1, .help = "Whether a bias is added."},
};

struct conv2d conv2d_of(const struct layer_node *n)
{
    struct conv2d c = {.filters = (int64_t)layer_param(n, "filters", 0),
                       .groups = (int64_t)layer_param(n, "groups", 0),
                       .channels = n->in_shapes[0].dim[0],
                       .bias = layer_param(n, "use_bias", 0) != 0};
    for (int axis = 0; axis < 2; axis++) {
        c.in[axis] = n->in_shapes[0].dim[1 + axis];
        c.window[axis] =
            row_window(n, axis, (int64_t)layer_param(n, "kernel", axis),
                       (int64_t)layer_param(n, "stride", axis), (int64_t)layer_param(n, "dilation", axis));
    }
    return c;
}

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0 ||
        row_need_rank(n, 3, "an image (channels, height, width)", NULL, err) < 0)
        return -1;
    struct conv2d c = conv2d_of(n);
    if (c.channels % c.groups || c.filters % c.groups)
        return err_set(err, ERR_INVALID,
                       "conv2d's %lld groups must divide both its %lld input channels and its %lld filters",
                       (long long)c.groups, (long long)c.channels, (long long)c.filters);
    if (c.window[0].out < 1 || c.window[1].out < 1)
        return err_set(err, ERR_INVALID,
                       "conv2d's window of %lldx%lld (dilation included) is larger than its input of "
                       "%lldx%lld: use padding \"same\" or a smaller kernel",
                       (long long)((c.window[0].size - 1) * c.window[0].dilation + 1),
                       (long long)((c.window[1].size - 1) * c.window[1].dilation + 1), (long long)c.in[0],
                       (long long)c.in[1]);
    n->dtype = DTYPE_F32;
    n->shape = (struct shape){3, {c.filters, c.window[0].out, c.window[1].out}};
    int64_t per_group = c.channels / c.groups, area = c.window[0].size * c.window[1].size;
    struct weight_def *w = row_weight(n, "kernel", INIT_HE_UNIFORM, true, true);
    w->shape = (struct shape){4, {c.filters, per_group, c.window[0].size, c.window[1].size}};
    w->fan_in = per_group * area;
    w->fan_out = c.filters / c.groups * area;
    if (c.bias)
        row_weight(n, "bias", INIT_ZEROS, true, false)->shape = (struct shape){1, {c.filters}};
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    struct conv2d c = conv2d_of(n);
    double products = (double)shape_elements(&n->shape) * (double)(c.channels / c.groups) *
                      (double)(c.window[0].size * c.window[1].size);
    *out = (struct layer_cost){2 * products, 4 * products, (double)shape_elements(&n->shape) * 4};
}

const struct layer_type layer_conv2d = {
    .name = "conv2d",
    .group = "convolution",
    .summary = "Two-dimensional convolution over an image (channels, height, width).",
    .formula = "out[f,y,x] = bias[f] + sum_{c,i,j} kernel[f,c,i,j] in[c, y s + i d - p, x s + j d - p]",
    .source = "Dumoulin and Visin, arXiv:1603.07285",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

/* Visits every product of the convolution: in[i], kernel[k], out[o]. */
#define EACH_PRODUCT(BODY)                                                                                   \
    const struct window *h = &c.window[0], *w = &c.window[1];                                                \
    int64_t ipg = c.channels / c.groups, opg = c.filters / c.groups;                                         \
    for (int64_t r = 0; r < call->rows; r++)                                                                 \
        for (int64_t f = 0; f < c.filters; f++)                                                              \
            for (int64_t y = 0; y < h->out; y++)                                                             \
                for (int64_t x = 0; x < w->out; x++) {                                                       \
                    int64_t o = ((r * c.filters + f) * h->out + y) * w->out + x;                             \
                    for (int64_t q = 0; q < ipg; q++)                                                        \
                        for (int64_t a = 0; a < h->size; a++)                                                \
                            for (int64_t b = 0; b < w->size; b++) {                                          \
                                int64_t iy = y * h->stride + a * h->dilation - h->pad_before;                \
                                int64_t ix = x * w->stride + b * w->dilation - w->pad_before;                \
                                if (iy < 0 || iy >= c.in[0] || ix < 0 || ix >= c.in[1])                      \
                                    continue;                                                                \
                                int64_t i =                                                                  \
                                    ((r * c.channels + f / opg * ipg + q) * c.in[0] + iy) * c.in[1] + ix;    \
                                int64_t k = ((f * ipg + q) * h->size + a) * w->size + b;                     \
                                BODY;                                                                        \
                            }                                                                                \
                }

static void forward(const struct layer_node *n, const struct ref_call *call)
{
    struct conv2d c = conv2d_of(n);
    int64_t area = c.window[0].out * c.window[1].out;
    for (int64_t o = 0; o < call->rows * c.filters * area; o++)
        call->out[o] = c.bias ? call->weights[1][o / area % c.filters] : 0;
    EACH_PRODUCT(call->out[o] += call->in[0][i] * call->weights[0][k])
}

static void backward(const struct layer_node *n, const struct ref_call *call)
{
    struct conv2d c = conv2d_of(n);
    int64_t area = c.window[0].out * c.window[1].out;
    for (int64_t o = 0; c.bias && o < call->rows * c.filters * area; o++)
        call->weight_grads[1][o / area % c.filters] += call->grad_out[o];
    EACH_PRODUCT({
        call->weight_grads[0][k] += call->grad_out[o] * call->in[0][i];
        if (call->grad_in[0])
            call->grad_in[0][i] += call->grad_out[o] * call->weights[0][k];
    })
}

const struct op_ref conv2d_ref = {"conv2d", forward, backward};
