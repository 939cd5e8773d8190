/* pad: more on both sides of the last axes: a constant, the input mirrored, or its edge repeated. */
#include <string.h>

#include "kernels/ops/index_map.h"
#include "kernels/ops/shapes.h"

static const struct param_def params[] = {
    {"padding", PARAM_INTS, .required = true, .min = 0, .max = 65536,
     .help = "One number: that many on both sides of every axis but the first. Or pairs from the last axis "
             "on, as "
             "PyTorch: [left, right], [left, right, top, bottom], [left, right, top, bottom, front, back]."},
    {"mode", PARAM_CHOICE, .fallback_text = "constant", .choices = "constant|reflect|replicate",
     .help = "constant: value; reflect: mirrored at the edge, which is not repeated; replicate: the edge."},
    {"value", PARAM_REAL, .fallback = 0, .min = -1e30, .max = 1e30, .help = "What constant padding holds."},
};

static void padding_of(const struct layer_node *n, int axis, int64_t *before, int64_t *after)
{
    const struct param_value *p = &n->params[0];
    int from_last = n->in_shapes[0].rank - 1 - axis;
    *before = *after = 0;
    if (p->count == 1 && (axis > 0 || n->in_shapes[0].rank == 1)) {
        *before = *after = (int64_t)p->num[0];
    } else if (p->count > 1 && 2 * from_last < p->count) {
        *before = (int64_t)p->num[2 * from_last];
        *after = (int64_t)p->num[2 * from_last + 1];
    }
}

static bool reflects(const struct layer_node *n)
{
    return !strcmp(layer_param_text(n, "mode"), "reflect");
}

static int infer(struct layer_node *n, struct err *err)
{
    int count = n->params[0].count, rank = n->in_shapes[0].rank;
    if (row_need_float(n, err) < 0)
        return -1;
    if (rank < 1 || count < 1 || (count > 1 && count % 2) || count > 2 * rank)
        return err_set(
            err, ERR_INVALID,
            "pad expects one number, or pairs [before, after] for the last of its input's %d axes, got %d "
            "numbers",
            rank, count);
    n->dtype = DTYPE_F32;
    n->shape = n->in_shapes[0];
    for (int a = 0; a < rank; a++) {
        int64_t before, after, size = n->in_shapes[0].dim[a];
        padding_of(n, a, &before, &after);
        if (reflects(n) && (before >= size || after >= size))
            return err_set(err, ERR_INVALID, "pad can mirror at most %lld of an axis of %lld, not %lld",
                           (long long)size - 1, (long long)size,
                           (long long)(before > after ? before : after));
        n->shape.dim[a] = before + size + after;
    }
    return 0;
}

const struct layer_type layer_pad = {
    .name = "pad",
    .group = "shape",
    .summary = "Adds a constant, a mirror image or the repeated edge around the last axes.",
    .formula = "out[i] = in[i - before], outside of the input: value, in[mirrored i] or in[nearest i]",
    .source = "PyTorch functional.pad, Keras ZeroPadding",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = row_cost_free,
};

static struct index_map map_of(const struct layer_node *n)
{
    struct index_map m = index_map_make(n);
    bool constant = !strcmp(layer_param_text(n, "mode"), "constant");
    m.fill = layer_param(n, "value", 0);
    for (int a = 0; a < m.rank; a++) {
        int64_t before, after, size = n->in_shapes[0].dim[a];
        padding_of(n, a, &before, &after);
        for (int64_t o = 0; o < m.dim[a]; o++) {
            int64_t i = o - before;
            if (i < 0)
                i = reflects(n) ? -i : constant ? -1 : 0;
            else if (i >= size)
                i = reflects(n) ? 2 * (size - 1) - i : constant ? -1 : size - 1;
            m.offsets[a][o] = i < 0 ? -1 : i * index_map_stride(&n->in_shapes[0], a);
        }
    }
    return m;
}

INDEX_MAP_OPERATION(pad, map_of);
