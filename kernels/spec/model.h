/* model: a model structure as a checked list of layers, before shapes are known. Comes from a model file
 * (model_parse, needs jansson) or is built in C (model_spec_create and the functions after it: operation
 * tests, benchmarks, probes). Composite layers are expanded here: the spec is flat, and a layer of a
 * composite is named "block1/conv". graph_build (graph/graph.h) makes the ordered graph with shapes from it.
 */
#ifndef KERNELS_SPEC_MODEL_H
#define KERNELS_SPEC_MODEL_H

#include <stddef.h>
#include "base/buf.h"
#include "base/finding.h"
#include "kernels/spec/layer_type.h"

#define MODEL_FILE_MAX    (16 << 20) /* bytes */
#define MODEL_MAX_LAYERS  20000      /* after expansion */
#define MODEL_MAX_INPUTS  16
#define MODEL_MAX_OUTPUTS 16
#define MODEL_NAME_MAX    128 /* characters of a layer's full name */
#define SPEC_MAX_FINDINGS 64  /* failed findings of one file; the rest is counted, not listed */

struct layer_library; /* spec/layer_file.h */

struct spec_input {
    char *name, *pointer;
    struct shape shape; /* of one sample, (C, H, W) */
    enum dtype dtype;
};

struct spec_layer {
    char *name,
        *pointer; /* pointer: of the layer in the root file; the same for every layer of one composite */
    char *within; /* "conv_block" when it came from that layer file; NULL for the file's own layers */
    const struct layer_type *type;
    struct param_value *params; /* type->param_count of them, defaults filled in */
    char **inputs;              /* names of layers or model inputs */
    int input_count;
};

struct spec_output {
    char *name;    /* flat name of the layer */
    char *pointer; /* "/outputs/0" */
};

struct model_spec {
    char *name;
    struct spec_input *inputs;
    int input_count;
    struct spec_layer *layers; /* in file order, not in execution order */
    size_t layer_count, layer_cap;
    struct spec_output *outputs;
    int output_count;
};

/* Parse a model file. Every problem of the file becomes a failed finding (up to SPEC_MAX_FINDINGS of them)
 * with pointer, line and column; NULL when there is one. library (may be NULL) holds the layer files its
 * types may name. */
struct model_spec *model_parse(const char *text, size_t n, const struct layer_library *library,
                               struct findings *f);
void model_spec_destroy(struct model_spec *m);

/* Building one in C. Misuse (unknown type or parameter, too many) aborts: it is a bug of ours. set returns
 * the layer so that calls chain: model_spec_set(model_spec_add(m, "c1", "conv2d", "image"), "filters", 0,
 * 32). A number for a PAIR, PADDING or INTS parameter sets element `index` and grows count; for a PAIR or
 * PADDING of one number both are meant. The returned pointer is valid until the next add. */
struct model_spec *model_spec_create(const char *name);
void model_spec_input(struct model_spec *m, const char *name, const struct shape *shape, enum dtype dtype);
struct spec_layer *model_spec_add(struct model_spec *m, const char *name, const char *type,
                                  const char *inputs /* comma-separated */);
struct spec_layer *model_spec_set(struct spec_layer *l, const char *param, int index, double value);
struct spec_layer *model_spec_set_text(struct spec_layer *l, const char *param, const char *value);
void model_spec_output(struct model_spec *m, const char *layer);

/* The spec as a trainyard.model/1 file with composites expanded and every parameter written out: what a run
 * keeps as model.json. It parses back to the same spec. */
void model_spec_write_json(const struct model_spec *m, struct buf *out);

#endif
