/* One function an ONNX operator (or several): the layers that a node becomes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/formats/onnx_importer.h"

/* The name that layers of this node get. */
static const char *label(const struct importer *im)
{
    return im->n->name[0] ? im->n->name : im->n->out_count ? im->n->out[0] : im->n->op;
}

static const struct shape *shape_of(const struct importer *im, int layer)
{
    return &im->t->values[layer].shape;
}

/* Input 0, which must come from a layer; -1 with err. */
static int need_layer(struct importer *im, int k)
{
    int layer = import_layer(im, k);
    return layer >= 0 ? layer : import_fail(im, "its input %d must depend on the model's input", k);
}

static void begin(struct importer *im, const char *type, int from)
{
    translation_begin(im->t, type, label(im));
    translation_from(im->t, from);
}

/* Add the layer under way; its value, or -1. */
static int add(struct importer *im)
{
    return translation_add(im->t, &im->err);
}

static int give(struct importer *im, int layer)
{
    if (layer < 0)
        return -1;
    import_give_layer(im, 0, layer);
    return 0;
}

static int set_weight(struct importer *im, const char *name, const struct constant *c)
{
    return translation_weight(im->t, name, constant_floats(c), c->count, &im->err);
}

/* The numbers of a list attribute, n of them, or fallback. -1 when it has another length. */
static int get_list(struct importer *im, const char *name, int64_t *out, int n, int64_t fallback)
{
    const struct onnx_attribute *a = onnx_attribute(im->n, name);
    for (int i = 0; i < n; i++)
        out[i] = a && i < a->int_count ? a->ints[i] : fallback;
    return a && a->int_count != n
               ? import_fail(im, "%s has %d numbers, %d are expected", name, a->int_count, n)
               : 0;
}

struct window_of {
    int axes;
    int64_t strides[2], dilations[2], pads[4];
    bool same;
};

static int get_window(struct importer *im, int axes, struct window_of *w)
{
    const char *auto_pad = onnx_text(im->n, "auto_pad", "NOTSET");
    *w = (struct window_of){.axes = axes, .same = !strcmp(auto_pad, "SAME_UPPER")};
    if (strcmp(auto_pad, "NOTSET") && strcmp(auto_pad, "VALID") && !w->same)
        return import_fail(im, "auto_pad %.40s is not known", auto_pad);
    return get_list(im, "strides", w->strides, axes, 1) || get_list(im, "dilations", w->dilations, axes, 1) ||
                   get_list(im, "pads", w->pads, 2 * axes, 0)
               ? -1
               : 0;
}

static bool uneven(const struct window_of *w)
{
    for (int a = 0; a < w->axes; a++)
        if (!w->same && w->pads[a] != w->pads[w->axes + a])
            return true;
    return false;
}

/* Padding that differs between the sides is a layer of its own; what is left has none. */
static int pad_unevenly(struct importer *im, int from, struct window_of *w, double value)
{
    begin(im, "pad", from);
    for (int a = 0; a < w->axes; a++) {
        translation_set(im->t, "padding", 2 * (w->axes - 1 - a), (double)w->pads[a]);
        translation_set(im->t, "padding", 2 * (w->axes - 1 - a) + 1, (double)w->pads[w->axes + a]);
    }
    translation_set(im->t, "value", 0, value);
    memset(w->pads, 0, sizeof(w->pads));
    return add(im);
}

static void set_window(struct importer *im, const struct window_of *w, const char *size, const int64_t *sizes,
                       bool dilated)
{
    for (int a = 0; a < w->axes; a++) {
        translation_set(im->t, size, a, (double)sizes[a]);
        translation_set(im->t, "stride", a, (double)w->strides[a]);
        if (dilated)
            translation_set(im->t, "dilation", a, (double)w->dilations[a]);
        if (!w->same)
            translation_set(im->t, "padding", a, (double)w->pads[a]);
    }
    if (w->axes == 1 && !w->same)
        translation_set(im->t, "padding", 1, (double)w->pads[0]);
    if (w->same)
        translation_set_text(im->t, "padding", "same");
}

