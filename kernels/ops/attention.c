/* attention: multi-head attention with its four projections; grouped-query, causal, rotary. One input: self-attention; two: queries from the
 * first, keys and values from the second; three: queries, keys, values. The fast one is attention_cpu.c. */
#include "kernels/ops/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct param_def params[] = {
    {"num_heads", PARAM_INT, .required = true, .min = 1, .max = 1024, .help = "Heads of queries."},
    {"num_kv_heads", PARAM_INT, .fallback = 0, .min = 0, .max = 1024,
     .help = "Heads of keys and values, each shared by several of queries; 0: as many."},
    {"head_dim", PARAM_INT, .fallback = 0, .min = 0, .max = 4096,
     .help = "Numbers of a head; 0: the channels divided by the heads."},
    {"causal", PARAM_BOOL, .fallback = 0, .help = "Whether a position sees only itself and those before it."},
    {"use_bias", PARAM_BOOL, .fallback = 1, .help = "Whether the projections add a bias."},
    {"rotary", PARAM_BOOL, .fallback = 0, .help = "Whether queries and keys are rotated by their position."},
    {"rotary_base", PARAM_REAL, .fallback = 10000, .min = 1, .max = 1e9,
     .help = "Base of the rotations' wavelengths."},
};

struct attention attention_of(const struct layer_node *n)
{
    struct attention a = {.heads = (int64_t)layer_param(n, "num_heads", 0),
                          .groups = (int64_t)layer_param(n, "num_kv_heads", 0),
                          .dim = (int64_t)layer_param(n, "head_dim", 0),
                          .causal = layer_param(n, "causal", 0) != 0,
                          .bias = layer_param(n, "use_bias", 0) != 0,
                          .rotary = layer_param(n, "rotary", 0) != 0,
                          .rotary_base = layer_param(n, "rotary_base", 0)};
    for (int i = 0; i < 3; i++) {
        a.input[i] = i < n->input_count ? i : n->input_count - 1;
        a.channels[i] = n->in_shapes[a.input[i]].dim[1];
    }
    a.queries = n->in_shapes[0].dim[0];
    a.keys = n->in_shapes[a.input[1]].dim[0];
    a.groups = a.groups ? a.groups : a.heads;
    a.dim = a.dim ? a.dim : a.channels[0] / a.heads;
    a.scale = 1 / sqrt((double)a.dim);
    return a;
}

static int check(const struct layer_node *n, const struct attention *a, struct err *err)
{
    if (n->in_shapes[a->input[2]].dim[0] != a->keys)
        return err_set(err, ERR_INVALID,
                       "multi_head_attention expects as many values as keys, got %lld and %lld",
                       (long long)n->in_shapes[a->input[2]].dim[0], (long long)a->keys);
    if (layer_param(n, "head_dim", 0) == 0 && a->channels[0] % a->heads)
        return err_set(err, ERR_INVALID,
                       "%lld channels cannot be divided over %lld heads: choose num_heads to divide them, or "
                       "say head_dim",
                       (long long)a->channels[0], (long long)a->heads);
    if (a->heads % a->groups)
        return err_set(err, ERR_INVALID, "%lld heads cannot share %lld heads of keys and values",
                       (long long)a->heads, (long long)a->groups);
    if (a->rotary && a->dim % 2)
        return err_set(err, ERR_INVALID, "rotary needs an even head_dim, not %lld", (long long)a->dim);
    if (a->causal && a->queries > a->keys)
        return err_set(err, ERR_INVALID,
                       "causal attention of %lld queries to %lld keys leaves some without any",
                       (long long)a->queries, (long long)a->keys);
    return 0;
}

