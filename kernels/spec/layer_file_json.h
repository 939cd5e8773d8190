/* What layer_file_json.c and model_json.c (which expands bodies) know of a layer file. Private to spec/. */
#ifndef KERNELS_SPEC_LAYER_FILE_JSON_H
#define KERNELS_SPEC_LAYER_FILE_JSON_H

#include "kernels/spec/expr.h"
#include "kernels/spec/layer_file.h"
#include "kernels/spec/model.h"
#include "kernels/spec/parse.h"

#define LAYER_FILE_PARAMS 64

struct layer_file {
    json_t *root;
    char *name;
    struct param_def *params; /* strings are owned; see layer_file_free */
    int param_count;
    char **inputs;
    struct shape *shapes; /* rank 0: not said */
    int input_count;
    struct kernel_layer *kernel; /* the body is a program; the members after it are then not used */
    struct layer_type *type;     /* and this is its row */
    const json_t *layers;        /* of the body, in root */
    const char *output;          /* name of the body's output layer, in root */
};

struct layer_library {
    struct layer_file **files;
    size_t count, cap;
};

/* A shape of 1 to most positive integers. -1 after a finding. */
int parse_shape(struct parse *p, const json_t *v, const char *pointer, int most, struct shape *out);
/* Whether a name of a layer or an input is well formed; a finding when not. */
bool parse_layer_name(struct parse *p, const char *pointer, const char *name);

/* expand_json.c: append the layer's body to m, its inputs bound to the model inputs m has. */
void expand_layer_file(struct parse *p, const struct layer_library *library, const struct layer_file *file,
                       struct model_spec *m);

#endif