static int import_conv(struct importer *im)
{
    bool transposed = !strcmp(im->n->op, "ConvTranspose");
    struct constant *kernel = import_constant(im, 1), *bias = import_constant(im, 2);
    struct window_of w;
    int from = need_layer(im, 0);
    int64_t groups = onnx_int(im->n, "group", 1), more[2] = {0};
    if (from < 0)
        return -1;
    int axes = shape_of(im, from)->rank - 1;
    if (!kernel || (import_has(im, 2) && !bias))
        return import_fail(im, "its weights must be constants of the file");
    if ((axes != 1 && axes != 2) || kernel->rank != axes + 2)
        return import_fail(im, "convolutions along one or two axes are known, not along %d",
                           kernel->rank - 2);
    if (get_window(im, axes, &w) || (transposed && get_list(im, "output_padding", more, axes, 0)))
        return -1;
    if (transposed && (w.same || onnx_attribute(im->n, "output_shape")))
        return import_fail(im, "a ConvTranspose says its padding by pads and output_padding");
    if (uneven(&w)) {
        if (transposed)
            return import_fail(im, "padding that differs between the sides is not known here");
        if ((from = pad_unevenly(im, from, &w, 0)) < 0)
            return -1;
    }
    const char *type = transposed  ? axes == 1 ? "conv1d_transpose" : "conv2d_transpose"
                       : axes == 1 ? "conv1d"
                                   : "conv2d";
    begin(im, type, from);
    translation_set(im->t, "filters", 0, (double)(transposed ? kernel->dims[1] * groups : kernel->dims[0]));
    set_window(im, &w, "kernel", kernel->dims + 2, true);
    translation_set(im->t, "groups", 0, (double)groups);
    translation_set(im->t, "use_bias", 0, bias != NULL);
    for (int a = 0; transposed && a < axes; a++)
        translation_set(im->t, "output_padding", a, (double)more[a]);
    int layer = add(im);
    if (layer < 0 || set_weight(im, "kernel", kernel) || (bias && set_weight(im, "bias", bias)))
        return -1;
    return give(im, layer);
}

/* A dense layer. kernel: (inputs, units), or (units, inputs) when turned; bias may be NULL. */
static int add_dense(struct importer *im, int from, const struct constant *kernel, bool turned, double scale,
                     const struct constant *bias, double bias_scale)
{
    int64_t inputs = kernel->dims[turned ? 1 : 0], units = kernel->dims[turned ? 0 : 1];
    begin(im, "dense", from);
    translation_set(im->t, "units", 0, (double)units);
    translation_set(im->t, "use_bias", 0, bias != NULL);
    int layer = add(im);
    if (layer < 0)
        return -1;
    float *k = constant_floats(kernel), *plain = xcalloc((size_t)kernel->count + 1, sizeof(*plain));
    for (int64_t i = 0; i < inputs; i++)
        for (int64_t u = 0; u < units; u++)
            plain[i * units + u] = k[turned ? u * inputs + i : i * units + u] * (float)scale;
    free(k);
    if (translation_weight(im->t, "kernel", plain, kernel->count, &im->err))
        return -1;
    if (bias) {
        float *b = xcalloc((size_t)units + 1, sizeof(*b)), *given = constant_floats(bias);
        for (int64_t u = 0; u < units; u++) /* one number stands for all */
            b[u] = given[bias->count == 1 ? 0 : u] * (float)bias_scale;
        free(given);
        if (translation_weight(im->t, "bias", b, units, &im->err))
            return -1;
    }
    return layer;
}

static int import_gemm(struct importer *im)
{
    struct constant *kernel = import_constant(im, 1), *bias = import_constant(im, 2);
    bool turned = onnx_int(im->n, "transB", 0) != 0;
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    if (onnx_int(im->n, "transA", 0) || !kernel || kernel->rank != 2 || (import_has(im, 2) && !bias))
        return import_fail(im, "only a value times a constant matrix, plus a constant, is known");
    if (bias && bias->count != 1 && bias->count != kernel->dims[turned ? 0 : 1])
        return import_fail(im, "its constant has %lld numbers for %lld outputs", (long long)bias->count,
                           (long long)kernel->dims[turned ? 0 : 1]);
    return give(im, add_dense(im, from, kernel, turned, onnx_float(im->n, "alpha", 1), bias,
                              onnx_float(im->n, "beta", 1)));
}

/* The one node that reads the node's output; NULL when there is none, or several. */
static const struct onnx_node *only_reader(struct importer *im, const struct onnx_node *n, int *index)
{
    const struct onnx_slot *s = n->out_count ? import_slot(im, n->out[0]) : NULL;
    if (!s || s->uses != 1 || s->user < 0 || im->done[s->user])
        return NULL;
    *index = s->user;
    return &im->m.nodes[s->user];
}

