/* optimizer: SGD with momentum, Adam and AdamW over one flat array of all weights at once. Formulas and names are those of
 * PyTorch's torch.optim (checked against a float64 computation in tests/unit/kernels-optim).
 *
 * The state is flat arrays of the weights' length, zero at the start and saved in checkpoints. optimizer_step may be cut into
 * ranges that run on different threads: optimizer_begin once, then optimizer_update of each range.
 */
#ifndef KERNELS_OPTIM_OPTIMIZER_H
#define KERNELS_OPTIM_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/spec/algorithm.h"

#define OPTIMIZER_MAX_STATES 2

/* A run of weights that are all decayed or all not. */
struct optimizer_range {
    size_t first, count;
    bool decay;
};

struct optimizer {
    enum optimizer_type type;
    double weight_decay, momentum, beta1, beta2, epsilon;
    bool nesterov;
    size_t count;
    struct optimizer_range *ranges; /* in order, without gaps */
    size_t range_count;
    int64_t step; /* updates made; the bias correction needs it */
    int state_count;
    float *state[OPTIMIZER_MAX_STATES];           /* (count) each */
    const char *state_name[OPTIMIZER_MAX_STATES]; /* "momentum"; "mean", "variance" */
    /* of the step in progress */
    float rate, scale, mean_rate, variance_scale;
};

/* ranges are copied. Caller optimizer_destroy()s. */
struct optimizer *optimizer_create(const struct algorithm *a, size_t count,
                                   const struct optimizer_range *ranges, size_t range_count);
void optimizer_destroy(struct optimizer *o);

/* One update of all weights at this learning rate; gradients are multiplied by gradient_scale first (1 / batch, clipping). */
void optimizer_step(struct optimizer *o, float *weights, const float *gradients, double rate,
                    double gradient_scale);

/* The same in pieces: begin counts the step; update does weights [first, first+count). */
void optimizer_begin(struct optimizer *o, double rate, double gradient_scale);
void optimizer_update(struct optimizer *o, float *weights, const float *gradients, size_t first,
                      size_t count);

/* Sum of squares in float64, always in the same order. */
double optimizer_sum_of_squares(const float *x, size_t count);

#endif
