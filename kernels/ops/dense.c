/* dense: out = in kernel + bias, over the last dimension; kernel is (inputs, units), Keras's layout. The fast
 * one is dense_cpu.c. */
#include "kernels/ops/dense.h"

static const struct param_def params[] = {
    {"units", PARAM_INT, .required = true, .min = 1, .max = 1 << 24, .help = "Number of outputs."},
    {"use_bias", PARAM_BOOL, .fallback = 1, .help = "Whether a bias is added."},
};

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0)
        return -1;
    const struct shape *in = &n->in_shapes[0];
    if (in->rank < 1 || in->rank > 2) {
        char got[96];
        shape_format(in, got, sizeof(got));
        return err_set(
            err, ERR_INVALID,
            "dense expects a flat input (n) or a sequence (length, n), got %s: put a flatten layer before it",
            got);
    }
    int64_t units = (int64_t)layer_param(n, "units", 0), inputs = in->dim[in->rank - 1];
    n->dtype = DTYPE_F32;
    n->shape = *in;
    n->shape.dim[in->rank - 1] = units;
    struct weight_def *w = row_weight(n, "kernel", INIT_GLOROT_UNIFORM, true, true);
    w->shape = (struct shape){2, {inputs, units}};
    w->fan_in = inputs;
    w->fan_out = units;
    if (layer_param(n, "use_bias", 0) != 0)
        row_weight(n, "bias", INIT_ZEROS, true, false)->shape = (struct shape){1, {units}};
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    const struct shape *in = &n->in_shapes[0];
    double products = (double)shape_elements(&n->shape) * (double)in->dim[in->rank - 1];
    *out = (struct layer_cost){2 * products, 4 * products, (double)shape_elements(&n->shape) * 4};
}

const struct layer_type layer_dense = {
    .name = "dense",
    .group = "core",
    .summary = "Fully connected layer over the last dimension.",
    .formula = "out = in kernel + bias",
    .source = "Keras Dense, PyTorch Linear (there the kernel is transposed)",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

struct sizes {
    int64_t rows, inputs, units;
    bool bias;
};

static struct sizes sizes_of(const struct layer_node *n, int64_t rows)
{
    const struct shape *in = &n->in_shapes[0];
    int64_t inputs = in->dim[in->rank - 1];
    return (struct sizes){rows * (shape_elements(in) / inputs), inputs, n->shape.dim[n->shape.rank - 1],
                          n->weight_count > 1};
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    struct sizes s = sizes_of(n, c->rows);
    for (int64_t r = 0; r < s.rows; r++)
        for (int64_t u = 0; u < s.units; u++) {
            double sum = s.bias ? c->weights[1][u] : 0;
            for (int64_t i = 0; i < s.inputs; i++)
                sum += c->in[0][r * s.inputs + i] * c->weights[0][i * s.units + u];
            c->out[r * s.units + u] = sum;
        }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    struct sizes s = sizes_of(n, c->rows);
    for (int64_t r = 0; r < s.rows; r++)
        for (int64_t u = 0; u < s.units; u++) {
            double g = c->grad_out[r * s.units + u];
            if (s.bias)
                c->weight_grads[1][u] += g;
            for (int64_t i = 0; i < s.inputs; i++) {
                c->weight_grads[0][i * s.units + u] += c->in[0][r * s.inputs + i] * g;
                if (c->grad_in[0])
                    c->grad_in[0][r * s.inputs + i] += c->weights[0][i * s.units + u] * g;
            }
        }
}

const struct op_ref dense_ref = {"dense", forward, backward};
