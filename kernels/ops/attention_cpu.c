/* attention on the CPU: projections as matrix products over all samples at once; then, for a sample and a head, blocks of queries against all
 * keys they see, so that scores of a block are all that is ever stored. The backward pass makes the probabilities again from the kept
 * log-sum-exp (Dao et al., arXiv:2205.14135, section 3.1). */
#include <dnnl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/attention.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/onednn.h"
#include "kernels/ops/vmath.h"
#include "kernels/optim/vector.h"

enum { BLOCK = 64 };

struct state {
    struct attention a;
    int64_t wide, narrow; /* columns of queries, and of keys or values */
    float *turn;          /* (keys, dim/2, 2): cosine and sine; NULL: no rotary */
};

/* Pieces of kept memory, and of scratch. */
struct kept {
    float *q, *k, *v, *o, *lse; /* lse: (sample, head, query) */
};

struct scratch {
    float *gq, *gk, *gv, *go, *blocks; /* blocks: two of BLOCK x keys for every thread */
};

static size_t pad(int64_t floats)
{
    return ((size_t)floats + 15) / 16 * 16;
}

static size_t cut_kept(const struct state *s, int64_t rows, float *base, struct kept *out)
{
    size_t q = pad(rows * s->a.queries * s->wide), k = pad(rows * s->a.keys * s->narrow);
    *out = (struct kept){base, base + q, base + q + k, base + q + 2 * k, base + 2 * q + 2 * k};
    return 2 * q + 2 * k + pad(rows * s->a.heads * s->a.queries);
}

static size_t cut_scratch(const struct state *s, int64_t rows, int threads, float *base, struct scratch *out)
{
    size_t q = pad(rows * s->a.queries * s->wide), k = pad(rows * s->a.keys * s->narrow);
    *out = (struct scratch){base, base + q, base + q + k, base + q + 2 * k, base + 2 * q + 2 * k};
    return 2 * q + 2 * k + 2 * (size_t)threads * pad(BLOCK * s->a.keys);
}

static int plan(struct op *op, struct err *err)
{
    struct state *s = op->state = xcalloc(1, sizeof(*s));
    float none[1] = {0};
    struct kept kept;
    struct scratch scratch;
    (void)err;
    s->a = attention_of(op->node);
    s->wide = s->a.heads * s->a.dim;
    s->narrow = s->a.groups * s->a.dim;
    if (s->a.rotary) {
        int64_t half = s->a.dim / 2;
        s->turn = xcalloc((size_t)(s->a.keys * half * 2), sizeof(float));
        for (int64_t t = 0; t < s->a.keys; t++)
            for (int64_t i = 0; i < half; i++) {
                double angle = (double)t * pow(s->a.rotary_base, -2.0 * (double)i / (double)s->a.dim);
                s->turn[(t * half + i) * 2] = (float)cos(angle);
                s->turn[(t * half + i) * 2 + 1] = (float)sin(angle);
            }
    }
    op->backward_needs_out = false;
    op->kept_bytes = cut_kept(s, op->rows, none, &kept) * sizeof(float);
    op->scratch_bytes = cut_scratch(s, op->rows, op->backend->threads, none, &scratch) * sizeof(float);
    return 0;
}

static void release(struct op *op)
{
    struct state *s = op->state;
    free(s->turn);
    free(s);
    op->state = NULL;
}

/* Row-major C = alpha op(A) op(B) + beta C. */
static void product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                    int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    onednn_must(dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc),
                "a matrix product");
}

static void fill_rows(const struct op *op, float *to, const float *bias, int64_t rows, int64_t n)
{
    int threads = rows * n < 65536 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * n, bias, (size_t)n * sizeof(float));
}

static void project(const struct op *op, const struct op_call *c, const struct attention *a, int which,
                    const float *in, int64_t rows, int64_t from, int64_t to, float *out)
{
    if (a->bias)
        fill_rows(op, out, c->weights[4 + which], rows, to);
    product(false, false, rows, to, from, 1, in, from, c->weights[which], to, a->bias ? 1 : 0, out, to);
}

static void rotate(const struct op *op, const struct state *s, float *x, int64_t rows, int64_t length,
                   int64_t heads, float sign)
{
    int64_t half = s->a.dim / 2, offset = s->a.keys - length;
    if (!s->turn)
        return;
    int threads = rows * length * heads * half < 16384 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t p = 0; p < rows * length; p++) {
        const float *turn = s->turn + (p % length + offset) * half * 2;
        for (int64_t h = 0; h < heads; h++) {
            float *u = x + (p * heads + h) * s->a.dim, *w = u + half;
            for (int64_t i = 0; i < half; i++) {
                float co = turn[2 * i], si = sign * turn[2 * i + 1], a = u[i], b = w[i];
                u[i] = a * co - b * si;
                w[i] = a * si + b * co;
            }
        }
    }
}

