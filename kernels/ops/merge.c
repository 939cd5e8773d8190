/* add, multiply: inputs joined element by element. Shapes are of one rank, and a dimension of 1 is repeated to what the
 * others have: (64, 8, 8) times (64, 1, 1) scales channels.
 *
 * The fast form works in the layout of the inputs when all have one shape and one layout, as in a residual block, with
 * a fused relu; otherwise (merge_mixed.c) on plain copies.
 */
#include "kernels/ops/merge.h"

#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0)
        return -1;
    n->shape = n->in_shapes[0];
    n->dtype = DTYPE_F32;
    for (int i = 1; i < n->input_count; i++) {
        const struct shape *s = &n->in_shapes[i];
        bool fits = s->rank == n->shape.rank;
        for (int a = 0; fits && a < s->rank; a++) {
            fits = s->dim[a] == n->shape.dim[a] || s->dim[a] == 1 || n->shape.dim[a] == 1;
            n->shape.dim[a] = n->shape.dim[a] == 1 ? s->dim[a] : n->shape.dim[a];
        }
        if (fits)
            continue;
        char a[96], b[96];
        shape_format(&n->in_shapes[0], a, sizeof(a));
        shape_format(s, b, sizeof(b));
        return err_set(err, ERR_INVALID,
                       "%s expects inputs of one shape (a dimension of 1 is repeated), got %s and %s",
                       n->type->name, a, b);
    }
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, n->input_count - 1, out);
}

const struct layer_type layer_add = {
    .name = "add",
    .group = "merge",
    .summary = "Sum of two or more inputs.",
    .formula = "out = in_0 + in_1 + ...",
    .source = "Keras Add",
    .min_inputs = 2,
    .max_inputs = LAYER_MAX_INPUTS,
    .infer = infer,
    .cost = cost,
};

const struct layer_type layer_multiply = {
    .name = "multiply",
    .group = "merge",
    .summary = "Product of two or more inputs, element by element.",
    .formula = "out = in_0 in_1 ...",
    .source = "Keras Multiply",
    .min_inputs = 2,
    .max_inputs = LAYER_MAX_INPUTS,
    .infer = infer,
    .cost = cost,
};

int64_t merge_source(const struct layer_node *n, int k, int64_t o)
{
    const struct shape *s = &n->in_shapes[k];
    int64_t i = 0, stride = 1;
    for (int a = s->rank - 1; a >= 0; a--) {
        i += s->dim[a] == 1 ? 0 : o % n->shape.dim[a] * stride;
        stride *= s->dim[a];
        o /= n->shape.dim[a];
    }
    return i;
}

static void ref_pass(const struct layer_node *n, const struct ref_call *c, bool product, bool back)
{
    int64_t out = shape_elements(&n->shape);
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t o = 0; o < out; o++) {
            double all = product ? 1 : 0, each[LAYER_MAX_INPUTS];
            for (int k = 0; k < n->input_count; k++) {
                each[k] = c->in[k][r * shape_elements(&n->in_shapes[k]) + merge_source(n, k, o)];
                all = product ? all * each[k] : all + each[k];
            }
            if (!back)
                c->out[r * out + o] = all;
            for (int k = 0; back && k < n->input_count; k++) {
                double d = c->grad_out[r * out + o];
                for (int j = 0; product && j < n->input_count; j++)
                    d *= j == k ? 1 : each[j];
                if (c->grad_in[k])
                    c->grad_in[k][r * shape_elements(&n->in_shapes[k]) + merge_source(n, k, o)] += d;
            }
        }
}

static void add_forward(const struct layer_node *n, const struct ref_call *c)
{
    ref_pass(n, c, false, false);
}

static void add_backward(const struct layer_node *n, const struct ref_call *c)
{
    ref_pass(n, c, false, true);
}

static void multiply_forward(const struct layer_node *n, const struct ref_call *c)
{
    ref_pass(n, c, true, false);
}

static void multiply_backward(const struct layer_node *n, const struct ref_call *c)
{
    ref_pass(n, c, true, true);
}

const struct op_ref add_ref = {"add", add_forward, add_backward};
const struct op_ref multiply_ref = {"multiply", multiply_forward, multiply_backward};

/* ---- one shape, one layout ---- */

bool merge_is_mixed(const struct op *op)
{
    for (int k = 1; k < op->node->input_count; k++) {
        struct blocked a = blocked_must(&op->in[0]), b = blocked_must(&op->in[k]);
        if (!shape_equal(&op->node->in_shapes[0], &op->node->in_shapes[k]) || memcmp(&a, &b, sizeof(a)))
            return true;
    }
    return false;
}

static int cpu_plan(struct op *op, struct err *err)
{
    bool product = op->node->type == &layer_multiply;
    (void)err;
    op->backward_needs_in = product;
    op->backward_needs_out = op->relu;
    op->scratch_bytes = merge_mixed_scratch(op);
    if (!merge_is_mixed(op)) {
        op->out.layout = op->in[0].layout;
        op->out.bytes = op->in[0].bytes;
        op->scratch_bytes = 0;
    }
    return 0;
}

