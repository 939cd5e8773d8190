/* slice: a range of one axis, as Python's in[start:end:step]. */
#include "kernels/ops/index_map.h"
#include "kernels/ops/shapes.h"

#define END 2147483647.0

static const struct param_def params[] = {
    {"axis", PARAM_INT, .fallback = 0, .min = -SHAPE_MAX_RANK, .max = SHAPE_MAX_RANK - 1,
     .help = "Axis of the sample's shape, without the batch; negative counts from the end."},
    {"start", PARAM_INT, .fallback = 0, .min = -END, .max = END,
     .help = "First index; negative counts from the end."},
    {"end", PARAM_INT, .fallback = END, .min = -END, .max = END,
     .help = "The index after the last; negative counts from the end, and what lies past it means the end."},
    {"step", PARAM_INT, .fallback = 1, .min = 1, .max = END, .help = "Distance between the indices."},
};

struct range {
    int axis;
    int64_t start, end, step, count;
};

static int64_t clamp(int64_t i, int64_t size)
{
    i = i < 0 ? i + size : i;
    return i < 0 ? 0 : i > size ? size : i;
}

static struct range range_of(const struct layer_node *n)
{
    struct range r = {.axis = (int)layer_param(n, "axis", 0), .step = (int64_t)layer_param(n, "step", 0)};
    r.axis = r.axis < 0 ? r.axis + n->in_shapes[0].rank : r.axis;
    if (r.axis < 0 || r.axis >= n->in_shapes[0].rank)
        return (struct range){.axis = -1};
    int64_t size = n->in_shapes[0].dim[r.axis];
    r.start = clamp((int64_t)layer_param(n, "start", 0), size);
    r.end = clamp((int64_t)layer_param(n, "end", 0), size);
    r.count = r.end > r.start ? (r.end - r.start + r.step - 1) / r.step : 0;
    return r;
}

static int infer(struct layer_node *n, struct err *err)
{
    struct range r = range_of(n);
    if (row_need_float(n, err) < 0)
        return -1;
    if (r.axis < 0)
        return err_set(err, ERR_INVALID, "slice's axis %d is outside its input's %d dimensions",
                       (int)layer_param(n, "axis", 0), n->in_shapes[0].rank);
    if (r.count < 1)
        return err_set(err, ERR_INVALID, "slice from %.0f to %.0f of an axis of %lld is empty",
                       layer_param(n, "start", 0), layer_param(n, "end", 0),
                       (long long)n->in_shapes[0].dim[r.axis]);
    n->dtype = DTYPE_F32;
    n->shape = n->in_shapes[0];
    n->shape.dim[r.axis] = r.count;
    return 0;
}

const struct layer_type layer_slice = {
    .name = "slice",
    .group = "shape",
    .summary = "A range of one axis.",
    .formula = "out[..., i, ...] = in[..., start + i step, ...] while that is before end",
    .source = "Python slices, ONNX Slice",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = row_cost_free,
};

static struct index_map map_of(const struct layer_node *n)
{
    struct index_map m = index_map_make(n);
    struct range r = range_of(n);
    for (int a = 0; a < m.rank; a++)
        for (int64_t i = 0; i < m.dim[a]; i++)
            m.offsets[a][i] =
                (a == r.axis ? r.start + i * r.step : i) * index_map_stride(&n->in_shapes[0], a);
    return m;
}

INDEX_MAP_OPERATION(slice, map_of);
