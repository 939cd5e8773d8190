#include "kernels/formats/onnx_write.h"

#include "kernels/formats/onnx_fields.h"
#include "kernels/formats/protobuf.h"

void onnx_op_begin(struct onnx_op *op, const char *type, const char *name, const char *output)
{
    *op = (struct onnx_op){0};
    pb_put_text(&op->body, NODE_OUTPUT, output);
    pb_put_text(&op->body, NODE_NAME, name);
    pb_put_text(&op->body, NODE_OP_TYPE, type);
}

void onnx_op_input(struct onnx_op *op, const char *value)
{
    pb_put_text(&op->body, NODE_INPUT, value);
}

/* Ends an attribute whose value is in a. */
static void put_attribute(struct onnx_op *op, const char *name, int type, struct buf *a)
{
    pb_put_text(a, ATTR_NAME, name);
    pb_put_varint(a, ATTR_TYPE, (uint64_t)type);
    pb_put_message(&op->attributes, NODE_ATTRIBUTE, a);
}

void onnx_op_int(struct onnx_op *op, const char *name, int64_t v)
{
    struct buf a = {0};
    pb_put_varint(&a, ATTR_I, (uint64_t)v);
    put_attribute(op, name, ATTR_IS_INT, &a);
}

void onnx_op_ints(struct onnx_op *op, const char *name, const int64_t *v, int n)
{
    struct buf a = {0};
    for (int i = 0; i < n; i++)
        pb_put_varint(&a, ATTR_INTS, (uint64_t)v[i]);
    put_attribute(op, name, ATTR_IS_INTS, &a);
}

void onnx_op_float(struct onnx_op *op, const char *name, double v)
{
    struct buf a = {0};
    pb_put_float(&a, ATTR_F, (float)v);
    put_attribute(op, name, ATTR_IS_FLOAT, &a);
}

void onnx_op_text(struct onnx_op *op, const char *name, const char *v)
{
    struct buf a = {0};
    pb_put_text(&a, ATTR_S, v);
    put_attribute(op, name, ATTR_IS_STRING, &a);
}

void onnx_op_end(struct onnx_op *op, struct buf *graph)
{
    buf_add(&op->body, buf_str(&op->attributes), op->attributes.len);
    pb_put_message(graph, GRAPH_NODE, &op->body);
    buf_free(&op->attributes);
}

static void put_tensor(struct buf *graph, const char *name, int type, const int64_t *dims, int rank,
                       const void *data, size_t bytes)
{
    struct buf t = {0};
    for (int i = 0; i < rank; i++)
        pb_put_varint(&t, TENSOR_DIMS, (uint64_t)dims[i]);
    pb_put_varint(&t, TENSOR_DATA_TYPE, (uint64_t)type);
    pb_put_text(&t, TENSOR_NAME, name);
    pb_put_bytes(&t, TENSOR_RAW, data, bytes);
    pb_put_message(graph, GRAPH_INITIALIZER, &t);
}

void onnx_put_floats(struct buf *graph, const char *name, const int64_t *dims, int rank, const float *v,
                     size_t n)
{
    put_tensor(graph, name, ONNX_FLOAT, dims, rank, v, n * sizeof(float));
}

void onnx_put_ints(struct buf *graph, const char *name, const int64_t *v, int n)
{
    int64_t dim = n;
    put_tensor(graph, name, ONNX_INT64, &dim, 1, v, (size_t)n * sizeof(*v));
}

void onnx_put_scalar(struct buf *graph, const char *name, double v)
{
    float f = (float)v;
    put_tensor(graph, name, ONNX_FLOAT, NULL, 0, &f, sizeof(f));
}

static int elem_type(enum dtype t)
{
    static const int types[DTYPE_COUNT] = {
        [DTYPE_F32] = ONNX_FLOAT,  [DTYPE_BF16] = ONNX_BFLOAT16, [DTYPE_F16] = ONNX_FLOAT16,
        [DTYPE_F64] = ONNX_DOUBLE, [DTYPE_U8] = ONNX_UINT8,      [DTYPE_I32] = ONNX_INT32,
        [DTYPE_I64] = ONNX_INT64};
    return t < DTYPE_COUNT && types[t] ? types[t] : ONNX_FLOAT;
}

void onnx_put_value(struct buf *graph, uint32_t field, const char *name, const struct shape *sample,
                    enum dtype t)
{
    struct buf value = {0}, type = {0}, tensor = {0}, shape = {0}, dim = {0};
    pb_put_text(&dim, DIM_PARAM, "batch");
    pb_put_message(&shape, SHAPE_DIM, &dim);
    for (int i = 0; i < sample->rank; i++) {
        pb_put_varint(&dim, DIM_VALUE, (uint64_t)sample->dim[i]);
        pb_put_message(&shape, SHAPE_DIM, &dim);
    }
    pb_put_varint(&tensor, TENSOR_TYPE_ELEM, (uint64_t)elem_type(t));
    pb_put_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    pb_put_message(&type, TYPE_TENSOR, &tensor);
    pb_put_text(&value, VALUE_NAME, name);
    pb_put_message(&value, VALUE_TYPE, &type);
    pb_put_message(graph, field, &value);
}
