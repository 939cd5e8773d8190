/* onnx_export: a checked graph with its weights as an ONNX model (opset 17), for inference elsewhere. docs/interchange.md says what
 * becomes what. */
#ifndef KERNELS_FORMATS_ONNX_EXPORT_H
#define KERNELS_FORMATS_ONNX_EXPORT_H

#include "base/buf.h"
#include "base/err.h"
#include "kernels/formats/safetensors.h"
#include "kernels/graph/graph.h"

#define ONNX_OPSET 17

struct onnx_export {
    const struct graph *graph;
    const struct tensor_entry *weights; /* float32, named "<layer>.<weight>", row-major */
    size_t weight_count;
    const char *producer_version;
    /* Columns of a table that the loader gives as (x - mean) / std: put before the (only) input, so that the exported model takes
     * raw values. NULL: none. */
    const float *column_mean, *column_std;
    int column_count;
};

/* Append the file to out. ERR_UNPROCESSABLE names the first layer that ONNX cannot express, or the weight that is missing. */
int onnx_export_write(const struct onnx_export *x, struct buf *out, struct err *err);
/* The first layer of the graph that cannot be expressed; NULL when all can. */
const struct layer_node *onnx_export_obstacle(const struct graph *g);

#endif
