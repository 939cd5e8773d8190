/* loss: what is minimised, over plain arrays, with its gradient at the outputs in the same pass. Sums, not means: the caller divides by
 * the summed weight of the global batch, so that a batch may be cut over ranks and accumulated in any way.
 */
#ifndef KERNELS_OPTIM_LOSS_H
#define KERNELS_OPTIM_LOSS_H

#include <stdint.h>
#include "kernels/spec/algorithm.h"

/* A batch. Of a sequence model rows are samples times positions. */
struct loss_batch {
    const float *outputs;   /* (rows, width): scores before softmax or sigmoid, or predictions */
    int64_t rows, width;    /* softmax_cross_entropy: width is the number of classes */
    const int32_t *classes; /* (rows): for softmax_cross_entropy; for binary_cross_entropy too, see there */
    const float *values;    /* (rows, width): for the others */
    float *gradient;        /* (rows, width): of the loss sum; NULL: not wanted */
    int threads;
};

/* What it adds up to. The loss is loss / weight. */
struct loss_sums {
    double loss;
    double weight; /* rows that count, or their class weights */
    double
        log_likelihood; /* softmax_cross_entropy: sum of log p(class) of rows that count, without weights and smoothing */
    int64_t targets; /* rows that count */
};

/*
 * softmax_cross_entropy   -sum_i t_i log softmax(y)_i, t = (1 - s) one_hot(class) w_class + s / n w; weight w_class. A row whose class
 *                         is ignore_index or outside 0..n-1 counts nothing.
 * binary_cross_entropy    mean over the outputs of -(p t log sigmoid(y) + (1 - t) log(1 - sigmoid(y))), p pos_weight, t the value. With
 *                         classes, t of output j is 1 where the class is j; of a single output where it is 1. A negative class, or
 *                         one beyond the outputs (a single output: beyond 1), counts nothing.
 * mean_squared_error      mean over the outputs of (y - t)^2
 * mean_absolute_error     mean over the outputs of |y - t|; its slope at 0 is 0
 * huber                   mean over the outputs of e^2 / 2 where |e| <= delta, delta (|e| - delta / 2) beyond, e = y - t
 *
 * The same sums whatever the number of threads.
 */
/* Outputs for one target of a model that gives this shape: the last dimension for softmax_cross_entropy (what is before it are
 * positions), otherwise all. */
int64_t loss_width(enum loss_type t, const struct shape *output);

struct loss_sums loss_compute(const struct algorithm *a, const struct loss_batch *b);

#endif
