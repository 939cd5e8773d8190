/* max_pool1d/2d, avg_pool1d/2d, global_max_pool, global_avg_pool: the largest, or the mean, of each window of each channel.
 * Padding is no candidate for the largest, and counts in the mean only if asked. Of equal largest values the first takes
 * the gradient. */
#include "kernels/ops/pool.h"

#define POOL_HELP_PADDING                                                                                    \
    "valid: none; same: so that the output has ceil(input / stride); or a number on each side."
#define WINDOW(KIND, OF)                                                                                     \
    {"pool", KIND, .fallback = 2, .min = 1, .max = 255, .help = OF " of the window."},                       \
        {"stride", KIND,       .fallback = 0,                                                                \
         .min = 0, .max = 255, .help = "Step of the window; 0 means the window's own size."},                \
    {                                                                                                        \
        "padding", PARAM_PADDING, .fallback_text = "valid", .choices = "valid|same", .min = 0, .max = 127,   \
                                  .help = POOL_HELP_PADDING                                                  \
    }
#define COUNT_PADDING                                                                                        \
    {                                                                                                        \
        "count_include_pad", PARAM_BOOL,                                                                     \
            .fallback = 0,                                                                                   \
            .help =                                                                                          \
                "Whether padding counts as zeros in the mean (PyTorch's default; Keras never counts it)."    \
    }

static const struct param_def max2d_params[] = {WINDOW(PARAM_PAIR, "Height and width")};
static const struct param_def max1d_params[] = {WINDOW(PARAM_INT, "Length")};
static const struct param_def avg2d_params[] = {WINDOW(PARAM_PAIR, "Height and width"), COUNT_PADDING};
static const struct param_def avg1d_params[] = {WINDOW(PARAM_INT, "Length"), COUNT_PADDING};
static const struct param_def global_params[] = {
    {"keepdims", PARAM_BOOL, .fallback = 0,
     .help = "Whether the output is (channels, 1, 1) instead of (channels)."},
};

static bool is_global(const struct layer_node *n)
{
    return n->type == &layer_global_max_pool || n->type == &layer_global_avg_pool;
}

static int axes_of(const struct layer_node *n)
{
    return n->type == &layer_max_pool1d || n->type == &layer_avg_pool1d ? 1 : 2;
}

struct pool pool_of(const struct layer_node *n)
{
    const struct shape *in = &n->in_shapes[0];
    bool mean = n->type == &layer_avg_pool1d || n->type == &layer_avg_pool2d;
    struct pool p = {.channels = in->dim[0],
                     .max = n->type == &layer_max_pool1d || n->type == &layer_max_pool2d ||
                            n->type == &layer_global_max_pool,
                     .count_padding = mean && layer_param(n, "count_include_pad", 0) != 0,
                     .in = {1, 1}};
    for (int axis = 0; axis < 2; axis++)
        p.window[axis] = (struct window){.size = 1, .stride = 1, .dilation = 1, .out = 1};
    if (is_global(n)) {
        for (int a = 1; a < in->rank; a++)
            p.in[1] *= in->dim[a];
        p.window[1].size = p.in[1];
        return p;
    }
    for (int index = 0; index < axes_of(n); index++) {
        int axis = index + 2 - axes_of(n);
        int64_t size = (int64_t)layer_param(n, "pool", index),
                stride = (int64_t)layer_param(n, "stride", index);
        p.in[axis] = in->dim[1 + index];
        p.window[axis] = row_window(n, index, size, stride ? stride : size, 1);
    }
    return p;
}

static int infer_global(struct layer_node *n, struct err *err)
{
    const struct shape *in = &n->in_shapes[0];
    if (row_need_float(n, err) < 0 ||
        (in->rank < 2 &&
         row_need_rank(n, 3, "channels and positions, as an image (channels, height, width)", NULL, err) < 0))
        return -1;
    n->dtype = DTYPE_F32;
    n->shape = (struct shape){1, {in->dim[0]}};
    if (layer_param(n, "keepdims", 0) != 0)
        while (n->shape.rank < in->rank)
            n->shape.dim[n->shape.rank++] = 1;
    return 0;
}

static int infer(struct layer_node *n, struct err *err)
{
    int axes = axes_of(n);
    if (row_need_float(n, err) < 0 ||
        row_need_rank(n, 1 + axes,
                      axes == 1 ? "a sequence (channels, length)" : "an image (channels, height, width)",
                      NULL, err) < 0)
        return -1;
    if (axes == 1 && !layer_param_text(n, "padding") &&
        layer_param(n, "padding", 0) != layer_param(n, "padding", 1))
        return err_set(err, ERR_INVALID, "%s has one axis: its padding is one number", n->type->name);
    struct pool p = pool_of(n);
    n->dtype = DTYPE_F32;
    n->shape = (struct shape){1, {p.channels}};
    for (int axis = 2 - axes; axis < 2; axis++) {
        const struct window *w = &p.window[axis];
        if (w->out < 1)
            return err_set(
                err, ERR_INVALID,
                "%s's window of %lld is larger than its input's %lld: use padding \"same\" or a smaller pool",
                n->type->name, (long long)w->size, (long long)p.in[axis]);
        if (w->pad_before >= w->size || w->pad_after >= w->size)
            return err_set(err, ERR_INVALID,
                           "%s's padding of %lld must be smaller than its window of %lld: a window of "
                           "padding alone has no value",
                           n->type->name, (long long)w->pad_after, (long long)w->size);
        n->shape.dim[n->shape.rank++] = w->out;
    }
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    struct pool p = pool_of(n);
    double visits = (double)shape_elements(&n->shape) * (double)(p.window[0].size * p.window[1].size);
    *out = (struct layer_cost){visits, visits, (double)shape_elements(&n->shape) * 4};
}

