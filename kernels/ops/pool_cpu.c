/* The poolings in whatever blocked layout the input has (oneDNN's are plain loops for row-major tensors). An output row of a
 * block of channels is made at a time: for each element of the window, all positions and channels of the row are compared
 * or added, which are vector loops over `lanes` channels. Blocks of samples over threads.
 *
 * A largest value's place in its window is kept for the backward pass, as an integer as wide as the float beside it.
 */
#include "kernels/ops/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/blocked.h"
#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

struct pool_state {
    struct pool p;
    struct blocked in, out;
    struct layout *layout; /* of the output, owned; NULL: plain */
    float *shares;         /* of each output position, for means: what 1 is divided by the elements counted */
};

static int plan(struct op *op, struct err *err)
{
    struct pool_state *s = op->state = xcalloc(1, sizeof(*s));
    (void)err;
    s->p = pool_of(op->node);
    s->in = blocked_must(&op->in[0]);
    if (op->node->shape.rank > 1)
        s->layout = blocked_layout_like(&op->in[0], &op->out, op->rows);
    s->out = blocked_must(&op->out);
    int64_t height = s->p.window[0].out, width = s->p.window[1].out;
    s->shares = xcalloc((size_t)(height * width) + 1, sizeof(*s->shares));
    for (int64_t i = 0; i < height * width && !s->p.max; i++)
        s->shares[i] = (float)pool_span(&s->p, i / width, i % width).share;
    op->kept_bytes = op->training && s->p.max ? op->out.bytes / sizeof(float) * sizeof(int32_t) : 0;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

static void release(struct op *op)
{
    struct pool_state *s = op->state;
    free(s->layout);
    free(s->shares);
    free(s);
    op->state = NULL;
}

/* One output row of one block: `lanes` channels that lie `step` apart from position to position. */
struct task {
    const struct pool *p;
    const float *in; /* of the block */
    float *out;      /* of the row */
    const float *g;  /* of the row */
    float *gi;       /* of the block */
    int32_t *place;  /* of the row; NULL: not wanted */
    const float *shares;
    int64_t y, step, lanes;
};

/* The positions x for which element j of the window lies inside the input. */
static void reach(const struct pool *p, int64_t j, int64_t *from, int64_t *to)
{
    const struct window *w = &p->window[1];
    int64_t before = w->pad_before - j, past = p->in[1] + w->pad_before - j;
    *from = before > 0 ? (before + w->stride - 1) / w->stride : 0;
    *to = past > 0 ? (past + w->stride - 1) / w->stride : 0;
    *to = *to < w->out ? *to : w->out;
}

/* Runs BODY for each element (i, j) of the window and each output position x: at and o are the places of the input's and the
 * output's `lanes` channels, k the element's number. */
#define EACH_ELEMENT(T, BODY)                                                                                \
    const struct window *h_ = &(T)->p->window[0], *w_ = &(T)->p->window[1];                                  \
    int64_t y_ = (T)->y * h_->stride - h_->pad_before;                                                       \
    int64_t end_ = y_ + h_->size < (T)->p->in[0] ? y_ + h_->size : (T)->p->in[0];                            \
    for (int64_t iy_ = y_ > 0 ? y_ : 0; iy_ < end_; iy_++)                                                   \
        for (int64_t j_ = 0; j_ < w_->size; j_++) {                                                          \
            int32_t k = (int32_t)((iy_ - y_) * w_->size + j_);                                               \
            int64_t from_, to_, base_ = iy_ * (T)->p->in[1] + j_ - w_->pad_before;                           \
            (void)k;                                                                                         \
            reach((T)->p, j_, &from_, &to_);                                                                 \
            for (int64_t x = from_; x < to_; x++) {                                                          \
                int64_t at = (base_ + x * w_->stride) * (T)->step, o = x * (T)->step;                        \
                BODY                                                                                         \
            }                                                                                                \
        }

/* Eight channels at a time: one AVX2 register, half an AVX-512 one, two of plain x86-64. */
typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef int32_t v8i __attribute__((vector_size(32), aligned(4)));
#define V(p)  (*(v8 *)(void *)(p))
#define VI(p) (*(v8i *)(void *)(p))
#define VC(p) (*(const v8 *)(const void *)(p))
/* BODY8 for channels l .. l+7, BODY1 for channel l of what is no multiple of eight. */
#define EACH_LANE(T, BODY8, BODY1)                                                                           \
    if ((T)->lanes == 8) {                                                                                   \
        const int64_t l = 0;                                                                                 \
        BODY8                                                                                                \
    } else {                                                                                                 \
        int64_t l = 0;                                                                                       \
        for (; l + 8 <= (T)->lanes; l += 8) {                                                                \
            BODY8                                                                                            \
        }                                                                                                    \
        for (; l < (T)->lanes; l++) {                                                                        \
            BODY1                                                                                            \
        }                                                                                                    \
    }

/* NaN counts as larger, so that it is seen. */
VECTOR_CLONES static void max_row(const struct task *t)
{
    const float *in = t->in;
    float *out = t->out;
    int32_t *place = t->place;
    const struct window *h = &t->p->window[0], *w = &t->p->window[1];
    int64_t above = h->pad_before - t->y * h->stride;
    for (int64_t x = 0; x < w->out; x++)
        for (int64_t l = 0; l < t->lanes; l++)
            out[x * t->step + l] = -INFINITY;
    if (!place) {
        EACH_ELEMENT(t, EACH_LANE(
                            t,
                            {
                                v8 v = VC(in + at + l);
                                v8 best = V(out + o + l);
                                v8i m = (v > best) | (v != v);
                                V(out + o + l) = (v8)(((v8i)v & m) | ((v8i)best & ~m));
                            },
                            {
                                float v = in[at + l];
                                out[o + l] = v > out[o + l] || v != v ? v : out[o + l];
                            }))
        return;
    }
    for (int64_t x = 0; x < w->out; x++) { /* the first inside: for windows of nothing but minus infinity */
        int64_t left = w->pad_before - x * w->stride;
        int64_t first = (above > 0 ? above : 0) * w->size + (left > 0 ? left : 0);
        for (int64_t l = 0; l < t->lanes; l++)
            place[x * t->step + l] = (int32_t)first;
    }
    EACH_ELEMENT(t, EACH_LANE(
                        t,
                        {
                            v8 v = VC(in + at + l);
                            v8 best = V(out + o + l);
                            v8i m = (v > best) | (v != v);
                            v8i was = VI(place + o + l);
                            V(out + o + l) = (v8)(((v8i)v & m) | ((v8i)best & ~m));
                            VI(place + o + l) = (((v8i){0} + k) & m) | (was & ~m);
                        },
                        {
                            float v = in[at + l];
                            bool larger = v > out[o + l] || v != v;
                            out[o + l] = larger ? v : out[o + l];
                            place[o + l] = larger ? k : place[o + l];
                        }))
}

VECTOR_CLONES static void max_row_back(const struct task *t)
{
    const float *g = t->g;
    float *gi = t->gi;
    int32_t *place = t->place;
    EACH_ELEMENT(t, EACH_LANE(
                        t,
                        {
                            v8i m = VI(place + o + l) == k;
                            V(gi + at + l) += (v8)((v8i)VC(g + o + l) & m);
                        },
                        { gi[at + l] += place[o + l] == k ? g[o + l] : 0; }))
}

VECTOR_CLONES static void mean_row(const struct task *t)
{
    const float *in = t->in, *share = t->shares + t->y * t->p->window[1].out;
    float *out = t->out;
    for (int64_t x = 0; x < t->p->window[1].out; x++)
        memset(out + x * t->step, 0, sizeof(float) * (size_t)t->lanes);
    EACH_ELEMENT(t, EACH_LANE(
                        t, { V(out + o + l) += VC(in + at + l) * share[x]; },
                        { out[o + l] += in[at + l] * share[x]; }))
}

VECTOR_CLONES static void mean_row_back(const struct task *t)
{
    const float *g = t->g, *share = t->shares + t->y * t->p->window[1].out;
    float *gi = t->gi;
    EACH_ELEMENT(
        t, EACH_LANE(
               t, { V(gi + at + l) += VC(g + o + l) * share[x]; }, { gi[at + l] += g[o + l] * share[x]; }))
}

/* One channel's plane in one row-major run and one window: its sum, or its largest value and where. */
VECTOR_CLONES static float plane_sum(const float *in, int64_t n)
{
    double all = 0;
    for (int64_t from = 0; from < n; from += 4096) {
        float sum = 0;
        for (int64_t i = from; i < n && i < from + 4096; i++)
            sum += in[i];
        all += (double)sum;
    }
    return (float)all;
}

VECTOR_CLONES static void add_all(float *gi, float g, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        gi[i] += g;
}

static bool is_plane(const struct pool_state *s)
{
    return !s->p.max && s->in.block == 1 && s->p.window[0].size == s->p.in[0] &&
           s->p.window[1].size == s->p.in[1] && s->in.plane > 0 && !s->p.window[0].pad_before &&
           !s->p.window[1].pad_before;
}

static struct task task_of(const struct pool_state *s, int64_t index, int64_t *in_at, int64_t *out_at)
{
    int64_t r = index / s->in.blocks, b = index % s->in.blocks, left = s->in.channels - b * s->in.block;
    *in_at = r * s->in.sample + b * s->in.plane * s->in.block;
    *out_at = r * s->out.sample + b * s->out.plane * s->in.block;
    return (struct task){.p = &s->p,
                         .shares = s->shares,
                         .step = s->in.block,
                         .lanes = left < s->in.block ? left : s->in.block};
}

static void forward(struct op *op, const struct op_call *c)
{
    const struct pool_state *s = op->state;
    int64_t tasks = c->rows * s->in.blocks;
    int threads = c->rows * s->in.sample < 16384 ? 1 : op->backend->threads;
    (void)threads;
    /* padding channels stay finite */
    if (s->out.sample != s->out.channels * s->out.plane)
        memset(c->out, 0, sizeof(float) * (size_t)(c->rows * s->out.sample));
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < tasks; i++) {
        int64_t in_at, out_at;
        struct task t = task_of(s, i, &in_at, &out_at);
        t.in = (const float *)c->in[0] + in_at;
        if (is_plane(s)) {
            ((float *)c->out)[out_at] = plane_sum(t.in, s->in.plane) / (float)s->in.plane;
            continue;
        }
        for (t.y = 0; t.y < s->p.window[0].out; t.y++) {
            int64_t row = out_at + t.y * s->p.window[1].out * t.step;
            t.out = (float *)c->out + row;
            t.place = c->training && s->p.max ? (int32_t *)c->kept + row : NULL;
            (s->p.max ? max_row : mean_row)(&t);
        }
    }
}

