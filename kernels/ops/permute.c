/* permute: the axes of a sample in another order. */
#include "kernels/ops/index_map.h"
#include "kernels/ops/shapes.h"

static const struct param_def params[] = {
    {"dims", PARAM_INTS, .required = true, .min = 0, .max = SHAPE_MAX_RANK - 1,
     .help = "For each axis of the output, the input's axis it is, counted from 0 without the batch: [1, 2, "
             "0] makes "
             "(height, width, channels) of an image. (Keras counts from 1.)"},
};

static int infer(struct layer_node *n, struct err *err)
{
    const struct param_value *dims = &n->params[0];
    bool used[SHAPE_MAX_RANK] = {false};
    int rank = n->in_shapes[0].rank;
    if (row_need_float(n, err) < 0)
        return -1;
    if (dims->count != rank || rank < 1)
        return err_set(err, ERR_INVALID, "permute's dims name %d axes, but its input has %d", dims->count,
                       rank);
    n->dtype = DTYPE_F32;
    n->shape.rank = rank;
    for (int a = 0; a < rank; a++) {
        int from = (int)dims->num[a];
        if (from < 0 || from >= rank || used[from])
            return err_set(err, ERR_INVALID, "permute's dims must name each axis from 0 to %d once; %d is %s",
                           rank - 1, from, from >= rank || from < 0 ? "no axis of the input" : "there twice");
        used[from] = true;
        n->shape.dim[a] = n->in_shapes[0].dim[from];
    }
    return 0;
}

const struct layer_type layer_permute = {
    .name = "permute",
    .group = "shape",
    .summary = "The axes of a sample in another order.",
    .formula = "out[i_0, i_1, ...] = in[...], axis a of the output is axis dims[a] of the input",
    .source = "Keras Permute, PyTorch permute",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = row_cost_free,
};

static struct index_map map_of(const struct layer_node *n)
{
    struct index_map m = index_map_make(n);
    for (int a = 0; a < m.rank; a++)
        for (int64_t i = 0; i < m.dim[a]; i++)
            m.offsets[a][i] = i * index_map_stride(&n->in_shapes[0], (int)n->params[0].num[a]);
    return m;
}

INDEX_MAP_OPERATION(permute, map_of);
