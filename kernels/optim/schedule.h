/* schedule: the learning rate at a step. Pure, but for the few numbers that reduce_on_plateau remembers, which the caller holds.
 * Formulas and names are those of torch.optim.lr_scheduler (checked against it in tests/unit/kernels-optim). */
#ifndef KERNELS_OPTIM_SCHEDULE_H
#define KERNELS_OPTIM_SCHEDULE_H

#include "kernels/spec/algorithm.h"

/* The rate that optimizer step `step` (from 0) of `total_steps` uses; an epoch has steps_per_epoch steps (at least 1). Steps are
 * updates: with gradient_accumulation fewer than batches.
 * Warm-up: rate * (step + 1) / warmup_steps while step < warmup_steps, of every type but one_cycle; cosine and polynomial spread
 * over what is left. Without what reduce_on_plateau has seen. */
double schedule_rate(const struct algorithm *a, int64_t step, int64_t steps_per_epoch, int64_t total_steps);

/* What reduce_on_plateau has seen. Plain data: a checkpoint holds it as it is. */
struct plateau {
    double best, factor; /* NaN before the first value; what the rate is multiplied with */
    int64_t bad_epochs, cooldown;
};

void plateau_init(struct plateau *p);
/* At the end of an epoch: the watched value (schedule.watch). Does nothing with other schedules. */
void plateau_watch(struct plateau *p, const struct algorithm *a, double value);
/* schedule_rate times what the plateau makes of it, at least schedule.minimum. */
double schedule_rate_after(const struct algorithm *a, const struct plateau *p, int64_t step,
                           int64_t steps_per_epoch, int64_t total_steps);

#endif