#define POOL_ROW(NAME, SUMMARY, FORMULA, SOURCE, TABLE, INFER)                                               \
    const struct layer_type layer_##NAME = {.name = #NAME,                                                   \
                                            .group = "pooling",                                              \
                                            .summary = SUMMARY,                                              \
                                            .formula = FORMULA,                                              \
                                            .source = SOURCE,                                                \
                                            .min_inputs = 1,                                                 \
                                            .max_inputs = 1,                                                 \
                                            PARAMS(TABLE),                                                   \
                                            .infer = INFER,                                                  \
                                            .cost = cost}

POOL_ROW(max_pool2d, "The largest value of each window.",
         "out[c,y,x] = max_{i,j} in[c, y s + i - p, x s + j - p]", "PyTorch MaxPool2d", max2d_params, infer);
POOL_ROW(avg_pool2d, "The mean of each window, padding not counted unless asked.",
         "out[c,y,x] = mean_{i,j} in[c, y s + i - p, x s + j - p]", "PyTorch AvgPool2d", avg2d_params, infer);
POOL_ROW(max_pool1d, "The largest value of each window of a sequence (channels, length).",
         "out[c,x] = max_j in[c, x s + j - p]", "PyTorch MaxPool1d", max1d_params, infer);
POOL_ROW(avg_pool1d, "The mean of each window of a sequence (channels, length).",
         "out[c,x] = mean_j in[c, x s + j - p]", "PyTorch AvgPool1d", avg1d_params, infer);
POOL_ROW(global_max_pool, "The largest value of each channel.", "out[c] = max over positions of in[c, ...]",
         "Keras GlobalMaxPooling2D, PyTorch AdaptiveMaxPool2d(1)", global_params, infer_global);
POOL_ROW(global_avg_pool, "The mean of each channel.", "out[c] = mean over positions of in[c, ...]",
         "Lin, Chen, Yan, arXiv:1312.4400", global_params, infer_global);

struct span pool_span(const struct pool *p, int64_t y, int64_t x)
{
    int64_t from[2] = {y * p->window[0].stride - p->window[0].pad_before,
                       x * p->window[1].stride - p->window[1].pad_before},
            to[2];
    for (int a = 0; a < 2; a++) {
        to[a] = from[a] + p->window[a].size < p->in[a] ? from[a] + p->window[a].size : p->in[a];
        from[a] = from[a] > 0 ? from[a] : 0;
    }
    int64_t count =
        p->count_padding ? p->window[0].size * p->window[1].size : (to[0] - from[0]) * (to[1] - from[1]);
    return (struct span){from[0], to[0], from[1], to[1], 1 / (double)count};
}

static int64_t largest(const struct pool *p, const double *in, struct span s)
{
    int64_t best = s.y0 * p->in[1] + s.x0;
    for (int64_t y = s.y0; y < s.y1; y++)
        for (int64_t x = s.x0; x < s.x1; x++)
            if (in[y * p->in[1] + x] > in[best])
                best = y * p->in[1] + x;
    return best;
}

/* One pass for both directions: grad_in NULL means forward. */
static void pass(const struct layer_node *n, const struct ref_call *c, double *grad_in)
{
    struct pool p = pool_of(n);
    int64_t o = 0;
    for (int64_t plane = 0; plane < c->rows * p.channels; plane++) {
        const double *in = c->in[0] + plane * p.in[0] * p.in[1];
        double *gi = grad_in ? grad_in + plane * p.in[0] * p.in[1] : NULL;
        for (int64_t y = 0; y < p.window[0].out; y++)
            for (int64_t x = 0; x < p.window[1].out; x++, o++) {
                struct span s = pool_span(&p, y, x);
                double sum = 0;
                if (p.max && gi)
                    gi[largest(&p, in, s)] += c->grad_out[o];
                else if (p.max)
                    c->out[o] = in[largest(&p, in, s)];
                for (int64_t iy = s.y0; !p.max && iy < s.y1; iy++)
                    for (int64_t ix = s.x0; ix < s.x1; ix++) {
                        sum += in[iy * p.in[1] + ix];
                        if (gi)
                            gi[iy * p.in[1] + ix] += c->grad_out[o] * s.share;
                    }
                if (!p.max && !gi)
                    c->out[o] = sum * s.share;
            }
    }
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    pass(n, c, NULL);
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    if (c->grad_in[0])
        pass(n, c, c->grad_in[0]);
}

const struct op_ref max_pool1d_ref = {"max_pool1d", forward, backward};
const struct op_ref max_pool2d_ref = {"max_pool2d", forward, backward};
const struct op_ref avg_pool1d_ref = {"avg_pool1d", forward, backward};
const struct op_ref avg_pool2d_ref = {"avg_pool2d", forward, backward};
const struct op_ref global_max_pool_ref = {"global_max_pool", forward, backward};
const struct op_ref global_avg_pool_ref = {"global_avg_pool", forward, backward};
