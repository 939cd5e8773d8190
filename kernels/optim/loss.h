/* loss: what is minimised, over plain arrays. Sums over samples, not means: the caller divides by the samples of the global batch. */
#ifndef KERNELS_OPTIM_LOSS_H
#define KERNELS_OPTIM_LOSS_H

#include <stdint.h>

/* Softmax cross-entropy, from scores (rows, n) before the softmax: sum of -sum_i t_i log softmax(score)_i with
 * t = one_hot(class) * (1 - smoothing) + smoothing / n. A row with a class outside 0..n-1 counts nothing. gradient (rows, n) may be NULL. */
double loss_softmax_cross_entropy(const float *scores, const int32_t *classes, int64_t rows, int64_t n,
                                  double smoothing, float *gradient);
/* Mean squared error: sum over rows of the mean over the n outputs of (y - t)^2. */
double loss_mean_squared_error(const float *y, const float *t, int64_t rows, int64_t n, float *gradient);

#endif
