/* The field numbers and enumerations of onnx.proto that are used here (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 * Private to formats/. */
#ifndef KERNELS_FORMATS_ONNX_FIELDS_H
#define KERNELS_FORMATS_ONNX_FIELDS_H

enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER_NAME, MODEL_PRODUCER_VERSION, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_SPARSE = 15
};
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OP_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 7 };
enum {
    ATTR_NAME = 1,
    ATTR_F,
    ATTR_I,
    ATTR_S,
    ATTR_T,
    ATTR_G,
    ATTR_FLOATS,
    ATTR_INTS,
    ATTR_STRINGS,
    ATTR_TYPE = 20
};
enum {
    ATTR_IS_FLOAT = 1,
    ATTR_IS_INT,
    ATTR_IS_STRING,
    ATTR_IS_TENSOR,
    ATTR_IS_GRAPH,
    ATTR_IS_FLOATS,
    ATTR_IS_INTS,
    ATTR_IS_STRINGS
};
enum {
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_INT32S = 5,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_DOUBLES = 10,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14,
};
enum {
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEM = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2
};
enum {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_BFLOAT16 = 16,
};

#endif
