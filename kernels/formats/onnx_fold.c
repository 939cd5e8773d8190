/* What can be computed while importing: shapes, and arithmetic on constants, which exporters leave in the graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/formats/onnx_fields.h"
#include "kernels/formats/onnx_importer.h"

static int give(struct importer *im, struct constant *c)
{
    import_give_constant(im, 0, c);
    return 1;
}

static int fold_constant(struct importer *im)
{
    const struct onnx_attribute *a = onnx_attribute(im->n, "value");
    struct onnx_tensor t;
    struct constant *c;
    if (a && a->tensor.at) {
        if (onnx_tensor_read(&im->m, a->tensor, &t, &im->err))
            return -1;
        if ((im->work += t.count) > FOLD_WORK)
            return import_fail(im, "the file's constants need too much work to be read");
        bool real = t.type == ONNX_FLOAT || t.type == ONNX_DOUBLE || t.type == ONNX_FLOAT16 ||
                    t.type == ONNX_BFLOAT16;
        c = xcalloc(1, sizeof(*c));
        c->real = real;
        c->rank = t.rank;
        c->count = t.count;
        memcpy(c->dims, t.dims, sizeof(c->dims));
        c->f = real ? onnx_tensor_floats(&t, &im->err) : NULL;
        c->i = real ? NULL : onnx_tensor_ints(&t, &im->err);
        if (c->f || c->i)
            return give(im, c);
        constant_free(c);
        return -1;
    }
    if ((a = onnx_attribute(im->n, "value_int")) || (a = onnx_attribute(im->n, "value_float"))) {
        c = constant_new(!strcmp(a->name, "value_float"), 0, NULL);
        if (c->real)
            c->f[0] = a->f;
        else
            c->i[0] = a->i;
        return give(im, c);
    }
    if ((a = onnx_attribute(im->n, "value_ints"))) {
        int64_t dim = a->int_count;
        c = constant_new(false, 1, &dim);
        if (dim)
            memcpy(c->i, a->ints, (size_t)dim * sizeof(*c->i));
        return give(im, c);
    }
    return import_fail(im, "a Constant of this kind is not read");
}

static int fold_shape(struct importer *im)
{
    int layer = import_layer(im, 0);
    const struct constant *of = layer < 0 ? import_constant(im, 0) : NULL;
    if (layer < 0 && !of)
        return 0;
    int64_t dims[ONNX_MAX_RANK + 1], rank = of ? of->rank : im->t->values[layer].shape.rank + 1;
    for (int i = 0; i < rank; i++)
        dims[i] = of ? of->dims[i] : i ? im->t->values[layer].shape.dim[i - 1] : im->batch;
    int64_t start = onnx_int(im->n, "start", 0), end = onnx_int(im->n, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end > rank ? rank : end;
    if (start < 0 || start > end)
        return import_fail(im, "its start and end are outside the shape");
    int64_t n = end - start;
    struct constant *c = constant_new(false, 1, &n);
    memcpy(c->i, dims + start, (size_t)n * sizeof(*c->i));
    return give(im, c);
}

static int64_t arithmetic_int(char op, int64_t a, int64_t b)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b; /* wraps instead of overflowing */
    switch (op) {
    case '+':
        return (int64_t)(x + y);
    case '-':
        return (int64_t)(x - y);
    case '*':
        return (int64_t)(x * y);
    }
    return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b;
}

static float arithmetic_real(char op, float a, float b)
{
    return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : op == '^' ? powf(a, b) : a / b;
}

static int fold_arithmetic(struct importer *im, char op, const struct constant *a, const struct constant *b)
{
    const struct constant *wide = a->count >= b->count ? a : b;
    if (a->count != b->count && a->count != 1 && b->count != 1)
        return import_fail(im, "two constants of these shapes are not combined");
    if (!a->count || !b->count)
        return import_fail(im, "a constant is empty");
    struct constant *c = constant_new(a->real || b->real, wide->rank, wide->dims);
    for (int64_t i = 0; i < c->count; i++) {
        int64_t p = a->count == 1 ? 0 : i, q = b->count == 1 ? 0 : i;
        if (c->real)
            c->f[i] =
                arithmetic_real(op, a->real ? a->f[p] : (float)a->i[p], b->real ? b->f[q] : (float)b->i[q]);
        else
            c->i[i] = arithmetic_int(op, a->i[p], b->i[q]);
    }
    return give(im, c);
}

static struct constant *copy_constant(const struct constant *c)
{
    struct constant *d = constant_new(c->real, c->rank, c->dims);
    if (c->count > 0)
        memcpy(c->real ? (void *)d->f : (void *)d->i, c->real ? (void *)c->f : (void *)c->i,
               (size_t)c->count * (c->real ? sizeof(*c->f) : sizeof(*c->i)));
    return d;
}