static int infer(struct layer_node *n, struct err *err)
{
    static const char *const kernels[] = {"query_kernel", "key_kernel", "value_kernel", "output_kernel"};
    static const char *const biases[] = {"query_bias", "key_bias", "value_bias", "output_bias"};
    if (row_need_float(n, err) < 0)
        return -1;
    for (int i = 0; i < n->input_count; i++) {
        char got[96];
        shape_format(&n->in_shapes[i], got, sizeof(got));
        if (n->in_shapes[i].rank != 2)
            return err_set(err, ERR_INVALID,
                           "multi_head_attention expects sequences (length, channels), got %s", got);
    }
    struct attention a = attention_of(n);
    if (check(n, &a, err) < 0)
        return -1;
    n->shape = n->in_shapes[0];
    n->dtype = DTYPE_F32;
    for (int i = 0; i < 4; i++) {
        int64_t from = i < 3 ? a.channels[i] : attention_width(&a, ATTENTION_OUT),
                to = i < 3 ? attention_width(&a, i) : a.channels[0];
        struct weight_def *w = row_weight(n, kernels[i], INIT_GLOROT_UNIFORM, true, true);
        w->shape = (struct shape){2, {from, to}};
        w->fan_in = from;
        w->fan_out = to;
    }
    for (int i = 0; a.bias && i < 4; i++)
        row_weight(n, biases[i], INIT_ZEROS, true, false)->shape =
            (struct shape){1, {n->weights[i].shape.dim[1]}};
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    struct attention a = attention_of(n);
    double flops = 0, inner = (double)(a.heads * a.dim), seen = 0;
    for (int i = 0; i < 3; i++)
        flops +=
            2.0 * (double)(i ? a.keys : a.queries) * (double)a.channels[i] * (double)attention_width(&a, i);
    flops += 2.0 * (double)a.queries * inner * (double)a.channels[0];
    for (int64_t q = 0; q < a.queries; q++)
        seen += (double)attention_seen(&a, q);
    double kept = 2 * (double)a.queries * inner + 2 * (double)a.keys * (double)(a.groups * a.dim) +
                  (double)(a.heads * a.queries);
    *out = (struct layer_cost){flops + 4 * seen * inner, 2 * flops + 10 * seen * inner,
                               4 * (kept + (double)shape_elements(&n->shape))};
}

const struct layer_type layer_attention = {
    .name = "multi_head_attention",
    .group = "sequence",
    .summary = "Multi-head attention: each position gathers from others what its query asks for.",
    .formula = "out = concat_h(softmax(q_h k_h^T / sqrt(head_dim)) v_h) output_kernel + bias; q, k, v = in "
               "kernel + bias; rotary turns each pair "
               "(i, i + head_dim/2) of q and k by t base^(-2i/head_dim)",
    .source = "Vaswani et al., arXiv:1706.03762; grouped queries: arXiv:2305.13245; rotary: arXiv:2104.09864",
    .min_inputs = 1,
    .max_inputs = 3,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

/* ---- the reference ---- */

struct tensors {
    double *q, *k, *v, *p, *o; /* p: (heads, queries, keys) */
};

static void project(const double *in, const double *kernel, const double *bias, int64_t rows, int64_t from,
                    int64_t to, double *out)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < to; c++) {
            double sum = bias ? bias[c] : 0;
            for (int64_t i = 0; i < from; i++)
                sum += in[r * from + i] * kernel[i * to + c];
            out[r * to + c] = sum;
        }
}

static void project_back(const double *in, const double *kernel, int64_t rows, int64_t from, int64_t to,
                         const double *g, double *gin, double *gkernel, double *gbias)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < to; c++) {
            double d = g[r * to + c];
            if (gbias)
                gbias[c] += d;
            for (int64_t i = 0; i < from; i++) {
                gkernel[i * to + c] += in[r * from + i] * d;
                if (gin)
                    gin[r * from + i] += kernel[i * to + c] * d;
            }
        }
}

/* Turn (or, with sign -1, turn back) every head of every position; the last of both sequences have the same position. */
static void rotate(const struct attention *a, double *x, int64_t rows, int64_t heads, int sign)
{
    int64_t offset = a->keys - rows;
    for (int64_t t = 0; a->rotary && t < rows; t++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < a->dim / 2; i++) {
                double *u = x + (t * heads + h) * a->dim + i, *w = u + a->dim / 2;
                double angle =
                    sign * (double)(t + offset) * pow(a->rotary_base, -2.0 * (double)i / (double)a->dim);
                double x0 = *u, x1 = *w;
                *u = x0 * cos(angle) - x1 * sin(angle);
                *w = x0 * sin(angle) + x1 * cos(angle);
            }
}

static void attend(const struct attention *a, struct tensors *t)
{
    int64_t share = a->heads / a->groups, wide = a->heads * a->dim, narrow = a->groups * a->dim;
    for (int64_t h = 0; h < a->heads; h++)
        for (int64_t i = 0; i < a->queries; i++) {
            double *p = t->p + (h * a->queries + i) * a->keys, top = -INFINITY, sum = 0;
            int64_t seen = attention_seen(a, i), at = h / share * a->dim;
            for (int64_t j = 0; j < seen; j++) {
                p[j] = 0;
                for (int64_t d = 0; d < a->dim; d++)
                    p[j] += t->q[i * wide + h * a->dim + d] * t->k[j * narrow + at + d];
                p[j] *= a->scale;
                top = fmax(top, p[j]);
            }
            for (int64_t j = 0; j < seen; j++)
                sum += p[j] = exp(p[j] - top);
            for (int64_t d = 0; d < a->dim; d++)
                t->o[i * wide + h * a->dim + d] = 0;
            for (int64_t j = 0; j < seen; j++) {
                p[j] /= sum;
                for (int64_t d = 0; d < a->dim; d++)
                    t->o[i * wide + h * a->dim + d] += p[j] * t->v[j * narrow + at + d];
            }
        }
}