/* Scores to probabilities in place, the rest of the row to zeros; the log of their sum. */
VECTOR_CLONES static float softmax_row(float *p, int64_t seen, int64_t all)
{
    float top = -INFINITY, sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < seen; j++)
        top = p[j] > top ? p[j] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < seen; j++) {
        p[j] = v_exp(p[j] - top);
        sum += p[j];
    }
    float scale = 1 / sum;
    for (int64_t j = 0; j < seen; j++)
        p[j] *= scale;
    for (int64_t j = seen; j < all; j++)
        p[j] = 0;
    return top + logf(sum);
}

VECTOR_CLONES static void again_row(float *p, int64_t seen, int64_t all, float lse)
{
    for (int64_t j = 0; j < seen; j++)
        p[j] = v_exp(p[j] - lse);
    for (int64_t j = seen; j < all; j++)
        p[j] = 0;
}

/* gs = p (gp - delta) scale, into gp. */
VECTOR_CLONES static void scores_back(const float *p, float *gp, int64_t n, float delta, float scale)
{
    for (int64_t j = 0; j < n; j++)
        gp[j] = p[j] * (gp[j] - delta) * scale;
}

/* Keys that any query of the block [from, from + count) sees. */
static int64_t block_seen(const struct attention *a, int64_t from, int64_t count)
{
    return attention_seen(a, from + count - 1);
}

static void attend(const struct state *s, const struct kept *t, int64_t r, int64_t h, float *block)
{
    const struct attention *a = &s->a;
    int64_t group = h / (a->heads / a->groups);
    const float *q = t->q + r * a->queries * s->wide + h * a->dim,
                *k = t->k + r * a->keys * s->narrow + group * a->dim;
    const float *v = t->v + r * a->keys * s->narrow + group * a->dim;
    float *o = t->o + r * a->queries * s->wide + h * a->dim, *lse = t->lse + (r * a->heads + h) * a->queries;
    for (int64_t from = 0; from < a->queries; from += BLOCK) {
        int64_t count = a->queries - from < BLOCK ? a->queries - from : BLOCK,
                all = block_seen(a, from, count);
        product(false, true, count, all, a->dim, (float)a->scale, q + from * s->wide, s->wide, k, s->narrow,
                0, block, all);
        for (int64_t i = 0; i < count; i++)
            lse[from + i] = softmax_row(block + i * all, attention_seen(a, from + i), all);
        product(false, false, count, a->dim, all, 1, block, all, v, s->narrow, 0, o + from * s->wide,
                s->wide);
    }
}

static void forward(struct op *op, const struct op_call *c)
{
    struct state *s = op->state;
    const struct attention *a = &s->a;
    struct kept t;
    struct scratch w;
    cut_kept(s, op->rows, c->kept, &t);
    cut_scratch(s, op->rows, op->backend->threads, c->scratch, &w);
    project(op, c, a, ATTENTION_Q, c->in[a->input[0]], c->rows * a->queries, a->channels[0], s->wide, t.q);
    project(op, c, a, ATTENTION_K, c->in[a->input[1]], c->rows * a->keys, a->channels[1], s->narrow, t.k);
    project(op, c, a, ATTENTION_V, c->in[a->input[2]], c->rows * a->keys, a->channels[2], s->narrow, t.v);
    rotate(op, s, t.q, c->rows, a->queries, a->heads, 1);
    rotate(op, s, t.k, c->rows, a->keys, a->groups, 1);
    int threads = op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        int64_t jobs = c->rows * a->heads;
        float *block = w.blocks + (size_t)part * pad(BLOCK * a->keys);
        for (int64_t job = jobs * part / threads; job < jobs * (part + 1) / threads; job++)
            attend(s, &t, job / a->heads, job % a->heads, block);
    }
    project(op, c, a, ATTENTION_OUT, t.o, c->rows * a->queries, s->wide, a->channels[0], c->out);
}

