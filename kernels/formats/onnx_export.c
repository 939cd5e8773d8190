/* One function a layer type; what has none cannot be exported. Values are named after the layers, what lies between two nodes of one
 * layer "<layer>:<what>". */
#include "kernels/formats/onnx_export.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/formats/onnx_fields.h"
#include "kernels/formats/onnx_write.h"
#include "kernels/formats/protobuf.h"
#include "kernels/ops/conv.h"
#include "kernels/ops/pool.h"

enum { MAX_TEMPS = 40 };

struct writer {
    const struct onnx_export *x;
    struct buf graph;
    const struct layer_node *n; /* the layer under way */
    char *temps[MAX_TEMPS];
    int temp_count;
    struct err *err;
};

/* A name "<layer>:<what>", valid until the layer is done. */
static const char *temp(struct writer *w, const char *what)
{
    if (w->temp_count == MAX_TEMPS)
        abort(); /* a bug of ours: no layer has so many */
    return w->temps[w->temp_count++] = xasprintf("%s:%s", w->n->name, what);
}

static void free_temps(struct writer *w)
{
    while (w->temp_count > 0)
        free(w->temps[--w->temp_count]);
}

static const char *value_of(struct writer *w, int node)
{
    const struct layer_node *n = &w->x->graph->nodes[node];
    if (!n->type && w->x->column_count > 0) {
        if (w->temp_count == MAX_TEMPS)
            abort();
        return w->temps[w->temp_count++] = xasprintf("%s:standardised", n->name);
    }
    return n->name;
}

static const char *input(struct writer *w, int i)
{
    return value_of(w, w->n->inputs[i]);
}

static const struct tensor_entry *find_weight(const struct writer *w, const char *name)
{
    for (size_t i = 0; i < w->x->weight_count; i++)
        if (!strcmp(w->x->weights[i].name, name))
            return &w->x->weights[i];
    return NULL;
}

/* Weight k of the layer as an initializer; its name. NULL and err when it is not there or has another shape. */
static const char *weight(struct writer *w, int k)
{
    const struct weight_def *def = &w->n->weights[k];
    char *name = xasprintf("%s.%s", w->n->name, def->name);
    const struct tensor_entry *t = find_weight(w, name);
    w->temps[w->temp_count++] = name;
    if (!t || t->dtype != DTYPE_F32 || !shape_equal(&t->shape, &def->shape)) {
        char want[96];
        shape_format(&def->shape, want, sizeof(want));
        err_set(w->err, ERR_UNPROCESSABLE,
                "the weights hold no float32 %s of shape %s: they are of another model", name, want);
        return NULL;
    }
    onnx_put_floats(&w->graph, name, t->shape.dim, t->shape.rank, t->data, t->bytes / sizeof(float));
    return name;
}

static const char *ints(struct writer *w, const char *what, const int64_t *v, int n)
{
    const char *name = temp(w, what);
    onnx_put_ints(&w->graph, name, v, n);
    return name;
}

static const char *scalar(struct writer *w, const char *what, double v)
{
    const char *name = temp(w, what);
    onnx_put_scalar(&w->graph, name, v);
    return name;
}

/* One node of one or two inputs (b may be NULL). */
static const char *emit(struct writer *w, const char *type, const char *out, const char *a, const char *b)
{
    struct onnx_op op;
    onnx_op_begin(&op, type, out, out);
    onnx_op_input(&op, a);
    if (b)
        onnx_op_input(&op, b);
    onnx_op_end(&op, &w->graph);
    return out;
}

/* The layer's one node, to be filled and ended. */
static void begin(struct writer *w, struct onnx_op *op, const char *type)
{
    onnx_op_begin(op, type, w->n->name, w->n->name);
    for (int i = 0; i < w->n->input_count; i++)
        onnx_op_input(op, input(w, i));
}

static int end(struct writer *w, struct onnx_op *op)
{
    onnx_op_end(op, &w->graph);
    return 0;
}

static int write_dense(struct writer *w)
{
    const char *kernel = weight(w, 0), *bias = w->n->weight_count > 1 ? weight(w, 1) : NULL;
    if (!kernel || (w->n->weight_count > 1 && !bias))
        return -1;
    if (!bias) {
        emit(w, "MatMul", w->n->name, input(w, 0), kernel);
    } else if (w->n->in_shapes[0].rank > 1) {
        const char *product = emit(w, "MatMul", temp(w, "product"), input(w, 0), kernel);
        emit(w, "Add", w->n->name, product, bias);
    } else {
        struct onnx_op op;
        begin(w, &op, "Gemm");
        onnx_op_input(&op, kernel);
        onnx_op_input(&op, bias);
        return end(w, &op);
    }
    return 0;
}