static int fold_cast(struct importer *im, const struct constant *c)
{
    int64_t to = onnx_int(im->n, "to", ONNX_FLOAT);
    bool real = to == ONNX_FLOAT || to == ONNX_DOUBLE || to == ONNX_FLOAT16 || to == ONNX_BFLOAT16;
    struct constant *d = constant_new(real, c->rank, c->dims);
    for (int64_t i = 0; i < c->count; i++) {
        if (real)
            d->f[i] = c->real ? c->f[i] : (float)c->i[i];
        else
            d->i[i] = constant_int(c, i);
    }
    return give(im, d);
}

/* Unsqueeze, Squeeze, Reshape, Flatten of a constant: the numbers stay. */
static int fold_reshape(struct importer *im, const struct constant *c)
{
    struct constant *d = copy_constant(c);
    const struct constant *shape = !strcmp(im->n->op, "Reshape") ? import_constant(im, 1) : NULL;
    if (shape && shape->count <= ONNX_MAX_RANK) {
        int64_t known = 1, open = -1;
        d->rank = (int)shape->count;
        for (int i = 0; i < d->rank; i++) {
            d->dims[i] = constant_int(shape, i);
            if (d->dims[i] == 0 && i < c->rank)
                d->dims[i] = c->dims[i];
            if (d->dims[i] < 0)
                open = i;
            else if (__builtin_mul_overflow(known, d->dims[i], &known))
                known = -1;
        }
        if (open >= 0)
            d->dims[open] = known > 0 ? c->count / known : 0;
        if (known < 0 || (open < 0 && known != c->count) ||
            (open >= 0 && known * d->dims[open] != c->count)) {
            constant_free(d);
            return import_fail(im, "a constant of %lld numbers does not take this shape",
                               (long long)c->count);
        }
    } else if (!strcmp(im->n->op, "Unsqueeze") && c->rank == 0) {
        d->rank = 1;
        d->dims[0] = 1;
    } else if (!strcmp(im->n->op, "Squeeze") && c->count == 1) {
        d->rank = 0;
    } else if (c->rank > 0 && strcmp(im->n->op, "Identity")) {
        constant_free(d);
        return import_fail(im, "a constant of this shape is not reshaped");
    }
    return give(im, d);
}

static int fold_concat(struct importer *im)
{
    int64_t all = 0;
    bool real = false;
    for (int k = 0; k < im->n->in_count; k++) {
        const struct constant *c = import_constant(im, k);
        if (c->rank > 1)
            return import_fail(im, "only constants of one dimension are joined");
        all += c->count;
        real |= c->real;
    }
    if (all > FOLD_MAX)
        return import_fail(im, "the constants are too long to be joined");
    struct constant *d = constant_new(real, 1, &all);
    int64_t at = 0;
    for (int k = 0; k < im->n->in_count; k++) {
        const struct constant *c = import_constant(im, k);
        for (int64_t i = 0; i < c->count; i++, at++) {
            if (real)
                d->f[at] = c->real ? c->f[i] : (float)c->i[i];
            else
                d->i[at] = c->i[i];
        }
    }
    return give(im, d);
}

/* One number, or several, of a list. */
static int fold_gather(struct importer *im, const struct constant *c, const struct constant *index)
{
    if (c->rank != 1 || index->rank > 1)
        return import_fail(im, "numbers are taken from constants of one dimension only");
    struct constant *d = constant_new(c->real, index->rank, index->dims);
    for (int64_t i = 0; i < d->count; i++) {
        int64_t at = constant_int(index, i);
        at = at < 0 ? at + c->count : at;
        if (at < 0 || at >= c->count) {
            constant_free(d);
            return import_fail(im, "index %lld is outside a list of %lld", (long long)at,
                               (long long)c->count);
        }
        if (c->real)
            d->f[i] = c->f[at];
        else
            d->i[i] = c->i[at];
    }
    return give(im, d);
}

static bool one_number(const struct constant *c)
{
    return c && c->count == 1;
}

/* A range of the first axis, forwards or (whole) backwards. */
static int fold_slice(struct importer *im, const struct constant *c)
{
    const struct constant *s = import_constant(im, 1), *e = import_constant(im, 2),
                          *axes = import_constant(im, 3), *by = import_constant(im, 4);
    const struct onnx_attribute *sa = onnx_attribute(im->n, "starts"), *ea = onnx_attribute(im->n, "ends");
    bool known =
        (one_number(s) && one_number(e)) || (!s && sa && ea && sa->int_count == 1 && ea->int_count == 1);
    int64_t step = one_number(by) ? constant_int(by, 0) : 1;
    if (!known || c->rank < 1 || c->dims[0] < 1 ||
        (axes && (!one_number(axes) || constant_int(axes, 0) != 0)) || (step != 1 && step != -1))
        return import_fail(im, "only simple slices of a constant's first axis are computed");
    int64_t rows = c->dims[0], row = c->count / rows, dims[ONNX_MAX_RANK];
    int64_t from = s ? constant_int(s, 0) : sa->ints[0], to = e ? constant_int(e, 0) : ea->ints[0];
    if (step == -1 && (from != -1 || to > -rows))
        return import_fail(im, "only a whole axis is turned round");
    from = from < 0 ? from + rows : from;
    to = to < 0 && to > INT64_MIN / 2 ? to + rows : to;
    from = step == -1 || from < 0 ? 0 : from > rows ? rows : from;
    to = step == -1 || to > rows ? rows : to < from ? from : to;
    memcpy(dims, c->dims, sizeof(dims));
    dims[0] = to - from;
    struct constant *d = constant_new(c->real, c->rank, dims);
    for (int64_t i = 0; i < d->count; i++) {
        int64_t at = from * row + i;
        at = step == 1 ? at : (rows - 1 - at / row) * row + at % row;
        if (c->real)
            d->f[i] = c->f[at];
        else
            d->i[i] = c->i[at];
    }
    return give(im, d);
}

