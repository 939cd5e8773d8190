/* kernel_layer: a layer that a user wrote as a program (the "kernel" of a layer file): its tensors with named dimensions, its forward
 * program, its backward program (given, or derived), and both bound to the shapes of one use.
 *
 *     "kernel": {"inputs": [{"name": "x", "shape": ["C", "H", "W"]}],
 *                "weights": [{"name": "slope", "shape": ["C"], "initializer": "constant", "value": 0.25}],
 *                "output": {"name": "y", "shape": ["C", "H", "W"]},
 *                "over": ["c", "i", "j"],
 *                "forward": ["float v = x[c][i][j];", "y[c][i][j] = v > 0 ? v : slope[c] * v;"]}
 *
 * A dimension is a number, a name (bound by the first input that has it, equal everywhere else) or, in weights and output, an expression of
 * names and parameters ("=H / 2"). The forward program runs once for every point of the output's leading dimensions named by "over" (all of
 * them when it is left out: i, j, k, l, m, n). The backward program has dy and adds to dx and dslope; it runs over the same points or those of
 * "backward_over": ["x", "c"] for the leading dimensions of that tensor. See docs/kernels.md.
 */
#ifndef KERNELS_USERCODE_KERNEL_LAYER_H
#define KERNELS_USERCODE_KERNEL_LAYER_H

#include "base/buf.h"
#include "kernels/spec/layer_type.h"
#include "kernels/usercode/lang.h"

#define KERNEL_INPUTS_MAX    8
#define KERNEL_WEIGHTS_MAX   8
#define KERNEL_CONSTANTS_MAX 64
#define KERNEL_DIM_MAX       64 /* characters of a dimension */
#define KERNEL_TRIES_MAX     8
#define KERNEL_TENSORS_MAX   (3 * KERNEL_INPUTS_MAX)

struct built;

struct kernel_tensor {
    char name[LANG_NAME_MAX - 8];
    int rank;
    char dim[LANG_RANK_MAX][KERNEL_DIM_MAX]; /* "3", "C", "=H / 2" */
    double low, high;                        /* what verification draws from */
    enum init_kind init;                     /* of weights */
    double scale;
    bool decay;
};

struct kernel_layer {
    char *name; /* of the layer file */
    const struct param_def *params;
    int param_count;
    struct kernel_tensor inputs[KERNEL_INPUTS_MAX], weights[KERNEL_WEIGHTS_MAX], output;
    int input_count, weight_count;
    char over[LANG_RANK_MAX][LANG_NAME_MAX], backward_over[LANG_RANK_MAX][LANG_NAME_MAX];
    int over_count, backward_over_count;
    int backward_grid; /* the grid is made of the leading dimensions of: -1 the output, else this input */
    /* Dimension names first, then the parameters. */
    struct lang_constant constants[KERNEL_CONSTANTS_MAX];
    int constant_count, dimension_count;
    /* forward: inputs, weights, output. backward: those, then d of the output, of the inputs, of the weights. */
    struct lang_tensor forward_tensors[KERNEL_TENSORS_MAX], backward_tensors[KERNEL_TENSORS_MAX * 2];
    const char *forward_grid_names[LANG_RANK_MAX], *backward_grid_names[LANG_RANK_MAX];
    struct lang_scope forward_scope, backward_scope;
    struct program *forward, *backward;
    bool derived;                       /* the backward program is ours */
    bool forward_lines, backward_lines; /* the file has it as an array of lines */
    int64_t tries[KERNEL_TRIES_MAX]
                 [KERNEL_CONSTANTS_MAX]; /* sizes of dimensions that the file wants it verified with */
    int try_count;
    struct kernel_build *builds; /* compiled so far, for reuse by layers of the same shapes */
};

/* One use: shapes and numbers. */
struct kernel_bound {
    double constants[KERNEL_CONSTANTS_MAX];
    struct shape inputs[KERNEL_INPUTS_MAX], weights[KERNEL_WEIGHTS_MAX], output;
    int64_t forward_grid[LANG_RANK_MAX], backward_grid[LANG_RANK_MAX];
};

/* Make scopes and programs from the described tensors and sources; backward NULL: derive it. -1: *which is "forward" or "backward", and
 * *error has the place in that source. */
int kernel_layer_compile(struct kernel_layer *k, const char *forward, const char *backward,
                         const char **which, struct lang_error *error);
void kernel_layer_free(struct kernel_layer *k);

/* Bind to parameters (k->param_count of them) and the inputs' shapes. */
int kernel_layer_bind(const struct kernel_layer *k, const struct param_value *params,
                      const struct shape *inputs, struct kernel_bound *out, struct err *err);
/* Sizes for every dimension name, as an array of dimension_count, instead of inputs' shapes: for verification. */
int kernel_layer_shapes(const struct kernel_layer *k, const struct param_value *params, const int64_t *sizes,
                        struct shape *inputs, struct err *err);

/* The row's functions for the layer_type of a kernel layer. */
int kernel_layer_infer(struct layer_node *n, struct err *err);
void kernel_layer_cost(const struct layer_node *n, struct layer_cost *out);

/* Whether a program reads, or assigns with =, this tensor of its scope. */
bool program_reads(const struct program *p, int tensor);
bool program_sets(const struct program *p, int tensor);

/* Both functions for these shapes as one C text; and compiled, once for each text (the layer keeps it). */
void kernel_layer_c(const struct kernel_layer *k, const struct kernel_bound *b, struct buf *out);
const struct built *kernel_layer_build(struct kernel_layer *k, const struct kernel_bound *b, struct err *err);

#endif
