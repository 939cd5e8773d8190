/* Building an ONNX graph field by field. Private to formats/. */
#ifndef KERNELS_FORMATS_ONNX_WRITE_H
#define KERNELS_FORMATS_ONNX_WRITE_H

#include <stdint.h>
#include "base/buf.h"
#include "kernels/spec/layer_type.h"

/* A node under way; onnx_op_end puts it into the graph and frees it. */
struct onnx_op {
    struct buf body, attributes;
};

void onnx_op_begin(struct onnx_op *op, const char *type, const char *name, const char *output);
void onnx_op_input(struct onnx_op *op, const char *value);
void onnx_op_int(struct onnx_op *op, const char *name, int64_t v);
void onnx_op_ints(struct onnx_op *op, const char *name, const int64_t *v, int n);
void onnx_op_float(struct onnx_op *op, const char *name, double v);
void onnx_op_text(struct onnx_op *op, const char *name, const char *v);
void onnx_op_end(struct onnx_op *op, struct buf *graph);

/* Constants of the graph. */
void onnx_put_floats(struct buf *graph, const char *name, const int64_t *dims, int rank, const float *v,
                     size_t n);
void onnx_put_ints(struct buf *graph, const char *name, const int64_t *v, int n); /* one axis */
void onnx_put_scalar(struct buf *graph, const char *name, double v);
/* A graph input or output (field: GRAPH_INPUT or GRAPH_OUTPUT) with a free first dimension, the batch. */
void onnx_put_value(struct buf *graph, uint32_t field, const char *name, const struct shape *sample,
                    enum dtype t);

#endif
