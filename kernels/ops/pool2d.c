/* max_pool2d, avg_pool2d: the largest, or the mean, of each window of each channel. Padding never counts: it
 * is no candidate for the largest and not counted in the mean. Of equal largest values the first takes the
 * gradient. */
#include "kernels/ops/pool2d.h"

static const struct param_def params[] = {
    {"pool", PARAM_PAIR, .fallback = 2, .min = 1, .max = 255, .help = "Height and width of the window."},
    {"stride", PARAM_PAIR, .fallback = 0, .min = 0, .max = 255,
     .help = "Step of the window; 0 means the window's own size."},
    {"padding", PARAM_PADDING, .fallback_text = "valid", .choices = "valid|same", .min = 0, .max = 127,
     .help = "valid: none; same: so that the output has ceil(input / stride); or a number on each side."},
};

struct pool2d pool2d_of(const struct layer_node *n)
{
    struct pool2d p = {.channels = n->in_shapes[0].dim[0], .max = n->type == &layer_max_pool2d};
    for (int axis = 0; axis < 2; axis++) {
        int64_t size = (int64_t)layer_param(n, "pool", axis),
                stride = (int64_t)layer_param(n, "stride", axis);
        p.in[axis] = n->in_shapes[0].dim[1 + axis];
        p.window[axis] = row_window(n, axis, size, stride ? stride : size, 1);
    }
    return p;
}

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0 ||
        row_need_rank(n, 3, "an image (channels, height, width)", NULL, err) < 0)
        return -1;
    struct pool2d p = pool2d_of(n);
    for (int axis = 0; axis < 2; axis++) {
        const struct window *w = &p.window[axis];
        if (w->out < 1)
            return err_set(err, ERR_INVALID,
                           "%s's window of %lldx%lld is larger than its input of %lldx%lld: use padding "
                           "\"same\" or a smaller pool",
                           n->type->name, (long long)p.window[0].size, (long long)p.window[1].size,
                           (long long)p.in[0], (long long)p.in[1]);
        if (w->pad_before >= w->size || w->pad_after >= w->size)
            return err_set(err, ERR_INVALID,
                           "%s's padding of %lld must be smaller than its window of %lld: a window of "
                           "padding alone has no value",
                           n->type->name, (long long)w->pad_after, (long long)w->size);
    }
    n->dtype = DTYPE_F32;
    n->shape = (struct shape){3, {p.channels, p.window[0].out, p.window[1].out}};
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    struct pool2d p = pool2d_of(n);
    double visits = (double)shape_elements(&n->shape) * (double)(p.window[0].size * p.window[1].size);
    *out = (struct layer_cost){visits, visits, (double)shape_elements(&n->shape) * 4};
}

#define POOL_ROW(SUMMARY, FORMULA)                                                                           \
    .group = "pooling", .summary = SUMMARY, .formula = FORMULA,                                              \
    .source = "PyTorch MaxPool2d, AvgPool2d (count_include_pad=False)", .min_inputs = 1, .max_inputs = 1,    \
    PARAMS(params), .infer = infer, .cost = cost

const struct layer_type layer_max_pool2d = {
    .name = "max_pool2d",
    POOL_ROW("The largest value of each window.", "out[c,y,x] = max_{i,j} in[c, y s + i - p, x s + j - p]")};
const struct layer_type layer_avg_pool2d = {
    .name = "avg_pool2d",
    POOL_ROW("The mean of each window, padding not counted.",
             "out[c,y,x] = mean_{i,j} in[c, y s + i - p, x s + j - p]")};

/* The part of one window that lies inside the input. */
struct span {
    int64_t y0, y1, x0, x1;
};

static struct span span_of(const struct pool2d *p, int64_t y, int64_t x)
{
    int64_t from[2] = {y * p->window[0].stride - p->window[0].pad_before,
                       x * p->window[1].stride - p->window[1].pad_before},
            to[2];
    for (int a = 0; a < 2; a++) {
        to[a] = from[a] + p->window[a].size < p->in[a] ? from[a] + p->window[a].size : p->in[a];
        from[a] = from[a] > 0 ? from[a] : 0;
    }
    return (struct span){from[0], to[0], from[1], to[1]};
}

static int64_t largest(const struct pool2d *p, const double *in, struct span s)
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
    struct pool2d p = pool2d_of(n);
    int64_t o = 0;
    for (int64_t plane = 0; plane < c->rows * p.channels; plane++) {
        const double *in = c->in[0] + plane * p.in[0] * p.in[1];
        double *gi = grad_in ? grad_in + plane * p.in[0] * p.in[1] : NULL;
        for (int64_t y = 0; y < p.window[0].out; y++)
            for (int64_t x = 0; x < p.window[1].out; x++, o++) {
                struct span s = span_of(&p, y, x);
                if (p.max && gi)
                    gi[largest(&p, in, s)] += c->grad_out[o];
                else if (p.max)
                    c->out[o] = in[largest(&p, in, s)];
                double count = (double)((s.y1 - s.y0) * (s.x1 - s.x0)), sum = 0;
                for (int64_t iy = s.y0; !p.max && iy < s.y1; iy++)
                    for (int64_t ix = s.x0; ix < s.x1; ix++) {
                        sum += in[iy * p.in[1] + ix];
                        if (gi)
                            gi[iy * p.in[1] + ix] += c->grad_out[o] / count;
                    }
                if (!p.max && !gi)
                    c->out[o] = sum / count;
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

const struct op_ref max_pool2d_ref = {"max_pool2d", forward, backward};
const struct op_ref avg_pool2d_ref = {"avg_pool2d", forward, backward};
