/* lstm and gru on the CPU: the inputs' products of all steps and samples at once, then step by step one product of all samples' states and the
 * gates; backward the same way round. */
#include <dnnl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/onednn.h"
#include "kernels/ops/recurrent.h"
#include "kernels/ops/vmath.h"
#include "kernels/optim/vector.h"

/* Kept: a (rows, length, gates units): the gates after their functions; h (rows, length, units): the states; m: an LSTM's memory, or what the
 * state's product gave to a GRU's n (rows, length, units). */
struct kept {
    float *a, *h, *m;
};

/* Scratch of the backward pass: gradients before the gates' functions, of the input's and of the state's product; of the state and memory. */
struct scratch {
    float *ga, *gb, *gh, *gm, *back;
};

static size_t cut_kept(const struct recurrent *s, int64_t rows, float *base, struct kept *out)
{
    size_t n = (size_t)(rows * s->length * s->units);
    *out = (struct kept){base, base + n * (size_t)s->gates, base + n * (size_t)s->gates + n};
    return n * (size_t)(s->gates + 2);
}

static size_t cut_scratch(const struct recurrent *s, int64_t rows, float *base, struct scratch *out)
{
    size_t n = (size_t)(rows * s->length * s->units), wide = n * (size_t)s->gates,
           state = (size_t)(rows * s->units);
    *out = (struct scratch){base, base + wide, base + 2 * wide, base + 2 * wide + state,
                            base + 2 * wide + 2 * state};
    return 2 * wide + 3 * state + (size_t)(rows * s->gates * s->units);
}

static int plan(struct op *op, struct err *err)
{
    struct recurrent s = recurrent_of(op->node);
    float none[1] = {0};
    struct kept k;
    struct scratch w;
    (void)err;
    op->backward_needs_out = false;
    op->kept_bytes = cut_kept(&s, op->rows, none, &k) * sizeof(float);
    op->scratch_bytes = cut_scratch(&s, op->rows, none, &w) * sizeof(float);
    return 0;
}

static void product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                    const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    onednn_must(dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb, beta, c, ldc),
                "a matrix product");
}

VECTOR_CLONES static void lstm_row(float *a, const float *before, float *memory, float *h, int64_t u)
{
    for (int64_t i = 0; i < u; i++) {
        float in = v_sigmoid(a[i]), f = v_sigmoid(a[u + i]), g = v_tanh(a[2 * u + i]),
              o = v_sigmoid(a[3 * u + i]);
        float m = (before ? f * before[i] : 0) + in * g;
        a[i] = in, a[u + i] = f, a[2 * u + i] = g, a[3 * u + i] = o;
        memory[i] = m;
        h[i] = o * v_tanh(m);
    }
}

/* b: the state's product. */
VECTOR_CLONES static void gru_row(float *a, const float *b, const float *before, float *reset, float *h,
                                  int64_t u)
{
    for (int64_t i = 0; i < u; i++) {
        float z = v_sigmoid(a[i] + b[i]), r = v_sigmoid(a[u + i] + b[u + i]),
              n = v_tanh(a[2 * u + i] + r * b[2 * u + i]);
        reset[i] = b[2 * u + i];
        a[i] = z, a[u + i] = r, a[2 * u + i] = n;
        h[i] = (before ? z * before[i] : 0) + (1 - z) * n;
    }
}

static void fill(float *to, const float *bias, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * n, bias, (size_t)n * sizeof(float));
}

static void step(const struct op *op, const struct recurrent *s, const struct op_call *c,
                 const struct kept *k, float *b, int64_t t)
{
    int64_t u = s->units, wide = s->gates * u;
    if (s->gates == 3) {
        fill(b, c->weights[3], c->rows, wide);
        if (t)
            product(false, false, c->rows, wide, u, k->h + (t - 1) * u, s->length * u, c->weights[1], wide, 1,
                    b, wide);
    } else if (t) {
        product(false, false, c->rows, wide, u, k->h + (t - 1) * u, s->length * u, c->weights[1], wide, 1,
                k->a + t * wide, s->length * wide);
    }
    int threads = c->rows * u < 2048 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < c->rows; r++) {
        int64_t at = r * s->length + t;
        if (s->gates == 4)
            lstm_row(k->a + at * wide, t ? k->m + (at - 1) * u : NULL, k->m + at * u, k->h + at * u, u);
        else
            gru_row(k->a + at * wide, b + r * wide, t ? k->h + (at - 1) * u : NULL, k->m + at * u,
                    k->h + at * u, u);
    }
}

static void forward(struct op *op, const struct op_call *c)
{
    struct recurrent s = recurrent_of(op->node);
    struct kept k;
    struct scratch w;
    cut_kept(&s, op->rows, c->kept, &k);
    cut_scratch(&s, op->rows, c->scratch, &w);
    int64_t wide = s.gates * s.units, all = c->rows * s.length;
    fill(k.a, c->weights[2], all, wide);
    product(false, false, all, wide, s.channels, c->in[0], s.channels, c->weights[0], wide, 1, k.a, wide);
    for (int64_t t = 0; t < s.length; t++)
        step(op, &s, c, &k, w.back, t);
    float *out = c->out;
    if (s.sequences)
        memcpy(out, k.h, (size_t)(all * s.units) * sizeof(float));
    else
        for (int64_t r = 0; r < c->rows; r++)
            memcpy(out + r * s.units, k.h + (r * s.length + s.length - 1) * s.units,
                   (size_t)s.units * sizeof(float));
}

