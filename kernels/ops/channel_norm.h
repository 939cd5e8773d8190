/* channel_norm: the fast core of batch_norm, group_norm and instance_norm. All three normalise by means and
 * deviations of channels; they differ in what is averaged together:
 *
 *   batch_norm   each channel over all rows: one set of statistics
 *   group_norm   groups of channels of each row: a set a row
 *
 * The core makes one pass over memory for the statistics and one to apply them (backward the same), over any
 * layout by blocks of channels, and does a fused relu on the way. Work is cut by (row, block of channels), and
 * partial sums are joined in one order, so the result does not depend on the number of threads.
 */
#ifndef KERNELS_OPS_CHANNEL_NORM_H
#define KERNELS_OPS_CHANNEL_NORM_H

#include "kernels/ops/blocked.h"

/* Of one channel of one row over its positions: count is blocked.plane. */
struct channel_moments {
    double mean, squares; /* squares: sum of squared distances from the mean */
};

/* How y = (x - mean) * scale + shift is done to one channel of one set. */
struct channel_affine {
    float mean, scale, shift;
};

/* How the input's gradient is made: d = g_scale * g + x_scale * (x - mean) + constant. */
struct channel_back {
    float g_scale, x_scale, constant;
};

/* Of one channel of one row: sum of g, and of g * (x - mean). */
struct channel_sums {
    double g, gx;
};

struct channel_norm {
    struct blocked b;
    int64_t rows, sets; /* sets: 1, or rows */
    int threads;
    bool relu;
};

/* The view of an op's input and how many threads it is worth. flat joins the rows of a tensor of one position
 * (a batch of features), for statistics over rows: its row count is then 1. */
struct channel_norm channel_norm_of(const struct op *op, int64_t rows, bool flat);

/* Each result is (rows, lanes); affine and back are (sets, lanes), lanes = blocked_lanes. */
void channel_norm_moments(const struct channel_norm *k, const float *x, struct channel_moments *out);
void channel_norm_apply(const struct channel_norm *k, const float *x, const struct channel_affine *a,
                        float *y);
void channel_norm_sums(const struct channel_norm *k, const float *x, const float *g,
                       const struct channel_affine *a, struct channel_sums *out);
void channel_norm_back(const struct channel_norm *k, const float *x, const float *g,
                       const struct channel_affine *a, const struct channel_back *d, float *gx, bool add);

#endif
