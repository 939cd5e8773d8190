/* upsample: every axis but the first longer by a factor: each element repeated, or in between by straight lines
 * (pixel centres as PyTorch's align_corners=False: output o lies at (o + 1/2) / factor - 1/2). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/shapes.h"
#include "kernels/optim/vector.h"

static const struct param_def params[] = {
    {"scale_factor", PARAM_PAIR, .fallback = 2, .min = 1, .max = 64,
     .help = "How many times higher and wider; of (channels, length) the second counts."},
    {"mode", PARAM_CHOICE, .fallback_text = "nearest", .choices = "nearest|bilinear",
     .help =
         "nearest: each element repeated; bilinear: straight lines between them (linear along a sequence)."},
};

static int64_t factor_of(const struct layer_node *n, int axis) /* 0 rows, 1 columns */
{
    return axis == 0 && n->in_shapes[0].rank == 2 ? 1 : (int64_t)layer_param(n, "scale_factor", axis);
}

static int infer(struct layer_node *n, struct err *err)
{
    int rank = n->in_shapes[0].rank;
    if (row_need_float(n, err) < 0 ||
        (rank != 2 &&
         row_need_rank(n, 3, "an image (channels, height, width) or a sequence (channels, length)", NULL,
                       err) < 0))
        return -1;
    n->dtype = DTYPE_F32;
    n->shape = n->in_shapes[0];
    for (int axis = 0; axis < 2; axis++)
        if (rank == 3 || axis == 1)
            n->shape.dim[rank - 2 + axis] *= factor_of(n, axis);
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, strcmp(layer_param_text(n, "mode"), "nearest") ? 6 : 0, out);
}