/* The constant that an Add after this node adds, as PyTorch exports Linear of a sequence; NULL if there is none. */
static struct constant *bias_after(struct importer *im, int64_t units, const struct onnx_node **add_node)
{
    int index;
    const struct onnx_node *n = only_reader(im, im->n, &index), *self = im->n;
    if (!n || strcmp(n->op, "Add") || n->in_count != 2)
        return NULL;
    im->n = n;
    struct constant *c = import_constant(im, !strcmp(n->in[0], self->out[0]) ? 1 : 0);
    im->n = self;
    if (!c || c->rank != 1 || c->count != units)
        return NULL;
    im->done[index] = true;
    *add_node = n;
    return c;
}

static int import_matmul(struct importer *im)
{
    struct constant *kernel = import_constant(im, 1);
    const struct onnx_node *last = im->n;
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    if (!kernel || kernel->rank != 2)
        return import_fail(im, "only a value times a constant matrix is known; attention is not recognised");
    struct constant *bias = bias_after(im, kernel->dims[1], &last);
    int layer = add_dense(im, from, kernel, false, 1, bias, 1);
    im->n = last; /* the Add's output is the layer's */
    return give(im, layer);
}

static int import_batch_norm(struct importer *im)
{
    static const char *const names[] = {"gamma", "beta", "running_mean", "running_variance"};
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    begin(im, "batch_norm", from);
    translation_set(im->t, "epsilon", 0, onnx_float(im->n, "epsilon", 1e-5));
    translation_set(im->t, "momentum", 0, fmax(0, 1 - onnx_float(im->n, "momentum", 0.9)));
    int layer = add(im);
    for (int k = 0; layer >= 0 && k < 4; k++) {
        struct constant *c = import_constant(im, 1 + k);
        if (!c)
            return import_fail(im, "its input %d must be a constant of the file", 1 + k);
        if (set_weight(im, names[k], c))
            return -1;
    }
    return give(im, layer);
}

static int import_layer_norm(struct importer *im)
{
    struct constant *gamma = import_constant(im, 1), *beta = import_constant(im, 2);
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    int64_t axis = onnx_int(im->n, "axis", -1);
    if (axis != -1 && axis != shape_of(im, from)->rank)
        return import_fail(im, "normalisation over the last axis is known, not from axis %lld on",
                           (long long)axis);
    if (!gamma || (import_has(im, 2) && !beta))
        return import_fail(im, "its weights must be constants of the file");
    begin(im, "layer_norm", from);
    translation_set(im->t, "epsilon", 0, onnx_float(im->n, "epsilon", 1e-5));
    int layer = add(im);
    if (layer < 0 || set_weight(im, "gamma", gamma))
        return -1;
    if (beta ? set_weight(im, "beta", beta) : 0)
        return -1;
    return give(im, layer);
}

/* Operators that are one layer with at most one number. */
static int import_activation(struct importer *im)
{
    static const struct {
        const char *op, *type, *attribute, *param;
        double fallback;
    } rows[] = {{"Relu", "relu", NULL, NULL, 0},
                {"Sigmoid", "sigmoid", NULL, NULL, 0},
                {"Tanh", "tanh", NULL, NULL, 0},
                {"HardSwish", "hard_swish", NULL, NULL, 0},
                {"LeakyRelu", "leaky_relu", "alpha", "negative_slope", 0.01},
                {"Elu", "elu", "alpha", "alpha", 1}};
    int from = need_layer(im, 0);
    for (size_t i = 0; from >= 0 && i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].op, im->n->op))
            continue;
        begin(im, rows[i].type, from);
        if (rows[i].param)
            translation_set(im->t, rows[i].param, 0, onnx_float(im->n, rows[i].attribute, rows[i].fallback));
        return give(im, add(im));
    }
    return -1;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-4;
}

static int import_hard_sigmoid(struct importer *im)
{
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    if (!near(onnx_float(im->n, "alpha", 0.2), 1.0 / 6) || !near(onnx_float(im->n, "beta", 0.5), 0.5))
        return import_fail(im, "only alpha 1/6 and beta 1/2 are known");
    begin(im, "hard_sigmoid", from);
    return give(im, add(im));
}

static int import_gelu(struct importer *im)
{
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    begin(im, "gelu", from);
    translation_set_text(im->t, "approximate", onnx_text(im->n, "approximate", "none"));
    return give(im, add(im));
}

static int import_clip(struct importer *im)
{
    struct constant *low = import_constant(im, 1), *high = import_constant(im, 2);
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    double from_ =
        low ? (low->real && low->count ? (double)low->f[0] : 0) : onnx_float(im->n, "min", -INFINITY);
    double to =
        high ? (high->real && high->count ? (double)high->f[0] : 0) : onnx_float(im->n, "max", INFINITY);
    if (!near(from_, 0) || !near(to, 6))
        return import_fail(im, "only the limits 0 and 6 (ReLU6) are known");
    begin(im, "relu6", from);
    return give(im, add(im));
}

