/* reshape: the same elements in another shape; the same bytes. */
#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/ops/shapes.h"

static const struct param_def params[] = {
    {"shape", PARAM_INTS, .required = true, .min = -1, .max = 1099511627776.0,
     .help = "The new shape of a sample, without the batch; one dimension may be -1: what is left."},
};

static int infer(struct layer_node *n, struct err *err)
{
    const struct param_value *want = &n->params[0];
    int64_t all = shape_elements(&n->in_shapes[0]), known = 1;
    int open = -1;
    char in[96];
    shape_format(&n->in_shapes[0], in, sizeof(in));
    n->dtype = n->in_dtypes[0];
    n->shape.rank = want->count;
    for (int a = 0; a < want->count; a++) {
        n->shape.dim[a] = (int64_t)want->num[a];
        if (n->shape.dim[a] == -1 && open >= 0)
            return err_set(err, ERR_INVALID, "reshape can fill in one -1 only, dimensions %d and %d have it",
                           open, a);
        if (n->shape.dim[a] == 0)
            return err_set(err, ERR_INVALID,
                           "reshape's dimension %d is 0: give its size, or -1 for what is left", a);
        if (n->shape.dim[a] == -1)
            open = a;
        else if (__builtin_mul_overflow(known, n->shape.dim[a], &known) || known > all)
            return err_set(err, ERR_INVALID, "reshape asks for more elements than its input of %s has: %lld",
                           in, (long long)all);
    }
    if (open >= 0 && all % known == 0)
        n->shape.dim[open] = all / known;
    char to[96];
    shape_format(&n->shape, to, sizeof(to));
    if (want->count < 1 || (open >= 0 ? all % known != 0 : known != all))
        return err_set(err, ERR_INVALID, "reshape cannot make %s of %s, which has %lld elements", to, in,
                       (long long)all);
    return 0;
}

const struct layer_type layer_reshape = {
    .name = "reshape",
    .group = "shape",
    .summary = "The same elements in another shape.",
    .formula = "out[i] = in[i], row-major",
    .source = "Keras Reshape, PyTorch reshape",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = row_cost_free,
};

/* Computed as flatten is. */
static void ref_forward(const struct layer_node *n, const struct ref_call *c)
{
    flatten_ref.forward(n, c);
}

static void ref_backward(const struct layer_node *n, const struct ref_call *c)
{
    flatten_ref.backward(n, c);
}

static int plan(struct op *op, struct err *err)
{
    return flatten_cpu.plan(op, err);
}

static void forward(struct op *op, const struct op_call *c)
{
    flatten_cpu.forward(op, c);
}

static void backward(struct op *op, const struct op_call *c)
{
    flatten_cpu.backward(op, c);
}

const struct op_ref reshape_ref = {"reshape", ref_forward, ref_backward};
const struct op_impl reshape_cpu = {"reshape", .plan = plan, .forward = forward, .backward = backward};
