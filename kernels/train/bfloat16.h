/* bfloat16: training with 8 bits of mantissa between layers. What every layer reads and gives, its weights too, is rounded to bfloat16
 * (to the nearest, ties to even), and so are the gradients between layers; sums inside a layer, the gradients of weights, the
 * weights that the optimizer moves, states and the loss are float32.
 *
 * The numbers stay in float arrays: a CPU without bfloat16 instructions computes the same products in float32, exactly, so there
 * it costs a little and gains nothing. Where a CPU has them, oneDNN is allowed to use them (backend.h: set_precision).
 */
#ifndef KERNELS_TRAIN_BFLOAT16_H
#define KERNELS_TRAIN_BFLOAT16_H

#include <stddef.h>

/* to (may be from) = from rounded. NaN stays NaN. */
void bfloat16_round(const float *from, float *to, size_t n, int threads);

#endif