static int import_softmax(struct importer *im)
{
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    int64_t rank = shape_of(im, from)->rank + 1, axis = onnx_int(im->n, "axis", im->m.opset < 13 ? 1 : -1);
    if (axis != -1 && axis != rank - 1)
        return import_fail(im, "softmax over the last axis is known, not over axis %lld", (long long)axis);
    begin(im, "softmax", from);
    return give(im, add(im));
}

static int import_pool(struct importer *im)
{
    bool max = !strcmp(im->n->op, "MaxPool");
    int from = need_layer(im, 0);
    struct window_of w;
    int64_t size[2];
    if (from < 0)
        return -1;
    int axes = shape_of(im, from)->rank - 1;
    if (axes != 1 && axes != 2)
        return import_fail(im, "pooling along one or two axes is known, not along %d", axes);
    if (get_window(im, axes, &w) || get_list(im, "kernel_shape", size, axes, 1))
        return -1;
    for (int a = 0; a < axes; a++) {
        int64_t in = shape_of(im, from)->dim[1 + a] + w.pads[a] + w.pads[axes + a] - size[a];
        if (w.dilations[a] != 1 || w.strides[a] < 1)
            return import_fail(im, "pooling with dilation is not known");
        if (onnx_int(im->n, "ceil_mode", 0) && in % w.strides[a]) /* where it does nothing it may stay */
            return import_fail(im, "ceil_mode, where it makes a window reach over the edge, is not known");
    }
    if (uneven(&w)) {
        if (max || !onnx_int(im->n, "count_include_pad", 0))
            return import_fail(im, "padding that differs between the sides is not known here");
        if ((from = pad_unevenly(im, from, &w, 0)) < 0)
            return -1;
    }
    begin(im, max ? axes == 1 ? "max_pool1d" : "max_pool2d" : axes == 1 ? "avg_pool1d" : "avg_pool2d", from);
    set_window(im, &w, "pool", size, false);
    if (!max)
        translation_set(im->t, "count_include_pad", 0, (double)onnx_int(im->n, "count_include_pad", 0));
    return give(im, add(im));
}

static int add_global_pool(struct importer *im, bool max, bool keepdims)
{
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    begin(im, max ? "global_max_pool" : "global_avg_pool", from);
    translation_set(im->t, "keepdims", 0, keepdims);
    return give(im, add(im));
}

static int import_global_pool(struct importer *im)
{
    return add_global_pool(im, !strcmp(im->n->op, "GlobalMaxPool"), true);
}

/* The mean, or the largest, over all positions of an image or a sequence, as many models pool. */
static int import_reduce(struct importer *im)
{
    const struct onnx_attribute *a = onnx_attribute(im->n, "axes");
    struct constant *c = import_constant(im, 1);
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    int rank = shape_of(im, from)->rank + 1, count = a ? a->int_count : c ? (int)c->count : 0;
    bool taken[ONNX_MAX_RANK + 1] = {false};
    for (int i = 0; i < count && i < rank; i++) {
        int64_t axis = a ? a->ints[i] : constant_int(c, i);
        axis = axis < 0 ? axis + rank : axis;
        if (axis < 2 || axis >= rank)
            return import_fail(im, "only what lies after the batch and the channels is reduced");
        taken[axis] = true;
    }
    for (int i = 2; i < rank; i++)
        if (!taken[i])
            return import_fail(im, "only all axes after the channels together are reduced");
    return rank < 3
               ? import_fail(im, "there is no axis after the channels")
               : add_global_pool(im, !strcmp(im->n->op, "ReduceMax"), onnx_int(im->n, "keepdims", 1) != 0);
}

/* The layer in another shape; none is added when it has that shape. */
static int reshape_to(struct importer *im, int from, const int64_t *dims, int rank)
{
    const struct shape *s = shape_of(im, from);
    bool same = s->rank == rank;
    for (int i = 0; i < rank && same; i++)
        same = s->dim[i] == dims[i];
    if (same)
        return from;
    if (rank < 1 || rank > SHAPE_MAX_RANK)
        return import_fail(im, "a shape has 1 to %d dimensions beside the batch, not %d", SHAPE_MAX_RANK,
                           rank);
    begin(im, rank == 1 ? "flatten" : "reshape", from);
    for (int i = 0; rank > 1 && i < rank; i++)
        translation_set(im->t, "shape", i, (double)dims[i]);
    return add(im);
}