/* Attributes of a window along the last `axes` axes. */
static void put_window(struct onnx_op *op, const struct window *window, int axes, bool dilated)
{
    int64_t kernel[2], strides[2], dilations[2], pads[4];
    for (int a = 0; a < axes; a++) {
        const struct window *w = &window[2 - axes + a];
        kernel[a] = w->size;
        strides[a] = w->stride;
        dilations[a] = w->dilation;
        pads[a] = w->pad_before;
        pads[axes + a] = w->pad_after;
    }
    onnx_op_ints(op, "kernel_shape", kernel, axes);
    onnx_op_ints(op, "strides", strides, axes);
    onnx_op_ints(op, "pads", pads, 2 * axes);
    if (dilated)
        onnx_op_ints(op, "dilations", dilations, axes);
}

/* What the output has beyond what stride, window and padding give: output_padding, or what "same" adds. */
static void put_output_padding(const struct layer_node *n, struct onnx_op *op, const struct conv *c)
{
    int64_t more[2] = {0};
    for (int a = 0; a < c->axes; a++) {
        const struct window *w = &c->window[2 - c->axes + a];
        more[a] = n->shape.dim[1 + a] -
                  ((w->out - 1) * w->stride + (w->size - 1) * w->dilation + 1 - w->pad_before - w->pad_after);
    }
    onnx_op_ints(op, "output_padding", more, c->axes);
}

static int write_conv(struct writer *w)
{
    struct onnx_op op;
    struct conv c = conv_of(w->n);
    const char *kernel = weight(w, 0), *bias = c.bias && kernel ? weight(w, 1) : NULL;
    if (!kernel || (c.bias && !bias))
        return -1;
    begin(w, &op, c.transposed ? "ConvTranspose" : "Conv");
    onnx_op_input(&op, kernel);
    if (bias)
        onnx_op_input(&op, bias);
    put_window(&op, c.window, c.axes, true);
    if (c.transposed)
        put_output_padding(w->n, &op, &c);
    onnx_op_int(&op, "group", c.groups);
    return end(w, &op);
}

static int write_pool(struct writer *w)
{
    struct onnx_op op;
    struct pool p = pool_of(w->n);
    begin(w, &op, p.max ? "MaxPool" : "AveragePool");
    put_window(&op, p.window, w->n->in_shapes[0].rank - 1, false);
    if (!p.max)
        onnx_op_int(&op, "count_include_pad", p.count_padding);
    return end(w, &op);
}

/* Global pooling takes away every axis after the channels, or leaves them as ones. */
static int write_global_pool(struct writer *w)
{
    struct onnx_op op;
    int64_t axes[SHAPE_MAX_RANK];
    int count = w->n->in_shapes[0].rank - 1;
    for (int a = 0; a < count; a++)
        axes[a] = 2 + a;
    begin(w, &op, strcmp(w->n->type->name, "global_max_pool") ? "ReduceMean" : "ReduceMax");
    onnx_op_ints(&op, "axes", axes, count);
    onnx_op_int(&op, "keepdims", layer_param(w->n, "keepdims", 0) != 0);
    return end(w, &op);
}

/* A constant of `channels` times v. */
static const char *fill(struct writer *w, const char *what, int64_t channels, float v)
{
    const char *name = temp(w, what);
    float *values = xcalloc((size_t)channels, sizeof(*values));
    for (int64_t i = 0; i < channels; i++)
        values[i] = v;
    onnx_put_floats(&w->graph, name, &channels, 1, values, (size_t)channels);
    free(values);
    return name;
}

/* Weight k, a number a channel, as (channels, 1, 1) to suit an image. */
static const char *channel_weight(struct writer *w, int k, const char *what)
{
    int64_t shape[SHAPE_MAX_RANK];
    const char *flat = weight(w, k);
    if (!flat)
        return NULL;
    for (int a = 0; a < w->n->shape.rank; a++)
        shape[a] = a == 0 ? w->n->shape.dim[0] : 1;
    char *shape_name = xasprintf("%s.shape", what);
    const char *name = emit(w, "Reshape", temp(w, what), flat, ints(w, shape_name, shape, w->n->shape.rank));
    free(shape_name);
    return name;
}

