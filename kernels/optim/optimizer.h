/* optimizer: SGD, Adam, AdamW, RMSprop, Adagrad, LAMB, Lion and Muon over one flat array of all weights at once. Formulas and names
 * are those of PyTorch's torch.optim, of LAMB, Lion and Muon those of the papers (optimizer_loops.c); all are checked against float64
 * in tests/unit/kernels-optim.
 *
 * An update:
 *     optimizer_begin    count the step, fix rate and scale
 *     optimizer_apply    all weights that this optimizer has state for, on several threads
 * What is done to a weight does not depend on the number of threads, nor on how weights are divided over ranks.
 *
 * Division over ranks (ZeRO-1): optimizer_part says which weights are a rank's, optimizer_create_part makes state for those alone.
 * Weights and gradients are always given as the whole arrays; nothing outside the part is read or written. LAMB and Muon look at whole
 * weights, so there a part begins and ends where a weight does; elsewhere parts are even.
 */
#ifndef KERNELS_OPTIM_OPTIMIZER_H
#define KERNELS_OPTIM_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/spec/algorithm.h"

#define OPTIMIZER_MAX_STATES 3

/* One weight: a run of numbers in the flat array, what fills up to the next one's beginning included (zero, and stays so). */
struct optimizer_range {
    size_t first, count;
    bool decay;
    size_t rows, columns; /* the matrix at its beginning that muon makes orthogonal; 0: adamw moves it */
    float lengthen;       /* muon: factor of the matrix's step; 0 is 1 */
};

/* A run within one range, the unit of work of a thread. */
struct optimizer_piece {
    size_t first, count;
    int range;
};

struct optimizer {
    enum optimizer_type type;
    double weight_decay, momentum, beta1, beta2, epsilon, alpha, rate_decay, adamw_rate, clip_value;
    bool nesterov, centered;
    int newton_schulz_steps;
    size_t count;                   /* of the whole array */
    size_t part_first, part_count;  /* what is updated here */
    struct optimizer_range *ranges; /* in order, without gaps */
    size_t range_count;
    int64_t step; /* updates made; the bias correction needs it */
    int state_count;
    float *state
        [OPTIMIZER_MAX_STATES]; /* (part_count) each: of the weights from part_first on. Saved in checkpoints */
    const char *state_name[OPTIMIZER_MAX_STATES]; /* "momentum"; "mean", "variance" */
    /* of the step in progress */
    float rate, scale, mean_rate, variance_scale;
    /* work */
    struct optimizer_piece *pieces;
    size_t piece_count;
    double *sums;  /* lamb: two of each piece */
    float *matrix; /* muon, for each thread: the largest matrix's step, it turned, and two squares */
    size_t largest, shorter; /* matrix, and longest short side */
    int matrix_threads;
};

/* ranges are copied; the initial state is that of a new run. Caller optimizer_destroy()s. */
struct optimizer *optimizer_create(const struct algorithm *a, size_t count,
                                   const struct optimizer_range *ranges, size_t range_count);
/* With state for [first, first + part_count) only, as optimizer_part gives it. */
struct optimizer *optimizer_create_part(const struct algorithm *a, size_t count,
                                        const struct optimizer_range *ranges, size_t range_count,
                                        size_t first, size_t part_count);
void optimizer_destroy(struct optimizer *o);

/* The part of `rank` of `ranks`: parts are in order, without gaps, some may be empty. */
void optimizer_part(const struct algorithm *a, size_t count, const struct optimizer_range *ranges,
                    size_t range_count, int ranks, int rank, size_t *first, size_t *part_count);
/* Whether a type looks at whole weights. */
bool optimizer_needs_whole_weights(enum optimizer_type t);

/* Count the step; gradients are multiplied by gradient_scale (1 / batch, clipping by norm), then clipped by value. */
void optimizer_begin(struct optimizer *o, double rate, double gradient_scale);
/* Update the whole part. */
void optimizer_apply(struct optimizer *o, float *weights, const float *gradients, int threads);
/* Update weights [first, first + count) of the part, on this thread: with lamb and muon whole weights. */
void optimizer_update(struct optimizer *o, float *weights, const float *gradients, size_t first,
                      size_t count);
/* begin and apply on one thread. */
void optimizer_step(struct optimizer *o, float *weights, const float *gradients, double rate,
                    double gradient_scale);

/* Sum of squares in float64, the same whatever the number of threads: for the norm of all gradients. */
double optimizer_sum_of_squares(const float *x, size_t count);
double optimizer_sum_of_squares_threads(const float *x, size_t count, int threads);

#endif
