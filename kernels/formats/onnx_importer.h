/* What the parts of the ONNX importer share. Private to formats/. */
#ifndef KERNELS_FORMATS_ONNX_IMPORTER_H
#define KERNELS_FORMATS_ONNX_IMPORTER_H

#include <stdbool.h>
#include "base/finding.h"
#include "kernels/formats/names.h"
#include "kernels/formats/onnx_model.h"
#include "kernels/formats/translation.h"

#define FOLD_MAX   65536       /* numbers of one constant that is computed with */
#define FOLD_WORK  (1ll << 29) /* numbers handled in all, so that no file takes long */
#define FREE_BATCH 7919 /* stands for a free batch while shapes are computed: a prime, to be told apart */

struct constant {
    bool real;
    int rank;
    int64_t dims[ONNX_MAX_RANK], count;
    int64_t *i; /* unless real */
    float *f;   /* real */
};

struct onnx_slot { /* what is known of a value */
    enum { SLOT_TENSOR, SLOT_CONSTANT, SLOT_LAYER, SLOT_UNKNOWN } kind;
    const struct onnx_tensor *tensor;
    struct constant *constant;
    int layer; /* of the translation */
    int uses,
        user; /* how many node inputs and outputs of the graph read it, and the last such node (-1: the graph) */
};

struct importer {
    struct onnx_model m;
    struct translation *t;
    struct findings *f;
    struct names names;
    struct onnx_slot *slots;
    size_t slot_count, slot_cap;
    bool *done; /* nodes that an earlier one took with it */
    int64_t batch, work;
    const struct onnx_node *n; /* under way */
    int index;
    struct err err;
};

int import_fail(struct importer *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct onnx_slot *import_slot(struct importer *im, const char *name); /* NULL: nobody gives it */
/* Input k: its constant (NULL: it is none), or its layer value (-1: it is none). */
struct constant *import_constant(struct importer *im, int k);
int import_layer(struct importer *im, int k);
bool import_has(const struct importer *im, int k);
/* A copy of a constant's numbers as float. Caller frees. */
float *constant_floats(const struct constant *c);
int64_t constant_int(const struct constant *c, int64_t index);
struct constant *constant_new(bool real, int rank, const int64_t *dims);
void constant_free(struct constant *c);

/* Name an output of the node: the result. */
void import_give_layer(struct importer *im, int output, int layer);
void import_give_constant(struct importer *im, int output, struct constant *c);

/* Compute the node when all of its inputs are constants (or it asks for a shape): 1 done, 0 not so, -1 err. */
int onnx_fold(struct importer *im);
/* Make the node's layers; -1 with err. */
int onnx_import_node(struct importer *im);

#endif