/* Opset 17 has no group normalisation: the groups take the place of InstanceNormalization's channels. */
static int write_group_norm(struct writer *w)
{
    struct onnx_op op;
    bool instance = !strcmp(w->n->type->name, "instance_norm"), affine = w->n->weight_count > 0;
    int rank = w->n->shape.rank;
    int64_t groups = instance ? w->n->shape.dim[0] : (int64_t)layer_param(w->n, "groups", 0);
    int64_t grouped[3] = {0, groups, -1}, back[1 + SHAPE_MAX_RANK] = {0};
    for (int a = 0; a < rank; a++)
        back[1 + a] = w->n->shape.dim[a];
    const char *x = emit(w, "Reshape", temp(w, "groups"), input(w, 0), ints(w, "grouped", grouped, 3));
    const char *ones = fill(w, "ones", groups, 1), *zeros = fill(w, "zeros", groups, 0),
               *normal = temp(w, "normal");
    onnx_op_begin(&op, "InstanceNormalization", normal, normal);
    onnx_op_input(&op, x);
    onnx_op_input(&op, ones);
    onnx_op_input(&op, zeros);
    onnx_op_float(&op, "epsilon", layer_param(w->n, "epsilon", 0));
    end(w, &op);
    const char *shaped =
        emit(w, "Reshape", affine ? temp(w, "shaped") : w->n->name, normal, ints(w, "shape", back, 1 + rank));
    if (!affine)
        return 0;
    const char *gamma = channel_weight(w, 0, "gamma"), *beta = gamma ? channel_weight(w, 1, "beta") : NULL;
    if (!beta)
        return -1;
    emit(w, "Add", w->n->name, emit(w, "Mul", temp(w, "scaled"), shaped, gamma), beta);
    return 0;
}

static int write_flatten(struct writer *w)
{
    struct onnx_op op;
    begin(w, &op, "Flatten");
    onnx_op_int(&op, "axis", 1);
    return end(w, &op);
}

/* The activations that are one node without attributes. */
static int write_named(struct writer *w)
{
    static const char *const names[][2] = {{"relu", "Relu"},
                                           {"tanh", "Tanh"},
                                           {"sigmoid", "Sigmoid"},
                                           {"hard_swish", "HardSwish"},
                                           {"dropout", "Identity"}};
    struct onnx_op op;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(names[i][0], w->n->type->name)) {
            begin(w, &op, names[i][1]);
            return end(w, &op);
        }
    abort();
}

/* add and multiply take any number of inputs, Add and Mul two. */
static int write_merge(struct writer *w)
{
    const char *type = strcmp(w->n->type->name, "add") ? "Mul" : "Add", *sum = input(w, 0);
    int last = w->n->input_count - 1;
    if (last < 1) {
        emit(w, "Identity", w->n->name, sum, NULL);
        return 0;
    }
    for (int i = 1; i <= last; i++) {
        char *name = i == last ? xstrdup(w->n->name) : xasprintf("%s:%d", w->n->name, i),
             *before = xstrdup(sum);
        emit(w, type, name, before, input(w, i));
        free(before);
        free_temps(w); /* there may be more inputs than temps */
        sum = w->temps[w->temp_count++] = name;
    }
    return 0;
}

static int write_with_slope(struct writer *w)
{
    struct onnx_op op;
    bool leaky = !strcmp(w->n->type->name, "leaky_relu");
    begin(w, &op, leaky ? "LeakyRelu" : "Elu");
    onnx_op_float(&op, "alpha", layer_param(w->n, leaky ? "negative_slope" : "alpha", 0));
    return end(w, &op);
}

static int write_hard_sigmoid(struct writer *w)
{
    struct onnx_op op;
    begin(w, &op, "HardSigmoid");
    onnx_op_float(&op, "alpha", 1.0 / 6);
    onnx_op_float(&op, "beta", 0.5);
    return end(w, &op);
}

static int write_relu6(struct writer *w)
{
    struct onnx_op op;
    const char *low = scalar(w, "low", 0), *high = scalar(w, "high", 6);
    begin(w, &op, "Clip");
    onnx_op_input(&op, low);
    onnx_op_input(&op, high);
    return end(w, &op);
}

