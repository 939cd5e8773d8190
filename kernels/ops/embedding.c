/* embedding: a learnt row for every token: out[t] = table[in[t]]. A token outside the table gives zeros and gets no gradient. */
#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/ops/sequence.h"

static const struct param_def params[] = {
    {"num_embeddings", PARAM_INT, .required = true, .min = 1, .max = 1 << 26,
     .help = "Rows of the table: how many tokens there are."},
    {"embedding_dim", PARAM_INT, .required = true, .min = 1, .max = 1 << 16,
     .help = "Numbers for each token."},
    {"init_std", PARAM_REAL, .fallback = 0.02, .min = 0, .max = 10, .min_open = true,
     .help = "Standard deviation of the first values."},
};

static int infer(struct layer_node *n, struct err *err)
{
    const struct shape *in = &n->in_shapes[0];
    if (n->in_dtypes[0] != DTYPE_I32 && n->in_dtypes[0] != DTYPE_U8)
        return err_set(
            err, ERR_INVALID,
            "embedding expects token numbers (int32 or uint8), got %s: it comes first, on the model's input",
            dtype_name(n->in_dtypes[0]));
    if (in->rank >= SHAPE_MAX_RANK - 1)
        return err_set(err, ERR_INVALID, "embedding expects at most %d dimensions", SHAPE_MAX_RANK - 2);
    int64_t rows = (int64_t)layer_param(n, "num_embeddings", 0),
            width = (int64_t)layer_param(n, "embedding_dim", 0);
    n->shape = *in;
    n->shape.dim[n->shape.rank++] = width;
    n->dtype = DTYPE_F32;
    struct weight_def *w = row_weight(n, "embedding", INIT_NORMAL, true, false);
    w->shape = (struct shape){2, {rows, width}};
    w->scale = layer_param(n, "init_std", 0);
    w->fan_in = rows;
    w->fan_out = width;
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    double elements = (double)shape_elements(&n->shape);
    *out = (struct layer_cost){0, elements, elements * 4};
}

const struct layer_type layer_embedding = {
    .name = "embedding",
    .group = "sequence",
    .summary = "A learnt vector for every token.",
    .formula = "out[t] = table[in[t]]",
    .source = "Keras Embedding, PyTorch Embedding",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

static int64_t table_rows(const struct layer_node *n)
{
    return n->weights[0].shape.dim[0];
}

static int64_t width_of(const struct layer_node *n)
{
    return n->weights[0].shape.dim[1];
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t width = width_of(n), tokens = c->rows * shape_elements(&n->in_shapes[0]);
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t k = 0; k < width; k++) {
            double token = c->in[0][t];
            c->out[t * width + k] =
                token >= 0 && token < (double)table_rows(n) ? c->weights[0][(int64_t)token * width + k] : 0;
        }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t width = width_of(n), tokens = c->rows * shape_elements(&n->in_shapes[0]);
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t k = 0; k < width; k++)
            if (c->in[0][t] >= 0 && c->in[0][t] < (double)table_rows(n))
                c->weight_grads[0][(int64_t)c->in[0][t] * width + k] += c->grad_out[t * width + k];
}

const struct op_ref embedding_ref = {"embedding", forward, backward};

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_out = false;
    return 0;
}

static int64_t token_at(const struct op *op, const struct op_call *c, int64_t t)
{
    return op->in[0].dtype == DTYPE_U8 ? ((const uint8_t *)c->in[0])[t] : ((const int32_t *)c->in[0])[t];
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    int64_t width = width_of(op->node), count = table_rows(op->node),
            tokens = c->rows * shape_elements(&op->node->in_shapes[0]);
    int threads = tokens * width < 65536 ? 1 : op->backend->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t t = 0; t < tokens; t++) {
        int64_t token = token_at(op, c, t);
        float *to = (float *)c->out + t * width;
        if (token >= 0 && token < count)
            memcpy(to, c->weights[0] + token * width, (size_t)width * sizeof(float));
        else
            memset(to, 0, (size_t)width * sizeof(float));
    }
}

/* Each thread has a range of the columns and goes over all tokens, so that sums have one order whatever the number of threads. */
static void cpu_backward(struct op *op, const struct op_call *c)
{
    int64_t width = width_of(op->node), count = table_rows(op->node),
            tokens = c->rows * shape_elements(&op->node->in_shapes[0]);
    int threads = tokens * width < 65536 || width < 32 ? 1 : op->backend->threads;
    const float *g = c->grad_out;
    float *table = c->weight_grads[0];
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        int64_t from = width * part / threads, to = width * (part + 1) / threads;
        for (int64_t row = 0; row < count; row++)
            memset(table + row * width + from, 0, (size_t)(to - from) * sizeof(float));
        for (int64_t t = 0; t < tokens; t++) {
            int64_t token = token_at(op, c, t);
            if (token < 0 || token >= count)
                continue;
            float *row = table + token * width;
            for (int64_t k = from; k < to; k++)
                row[k] += g[t * width + k];
        }
    }
}

const struct op_impl embedding_cpu = {"embedding", .plan = plan, .forward = cpu_forward,
                                      .backward = cpu_backward};
