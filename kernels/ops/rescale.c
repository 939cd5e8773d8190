/* rescale: out = in * scale + offset, and the door from uint8 images to float32. */
#include "kernels/ops/shapes.h"

#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

static const struct param_def params[] = {
    {"scale", PARAM_REAL, .fallback = 1, .min = -1e30, .max = 1e30,
     .help = "Factor: 0.00392156862745098 brings bytes to 0..1."},
    {"offset", PARAM_REAL, .fallback = 0, .min = -1e30, .max = 1e30, .help = "Added after the factor."},
};

static int infer(struct layer_node *n, struct err *err)
{
    if (n->in_dtypes[0] != DTYPE_F32 && n->in_dtypes[0] != DTYPE_U8)
        return err_set(err, ERR_INVALID, "rescale expects uint8 or float32, got %s",
                       dtype_name(n->in_dtypes[0]));
    n->shape = n->in_shapes[0];
    n->dtype = DTYPE_F32;
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 2, out);
}

const struct layer_type layer_rescale = {
    .name = "rescale",
    .group = "core",
    .summary = "Scales and shifts; takes uint8 and gives float32.",
    .formula = "out = in scale + offset",
    .source = "Keras Rescaling",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    for (int64_t i = 0; i < c->rows * shape_elements(&n->shape); i++)
        c->out[i] = c->in[0][i] * layer_param(n, "scale", 0) + layer_param(n, "offset", 0);
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    for (int64_t i = 0; c->grad_in[0] && i < c->rows * shape_elements(&n->shape); i++)
        c->grad_in[0][i] += c->grad_out[i] * layer_param(n, "scale", 0);
}

const struct op_ref rescale_ref = {"rescale", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

VECTOR_CLONES static void from_bytes(const uint8_t *restrict in, float *restrict out, size_t n, float scale,
                                     float offset)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)in[i] * scale + offset;
}

VECTOR_CLONES static void from_floats(const float *restrict in, float *restrict out, size_t n, float scale,
                                      float offset)
{
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] * scale + offset;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    float scale = (float)layer_param(op->node, "scale", 0),
          offset = (float)layer_param(op->node, "offset", 0);
    bool bytes = op->in[0].dtype == DTYPE_U8;
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    if (bytes)
        from_bytes((const uint8_t *)c->in[0] + from, (float *)c->out + from, count, scale, offset);
    else
        from_floats((const float *)c->in[0] + from, (float *)c->out + from, count, scale, offset);
    CPU_PARALLEL_END
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    float scale = (float)layer_param(op->node, "scale", 0);
    const float *g = c->grad_out;
    float *gi = c->grad_in[0];
    for (size_t i = 0, n = cpu_floats(&op->out, op->rows, c->rows); gi && i < n; i++)
        gi[i] = (c->accumulate[0] ? gi[i] : 0) + g[i] * scale;
}

const struct op_impl rescale_cpu = {"rescale", .plan = cpu_plan, .forward = cpu_forward,
                                    .backward = cpu_backward};
