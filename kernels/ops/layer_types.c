/* THE table of layer types, and of what each backend has for them. Adding a layer is a file and its lines
 * here. */
#include <string.h>

#include "kernels/ops/activations.h"
#include "kernels/ops/conv.h"
#include "kernels/ops/dense.h"
#include "kernels/ops/impls.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/norms.h"
#include "kernels/ops/pool.h"
#include "kernels/ops/sequence.h"
#include "kernels/ops/shapes.h"

static const struct layer_type *const types[] = {
    &layer_dense,
    &layer_conv2d,
    &layer_max_pool2d,
    &layer_avg_pool2d,
    &layer_flatten,
    &layer_relu,
    &layer_gelu,
    &layer_tanh,
    &layer_sigmoid,
    &layer_softmax,
    &layer_dropout,
    &layer_batch_norm,
    &layer_layer_norm,
    &layer_add,
    &layer_concat,
    &layer_rescale,
    &layer_leaky_relu,
    &layer_relu6,
    &layer_elu,
    &layer_silu,
    &layer_hard_sigmoid,
    &layer_hard_swish,
    &layer_conv1d,
    &layer_depthwise_conv2d,
    &layer_conv1d_transpose,
    &layer_conv2d_transpose,
    &layer_max_pool1d,
    &layer_avg_pool1d,
    &layer_global_max_pool,
    &layer_global_avg_pool,
    &layer_group_norm,
    &layer_instance_norm,
    &layer_multiply,
    &layer_reshape,
    &layer_permute,
    &layer_slice,
    &layer_pad,
    &layer_upsample,
    &layer_embedding,
    &layer_position_embedding,
    &layer_rms_norm,
    &layer_swiglu,
    &layer_attention,
    &layer_lstm,
    &layer_gru,
};

static const struct op_ref *const references[] = {
    &dense_ref,
    &conv2d_ref,
    &max_pool2d_ref,
    &avg_pool2d_ref,
    &flatten_ref,
    &relu_ref,
    &gelu_ref,
    &tanh_ref,
    &sigmoid_ref,
    &softmax_ref,
    &dropout_ref,
    &batch_norm_ref,
    &layer_norm_ref,
    &add_ref,
    &concat_ref,
    &rescale_ref,
    &leaky_relu_ref,
    &relu6_ref,
    &elu_ref,
    &silu_ref,
    &hard_sigmoid_ref,
    &hard_swish_ref,
    &conv1d_ref,
    &depthwise_conv2d_ref,
    &conv1d_transpose_ref,
    &conv2d_transpose_ref,
    &max_pool1d_ref,
    &avg_pool1d_ref,
    &global_max_pool_ref,
    &global_avg_pool_ref,
    &group_norm_ref,
    &instance_norm_ref,
    &multiply_ref,
    &reshape_ref,
    &permute_ref,
    &slice_ref,
    &pad_ref,
    &upsample_ref,
    &embedding_ref,
    &position_embedding_ref,
    &rms_norm_ref,
    &swiglu_ref,
    &attention_ref,
    &lstm_ref,
    &gru_ref,
};

/* Without oneDNN the cpu backend uses the reference for what is missing here. */
static const struct op_impl *const cpu[] = {
#ifdef HAVE_ONEDNN
    &dense_cpu,
    &attention_cpu,
    &lstm_cpu,
    &gru_cpu,
    &conv2d_cpu,
    &conv1d_cpu,
    &depthwise_conv2d_cpu,
    &conv1d_transpose_cpu,
    &conv2d_transpose_cpu,
#endif
    &flatten_cpu,
    &relu_cpu,
    &gelu_cpu,
    &tanh_cpu,
    &sigmoid_cpu,
    &softmax_cpu,
    &dropout_cpu,
    &batch_norm_cpu,
    &layer_norm_cpu,
    &add_cpu,
    &concat_cpu,
    &rescale_cpu,
    &leaky_relu_cpu,
    &relu6_cpu,
    &elu_cpu,
    &silu_cpu,
    &hard_sigmoid_cpu,
    &hard_swish_cpu,
    &max_pool1d_cpu,
    &max_pool2d_cpu,
    &avg_pool1d_cpu,
    &avg_pool2d_cpu,
    &global_max_pool_cpu,
    &global_avg_pool_cpu,
    &group_norm_cpu,
    &instance_norm_cpu,
    &multiply_cpu,
    &reshape_cpu,
    &permute_cpu,
    &slice_cpu,
    &pad_cpu,
    &upsample_cpu,
    &embedding_cpu,
    &position_embedding_cpu,
    &rms_norm_cpu,
    &swiglu_cpu,
};

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

const struct layer_type *const *layer_types(int *count)
{
    *count = COUNT(types);
    return types;
}

const struct layer_type *layer_type_find(const char *name)
{
    for (int i = 0; i < COUNT(types); i++)
        if (!strcmp(types[i]->name, name))
            return types[i];
    return NULL;
}

const struct op_ref *op_ref_find(const char *type)
{
    for (int i = 0; i < COUNT(references); i++)
        if (!strcmp(references[i]->type, type))
            return references[i];
    return NULL;
}

const struct op_impl *op_cpu_find(const char *type)
{
    for (int i = 0; i < COUNT(cpu); i++)
        if (!strcmp(cpu[i]->type, type))
            return cpu[i];
    return op_ref_impl(type);
}