static int write_silu(struct writer *w)
{
    const char *gate = emit(w, "Sigmoid", temp(w, "gate"), input(w, 0), NULL);
    emit(w, "Mul", w->n->name, input(w, 0), gate);
    return 0;
}

/* x/2 (1 + erf(x / sqrt 2)), or with tanh(sqrt(2/pi) (x + 0.044715 x^3)): opset 17 has no Gelu. */
static int write_gelu(struct writer *w)
{
    const char *x = input(w, 0), *inner;
    if (!strcmp(layer_param_text(w->n, "approximate"), "tanh")) {
        const char *square = emit(w, "Mul", temp(w, "square"), x, x);
        const char *cube = emit(w, "Mul", temp(w, "cube"), square, x);
        const char *part = emit(w, "Mul", temp(w, "part"), cube, scalar(w, "c", 0.044715));
        const char *sum = emit(w, "Add", temp(w, "sum"), x, part);
        const char *scaled = emit(w, "Mul", temp(w, "scaled"), sum, scalar(w, "k", sqrt(2 / M_PI)));
        inner = emit(w, "Tanh", temp(w, "tanh"), scaled, NULL);
    } else {
        const char *scaled = emit(w, "Div", temp(w, "scaled"), x, scalar(w, "sqrt2", M_SQRT2));
        inner = emit(w, "Erf", temp(w, "erf"), scaled, NULL);
    }
    const char *gate = emit(w, "Add", temp(w, "gate"), inner, scalar(w, "one", 1));
    const char *both = emit(w, "Mul", temp(w, "both"), x, gate);
    emit(w, "Mul", w->n->name, both, scalar(w, "half", 0.5));
    return 0;
}

static int write_softmax(struct writer *w)
{
    struct onnx_op op;
    begin(w, &op, "Softmax");
    onnx_op_int(&op, "axis", -1);
    return end(w, &op);
}

static int write_norm(struct writer *w)
{
    struct onnx_op op;
    bool batch = !strcmp(w->n->type->name, "batch_norm");
    const char *names[4] = {NULL};
    for (int i = 0; i < w->n->weight_count && i < 4; i++)
        if (!(names[i] = weight(w, i)))
            return -1;
    begin(w, &op, batch ? "BatchNormalization" : "LayerNormalization");
    for (int i = 0; i < w->n->weight_count && i < 4; i++)
        onnx_op_input(&op, names[i]);
    onnx_op_float(&op, "epsilon", layer_param(w->n, "epsilon", 0));
    if (batch)
        onnx_op_float(&op, "momentum", 1 - layer_param(w->n, "momentum", 0));
    else
        onnx_op_int(&op, "axis", -1);
    return end(w, &op);
}

static int axis_with_batch(const struct writer *w)
{
    int axis = (int)layer_param(w->n, "axis", 0);
    return axis < 0 ? axis : axis + 1;
}

static int write_concat(struct writer *w)
{
    struct onnx_op op;
    begin(w, &op, "Concat");
    onnx_op_int(&op, "axis", axis_with_batch(w));
    return end(w, &op);
}

static int write_rescale(struct writer *w)
{
    const char *x = input(w, 0);
    if (w->n->in_dtypes[0] != DTYPE_F32) {
        struct onnx_op op;
        const char *cast = temp(w, "float");
        onnx_op_begin(&op, "Cast", cast, cast);
        onnx_op_input(&op, x);
        onnx_op_int(&op, "to", ONNX_FLOAT);
        x = cast;
        end(w, &op);
    }
    const char *scaled =
        emit(w, "Mul", temp(w, "scaled"), x, scalar(w, "scale", layer_param(w->n, "scale", 0)));
    emit(w, "Add", w->n->name, scaled, scalar(w, "offset", layer_param(w->n, "offset", 0)));
    return 0;
}

static int write_reshape(struct writer *w)
{
    int64_t shape[1 + SHAPE_MAX_RANK] = {0}; /* 0: the batch as it is */
    for (int i = 0; i < w->n->shape.rank; i++)
        shape[1 + i] = w->n->shape.dim[i];
    emit(w, "Reshape", w->n->name, input(w, 0), ints(w, "shape", shape, 1 + w->n->shape.rank));
    return 0;
}