static void backward(struct op *op, const struct op_call *c)
{
    const struct pool_state *s = op->state;
    int64_t tasks = c->rows * s->in.blocks;
    int threads = c->rows * s->in.sample < 16384 ? 1 : op->backend->threads;
    (void)threads;
    if (!c->grad_in[0])
        return;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < tasks; i++) {
        int64_t in_at, out_at;
        struct task t = task_of(s, i, &in_at, &out_at);
        t.gi = (float *)c->grad_in[0] + in_at;
        if (!c->accumulate[0])
            memset(t.gi, 0, sizeof(float) * (size_t)(s->in.plane * s->in.block));
        if (is_plane(s)) {
            add_all(t.gi, ((const float *)c->grad_out)[out_at] / (float)s->in.plane, s->in.plane);
            continue;
        }
        for (t.y = 0; t.y < s->p.window[0].out; t.y++) {
            int64_t row = out_at + t.y * s->p.window[1].out * t.step;
            t.g = (const float *)c->grad_out + row;
            t.place = (int32_t *)c->kept + row;
            (s->p.max ? max_row_back : mean_row_back)(&t);
        }
    }
}

#define IMPL(NAME)                                                                                           \
    const struct op_impl NAME##_cpu = {#NAME,                                                                \
                                       .any_layout = true,                                                   \
                                       .plan = plan,                                                         \
                                       .forward = forward,                                                   \
                                       .backward = backward,                                                 \
                                       .release = release}

IMPL(max_pool1d);
IMPL(max_pool2d);
IMPL(avg_pool1d);
IMPL(avg_pool2d);
IMPL(global_max_pool);
IMPL(global_avg_pool);
