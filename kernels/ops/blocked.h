/* blocked: a tensor's memory as channels see it, whatever layout oneDNN chose for it. A sample is `blocks`
 * groups of `block` channels; within a group the channels of one position lie together:
 *
 *   element (row, channel, position) is at row * sample + channel / block * plane * block
 *                                                       + position * block + channel % block
 *
 * Row-major (C, H, W) has block 1, channels last one block of C, nChw8c block 8. The last block may hold
 * channels that are not there (padding): they are kept finite and never mean anything.
 */
#ifndef KERNELS_OPS_BLOCKED_H
#define KERNELS_OPS_BLOCKED_H

#include "kernels/backend/backend.h"

struct blocked {
    int64_t channels, blocks, block, plane, sample; /* sample: floats of one, padding included */
};

/* View of a tensor (float32, rank 1 to 4: channels first). False: its layout has no such form. */
bool blocked_of(const struct op_tensor *t, struct blocked *b);
/* The same, for tensors of which it is known; aborts otherwise. */
struct blocked blocked_must(const struct op_tensor *t);

/* Gives `to`, whose shape is set, the layout of `from` (of the same channels): fills to->layout and to->bytes for rows
 * samples. Returns the layout for the caller to free, NULL if it is plain. */
struct layout *blocked_layout_like(const struct op_tensor *from, struct op_tensor *to, int64_t rows);

static inline int64_t blocked_lanes(const struct blocked *b) /* channels, padding included */
{
    return b->blocks * b->block;
}

/* rows samples from one form to another of the same shape; accumulate adds. */
void blocked_convert(const struct op *op, const struct blocked *from, const float *src,
                     const struct blocked *to, float *dst, int64_t rows, bool accumulate);

/* out[.., ch, ..] += bias[ch] (bias may be NULL), then max(out, 0) if relu. */
void blocked_add_bias(const struct op *op, const struct blocked *b, const float *bias, bool relu, float *out,
                      int64_t rows);
/* sums[ch] = sum of g over rows and positions, in float64 within. */
void blocked_channel_sums(const struct blocked *b, const float *g, int64_t rows, float *sums);

#endif
