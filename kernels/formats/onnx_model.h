/* onnx_model: an ONNX file taken apart, no more. Everything points into the file's bytes or belongs to the model. */
#ifndef KERNELS_FORMATS_ONNX_MODEL_H
#define KERNELS_FORMATS_ONNX_MODEL_H

#include <stdint.h>
#include "base/err.h"
#include "kernels/formats/protobuf.h"

#define ONNX_MAX_NODES 100000
#define ONNX_MAX_PARTS 1000000 /* strings, numbers of attributes, tensors: all lists of a file together */
#define ONNX_MAX_RANK  8

struct onnx_attribute {
    char *name, *text;
    int type; /* ATTR_IS_... */
    float f;
    int64_t i;
    struct pb_bytes tensor;
    float *floats;
    int64_t *ints;
    int float_count, int_count;
};

struct onnx_node {
    char *name, *op, *domain;
    char **in, **out; /* "": left out */
    int in_count, out_count;
    struct onnx_attribute *attributes;
    int attribute_count;
};

struct onnx_tensor {
    char *name;
    int type, rank; /* ONNX_FLOAT ... */
    int64_t dims[ONNX_MAX_RANK], count;
    struct pb_bytes raw, list; /* list: packed or repeated: the whole message again */
};

struct onnx_value {
    char *name;
    int type, rank;              /* rank -1: not said */
    int64_t dims[ONNX_MAX_RANK]; /* -1: free */
};

struct onnx_model {
    int64_t opset;
    char *graph_name;
    struct onnx_node *nodes;
    struct onnx_tensor *tensors;
    struct onnx_value *inputs, *outputs;
    int node_count, tensor_count, input_count, output_count;
    /* private */
    void **owned;
    size_t owned_count, owned_cap, parts;
};

/* Take a file apart; the bytes must outlive the model. ERR_UNPROCESSABLE says what is wrong. Free in any case. */
int onnx_model_read(struct onnx_model *m, const void *file, size_t n, struct err *err);
void onnx_model_free(struct onnx_model *m);

/* Read one TensorProto, and check its sizes. */
int onnx_tensor_read(struct onnx_model *m, struct pb_bytes message, struct onnx_tensor *t, struct err *err);
/* Its numbers; caller frees. NULL with err when they are of no kind that converts. */
float *onnx_tensor_floats(const struct onnx_tensor *t, struct err *err);
int64_t *onnx_tensor_ints(const struct onnx_tensor *t, struct err *err);

const struct onnx_attribute *onnx_attribute(const struct onnx_node *n,
                                            const char *name); /* NULL: not given */
int64_t onnx_int(const struct onnx_node *n, const char *name, int64_t fallback);
double onnx_float(const struct onnx_node *n, const char *name, double fallback);
const char *onnx_text(const struct onnx_node *n, const char *name, const char *fallback);

#endif
