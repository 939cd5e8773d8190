/* sequence: operations of models over sequences: tokens are int32 of shape (T), features (T, C), the channel last. */
#ifndef KERNELS_OPS_SEQUENCE_H
#define KERNELS_OPS_SEQUENCE_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_embedding, layer_position_embedding, layer_rms_norm, layer_swiglu,
    layer_attention, layer_lstm, layer_gru;
extern const struct op_ref embedding_ref, position_embedding_ref, rms_norm_ref, swiglu_ref, attention_ref,
    lstm_ref, gru_ref;
extern const struct op_impl embedding_cpu, position_embedding_cpu, rms_norm_cpu, swiglu_cpu, attention_cpu,
    lstm_cpu, gru_cpu;

#endif