const struct layer_type layer_upsample = {
    .name = "upsample",
    .group = "shape",
    .summary = "An image or sequence made larger by a whole factor.",
    .formula = "nearest: out[y, x] = in[y / f, x / f]; bilinear: the four around ((y + 1/2) / f - 1/2, ...) "
               "weighted by "
               "nearness, held at the edges",
    .source = "PyTorch Upsample(align_corners=False), Keras UpSampling2D",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

/* Output element o of an axis is in[a] * (1 - part) + in[b] * part. */
struct tap {
    int64_t a, b;
    double part;
};

struct axes {
    int64_t planes, in[2], out[2];
    struct tap *taps[2];
};

static struct axes axes_of(const struct layer_node *n)
{
    int rank = n->in_shapes[0].rank;
    bool nearest = !strcmp(layer_param_text(n, "mode"), "nearest");
    struct axes x = {.planes = n->in_shapes[0].dim[0]};
    for (int k = 0; k < 2; k++) {
        int64_t f = factor_of(n, k);
        x.in[k] = k == 0 && rank == 2 ? 1 : n->in_shapes[0].dim[rank - 2 + k];
        x.out[k] = x.in[k] * f;
        x.taps[k] = xcalloc((size_t)x.out[k] + 1, sizeof(struct tap));
        for (int64_t o = 0; o < x.out[k]; o++) {
            double at = ((double)o + 0.5) / (double)f - 0.5;
            at = at < 0 ? 0 : at;
            int64_t a = nearest ? o / f : (int64_t)at;
            x.taps[k][o] = (struct tap){a, a + 1 < x.in[k] ? a + 1 : a, nearest ? 0 : at - (double)a};
        }
    }
    return x;
}

static void free_axes(struct axes *x)
{
    free(x->taps[0]);
    free(x->taps[1]);
}

/* Calls for the four sources i of output o with their weights w. */
#define EACH_TAP(X, ROWS, BODY)                                                                              \
    for (int64_t p_ = 0; p_ < (ROWS) * (X).planes; p_++)                                                     \
        for (int64_t y_ = 0; y_ < (X).out[0]; y_++)                                                          \
            for (int64_t x_ = 0; x_ < (X).out[1]; x_++)                                                      \
                for (int k_ = 0; k_ < 4; k_++) {                                                             \
                    const struct tap *v_ = &(X).taps[0][y_], *h_ = &(X).taps[1][x_];                         \
                    int64_t o = (p_ * (X).out[0] + y_) * (X).out[1] + x_;                                    \
                    int64_t i =                                                                              \
                        (p_ * (X).in[0] + (k_ & 2 ? v_->b : v_->a)) * (X).in[1] + (k_ & 1 ? h_->b : h_->a);  \
                    double w = (k_ & 2 ? v_->part : 1 - v_->part) * (k_ & 1 ? h_->part : 1 - h_->part);      \
                    BODY;                                                                                    \
                }

static void ref_forward(const struct layer_node *n, const struct ref_call *c)
{
    struct axes x = axes_of(n);
    memset(c->out, 0, sizeof(double) * (size_t)(c->rows * shape_elements(&n->shape)));
    EACH_TAP(x, c->rows, c->out[o] += w * c->in[0][i])
    free_axes(&x);
}

static void ref_backward(const struct layer_node *n, const struct ref_call *c)
{
    struct axes x = axes_of(n);
    if (c->grad_in[0])
        EACH_TAP(x, c->rows, c->grad_in[0][i] += w * c->grad_out[o])
    free_axes(&x);
}

const struct op_ref upsample_ref = {"upsample", ref_forward, ref_backward};

/* Fast: a line of output is two lines of input mixed (vertically, in order), then stretched. */
static int plan(struct op *op, struct err *err)
{
    (void)err;
    struct axes *x = op->state = xcalloc(1, sizeof(*x));
    *x = axes_of(op->node);
    op->scratch_bytes = (size_t)op->backend->threads * ((size_t)x->in[1] * sizeof(float) + 64);
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

static void release(struct op *op)
{
    free_axes(op->state);
    free(op->state);
    op->state = NULL;
}

VECTOR_CLONES static void mix(const float *restrict a, const float *restrict b, float part,
                              float *restrict to, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = a[i] + part * (b[i] - a[i]);
}

VECTOR_CLONES static void add_parts(const float *restrict from, float part, float *restrict to, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += part * from[i];
}

static void stretch(const struct tap *taps, const float *line, float *out, int64_t n)
{
    for (int64_t o = 0; o < n; o++) {
        float a = line[taps[o].a], b = line[taps[o].b];
        out[o] = a + (float)taps[o].part * (b - a);
    }
}

static void gather_back(const struct tap *taps, const float *g, float *line, int64_t n, int64_t in)
{
    memset(line, 0, sizeof(float) * (size_t)in);
    for (int64_t o = 0; o < n; o++) {
        float part = (float)taps[o].part;
        line[taps[o].a] += (1 - part) * g[o];
        line[taps[o].b] += part * g[o];
    }
}

/* Planes over threads, each with its own line of scratch. */
#define EACH_PLANE(OP, C, PLANE, LINE)                                                                       \
    const struct axes *x = (OP)->state;                                                                      \
    int threads_ = (C)->rows * shape_elements(&(OP)->node->shape) < 16384 ? 1 : (OP)->backend->threads;      \
    int64_t planes_ = (C)->rows * x->planes, each_ = (planes_ + threads_ - 1) / threads_;                    \
    _Pragma("omp parallel for num_threads(threads_) if (threads_ > 1)") for (                                \
        int t_ = 0; t_ < threads_;                                                                           \
        t_++) for (int64_t PLANE = t_ * each_, end_ = PLANE + each_ < planes_ ? PLANE + each_ : planes_,     \
                   space_ = (int64_t)((size_t)x->in[1] * sizeof(float) + 64) / 64 * 64;                      \
                   PLANE < end_;                                                                             \
                   PLANE++) for (float *LINE = (float *)(void *)((char *)(C)->scratch + t_ * space_),        \
                                 *once_ = LINE;                                                              \
                                 once_; once_ = NULL)

static void forward(struct op *op, const struct op_call *c)
{
    EACH_PLANE(op, c, plane, line)
    {
        const float *in = (const float *)c->in[0] + plane * x->in[0] * x->in[1];
        float *out = (float *)c->out + plane * x->out[0] * x->out[1];
        for (int64_t y = 0; y < x->out[0]; y++) {
            const struct tap *v = &x->taps[0][y];
            mix(in + v->a * x->in[1], in + v->b * x->in[1], (float)v->part, line, x->in[1]);
            stretch(x->taps[1], line, out + y * x->out[1], x->out[1]);
        }
    }
}

static void backward(struct op *op, const struct op_call *c)
{
    if (!c->grad_in[0])
        return;
    EACH_PLANE(op, c, plane, line)
    {
        float *gi = (float *)c->grad_in[0] + plane * x->in[0] * x->in[1];
        const float *g = (const float *)c->grad_out + plane * x->out[0] * x->out[1];
        if (!c->accumulate[0])
            memset(gi, 0, sizeof(float) * (size_t)(x->in[0] * x->in[1]));
        for (int64_t y = 0; y < x->out[0]; y++) {
            const struct tap *v = &x->taps[0][y];
            gather_back(x->taps[1], g + y * x->out[1], line, x->out[1], x->in[1]);
            add_parts(line, 1 - (float)v->part, gi + v->a * x->in[1], x->in[1]);
            if (v->part > 0)
                add_parts(line, (float)v->part, gi + v->b * x->in[1], x->in[1]);
        }
    }
}

const struct op_impl upsample_cpu = {"upsample", .plan = plan, .forward = forward, .backward = backward,
                                     .release = release};
