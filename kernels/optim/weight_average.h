/* weight_average: an exponential moving average of the weights, beside them. Evaluation and export use the average: swap it in, and
 * back before the next step. */
#ifndef KERNELS_OPTIM_WEIGHT_AVERAGE_H
#define KERNELS_OPTIM_WEIGHT_AVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/spec/algorithm.h"

struct weight_average {
    double decay;
    int64_t every_steps;
    bool warmup;
    size_t count;
    float *average;    /* (count); with additions part of a checkpoint */
    int64_t additions; /* made so far */
    bool swapped;      /* the average is in the weights' array, the weights are here */
};

/* NULL when the algorithm has none. It begins as a copy of the weights. Caller weight_average_destroy()s. */
struct weight_average *weight_average_create(const struct algorithm *a, const float *weights, size_t count);
void weight_average_destroy(struct weight_average *e); /* NULL is legal */
/* After update number `step` (from 1): average = decay * average + (1 - decay) * weights, when it is its turn. NULL does nothing. */
void weight_average_add(struct weight_average *e, const float *weights, int64_t step, int threads);
/* Exchange the two arrays' contents. NULL does nothing. */
void weight_average_swap(struct weight_average *e, float *weights, int threads);

#endif