static int write_permute(struct writer *w)
{
    struct onnx_op op;
    int64_t perm[1 + SHAPE_MAX_RANK] = {0};
    for (int i = 0; i < w->n->shape.rank; i++)
        perm[1 + i] = 1 + (int64_t)layer_param(w->n, "dims", i);
    begin(w, &op, "Transpose");
    onnx_op_ints(&op, "perm", perm, 1 + w->n->shape.rank);
    return end(w, &op);
}

static int write_slice(struct writer *w)
{
    struct onnx_op op;
    int64_t start = (int64_t)layer_param(w->n, "start", 0), stop = (int64_t)layer_param(w->n, "end", 0),
            axis = axis_with_batch(w), step = (int64_t)layer_param(w->n, "step", 0);
    const char *s = ints(w, "start", &start, 1), *e = ints(w, "end", &stop, 1),
               *a = ints(w, "axis", &axis, 1), *p = ints(w, "step", &step, 1);
    begin(w, &op, "Slice");
    onnx_op_input(&op, s);
    onnx_op_input(&op, e);
    onnx_op_input(&op, a);
    onnx_op_input(&op, p);
    return end(w, &op);
}

static int write_pad(struct writer *w)
{
    struct onnx_op op;
    int rank = w->n->in_shapes[0].rank, count = w->n->params[0].count;
    const char *mode = layer_param_text(w->n, "mode");
    int64_t pads[2 * (1 + SHAPE_MAX_RANK)] = {0};
    for (int a = 0; a < rank; a++) {
        int k = rank - 1 - a; /* PyTorch's order: pairs from the last axis on */
        bool one = count == 1 && (a > 0 || rank == 1);
        if (one || (count > 1 && 2 * k < count)) {
            pads[1 + a] = (int64_t)layer_param(w->n, "padding", one ? 0 : 2 * k);
            pads[2 + rank + a] = (int64_t)layer_param(w->n, "padding", one ? 0 : 2 * k + 1);
        }
    }
    const char *list = ints(w, "pads", pads, 2 * (1 + rank)),
               *value = scalar(w, "value", layer_param(w->n, "value", 0));
    begin(w, &op, "Pad");
    onnx_op_input(&op, list);
    onnx_op_input(&op, value);
    onnx_op_text(&op, "mode", strcmp(mode, "replicate") ? mode : "edge");
    return end(w, &op);
}

static int write_upsample(struct writer *w)
{
    struct onnx_op op;
    int rank = w->n->in_shapes[0].rank;
    bool nearest = !strcmp(layer_param_text(w->n, "mode"), "nearest");
    float scales[4] = {1, 1, 1, 1};
    int64_t dims = 1 + rank;
    scales[rank] = (float)layer_param(w->n, "scale_factor", 1);
    if (rank == 3)
        scales[2] = (float)layer_param(w->n, "scale_factor", 0);
    const char *name = temp(w, "scales");
    onnx_put_floats(&w->graph, name, &dims, 1, scales, (size_t)dims);
    begin(w, &op, "Resize");
    onnx_op_input(&op, "");
    onnx_op_input(&op, name);
    onnx_op_text(&op, "mode", nearest ? "nearest" : "linear");
    onnx_op_text(&op, "coordinate_transformation_mode", nearest ? "asymmetric" : "half_pixel");
    if (nearest)
        onnx_op_text(&op, "nearest_mode", "floor");
    return end(w, &op);
}

static const struct exporter {
    const char *type;
    int (*write)(struct writer *w);
} exporters[] = {
    {"dense", write_dense},
    {"conv1d", write_conv},
    {"conv2d", write_conv},
    {"depthwise_conv2d", write_conv},
    {"conv1d_transpose", write_conv},
    {"conv2d_transpose", write_conv},
    {"max_pool1d", write_pool},
    {"max_pool2d", write_pool},
    {"avg_pool1d", write_pool},
    {"avg_pool2d", write_pool},
    {"global_max_pool", write_global_pool},
    {"global_avg_pool", write_global_pool},
    {"group_norm", write_group_norm},
    {"instance_norm", write_group_norm},
    {"flatten", write_flatten},
    {"relu", write_named},
    {"tanh", write_named},
    {"sigmoid", write_named},
    {"hard_swish", write_named},
    {"dropout", write_named},
    {"add", write_merge},
    {"multiply", write_merge},
    {"leaky_relu", write_with_slope},
    {"elu", write_with_slope},
    {"hard_sigmoid", write_hard_sigmoid},
    {"relu6", write_relu6},
    {"silu", write_silu},
    {"gelu", write_gelu},
    {"softmax", write_softmax},
    {"batch_norm", write_norm},
    {"layer_norm", write_norm},
    {"concat", write_concat},
    {"rescale", write_rescale},
    {"reshape", write_reshape},
    {"permute", write_permute},
    {"slice", write_slice},
    {"pad", write_pad},
    {"upsample", write_upsample},
};