static struct tensors make(const struct attention *a, const struct ref_call *c, int64_t row)
{
    int64_t wide = a->heads * a->dim, narrow = a->groups * a->dim;
    struct tensors t = {xcalloc((size_t)(a->queries * wide), sizeof(double)),
                        xcalloc((size_t)(a->keys * narrow), sizeof(double)),
                        xcalloc((size_t)(a->keys * narrow), sizeof(double)),
                        xcalloc((size_t)(a->heads * a->queries * a->keys), sizeof(double)),
                        xcalloc((size_t)(a->queries * wide), sizeof(double))};
    double *const to[3] = {t.q, t.k, t.v};
    for (int i = 0; i < 3; i++) {
        int64_t n = i ? a->keys : a->queries;
        project(c->in[a->input[i]] + row * n * a->channels[i], c->weights[i],
                a->bias ? c->weights[4 + i] : NULL, n, a->channels[i], attention_width(a, i), to[i]);
    }
    rotate(a, t.q, a->queries, a->heads, 1);
    rotate(a, t.k, a->keys, a->groups, 1);
    attend(a, &t);
    return t;
}

static void drop(struct tensors *t)
{
    free(t->q), free(t->k), free(t->v), free(t->p), free(t->o);
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    struct attention a = attention_of(n);
    for (int64_t row = 0; row < c->rows; row++) {
        struct tensors t = make(&a, c, row);
        project(t.o, c->weights[ATTENTION_OUT], a.bias ? c->weights[4 + ATTENTION_OUT] : NULL, a.queries,
                a.heads * a.dim, a.channels[0], c->out + row * a.queries * a.channels[0]);
        drop(&t);
    }
}

static void attend_back(const struct attention *a, const struct tensors *t, const struct tensors *g)
{
    int64_t share = a->heads / a->groups, wide = a->heads * a->dim, narrow = a->groups * a->dim;
    for (int64_t h = 0; h < a->heads; h++)
        for (int64_t i = 0; i < a->queries; i++) {
            const double *p = t->p + (h * a->queries + i) * a->keys, *go = g->o + i * wide + h * a->dim;
            int64_t seen = attention_seen(a, i), at = h / share * a->dim;
            double dot = 0;
            for (int64_t d = 0; d < a->dim; d++)
                dot += go[d] * t->o[i * wide + h * a->dim + d];
            for (int64_t j = 0; j < seen; j++) {
                double gp = 0;
                for (int64_t d = 0; d < a->dim; d++) {
                    gp += go[d] * t->v[j * narrow + at + d];
                    g->v[j * narrow + at + d] += p[j] * go[d];
                }
                double gs = p[j] * (gp - dot) * a->scale;
                for (int64_t d = 0; d < a->dim; d++) {
                    g->q[i * wide + h * a->dim + d] += gs * t->k[j * narrow + at + d];
                    g->k[j * narrow + at + d] += gs * t->q[i * wide + h * a->dim + d];
                }
            }
        }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    struct attention a = attention_of(n);
    int64_t wide = a.heads * a.dim, narrow = a.groups * a.dim;
    for (int64_t row = 0; row < c->rows; row++) {
        struct tensors t = make(&a, c, row);
        struct tensors g = {xcalloc((size_t)(a.queries * wide), sizeof(double)),
                            xcalloc((size_t)(a.keys * narrow), sizeof(double)),
                            xcalloc((size_t)(a.keys * narrow), sizeof(double)), NULL,
                            xcalloc((size_t)(a.queries * wide), sizeof(double))};
        project_back(t.o, c->weights[ATTENTION_OUT], a.queries, wide, a.channels[0],
                     c->grad_out + row * a.queries * a.channels[0], g.o, c->weight_grads[ATTENTION_OUT],
                     a.bias ? c->weight_grads[4 + ATTENTION_OUT] : NULL);
        attend_back(&a, &t, &g);
        rotate(&a, g.q, a.queries, a.heads, -1);
        rotate(&a, g.k, a.keys, a.groups, -1);
        double *const of[3] = {g.q, g.k, g.v};
        for (int i = 0; i < 3; i++) {
            int64_t len = i ? a.keys : a.queries, at = row * len * a.channels[i];
            double *gin = c->grad_in[a.input[i]];
            project_back(c->in[a.input[i]] + at, c->weights[i], len, a.channels[i], attention_width(&a, i),
                         of[i], gin ? gin + at : NULL, c->weight_grads[i],
                         a.bias ? c->weight_grads[4 + i] : NULL);
        }
        drop(&t);
        drop(&g);
    }
}

const struct op_ref attention_ref = {"multi_head_attention", forward, backward};
