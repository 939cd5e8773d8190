#include "kernels/ops/row.h"

#include <string.h>

int row_need_float(const struct layer_node *n, struct err *err)
{
    for (int i = 0; i < n->input_count; i++)
        if (n->in_dtypes[i] != DTYPE_F32)
            return err_set(err, ERR_INVALID, "%s expects float32, got %s: put a rescale layer before it",
                           n->type->name, dtype_name(n->in_dtypes[i]));
    return 0;
}

int row_need_rank(const struct layer_node *n, int rank, const char *what, const char *hint, struct err *err)
{
    if (n->in_shapes[0].rank == rank)
        return 0;
    char got[96];
    shape_format(&n->in_shapes[0], got, sizeof(got));
    return err_set(err, ERR_INVALID, "%s expects %s, got %s%s%s", n->type->name, what, got, hint ? ": " : "",
                   hint ? hint : "");
}

int row_infer_same(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0)
        return -1;
    n->shape = n->in_shapes[0];
    n->dtype = DTYPE_F32;
    return 0;
}

void row_cost_elementwise(const struct layer_node *n, double flops_per_element, struct layer_cost *out)
{
    double elements = (double)shape_elements(&n->shape);
    *out = (struct layer_cost){elements * flops_per_element, elements * flops_per_element, elements * 4};
}

void row_cost_free(const struct layer_node *n, struct layer_cost *out)
{
    *out = (struct layer_cost){0, 0, (double)shape_elements(&n->shape) * 4};
}

struct weight_def *row_weight(struct layer_node *n, const char *name, enum init_kind init, bool trainable,
                              bool decay)
{
    struct weight_def *w = &n->weights[n->weight_count++];
    *w = (struct weight_def){.name = name, .init = init, .trainable = trainable, .decay = decay};
    return w;
}

struct window row_window(const struct layer_node *n, int axis, int64_t size, int64_t stride, int64_t dilation)
{
    struct window w = {.size = size, .stride = stride, .dilation = dilation};
    int64_t in = n->in_shapes[0].dim[1 + axis], reach = (size - 1) * dilation + 1;
    const char *padding = layer_param_text(n, "padding");
    if (padding && !strcmp(padding, "same")) {
        /* Keras: ceil(in / stride) windows; what is missing is added, the odd one at the end. */
        int64_t out = (in + stride - 1) / stride, need = (out - 1) * stride + reach - in;
        need = need > 0 ? need : 0;
        w.pad_before = need / 2;
        w.pad_after = need - need / 2;
    } else if (!padding) {
        w.pad_before = w.pad_after = (int64_t)layer_param(n, "padding", axis);
    }
    int64_t room = in + w.pad_before + w.pad_after - reach;
    w.out = room < 0 ? 0 : room / stride + 1;
    return w;
}
