/* position_embedding: adds to every position of a sequence a vector of its own: learnt, or of sines and cosines. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/sequence.h"

static const struct param_def params[] = {
    {"mode", PARAM_CHOICE, .fallback_text = "learned", .choices = "learned|sinusoidal",
     .help = "Whether the vectors are trained or fixed waves."},
    {"init_std", PARAM_REAL, .fallback = 0.02, .min = 0, .max = 10, .min_open = true,
     .help = "Standard deviation of learned vectors' first values."},
};

static bool learned(const struct layer_node *n)
{
    return !strcmp(layer_param_text(n, "mode"), "learned");
}

static int infer(struct layer_node *n, struct err *err)
{
    if (row_infer_same(n, err) < 0 ||
        row_need_rank(n, 2, "a sequence (length, channels)", "put an embedding layer before it", err) < 0)
        return -1;
    if (learned(n)) {
        struct weight_def *w = row_weight(n, "embedding", INIT_NORMAL, true, false);
        w->shape = n->shape;
        w->scale = layer_param(n, "init_std", 0);
    }
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 1, out);
}

const struct layer_type layer_position_embedding = {
    .name = "position_embedding",
    .group = "sequence",
    .summary = "Adds a vector for each position of a sequence.",
    .formula = "out[t] = in[t] + table[t]; sinusoidal: table[t][2i] = sin(t / 10000^(2i/C)), table[t][2i+1] "
               "= cos(t / 10000^(2i/C))",
    .source = "Vaswani et al., arXiv:1706.03762, section 3.5; learned as in GPT-2",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

static double wave(int64_t position, int64_t channel, int64_t channels)
{
    double angle = (double)position / pow(10000, (double)(channel / 2 * 2) / (double)channels);
    return channel % 2 ? cos(angle) : sin(angle);
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t all = shape_elements(&n->shape), channels = n->shape.dim[1];
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t i = 0; i < all; i++)
            c->out[r * all + i] =
                c->in[0][r * all + i] +
                (learned(n) ? c->weights[0][i] : wave(i / channels, i % channels, channels));
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t all = shape_elements(&n->shape);
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t i = 0; i < all; i++) {
            if (learned(n))
                c->weight_grads[0][i] += c->grad_out[r * all + i];
            if (c->grad_in[0])
                c->grad_in[0][r * all + i] += c->grad_out[r * all + i];
        }
}

const struct op_ref position_embedding_ref = {"position_embedding", forward, backward};

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = op->backward_needs_out = false;
    if (learned(op->node))
        return 0;
    int64_t all = shape_elements(&op->node->shape), channels = op->node->shape.dim[1];
    float *table = op->state = xcalloc((size_t)all, sizeof(float));
    for (int64_t i = 0; i < all; i++)
        table[i] = (float)wave(i / channels, i % channels, channels);
    return 0;
}

static void release(struct op *op)
{
    free(op->state);
    op->state = NULL;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t all = shape_elements(&op->node->shape);
    const float *table = op->state ? op->state : c->weights[0], *in = c->in[0];
    float *out = c->out;
    int threads = c->rows * all < 65536 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t i = 0; i < all; i++)
            out[r * all + i] = in[r * all + i] + table[i];
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t all = shape_elements(&op->node->shape);
    const float *g = c->grad_out;
    float *to = c->grad_in[0], *table = op->state ? NULL : c->weight_grads[0];
    size_t n = (size_t)(c->rows * all);
    if (to && c->accumulate[0])
        for (size_t i = 0; i < n; i++)
            to[i] += g[i];
    else if (to)
        memcpy(to, g, n * sizeof(float));
    if (!table)
        return;
    memcpy(table, g, (size_t)all * sizeof(float));
    for (int64_t r = 1; r < c->rows; r++)
        for (int64_t i = 0; i < all; i++)
            table[i] += g[r * all + i];
}

const struct op_impl position_embedding_cpu = {"position_embedding", .plan = plan, .forward = cpu_forward,
                                               .backward = cpu_backward, .release = release};