VECTOR_CLONES static void lstm_row_back(const float *a, const float *before, const float *memory,
                                        const float *gh, float *gm, float *ga, int64_t u)
{
    for (int64_t i = 0; i < u; i++) {
        float in = a[i], f = a[u + i], g = a[2 * u + i], o = a[3 * u + i], th = v_tanh(memory[i]);
        float m = gm[i] + gh[i] * o * (1 - th * th);
        ga[i] = m * g * in * (1 - in);
        ga[u + i] = before ? m * before[i] * f * (1 - f) : 0;
        ga[2 * u + i] = m * in * (1 - g * g);
        ga[3 * u + i] = gh[i] * th * o * (1 - o);
        gm[i] = m * f;
    }
}

/* gh becomes what the state before gets directly. */
VECTOR_CLONES static void gru_row_back(const float *a, const float *before, const float *reset, float *gh,
                                       float *ga, float *gb, int64_t u)
{
    for (int64_t i = 0; i < u; i++) {
        float z = a[i], r = a[u + i], n = a[2 * u + i], gn = gh[i] * (1 - z) * (1 - n * n),
              h = before ? before[i] : 0;
        ga[i] = gb[i] = gh[i] * (h - n) * z * (1 - z);
        ga[u + i] = gb[u + i] = gn * reset[i] * r * (1 - r);
        ga[2 * u + i] = gn;
        gb[2 * u + i] = gn * r;
        gh[i] *= z;
    }
}

static void step_back(const struct op *op, const struct recurrent *s, const struct op_call *c,
                      const struct kept *k, const struct scratch *w, int64_t t)
{
    int64_t u = s->units, wide = s->gates * u;
    const float *g = c->grad_out;
    int threads = c->rows * u < 2048 ? 1 : op->backend->threads;
    bool last = t == s->length - 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < c->rows; r++) {
        int64_t at = r * s->length + t;
        const float *given = s->sequences ? g + at * u : last ? g + r * u : NULL;
        float *gh = w->gh + r * u;
        for (int64_t i = 0; given && i < u; i++)
            gh[i] += given[i];
        if (s->gates == 4)
            lstm_row_back(k->a + at * wide, t ? k->m + (at - 1) * u : NULL, k->m + at * u, gh, w->gm + r * u,
                          w->ga + at * wide, u);
        else
            gru_row_back(k->a + at * wide, t ? k->h + (at - 1) * u : NULL, k->m + at * u, gh,
                         w->ga + at * wide, w->gb + at * wide, u);
    }
    if (t) { /* what an LSTM's state gets comes through the product alone */
        const float *from = s->gates == 4 ? w->ga : w->gb;
        product(false, true, c->rows, u, wide, from + t * wide, s->length * wide, c->weights[1], wide,
                s->gates == 4 ? 0 : 1, w->gh, u);
    }
}

static void sum_columns(const float *g, int64_t rows, int64_t n, float *to)
{
    memset(to, 0, (size_t)n * sizeof(float));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++)
            to[i] += g[r * n + i];
}

static void backward(struct op *op, const struct op_call *c)
{
    struct recurrent s = recurrent_of(op->node);
    struct kept k;
    struct scratch w;
    cut_kept(&s, op->rows, c->kept, &k);
    cut_scratch(&s, op->rows, c->scratch, &w);
    int64_t u = s.units, wide = s.gates * u, all = c->rows * s.length;
    memset(w.gh, 0, (size_t)(c->rows * u) * sizeof(float));
    memset(w.gm, 0, (size_t)(c->rows * u) * sizeof(float));
    for (int64_t t = s.length; t-- > 0;)
        step_back(op, &s, c, &k, &w, t);
    const float *of_state = s.gates == 4 ? w.ga : w.gb;
    product(true, false, s.channels, wide, all, c->in[0], s.channels, w.ga, wide, 0, c->weight_grads[0],
            wide);
    memset(c->weight_grads[1], 0, (size_t)(u * wide) * sizeof(float));
    for (int64_t r = 0; s.length > 1 && r < c->rows; r++) /* the state before each step, of this sample */
        product(true, false, u, wide, s.length - 1, k.h + r * s.length * u, u,
                of_state + (r * s.length + 1) * wide, wide, 1, c->weight_grads[1], wide);
    sum_columns(w.ga, all, wide, c->weight_grads[2]);
    if (s.gates == 3)
        sum_columns(w.gb, all, wide, c->weight_grads[3]);
    if (c->grad_in[0])
        product(false, true, all, s.channels, wide, w.ga, wide, c->weights[0], wide, c->accumulate[0] ? 1 : 0,
                c->grad_in[0], s.channels);
}

const struct op_impl lstm_cpu = {"lstm", .plan = plan, .forward = forward, .backward = backward};
const struct op_impl gru_cpu = {"gru", .plan = plan, .forward = forward, .backward = backward};