static int import_flatten(struct importer *im)
{
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    if (onnx_int(im->n, "axis", 1) != 1)
        return import_fail(im, "only flattening from axis 1 on leaves the batch alone");
    int64_t all = shape_elements(shape_of(im, from));
    return give(im, reshape_to(im, from, &all, 1));
}

static int import_reshape(struct importer *im)
{
    struct constant *c = import_constant(im, 1);
    int from = need_layer(im, 0), open = -1;
    if (from < 0)
        return -1;
    const struct shape *s = shape_of(im, from);
    int64_t dims[SHAPE_MAX_RANK + 1], known = 1, all = shape_elements(s);
    if (!c || c->count < 2 || c->count > SHAPE_MAX_RANK + 1)
        return import_fail(im, "the shape must be known, with a batch and 1 to %d dimensions",
                           SHAPE_MAX_RANK);
    if (__builtin_mul_overflow(all, im->batch, &all))
        return import_fail(im, "the value is too large");
    for (int i = 0; i < c->count; i++) {
        dims[i] = constant_int(c, i);
        if (dims[i] == 0 && i <= s->rank)
            dims[i] = i ? s->dim[i - 1] : im->batch;
        if (dims[i] == -1 && open < 0)
            open = i;
        else if (dims[i] < 1 || __builtin_mul_overflow(known, dims[i], &known))
            return import_fail(im, "the shape has a dimension of %lld", (long long)dims[i]);
    }
    if (open >= 0)
        dims[open] = all / known;
    if (dims[0] != im->batch)
        return import_fail(im, "it mixes the batch with other dimensions (the first becomes %lld)",
                           (long long)dims[0]);
    if (open >= 0 ? all % known != 0 : all != known)
        return import_fail(im, "the value does not fill the shape");
    return give(im, reshape_to(im, from, dims + 1, (int)c->count - 1));
}

static int import_squeeze(struct importer *im)
{
    bool more = !strcmp(im->n->op, "Unsqueeze");
    const struct onnx_attribute *a = onnx_attribute(im->n, "axes");
    struct constant *c = import_constant(im, 1);
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    const struct shape *s = shape_of(im, from);
    int count = a   ? a->int_count
                : c ? (int)c->count
                    : -1,
        rank = s->rank + 1 + (more ? count : 0), n = 0, next = 0;
    bool chosen[2 * ONNX_MAX_RANK] = {false};
    int64_t dims[2 * ONNX_MAX_RANK];
    if (count < 1 || count > SHAPE_MAX_RANK || rank > SHAPE_MAX_RANK + 1)
        return import_fail(im, "its axes must be given");
    for (int i = 0; i < count; i++) {
        int64_t axis = a ? a->ints[i] : constant_int(c, i);
        axis = axis < 0 ? axis + rank : axis;
        if (axis < 1 || axis >= rank || (!more && s->dim[axis - 1] != 1))
            return import_fail(im, "axis %lld cannot be %s", (long long)axis,
                               more ? "added: the batch is first" : "taken away");
        chosen[axis] = true;
    }
    for (int i = 1; i < rank; i++) {
        if (more)
            dims[n++] = chosen[i] ? 1 : s->dim[next++];
        else if (!chosen[i])
            dims[n++] = s->dim[i - 1];
    }
    return give(im, reshape_to(im, from, dims, n));
}

static int import_transpose(struct importer *im)
{
    int from = need_layer(im, 0);
    int64_t perm[SHAPE_MAX_RANK + 1];
    if (from < 0)
        return -1;
    int rank = shape_of(im, from)->rank + 1;
    if (!onnx_attribute(im->n, "perm") || get_list(im, "perm", perm, rank, 0) || perm[0] != 0)
        return import_fail(im, "the batch must stay first");
    begin(im, "permute", from);
    for (int i = 1; i < rank; i++)
        translation_set(im->t, "dims", i - 1, (double)(perm[i] - 1));
    return give(im, add(im));
}

/* ONNX's axis of a value as ours, without the batch; -1 with err. */
static int axis_of(struct importer *im, int layer, int64_t axis)
{
    int rank = shape_of(im, layer)->rank + 1;
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 1 && axis < rank
               ? (int)axis - 1
               : import_fail(im, "axis %lld is the batch, or outside the value", (long long)axis);
}