/* One head of one sample: adds to gk and gv of its group, writes gq. */
static void attend_back(const struct state *s, const struct kept *t, const struct scratch *w, int64_t r,
                        int64_t h, float *block, float *gblock)
{
    const struct attention *a = &s->a;
    int64_t group = h / (a->heads / a->groups), wide_at = r * a->queries * s->wide + h * a->dim,
            narrow_at = r * a->keys * s->narrow + group * a->dim;
    const float *q = t->q + wide_at, *k = t->k + narrow_at, *v = t->v + narrow_at, *o = t->o + wide_at,
                *go = w->go + wide_at;
    const float *lse = t->lse + (r * a->heads + h) * a->queries;
    float *gq = w->gq + wide_at, *gk = w->gk + narrow_at, *gv = w->gv + narrow_at;
    for (int64_t from = 0; from < a->queries; from += BLOCK) {
        int64_t count = a->queries - from < BLOCK ? a->queries - from : BLOCK,
                all = block_seen(a, from, count), at = from * s->wide;
        product(false, true, count, all, a->dim, (float)a->scale, q + at, s->wide, k, s->narrow, 0, block,
                all);
        product(false, true, count, all, a->dim, 1, go + at, s->wide, v, s->narrow, 0, gblock, all);
        for (int64_t i = 0; i < count; i++)
            again_row(block + i * all, attention_seen(a, from + i), all, lse[from + i]);
        product(true, false, all, a->dim, count, 1, block, all, go + at, s->wide, 1, gv, s->narrow);
        for (int64_t i = 0; i < count; i++) {
            float delta = 0;
            const float *x = go + at + i * s->wide, *y = o + at + i * s->wide;
#pragma omp simd reduction(+ : delta)
            for (int64_t d = 0; d < a->dim; d++)
                delta += x[d] * y[d];
            scores_back(block + i * all, gblock + i * all, all, delta, (float)a->scale);
        }
        product(false, false, count, a->dim, all, 1, gblock, all, k, s->narrow, 0, gq + at, s->wide);
        product(true, false, all, a->dim, count, 1, gblock, all, q + at, s->wide, 1, gk, s->narrow);
    }
}

/* The weights' gradients of one projection and, added or written, the gradient of what it read. */
static void project_back(const struct op_call *c, const struct attention *a, int which, const float *in,
                         int64_t rows, int64_t from, int64_t to, const float *g, float *gin, bool add)
{
    product(true, false, from, to, rows, 1, in, from, g, to, 0, c->weight_grads[which], to);
    float *bias = a->bias ? c->weight_grads[4 + which] : NULL;
    for (int64_t r = 0; bias && r < rows; r++)
        for (int64_t i = 0; i < to; i++)
            bias[i] = r ? bias[i] + g[r * to + i] : g[i];
    if (gin)
        product(false, true, rows, from, to, 1, g, to, c->weights[which], to, add ? 1 : 0, gin, from);
}

static void backward(struct op *op, const struct op_call *c)
{
    struct state *s = op->state;
    const struct attention *a = &s->a;
    struct kept t;
    struct scratch w;
    cut_kept(s, op->rows, c->kept, &t);
    cut_scratch(s, op->rows, op->backend->threads, c->scratch, &w);
    project_back(c, a, ATTENTION_OUT, t.o, c->rows * a->queries, s->wide, a->channels[0], c->grad_out, w.go,
                 false);
    size_t narrow = (size_t)(c->rows * a->keys * s->narrow) * sizeof(float);
    memset(w.gk, 0, narrow);
    memset(w.gv, 0, narrow);
    int threads = op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int part = 0; part < threads; part++) { /* by groups: those of one share gk and gv */
        int64_t jobs = c->rows * a->groups, share = a->heads / a->groups;
        float *block = w.blocks + 2 * (size_t)part * pad(BLOCK * a->keys);
        for (int64_t job = jobs * part / threads; job < jobs * (part + 1) / threads; job++)
            for (int64_t h = 0; h < share; h++)
                attend_back(s, &t, &w, job / a->groups, job % a->groups * share + h, block,
                            block + pad(BLOCK * a->keys));
    }
    rotate(op, s, w.gq, c->rows, a->queries, a->heads, -1);
    rotate(op, s, w.gk, c->rows, a->keys, a->groups, -1);
    const float *g[3] = {w.gq, w.gk, w.gv};
    bool begun[3] = {c->accumulate[0], c->accumulate[1], c->accumulate[2]};
    for (int i = 0; i < 3; i++) {
        int input = a->input[i];
        project_back(c, a, i, c->in[input], c->rows * (i ? a->keys : a->queries), a->channels[i],
                     attention_width(a, i), g[i], c->grad_in[input], begun[input]);
        begun[input] = true;
    }
}

const struct op_impl attention_cpu = {"multi_head_attention", .plan = plan, .forward = forward,
                                      .backward = backward, .release = release};