VECTOR_CLONES static void add_two(const float *restrict a, const float *restrict b, float *restrict out,
                                  size_t n, bool relu)
{
    for (size_t i = 0; i < n && !relu; i++)
        out[i] = a[i] + b[i];
    for (size_t i = 0; i < n && relu; i++)
        out[i] = a[i] + b[i] > 0 ? a[i] + b[i] : 0;
}

VECTOR_CLONES static void add_to(float *restrict out, const float *restrict in, size_t n, bool relu)
{
    for (size_t i = 0; i < n && !relu; i++)
        out[i] += in[i];
    for (size_t i = 0; i < n && relu; i++)
        out[i] = out[i] + in[i] > 0 ? out[i] + in[i] : 0;
}

VECTOR_CLONES static void multiply_two(const float *restrict a, const float *restrict b, float *restrict out,
                                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

VECTOR_CLONES static void multiply_to(float *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] *= in[i];
}

static void add_cpu_forward(struct op *op, const struct op_call *c)
{
    if (merge_is_mixed(op)) {
        merge_mixed_forward(op, c, false);
        return;
    }
    int last = op->node->input_count - 1;
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    float *out = (float *)c->out + from;
    add_two((const float *)c->in[0] + from, (const float *)c->in[1] + from, out, count,
            op->relu && last == 1);
    for (int k = 2; k <= last; k++)
        add_to(out, (const float *)c->in[k] + from, count, op->relu && last == k);
    CPU_PARALLEL_END
}

/* to (+)= g where out > 0, or all of g. */
VECTOR_CLONES static void pass_on(const float *restrict out, const float *restrict g, float *restrict to,
                                  size_t n, bool relu, bool add)
{
    for (size_t i = 0; i < n && relu && !add; i++)
        to[i] = out[i] > 0 ? g[i] : 0;
    for (size_t i = 0; i < n && relu && add; i++)
        to[i] += out[i] > 0 ? g[i] : 0;
    for (size_t i = 0; i < n && !relu && add; i++)
        to[i] += g[i];
    if (!relu && !add)
        memcpy(to, g, n * sizeof(float));
}

/* The same to two at once: a residual block's gradient goes both ways. */
VECTOR_CLONES static void pass_on_two(const float *restrict out, const float *restrict g, float *restrict a,
                                      float *restrict b, size_t n, bool relu)
{
    for (size_t i = 0; i < n && relu; i++)
        a[i] = b[i] = out[i] > 0 ? g[i] : 0;
    for (size_t i = 0; i < n && !relu; i++)
        a[i] = b[i] = g[i];
}

static void add_cpu_backward(struct op *op, const struct op_call *c)
{
    if (merge_is_mixed(op)) {
        merge_mixed_backward(op, c, false);
        return;
    }
    float *const *gi = (float *const *)(const void *)c->grad_in;
    bool both = op->node->input_count == 2 && gi[0] && gi[1] && !c->accumulate[0] && !c->accumulate[1];
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    const float *g = (const float *)c->grad_out + from, *out = (const float *)c->out + from;
    if (both)
        pass_on_two(out, g, gi[0] + from, gi[1] + from, count, op->relu);
    else /* input after input: the same tensor may be given twice */
        for (int k = 0; k < op->node->input_count; k++)
            if (gi[k])
                pass_on(out, g, gi[k] + from, count, op->relu, c->accumulate[k]);
    CPU_PARALLEL_END
}

static void multiply_cpu_forward(struct op *op, const struct op_call *c)
{
    if (merge_is_mixed(op)) {
        merge_mixed_forward(op, c, true);
        return;
    }
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    float *out = (float *)c->out + from;
    multiply_two((const float *)c->in[0] + from, (const float *)c->in[1] + from, out, count);
    for (int k = 2; k < op->node->input_count; k++)
        multiply_to(out, (const float *)c->in[k] + from, count);
    CPU_PARALLEL_END
}

/* The product of g and all inputs but k, a piece at a time. */
static void multiply_cpu_backward(struct op *op, const struct op_call *c)
{
    enum { PIECE = 1024 };
    if (merge_is_mixed(op)) {
        merge_mixed_backward(op, c, true);
        return;
    }
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    float piece[PIECE];
    for (size_t at = from, n; at < from + count; at += n) {
        n = from + count - at < PIECE ? from + count - at : PIECE;
        for (int k = 0; k < op->node->input_count; k++) {
            if (!c->grad_in[k])
                continue;
            memcpy(piece, (const float *)c->grad_out + at, n * sizeof(float));
            for (int j = 0; j < op->node->input_count; j++)
                if (j != k)
                    multiply_to(piece, (const float *)c->in[j] + at, n);
            pass_on(piece, piece, (float *)c->grad_in[k] + at, n, false, c->accumulate[k]);
        }
    }
    CPU_PARALLEL_END
}

const struct op_impl add_cpu = {"add",
                                .any_layout = true,
                                .fuses_relu = true,
                                .plan = cpu_plan,
                                .forward = add_cpu_forward,
                                .backward = add_cpu_backward};
const struct op_impl multiply_cpu = {"multiply", .any_layout = true, .plan = cpu_plan,
                                     .forward = multiply_cpu_forward, .backward = multiply_cpu_backward};