static int import_concat(struct importer *im)
{
    int first = need_layer(im, 0);
    int axis = first < 0 ? -1 : axis_of(im, first, onnx_int(im->n, "axis", 0));
    if (axis < 0)
        return -1;
    begin(im, "concat", first);
    translation_set(im->t, "axis", 0, axis);
    for (int k = 1; k < im->n->in_count; k++) {
        int layer = need_layer(im, k);
        if (layer < 0)
            return -1;
        translation_from(im->t, layer);
    }
    return give(im, add(im));
}

static double within(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < -INT32_MAX ? -INT32_MAX : (double)v;
}

static int add_slice(struct importer *im, int from, int axis, int64_t start, int64_t end, int64_t step)
{
    begin(im, "slice", from);
    translation_set(im->t, "axis", 0, axis);
    translation_set(im->t, "start", 0, within(start));
    if (end < INT32_MAX)
        translation_set(im->t, "end", 0, within(end));
    translation_set(im->t, "step", 0, within(step));
    return add(im);
}

static int import_slice(struct importer *im)
{
    const struct onnx_attribute *lists[3] = {onnx_attribute(im->n, "starts"), onnx_attribute(im->n, "ends"),
                                             onnx_attribute(im->n, "axes")};
    struct constant *given[4] = {import_constant(im, 1), import_constant(im, 2), import_constant(im, 3),
                                 import_constant(im, 4)};
    int layer = need_layer(im, 0);
    if (layer < 0)
        return -1;
    int64_t count = given[0] ? given[0]->count : lists[0] ? lists[0]->int_count : 0;
    for (int i = 0; i < 4; i++)
        if (given[i] ? given[i]->count != count : i < 3 && lists[i] && lists[i]->int_count != count)
            return import_fail(im, "its lists have different lengths");
    if (count < 1 || count > SHAPE_MAX_RANK || !(given[1] || lists[1]) || !(given[2] || lists[2]))
        return import_fail(im, "its starts, ends and axes must be known");
    for (int i = 0; i < count && layer >= 0; i++) {
        int axis = axis_of(im, layer, given[2] ? constant_int(given[2], i) : lists[2]->ints[i]);
        if (axis < 0)
            return -1;
        layer = add_slice(im, layer, axis, given[0] ? constant_int(given[0], i) : lists[0]->ints[i],
                          given[1] ? constant_int(given[1], i) : lists[1]->ints[i],
                          given[3] ? constant_int(given[3], i) : 1);
    }
    return give(im, layer);
}

static int import_split(struct importer *im)
{
    const struct onnx_attribute *a = onnx_attribute(im->n, "split");
    struct constant *c = import_constant(im, 1);
    int from = need_layer(im, 0);
    int axis = from < 0 ? -1 : axis_of(im, from, onnx_int(im->n, "axis", 0));
    if (axis < 0)
        return -1;
    int64_t size = shape_of(im, from)->dim[axis], at = 0, parts = im->n->out_count;
    if ((a && a->int_count != parts) || (c && c->count != parts) || parts < 1)
        return import_fail(im, "it has %lld outputs and another number of sizes", (long long)parts);
    for (int k = 0; k < parts; k++) {
        int64_t n = a ? a->ints[k] : c ? constant_int(c, k) : (size + parts - 1) / parts;
        if (n < 0 || n > size - at)
            return import_fail(im, "its parts are more than the %lld there are", (long long)size);
        int layer = add_slice(im, from, axis, at, at + n, 1);
        if (layer < 0)
            return -1;
        import_give_layer(im, k, layer);
        at += n;
    }
    return 0;
}

static int import_pad(struct importer *im)
{
    const struct onnx_attribute *a = onnx_attribute(im->n, "pads");
    struct constant *c = import_constant(im, 1), *value = import_constant(im, 2);
    const char *mode = onnx_text(im->n, "mode", "constant");
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    int rank = shape_of(im, from)->rank + 1, last = 1;
    int64_t pads[2 * (SHAPE_MAX_RANK + 1)];
    if ((a ? a->int_count : c ? c->count : 0) != 2 * rank || import_has(im, 3))
        return import_fail(im, "it must say known padding for all %d axes", rank);
    for (int i = 0; i < 2 * rank; i++)
        pads[i] = a ? a->ints[i] : constant_int(c, i);
    if (pads[0] || pads[rank])
        return import_fail(im, "the batch cannot be padded");
    for (int i = rank - 1; i > 0; i--)
        if (pads[i] || pads[rank + i])
            last = rank - i;
    if (2 * last > SHAPE_MAX_RANK)
        return import_fail(im, "at most the last %d axes can be padded", SHAPE_MAX_RANK / 2);
    begin(im, "pad", from);
    for (int i = 0; i < last; i++) {
        translation_set(im->t, "padding", 2 * i, (double)pads[rank - 1 - i]);
        translation_set(im->t, "padding", 2 * i + 1, (double)pads[2 * rank - 1 - i]);
    }
    translation_set_text(im->t, "mode", !strcmp(mode, "edge") ? "replicate" : mode);
    if (value && value->real && value->count == 1)
        translation_set(im->t, "value", 0, (double)value->f[0]);
    return give(im, add(im));
}

