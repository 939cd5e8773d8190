/* concat: inputs joined along one axis of the sample; all other dimensions agree. */
#include "kernels/ops/shapes.h"

#include <string.h>

#include "kernels/ops/cpu.h"

static const struct param_def params[] = {
    {"axis", PARAM_INT, .fallback = 0, .min = -SHAPE_MAX_RANK, .max = SHAPE_MAX_RANK - 1,
     .help = "Axis of the sample's shape, without the batch: 0 is the channels of an image; negative counts "
             "from the end."},
};

static int axis_of(const struct layer_node *n)
{
    int axis = (int)layer_param(n, "axis", 0);
    return axis < 0 ? axis + n->in_shapes[0].rank : axis;
}

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0)
        return -1;
    int axis = axis_of(n), rank = n->in_shapes[0].rank;
    if (axis < 0 || axis >= rank)
        return err_set(err, ERR_INVALID, "concat's axis %d is outside its inputs' %d dimensions",
                       (int)layer_param(n, "axis", 0), rank);
    n->dtype = DTYPE_F32;
    n->shape = n->in_shapes[0];
    for (int i = 1; i < n->input_count; i++) {
        struct shape a = n->in_shapes[0], b = n->in_shapes[i];
        int64_t add = b.dim[axis];
        b.dim[axis] = a.dim[axis];
        if (!shape_equal(&a, &b)) {
            char x[96], y[96];
            shape_format(&n->in_shapes[0], x, sizeof(x));
            shape_format(&n->in_shapes[i], y, sizeof(y));
            return err_set(err, ERR_INVALID,
                           "concat along axis %d expects inputs that agree everywhere else, got %s and %s",
                           axis, x, y);
        }
        n->shape.dim[axis] += add;
    }
    return 0;
}

const struct layer_type layer_concat = {
    .name = "concat",
    .group = "merge",
    .summary = "Inputs joined along one axis.",
    .formula = "out = [in_0, in_1, ...] along axis",
    .source = "Keras Concatenate, PyTorch cat",
    .min_inputs = 1,
    .max_inputs = LAYER_MAX_INPUTS,
    PARAMS(params),
    .infer = infer,
    .cost = row_cost_free,
};

/* Elements that lie together in input k, and how many such runs a sample has. */
static int64_t run_of(const struct layer_node *n, int k)
{
    int64_t run = 1;
    for (int i = axis_of(n); i < n->in_shapes[k].rank; i++)
        run *= n->in_shapes[k].dim[i];
    return run;
}

static int64_t runs(const struct layer_node *n, int64_t rows)
{
    for (int i = 0; i < axis_of(n); i++)
        rows *= n->shape.dim[i];
    return rows;
}

static int64_t whole_run(const struct layer_node *n)
{
    int64_t whole = 0;
    for (int k = 0; k < n->input_count; k++)
        whole += run_of(n, k);
    return whole;
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t whole = whole_run(n), at = 0;
    for (int k = 0; k < n->input_count; k++) {
        int64_t run = run_of(n, k);
        for (int64_t r = 0; r < runs(n, c->rows); r++)
            memcpy(c->out + r * whole + at, c->in[k] + r * run, sizeof(double) * (size_t)run);
        at += run;
    }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    int64_t whole = whole_run(n), at = 0;
    for (int k = 0; k < n->input_count; k++) {
        int64_t run = run_of(n, k);
        for (int64_t r = 0; c->grad_in[k] && r < runs(n, c->rows); r++)
            for (int64_t i = 0; i < run; i++)
                c->grad_in[k][r * run + i] += c->grad_out[r * whole + at + i];
        at += run;
    }
}

const struct op_ref concat_ref = {"concat", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    const struct layer_node *n = op->node;
    int64_t whole = whole_run(n), count = runs(n, c->rows), at = 0;
    for (int k = 0; k < n->input_count; k++) {
        int64_t run = run_of(n, k);
        for (int64_t r = 0; r < count; r++)
            memcpy((float *)c->out + r * whole + at, (const float *)c->in[k] + r * run,
                   sizeof(float) * (size_t)run);
        at += run;
    }
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    const struct layer_node *n = op->node;
    int64_t whole = whole_run(n), count = runs(n, c->rows), at = 0;
    for (int k = 0; k < n->input_count; k++) {
        int64_t run = run_of(n, k);
        for (int64_t r = 0; c->grad_in[k] && r < count; r++) {
            const float *g = (const float *)c->grad_out + r * whole + at;
            float *gi = (float *)c->grad_in[k] + r * run;
            for (int64_t i = 0; i < run; i++)
                gi[i] = c->accumulate[k] ? gi[i] + g[i] : g[i];
        }
        at += run;
    }
}

const struct op_impl concat_cpu = {"concat", .plan = cpu_plan, .forward = cpu_forward,
                                   .backward = cpu_backward};
