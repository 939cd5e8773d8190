/* A small table of layer types for the tests of spec and graph, so that they do not change when an operation
 * does. It stands in for ops/layer_types.c: the archive's own is not linked when these symbols are there. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/spec/layer_type.h"

static int infer_same(struct layer_node *n, struct err *err)
{
    (void)err;
    n->shape = n->in_shapes[0];
    n->dtype = DTYPE_F32;
    return 0;
}

static int infer_dense(struct layer_node *n, struct err *err)
{
    char got[96];
    shape_format(&n->in_shapes[0], got, sizeof(got));
    if (n->in_shapes[0].rank != 1)
        return err_set(err, ERR_INVALID,
                       "dense expects a flat input (n), got %s: put a flatten layer before it", got);
    int64_t in = n->in_shapes[0].dim[0], units = (int64_t)layer_param(n, "units", 0);
    n->shape = (struct shape){1, {units}};
    n->weights[n->weight_count++] =
        (struct weight_def){.name = "kernel", .shape = {2, {units, in}}, .trainable = true, .decay = true};
    if (layer_param(n, "bias", 0) != 0)
        n->weights[n->weight_count++] =
            (struct weight_def){.name = "bias", .shape = {1, {units}}, .trainable = true};
    return 0;
}

static int infer_conv2d(struct layer_node *n, struct err *err)
{
    const struct shape *in = &n->in_shapes[0];
    char got[96];
    shape_format(in, got, sizeof(got));
    if (in->rank != 3)
        return err_set(err, ERR_INVALID, "conv2d expects (channels, height, width), got %s", got);
    const char *padding = layer_param_text(n, "padding");
    n->shape = (struct shape){3, {(int64_t)layer_param(n, "filters", 0)}};
    for (int i = 0; i < 2; i++) {
        int64_t size = in->dim[i + 1], kernel = (int64_t)layer_param(n, "kernel", i),
                stride = (int64_t)layer_param(n, "stride", i);
        int64_t pad = padding ? 0 : (int64_t)layer_param(n, "padding", i);
        n->shape.dim[i + 1] = padding && !strcmp(padding, "same") ? (size + stride - 1) / stride
                                                                  : (size + 2 * pad - kernel) / stride + 1;
        if (n->shape.dim[i + 1] < 1)
            return err_set(err, ERR_INVALID, "the kernel is larger than the input %s", got);
    }
    n->weights[n->weight_count++] =
        (struct weight_def){.name = "kernel",
                            .shape = {4,
                                      {n->shape.dim[0], in->dim[0], (int64_t)layer_param(n, "kernel", 0),
                                       (int64_t)layer_param(n, "kernel", 1)}},
                            .trainable = true};
    return 0;
}

static int infer_flatten(struct layer_node *n, struct err *err)
{
    (void)err;
    n->shape = (struct shape){1, {shape_elements(&n->in_shapes[0])}};
    return 0;
}

static int infer_add(struct layer_node *n, struct err *err)
{
    for (int i = 1; i < n->input_count; i++)
        if (!shape_equal(&n->in_shapes[0], &n->in_shapes[i])) {
            char a[96], b[96];
            shape_format(&n->in_shapes[0], a, sizeof(a));
            shape_format(&n->in_shapes[i], b, sizeof(b));
            return err_set(err, ERR_INVALID, "add expects equal shapes, got %s and %s", a, b);
        }
    return infer_same(n, err);
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    double elements = (double)shape_elements(&n->shape);
    *out = (struct layer_cost){elements, 2 * elements, 4 * elements};
}

static const struct param_def dense_params[] = {
    {"units", PARAM_INT, true, 0, .min = 1, .max = 16777216, .help = "outputs"},
    {"bias", PARAM_BOOL, false, 1, .help = "add a bias"},
};
static const struct param_def conv_params[] = {
    {"filters", PARAM_INT, true, 0, .min = 1, .max = 65536, .help = "outputs"},
    {"kernel", PARAM_PAIR, true, 0, .min = 1, .max = 1024, .help = "size"},
    {"stride", PARAM_PAIR, false, 1, .min = 1, .max = 1024, .help = "step"},
    {"padding", PARAM_PADDING, .fallback_text = "valid", .min = 0, .max = 1024, .choices = "valid|same",
     .help = "border"},
};
static const struct param_def dropout_params[] = {
    {"rate", PARAM_REAL, false, 0.5, .min = 0, .max = 1, .max_open = true, .help = "share set to 0"},
};
static const struct param_def gelu_params[] = {
    {"approximate", PARAM_CHOICE, .fallback_text = "none", .choices = "none|tanh", .help = "which form"},
};

#define ROW(n, f, p)                                                                                         \
    {                                                                                                        \
        .name = n, .group = "core", .summary = n, .min_inputs = 1, .max_inputs = 1, .params = p,             \
        .param_count = ARRAY_LEN(p), .infer = f, .cost = cost                                                \
    }
#define PLAIN(n, f)                                                                                          \
    {                                                                                                        \
        .name = n, .group = "core", .summary = n, .min_inputs = 1, .max_inputs = 1, .infer = f, .cost = cost \
    }
static const struct layer_type dense = ROW("dense", infer_dense, dense_params),
                               conv = ROW("conv2d", infer_conv2d, conv_params),
                               dropout = ROW("dropout", infer_same, dropout_params),
                               gelu = ROW("gelu", infer_same, gelu_params), relu = PLAIN("relu", infer_same),
                               flatten = PLAIN("flatten", infer_flatten),
                               add = {.name = "add",
                                      .group = "merge",
                                      .summary = "add",
                                      .min_inputs = 2,
                                      .max_inputs = 64,
                                      .infer = infer_add,
                                      .cost = cost};
static const struct layer_type *const table[] = {&dense, &conv, &dropout, &gelu, &relu, &flatten, &add};

const struct layer_type *const *layer_types(int *count)
{
    *count = ARRAY_LEN(table);
    return table;
}

const struct layer_type *layer_type_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (!strcmp(table[i]->name, name))
            return table[i];
    return NULL;
}