static int import_resize(struct importer *im)
{
    struct constant *scales = import_constant(im, im->n->in_count > 2 ? 2 : 1),
                    *sizes = import_constant(im, 3);
    const char *mode = onnx_text(im->n, "mode", "nearest");
    const char *where =
        onnx_text(im->n, "coordinate_transformation_mode", im->m.opset < 11 ? "asymmetric" : "half_pixel");
    bool nearest = !strcmp(mode, "nearest");
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    const struct shape *s = shape_of(im, from);
    const struct constant *known = sizes ? sizes : scales;
    if (!known || known->count != s->rank + 1 || s->rank < 2 || s->rank > 3)
        return import_fail(im, "its scales or sizes must be known");
    if (nearest
            ? strcmp(where, "asymmetric") || strcmp(onnx_text(im->n, "nearest_mode", "floor"), "floor")
            : strcmp(mode, "linear") || (strcmp(where, "half_pixel") && strcmp(where, "pytorch_half_pixel")))
        return import_fail(im, "mode %.20s with %.40s is not known", mode, where);
    begin(im, "upsample", from);
    for (int a = 0; a <= s->rank; a++) {
        int64_t now = a ? s->dim[a - 1] : im->batch;
        double factor = sizes          ? (double)constant_int(sizes, a) / (double)now
                        : scales->real ? (double)scales->f[a]
                                       : (double)scales->i[a];
        if (a < 2 && factor != 1)
            return import_fail(im, "only images and sequences grow, not their channels");
        if (a >= 2)
            translation_set(im->t, "scale_factor", s->rank == 2 ? 1 : a - 2, factor);
        if (a >= 2 && factor != floor(factor))
            return import_fail(im, "only whole factors are known, not %g", factor);
    }
    translation_set_text(im->t, "mode", nearest ? "nearest" : "bilinear");
    return give(im, add(im));
}

static int import_identity(struct importer *im)
{
    int layer = need_layer(im, 0);
    return layer < 0 ? -1 : give(im, layer);
}

/* Numbers of another kind: bytes to float32 is a rescale by 1; float32 stays. */
static int import_cast(struct importer *im)
{
    int layer = need_layer(im, 0);
    if (layer < 0)
        return -1;
    if (onnx_int(im->n, "to", 1) != 1)
        return import_fail(im, "only a cast to float32 is known");
    if (im->t->values[layer].dtype != DTYPE_F32) {
        begin(im, "rescale", layer);
        layer = add(im);
    }
    return give(im, layer);
}

/* x scale + offset, with one number. */
static int import_affine(struct importer *im, int layer, const struct constant *c, bool first)
{
    double v = c->real ? (double)c->f[0] : (double)c->i[0];
    const char *op = im->n->op;
    double scale = !strcmp(op, "Mul") ? v : !strcmp(op, "Div") ? 1 / v : 1, offset = 0;
    if (!strcmp(op, "Div") && first)
        return import_fail(im, "a constant divided by a value is not known");
    if (!strcmp(op, "Add"))
        offset = v;
    if (!strcmp(op, "Sub")) {
        offset = first ? v : -v;
        scale = first ? -1 : 1;
    }
    begin(im, "rescale", layer);
    translation_set(im->t, "scale", 0, scale);
    translation_set(im->t, "offset", 0, offset);
    return give(im, add(im));
}

static int import_arithmetic(struct importer *im)
{
    struct constant *a = import_constant(im, 0), *b = import_constant(im, 1);
    bool add_op = !strcmp(im->n->op, "Add") || !strcmp(im->n->op, "Sum"),
         multiply = !strcmp(im->n->op, "Mul");
    if ((a || b) && im->n->in_count == 2) {
        const struct constant *c = a ? a : b;
        int layer = need_layer(im, a ? 1 : 0);
        if (layer < 0)
            return -1;
        return c->count == 1
                   ? import_affine(im, layer, c, a != NULL)
                   : import_fail(im, "a value combined with a constant of %lld numbers is not known",
                                 (long long)c->count);
    }
    if (!add_op && !multiply)
        return import_fail(im, "between two values only Add and Mul are known");
    int first = need_layer(im, 0);
    if (first < 0)
        return -1;
    begin(im, add_op ? "add" : "multiply", first);
    for (int k = 1; k < im->n->in_count; k++) {
        int layer = need_layer(im, k);
        if (layer < 0)
            return -1;
        translation_from(im->t, layer);
    }
    return give(im, add(im));
}