/* A matrix the other way round: what MatMul and Gemm are given. */
static int fold_transpose(struct importer *im, const struct constant *c)
{
    if (c->rank != 2)
        return import_fail(im, "only constant matrices are transposed");
    int64_t dims[2] = {c->dims[1], c->dims[0]};
    const struct onnx_attribute *perm = onnx_attribute(im->n, "perm");
    if (perm && perm->int_count == 2 && perm->ints[0] == 0)
        return give(im, copy_constant(c));
    struct constant *d = constant_new(c->real, 2, dims);
    for (int64_t r = 0; r < c->dims[0]; r++)
        for (int64_t q = 0; q < c->dims[1]; q++) {
            if (c->real)
                d->f[q * c->dims[0] + r] = c->f[r * c->dims[1] + q];
            else
                d->i[q * c->dims[0] + r] = c->i[r * c->dims[1] + q];
        }
    return give(im, d);
}

/* A list of one number, repeated. */
static int fold_fill(struct importer *im, const struct constant *shape)
{
    const struct onnx_attribute *a = onnx_attribute(im->n, "value");
    struct onnx_tensor t = {.type = ONNX_FLOAT};
    if (shape->count > 1 ||
        (shape->count == 1 && (constant_int(shape, 0) < 0 || constant_int(shape, 0) > FOLD_MAX)))
        return import_fail(im, "only a list of up to %d numbers is filled", FOLD_MAX);
    if (a && a->tensor.at && onnx_tensor_read(&im->m, a->tensor, &t, &im->err))
        return -1;
    if (a && t.count != 1)
        return import_fail(im, "its value is one number");
    float *real = a ? onnx_tensor_floats(&t, &im->err) : NULL;
    if (a && !real)
        return -1;
    int64_t dim = shape->count ? constant_int(shape, 0) : 1;
    struct constant *d =
        constant_new(!a || t.type == ONNX_FLOAT || t.type == ONNX_DOUBLE || t.type == ONNX_FLOAT16,
                     (int)shape->count, &dim);
    for (int64_t i = 0; i < d->count; i++) {
        if (d->real)
            d->f[i] = real ? real[0] : 0;
        else
            d->i[i] = (int64_t)real[0];
    }
    free(real);
    return give(im, d);
}

static int fold_all_constant(struct importer *im)
{
    static const struct {
        const char *op;
        char sign;
    } arithmetic[] = {{"Add", '+'}, {"Sub", '-'}, {"Mul", '*'}, {"Div", '/'}, {"Pow", '^'}};
    const struct constant *a = import_constant(im, 0), *b = import_constant(im, 1);
    const char *op = im->n->op;
    if ((im->work += a->count + 64) > FOLD_WORK)
        return import_fail(im, "the file's constants need too much work to be computed");
    for (size_t i = 0; b && i < ARRAY_LEN(arithmetic); i++)
        if (!strcmp(op, arithmetic[i].op))
            return fold_arithmetic(im, arithmetic[i].sign, a, b);
    if (!strcmp(op, "Cast"))
        return fold_cast(im, a);
    if (!strcmp(op, "Unsqueeze") || !strcmp(op, "Squeeze") || !strcmp(op, "Reshape") ||
        !strcmp(op, "Identity") || !strcmp(op, "Flatten"))
        return fold_reshape(im, a);
    if (!strcmp(op, "Concat"))
        return fold_concat(im);
    if (!strcmp(op, "Gather") && b)
        return fold_gather(im, a, b);
    if (!strcmp(op, "Slice"))
        return fold_slice(im, a);
    if (!strcmp(op, "ConstantOfShape"))
        return fold_fill(im, a);
    if (!strcmp(op, "Transpose"))
        return fold_transpose(im, a);
    if (!strcmp(op, "Floor") || !strcmp(op, "Dropout"))
        return give(im, copy_constant(a));
    return import_fail(im, "this operator is not computed on constants");
}

int onnx_fold(struct importer *im)
{
    if (!strcmp(im->n->op, "Constant"))
        return fold_constant(im);
    if (!strcmp(im->n->op, "Shape"))
        return fold_shape(im);
    if (im->n->in_count == 0)
        return 0;
    for (int k = 0; k < im->n->in_count; k++)
        if (import_has(im, k) && !import_constant(im, k))
            return im->err.code ? -1 : 0;
    return import_has(im, 0) ? fold_all_constant(im) : 0;
}