static const struct exporter *exporter_of(const struct layer_node *n)
{
    for (size_t i = 0; i < ARRAY_LEN(exporters) && !n->type->kernel; i++)
        if (!strcmp(exporters[i].type, n->type->name))
            return &exporters[i];
    return NULL;
}

const struct layer_node *onnx_export_obstacle(const struct graph *g)
{
    for (int i = g->input_count; i < g->node_count; i++)
        if (!exporter_of(&g->nodes[i]))
            return &g->nodes[i];
    return NULL;
}

/* (x - mean) / std of a table's columns, before the first layer. */
static int standardise(struct writer *w, const struct layer_node *in)
{
    int64_t dim = w->x->column_count;
    if (w->x->graph->input_count != 1 || shape_elements(&in->shape) != dim || in->dtype != DTYPE_F32)
        return err_set(w->err, ERR_UNPROCESSABLE, "the model's input has not the dataset's %lld columns",
                       (long long)dim);
    w->n = in;
    const char *mean = temp(w, "mean"), *std = temp(w, "std");
    onnx_put_floats(&w->graph, mean, &dim, 1, w->x->column_mean, (size_t)dim);
    onnx_put_floats(&w->graph, std, &dim, 1, w->x->column_std, (size_t)dim);
    const char *centred = emit(w, "Sub", temp(w, "centred"), in->name, mean);
    emit(w, "Div", temp(w, "standardised"), centred, std);
    free_temps(w);
    return 0;
}

static int write_graph(struct writer *w)
{
    const struct graph *g = w->x->graph;
    for (int i = 0; i < g->input_count; i++)
        onnx_put_value(&w->graph, GRAPH_INPUT, g->nodes[i].name, &g->nodes[i].shape, g->nodes[i].dtype);
    if (w->x->column_count > 0 && standardise(w, &g->nodes[0]))
        return -1;
    for (int i = g->input_count; i < g->node_count; i++) {
        const struct exporter *e = exporter_of(&g->nodes[i]);
        if (!e)
            return err_set(w->err, ERR_UNPROCESSABLE, "ONNX cannot express layer %s, a %s", g->nodes[i].name,
                           g->nodes[i].type->name);
        w->n = &g->nodes[i];
        int rc = e->write(w);
        free_temps(w);
        if (rc)
            return -1;
    }
    for (int i = 0; i < g->output_count; i++)
        onnx_put_value(&w->graph, GRAPH_OUTPUT, g->nodes[g->outputs[i]].name, &g->nodes[g->outputs[i]].shape,
                       g->nodes[g->outputs[i]].dtype);
    pb_put_text(&w->graph, GRAPH_NAME, g->name && *g->name ? g->name : "model");
    return 0;
}

int onnx_export_write(const struct onnx_export *x, struct buf *out, struct err *err)
{
    struct writer w = {.x = x, .err = err};
    int rc = write_graph(&w);
    free_temps(&w);
    if (!rc && w.graph.len >= INT32_MAX)
        rc = err_set(err, ERR_UNPROCESSABLE, "the model has %zu bytes, and an ONNX file holds at most 2 GiB",
                     w.graph.len);
    if (!rc) {
        struct buf opset = {0};
        pb_put_varint(out, MODEL_IR_VERSION, 8);
        pb_put_text(out, MODEL_PRODUCER_NAME, "trainyard");
        pb_put_text(out, MODEL_PRODUCER_VERSION, x->producer_version);
        pb_put_text(&opset, OPSET_DOMAIN, "");
        pb_put_varint(&opset, OPSET_VERSION, ONNX_OPSET);
        pb_put_message(out, MODEL_OPSET, &opset);
        pb_put_message(out, MODEL_GRAPH, &w.graph);
    }
    buf_free(&w.graph);
    return rc;
}