/* The other input of a node of two, if it is a constant of this one number. */
static bool has_number(struct importer *im, const struct onnx_node *n, double v)
{
    const struct onnx_node *self = im->n;
    bool found = false;
    im->n = n;
    for (int k = 0; k < 2 && n->in_count == 2 && !found; k++) {
        const struct constant *c = import_constant(im, k);
        found = c && c->real && c->count == 1 && near((double)c->f[0], v);
    }
    im->n = self;
    return found;
}

static bool reads(const struct onnx_node *n, const char *value)
{
    return n->in_count == 2 && (!strcmp(n->in[0], value) || !strcmp(n->in[1], value));
}

/* x / sqrt 2 -> Erf -> + 1 -> * x -> * 1/2 is how PyTorch exports GELU: one layer. Otherwise plain arithmetic. */
static int import_div(struct importer *im)
{
    static const char *const chain[] = {"Erf", "Add", "Mul", "Mul"};
    const struct onnx_node *at = im->n, *nodes[4];
    int index[4];
    bool gelu = import_layer(im, 0) >= 0 && has_number(im, im->n, M_SQRT2);
    for (int i = 0; i < 4 && gelu; i++) {
        nodes[i] = at = only_reader(im, at, &index[i]);
        gelu = at && !strcmp(at->op, chain[i]);
    }
    if (!gelu || !has_number(im, nodes[1], 1) || !reads(nodes[2], im->n->in[0]) ||
        !has_number(im, nodes[3], 0.5))
        return import_arithmetic(im);
    for (int i = 0; i < 4; i++)
        im->done[index[i]] = true;
    begin(im, "gelu", import_layer(im, 0));
    int layer = add(im);
    im->n = nodes[3];
    return give(im, layer);
}

static int import_dropout(struct importer *im)
{
    struct constant *ratio = import_constant(im, 1);
    int from = need_layer(im, 0);
    if (from < 0)
        return -1;
    begin(im, "dropout", from);
    translation_set(im->t, "rate", 0,
                    ratio && ratio->real && ratio->count == 1 ? (double)ratio->f[0]
                                                              : onnx_float(im->n, "ratio", 0.5));
    return give(im, add(im));
}

static const struct {
    const char *op;
    int (*import)(struct importer *im);
} operators[] = {
    {"Conv", import_conv},
    {"ConvTranspose", import_conv},
    {"Gemm", import_gemm},
    {"MatMul", import_matmul},
    {"BatchNormalization", import_batch_norm},
    {"LayerNormalization", import_layer_norm},
    {"Relu", import_activation},
    {"Sigmoid", import_activation},
    {"Tanh", import_activation},
    {"HardSwish", import_activation},
    {"LeakyRelu", import_activation},
    {"Elu", import_activation},
    {"HardSigmoid", import_hard_sigmoid},
    {"Gelu", import_gelu},
    {"Clip", import_clip},
    {"Softmax", import_softmax},
    {"MaxPool", import_pool},
    {"AveragePool", import_pool},
    {"GlobalAveragePool", import_global_pool},
    {"GlobalMaxPool", import_global_pool},
    {"ReduceMean", import_reduce},
    {"ReduceMax", import_reduce},
    {"Flatten", import_flatten},
    {"Reshape", import_reshape},
    {"Squeeze", import_squeeze},
    {"Unsqueeze", import_squeeze},
    {"Transpose", import_transpose},
    {"Concat", import_concat},
    {"Slice", import_slice},
    {"Split", import_split},
    {"Pad", import_pad},
    {"Resize", import_resize},
    {"Upsample", import_resize},
    {"Identity", import_identity},
    {"Cast", import_cast},
    {"Add", import_arithmetic},
    {"Sum", import_arithmetic},
    {"Sub", import_arithmetic},
    {"Mul", import_arithmetic},
    {"Div", import_div},
    {"Dropout", import_dropout},
};

int onnx_import_node(struct importer *im)
{
    if (im->n->domain[0] && strcmp(im->n->domain, "ai.onnx"))
        return import_fail(im, "operators of %.60s are not known", im->n->domain);
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (!strcmp(operators[i].op, im->n->op))
            return operators[i].import(im);
    return import_fail(im, "this operator is not known");
}
