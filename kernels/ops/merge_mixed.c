/* add and multiply of inputs that differ in shape (a dimension of 1 is repeated) or in layout: line by line of the last axis, on
 * plain copies. */
#include <string.h>

#include "kernels/ops/merge.h"
#include "kernels/optim/vector.h"

static size_t plain_floats(const struct op *op, int k)
{
    return ((size_t)(op->rows * shape_elements(&op->in[k].shape)) + 15) / 16 * 16;
}

/* Scratch: plain copies of the inputs that have a layout, then one plain gradient of the largest such input. */
size_t merge_mixed_scratch(const struct op *op)
{
    size_t all = 0, largest = 0;
    for (int k = 0; k < op->node->input_count; k++) {
        size_t n = op->in[k].layout ? plain_floats(op, k) : 0;
        all += n;
        largest = n > largest ? n : largest;
    }
    return (all + largest) * sizeof(float);
}

struct plain_form {
    const float *in[LAYER_MAX_INPUTS];
    int64_t sample[LAYER_MAX_INPUTS]; /* floats */
    float *gradient;
};

static struct blocked plain_of(const struct op *op, int k)
{
    struct op_tensor t = op->in[k];
    t.layout = NULL;
    return blocked_must(&t);
}

static struct plain_form to_plain(const struct op *op, const struct op_call *c)
{
    struct plain_form p = {.gradient = c->scratch};
    for (int k = 0; k < op->node->input_count; k++) {
        p.in[k] = c->in[k];
        p.sample[k] = shape_elements(&op->in[k].shape);
        if (!op->in[k].layout)
            continue;
        struct blocked from = blocked_must(&op->in[k]), to = plain_of(op, k);
        blocked_convert(op, &from, c->in[k], &to, p.gradient, c->rows, false);
        p.in[k] = p.gradient;
        p.gradient += plain_floats(op, k);
    }
    return p;
}

/* out (op)= in, in of one element if it is not as long. */
VECTOR_CLONES static void join_line(float *restrict out, const float *restrict in, int64_t n, bool one,
                                    bool product)
{
    if (one && product)
        for (int64_t i = 0; i < n; i++)
            out[i] *= in[0];
    else if (one)
        for (int64_t i = 0; i < n; i++)
            out[i] += in[0];
    else if (product)
        for (int64_t i = 0; i < n; i++)
            out[i] *= in[i];
    else
        for (int64_t i = 0; i < n; i++)
            out[i] += in[i];
}

static bool of_one(const struct layer_node *n, int k)
{
    return n->in_shapes[k].rank > 0 && n->in_shapes[k].dim[n->in_shapes[k].rank - 1] == 1;
}

static void fill(float *out, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = value;
}

void merge_mixed_forward(const struct op *op, const struct op_call *c, bool product)
{
    const struct layer_node *n = op->node;
    struct plain_form p = to_plain(op, c);
    int64_t all = shape_elements(&n->shape), len = n->shape.rank ? n->shape.dim[n->shape.rank - 1] : 1;
    int threads = c->rows * all < 16384 ? 1 : op->backend->threads;
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t o = 0; o < all; o += len) {
            float *out = (float *)c->out + r * all + o;
            fill(out, len, product ? 1 : 0);
            for (int k = 0; k < n->input_count; k++)
                join_line(out, p.in[k] + r * p.sample[k] + merge_source(n, k, o), len, of_one(n, k), product);
            for (int64_t i = 0; op->relu && i < len; i++)
                out[i] = out[i] > 0 ? out[i] : 0;
        }
}

/* The gradient of input k's sample r, added to gi. */
static void sample_back(const struct op *op, const struct op_call *c, const struct plain_form *p, int k,
                        int64_t r, float *gi, bool product)
{
    enum { PIECE = 512 };
    const struct layer_node *n = op->node;
    int64_t all = shape_elements(&n->shape), len = n->shape.rank ? n->shape.dim[n->shape.rank - 1] : 1;
    for (int64_t o = 0; o < all; o += len)
        for (int64_t at = 0, count; at < len; at += count) {
            float g[PIECE];
            count = len - at < PIECE ? len - at : PIECE;
            memcpy(g, (const float *)c->grad_out + r * all + o + at, sizeof(float) * (size_t)count);
            const float *out = (const float *)c->out + r * all + o + at;
            for (int64_t i = 0; op->relu && i < count; i++)
                g[i] = out[i] > 0 ? g[i] : 0;
            for (int j = 0; product && j < n->input_count; j++) {
                const float *in = p->in[j] + r * p->sample[j] + merge_source(n, j, o);
                if (j != k)
                    join_line(g, of_one(n, j) ? in : in + at, count, of_one(n, j), true);
            }
            float *to = gi + merge_source(n, k, o) + (of_one(n, k) ? 0 : at), sum = 0;
            for (int64_t i = 0; i < count && of_one(n, k); i++)
                sum += g[i];
            if (of_one(n, k))
                *to += sum;
            else
                join_line(to, g, count, false, false);
        }
}

void merge_mixed_backward(const struct op *op, const struct op_call *c, bool product)
{
    struct plain_form p = {.gradient = c->scratch};
    int threads = c->rows * shape_elements(&op->node->shape) < 16384 ? 1 : op->backend->threads;
    (void)threads;
    if (product)
        p = to_plain(op, c);
    for (int k = 0; k < op->node->input_count; k++) {
        if (!c->grad_in[k])
            continue;
        int64_t sample = shape_elements(&op->in[k].shape);
        float *gi = op->in[k].layout ? p.gradient : c->grad_in[k];
        if (op->in[k].layout || !c->accumulate[k])
            memset(gi, 0, sizeof(float) * (size_t)(c->rows * sample));
#pragma omp parallel for num_threads(threads) if (threads > 1)
        for (int64_t r = 0; r < c->rows; r++)
            sample_back(op, c, &p, k, r, gi + r * sample, product);
        if (op->in[k].layout) {
            struct blocked from = plain_of(op, k), to = blocked_must(&op->in[k]);
            blocked_convert(op, &from, gi, &to, c->grad_in[k], c->rows, c->accumulate[k]);
        }
    }
}
