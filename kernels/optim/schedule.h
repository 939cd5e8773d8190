/* schedule: the learning rate at a step. Pure. */
#ifndef KERNELS_OPTIM_SCHEDULE_H
#define KERNELS_OPTIM_SCHEDULE_H

#include "kernels/spec/algorithm.h"

/* The rate that optimizer step `step` (from 0) of `total_steps` uses; an epoch has steps_per_epoch steps (at least 1).
 * Warm-up: rate * (step + 1) / warmup_steps while step < warmup_steps, of every type; cosine spreads over what is left. */
double schedule_rate(const struct algorithm *a, int64_t step, int64_t steps_per_epoch, int64_t total_steps);

#endif
