#include "cases.h"

#define IMAGE(c, h, w)                                                                                       \
    {                                                                                                        \
        {                                                                                                    \
            3,                                                                                               \
            {                                                                                                \
                c, h, w                                                                                      \
            }                                                                                                \
        }                                                                                                    \
    }
#define FLAT(n)                                                                                              \
    {                                                                                                        \
        {                                                                                                    \
            1,                                                                                               \
            {                                                                                                \
                n                                                                                            \
            }                                                                                                \
        }                                                                                                    \
    }
#define SAME                                                                                                 \
    {                                                                                                        \
        "padding", .text = "same"                                                                            \
    }

const struct op_case op_cases[] = {
    {"dense", 1, 1, FLAT(1), .params = {{"units", 1, -1}}},
    {"dense", 5, 1, FLAT(7), .params = {{"units", 3, -1}}, .relu = true},
    {"dense", 33, 1, FLAT(65), .params = {{"units", 17, -1}, {"use_bias", 0, -1}}},
    {"dense", 3, 1, {{2, {5, 6}}}, .params = {{"units", 4, -1}}},
    {"conv2d", 2, 1, IMAGE(1, 5, 7), .params = {{"filters", 3, -1}}, .relu = true},
    {"conv2d", 3, 1, IMAGE(3, 8, 8), .params = {{"filters", 5, -1}, {"kernel", 3, 2}, SAME}},
    {"conv2d", 2, 1, IMAGE(6, 9, 7),
     .params = {{"filters", 4, -1}, {"kernel", 3, -1}, {"stride", 2, 1}, SAME}, .relu = true},
    {"conv2d", 2, 1, IMAGE(5, 7, 6),
     .params = {{"filters", 16, -1}, {"kernel", 2, -1}, {"stride", 2, -1}, {"use_bias", 0, -1}}},
    {"conv2d", 2, 1, IMAGE(6, 9, 9),
     .params = {{"filters", 4, -1}, {"kernel", 3, -1}, {"dilation", 2, -1}, {"padding", 1, 2}}},
    {"conv2d", 2, 1, IMAGE(8, 6, 6), .params = {{"filters", 8, -1}, {"groups", 4, -1}, SAME}},
    {"conv2d", 2, 1, IMAGE(16, 6, 5), .params = {{"filters", 16, -1}, {"groups", 16, -1}, {"kernel", 3, -1}}},
    {"conv2d", 3, 1, IMAGE(17, 5, 5), .params = {{"filters", 33, -1}, {"kernel", 1, -1}}, .relu = true},
    {"max_pool2d", 3, 1, IMAGE(3, 6, 8)},
    {"max_pool2d", 2, 1, IMAGE(17, 7, 7), .params = {{"pool", 3, 2}, {"stride", 2, 1}, SAME}},
    {"max_pool2d", 2, 1, IMAGE(2, 5, 5), .params = {{"pool", 3, -1}, {"padding", 1, -1}}},
    {"avg_pool2d", 3, 1, IMAGE(3, 6, 8)},
    {"avg_pool2d", 2, 1, IMAGE(5, 7, 6), .params = {{"pool", 3, 2}, {"stride", 2, 1}, SAME}},
    {"flatten", 3, 1, IMAGE(2, 3, 5)},
    {"relu", 5, 1, FLAT(37)},
    {"tanh", 5, 1, FLAT(37)},
    {"sigmoid", 5, 1, FLAT(37)},
    {"gelu", 5, 1, FLAT(37)},
    {"gelu", 5, 1, FLAT(37), .params = {{"approximate", .text = "tanh"}}},
    {"leaky_relu", 5, 1, FLAT(37), .params = {{"negative_slope", 0.3, -1}}},
    {"relu6", 5, 1, FLAT(137), .scale = 8},
    {"elu", 5, 1, FLAT(137), .params = {{"alpha", 0.7, -1}}, .scale = 4},
    {"silu", 5, 1, FLAT(37), .scale = 6},
    {"silu", 3, 1, FLAT(37), .scale = 200},
    {"tanh", 3, 1, FLAT(137), .scale = 10},
    {"sigmoid", 3, 1, FLAT(137), .scale = 100},
    {"gelu", 3, 1, FLAT(137), .scale = 8},
    {"gelu", 3, 1, FLAT(137), .params = {{"approximate", .text = "tanh"}}, .scale = 8},
    {"hard_sigmoid", 5, 1, FLAT(137), .scale = 5},
    {"hard_swish", 5, 1, FLAT(137), .scale = 5},
    {"softmax", 5, 1, FLAT(10)},
    {"softmax", 2, 1, {{2, {3, 7}}}},
    {"dropout", 7, 1, FLAT(13), .params = {{"rate", 0.3, -1}}},
    {"dropout", 3, 1, IMAGE(2, 3, 5), .params = {{"rate", 0, -1}}},
    {"batch_norm", 6, 1, IMAGE(3, 4, 5), .relu = true},
    {"batch_norm", 3, 1, IMAGE(5, 41, 29), .relu = true},
    {"batch_norm", 3, 1, IMAGE(70, 3, 5), .relu = true},
    {"batch_norm", 4, 1, {{2, {16, 9}}}},
    {"batch_norm", 300, 1, FLAT(37), .relu = true},
    {"batch_norm", 9, 1, FLAT(11), .params = {{"momentum", 0.3, -1}, {"epsilon", 1e-3, -1}}},
    {"layer_norm", 4, 1, FLAT(19)},
    {"layer_norm", 2, 1, {{2, {5, 8}}}, .params = {{"epsilon", 1e-3, -1}}},
    {"add", 3, 2, {{1, {7}}, {1, {7}}}, .relu = true},
    {"add", 3, 3, {{3, {4, 3, 5}}, {3, {4, 1, 1}}, {3, {1, 3, 1}}}, .relu = true},
    {"multiply", 3, 2, {{1, {7}}, {1, {7}}}},
    {"multiply", 2, 3, {{3, {2, 3, 4}}, {3, {2, 3, 4}}, {3, {2, 3, 4}}}},
    {"multiply", 3, 2, {{3, {4, 3, 5}}, {3, {4, 1, 1}}}},
    {"multiply", 2, 3, {{2, {1, 5}}, {2, {3, 1}}, {2, {3, 5}}}},
    {"reshape", 3, 1, IMAGE(2, 3, 5), .params = {{"shape", .count = 2, .ints = {5, -1}}}},
    {"permute", 3, 1, IMAGE(2, 3, 5), .params = {{"dims", .count = 3, .ints = {1, 2, 0}}}},
    {"permute", 3, 1, {{4, {2, 3, 5, 4}}}, .params = {{"dims", .count = 4, .ints = {3, 0, 2, 1}}}},
    {"slice", 3, 1, IMAGE(4, 3, 5), .params = {{"axis", -1, -1}, {"start", 1, -1}, {"end", 4, -1}}},
    {"slice", 3, 1, IMAGE(9, 3, 5), .params = {{"start", -8, -8}, {"step", 3, -1}}},
    {"slice", 3, 1, FLAT(9), .params = {{"start", 1, -1}, {"end", -1, -1}, {"step", 2, -1}}},
    {"pad", 3, 1, IMAGE(2, 3, 5), .params = {{"padding", .count = 1, .ints = {2}}, {"value", 0.5, -1}}},
    {"pad", 2, 1, IMAGE(3, 4, 5),
     .params = {{"padding", .count = 4, .ints = {1, 2, 0, 3}}, {"mode", .text = "reflect"}}},
    {"pad", 2, 1, IMAGE(3, 4, 5),
     .params = {{"padding", .count = 6, .ints = {1, 2, 0, 3, 1, 1}}, {"mode", .text = "replicate"}}},
    {"upsample", 3, 1, IMAGE(2, 3, 5)},
    {"upsample", 3, 1, IMAGE(2, 3, 5), .params = {{"scale_factor", 3, 2}, {"mode", .text = "bilinear"}}},
    {"upsample", 3, 1, {{2, {3, 5}}}, .params = {{"scale_factor", 4, -1}, {"mode", .text = "bilinear"}}},
    {"add", 2, 3, {{3, {2, 3, 4}}, {3, {2, 3, 4}}, {3, {2, 3, 4}}}},
    {"concat", 3, 2, {{3, {2, 3, 4}}, {3, {5, 3, 4}}}},
    {"concat", 2, 3, {{2, {3, 4}}, {2, {3, 1}}, {2, {3, 6}}}, .params = {{"axis", -1, -1}}},
    {"rescale", 4, 1, IMAGE(1, 5, 5), DTYPE_U8, .params = {{"scale", 1 / 255.0, -1}, {"offset", -0.5, -1}}},
    {"rescale", 4, 1, FLAT(9), .params = {{"scale", 3, -1}, {"offset", 2, -1}}},
    /* What PEERS' networks are made of. */
    {"dense", 128, 1, FLAT(784), .params = {{"units", 512, -1}}, .relu = true, .speed = true},
    {"dense", 128, 1, FLAT(9216), .params = {{"units", 128, -1}}, .relu = true, .speed = true},
    {"conv2d", 128, 1, IMAGE(1, 28, 28), .params = {{"filters", 32, -1}}, .relu = true, .speed = true},
    {"conv2d", 128, 1, IMAGE(32, 26, 26), .params = {{"filters", 64, -1}}, .relu = true, .speed = true},
    {"max_pool2d", 128, 1, IMAGE(64, 24, 24), .speed = true},
    /* ResNet-20 on CIFAR-10. */
    {"conv2d", 128, 1, IMAGE(3, 32, 32), .params = {{"filters", 16, -1}, {"use_bias", 0, -1}, SAME},
     .speed = true},
    {"conv2d", 128, 1, IMAGE(16, 32, 32), .params = {{"filters", 16, -1}, {"use_bias", 0, -1}, SAME},
     .speed = true},
    {"conv2d", 128, 1, IMAGE(16, 32, 32),
     .params = {{"filters", 32, -1}, {"stride", 2, -1}, {"use_bias", 0, -1}, {"padding", 1, -1}},
     .speed = true},
    {"conv2d", 128, 1, IMAGE(32, 16, 16), .params = {{"filters", 32, -1}, {"use_bias", 0, -1}, SAME},
     .speed = true},
    {"conv2d", 128, 1, IMAGE(64, 8, 8), .params = {{"filters", 64, -1}, {"use_bias", 0, -1}, SAME},
     .speed = true},
    {"batch_norm", 128, 1, IMAGE(64, 16, 16), .speed = true},
    {"batch_norm", 128, 1, IMAGE(16, 32, 32), .relu = true, .speed = true},
    {"batch_norm", 128, 1, IMAGE(16, 32, 32), .relu = true, .blocked = true, .speed = true},
    {"batch_norm", 128, 1, IMAGE(64, 8, 8), .relu = true, .blocked = true, .speed = true},
    {"add", 128, 2, {{3, {16, 32, 32}}, {3, {16, 32, 32}}}, .relu = true, .blocked = true, .speed = true},
    {"batch_norm", 8192, 1, FLAT(256), .relu = true, .speed = true},
    {"layer_norm", 768, 1, FLAT(128), .speed = true},
    {"gelu", 768, 1, FLAT(512), .speed = true},
    {"dropout", 128, 1, FLAT(1024), .speed = true},
};
const int op_case_count = (int)(sizeof(op_cases) / sizeof(op_cases[0]));
