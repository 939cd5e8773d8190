/* layer_type: what a layer type is. Every type is ONE row: its name, its parameters with limits, its shape
 * rule, its weights, its cost, its documentation. The rows stand with their operation (ops/conv.c has
 * layer_conv2d); THE table of all rows is ops/layer_types.c. How a row computes is the backend's
 * (backend/backend.h): a backend has one op_impl per row name, the reference backend plain loops, cpu oneDNN
 * and OpenBLAS, cuda later the same slots.
 *
 * Shapes here are of one sample, without the batch dimension, channels first (C, H, W), as in model files.
 */
#ifndef KERNELS_SPEC_LAYER_TYPE_H
#define KERNELS_SPEC_LAYER_TYPE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define SHAPE_MAX_RANK    6
#define LAYER_MAX_INPUTS  64
#define LAYER_MAX_PARAMS  24
#define LAYER_MAX_WEIGHTS 12
#define PARAM_TEXT_MAX    24 /* of one choice, with its NUL */

enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_F64, DTYPE_U8, DTYPE_I32, DTYPE_I64, DTYPE_COUNT };
const char *dtype_name(enum dtype t); /* "float32" ... */
int dtype_parse(const char *name, enum dtype *out);
int dtype_size(enum dtype t); /* bytes */

struct shape {
    int rank;
    int64_t dim[SHAPE_MAX_RANK];
};
int64_t shape_elements(const struct shape *s); /* product; -1 on overflow past 2^47 */
bool shape_equal(const struct shape *a, const struct shape *b);
void shape_format(const struct shape *s, char *out, int n); /* "(1, 28, 28)" */

enum param_kind {
    PARAM_INT,  /* one integer */
    PARAM_REAL, /* one number */
    PARAM_BOOL,
    PARAM_CHOICE,  /* one of choices */
    PARAM_PAIR,    /* integer or [h, w] */
    PARAM_INTS,    /* array of integers, up to SHAPE_MAX_RANK */
    PARAM_PADDING, /* "valid", "same", integer or [h, w] */
};

struct param_def {
    const char *name;
    enum param_kind kind;
    bool required;
    double fallback;           /* default of INT, REAL, BOOL, PAIR (both) */
    const char *fallback_text; /* default of CHOICE, PADDING */
    double min, max;           /* inclusive, for every number */
    bool min_open, max_open;   /* exclusive instead */
    const char *choices;       /* "valid|same" */
    const char *help;          /* one sentence for the documentation and the console */
};

struct param_value {
    bool given; /* the file set it */
    double num[SHAPE_MAX_RANK];
    int count;                 /* numbers held */
    char text[PARAM_TEXT_MAX]; /* CHOICE, PADDING as text; "" otherwise */
};

enum init_kind {
    INIT_ZEROS,
    INIT_ONES,
    INIT_CONSTANT,
    INIT_NORMAL /* mean 0, std = scale */,
    INIT_UNIFORM /* -scale..scale */,
    INIT_GLOROT_UNIFORM,
    INIT_HE_UNIFORM /* by fan_in */,
    INIT_HE_NORMAL
};

/* A weight (trained) or a state (kept, not trained: running mean) of a layer. */
struct weight_def {
    const char *name; /* "kernel", "bias", "gamma", "running_mean": the full name is "<layer>.<name>" */
    struct shape shape;
    enum init_kind init;
    double scale;
    int64_t fan_in, fan_out;
    bool trainable;
    bool decay; /* weight decay applies (not to biases and norms) */
};

struct layer_cost {
    double forward_flops, backward_flops; /* of one sample; one multiply-add is 2 */
    double activation_bytes;              /* kept for the backward pass, one sample, float32 */
};

struct kernel_layer;

/* A layer in a checked graph. */
struct layer_node {
    char *name;                    /* "conv1"; inside a composite "block1/conv" */
    const struct layer_type *type; /* NULL for a graph input */
    char *pointer;                 /* JSON pointer of the layer in the user's file: "/layers/2" */
    int input_count;
    int inputs[LAYER_MAX_INPUTS]; /* indices into graph->nodes, always smaller than the own index */
    struct shape in_shapes[LAYER_MAX_INPUTS];
    enum dtype in_dtypes[LAYER_MAX_INPUTS];
    struct param_value params[LAYER_MAX_PARAMS]; /* as type->params */
    /* filled by type->infer */
    struct shape shape;
    enum dtype dtype;
    struct weight_def weights[LAYER_MAX_WEIGHTS];
    int weight_count;
};

struct layer_type {
    const char *name,
        *group; /* group: "core", "convolution", "pooling", "activation", "normalisation", "merge", "shape" */
    const char *summary, *formula, *source;
    int min_inputs, max_inputs;
    const struct param_def *params;
    int param_count;
    /* From in_shapes, in_dtypes and params: shape, dtype and weights. The err is one sentence that names the
     * expected and the actual shape: "dense expects a flat input (n), got (64, 12, 12): put a flatten layer
     * before it". */
    int (*infer)(struct layer_node *n, struct err *err);
    void (*cost)(const struct layer_node *n, struct layer_cost *out);
    struct kernel_layer *kernel; /* a user's program (usercode/kernel_layer.h); NULL: built in */
};

/* THE table (ops/layer_types.c). */
const struct layer_type *const *layer_types(int *count);
const struct layer_type *layer_type_find(const char *name); /* NULL if unknown */

/* Parameters by name; abort on a name the row does not have (a bug of ours). */
double layer_param(const struct layer_node *n, const char *name, int index);
const char *layer_param_text(const struct layer_node *n, const char *name); /* NULL when given as numbers */

#endif
