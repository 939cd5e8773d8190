/* probe: what verification asks the trainer to really run, on tiny data, in milliseconds. Implemented in
 * train/ (it needs the executor and the optimizers); verify/ checks sizes before it calls.
 */
#ifndef KERNELS_VERIFY_PROBE_H
#define KERNELS_VERIFY_PROBE_H

#include <stdint.h>
#include "base/finding.h"
#include "kernels/data/dataset.h"
#include "kernels/graph/graph.h"
#include "kernels/spec/algorithm.h"

/* One forward and one backward pass of the graph on a batch of 2 random samples (uint8 inputs 0..255, float32
 * inputs normal), with a loss that is the sum of squares of the outputs when a is NULL, else a's. Adds
 * findings, at most one of each: "model.run"        passed, or failed: an operation is missing, or a value is
 * not finite; names the first layer "model.gradients"  passed, or warned: names trainable weights that no
 * gradient reached expected/actual/hint/pointer (the node's pointer) filled where they say something. */
void trainer_probe_model(const struct graph *g, const struct algorithm *a, struct findings *f);

/* Some steps of the loss and optimizer, with the schedule's learning rates, on a small built-in problem. Adds
 *   "algorithm.run"       passed, or failed: a value became NaN or infinite, with the step
 *   "algorithm.converges" passed, or warned/failed: the loss did not fall, with first (expected) and last
 * (actual) loss and a hint
 */
void trainer_probe_algorithm(const struct algorithm *a, struct findings *f);

/* The learning rate at a step; what the summary's curve is drawn from. */
double trainer_learning_rate(const struct algorithm *a, int64_t step, int64_t steps_per_epoch,
                             int64_t total_steps);

/* Bytes one rank needs to train the graph at this local batch: weights, gradients, optimizer state,
 * activations and workspace, as the trainer would plan it; a may be NULL (no optimizer state). A double so
 * that nothing overflows. */
double trainer_memory_bytes(const struct graph *g, const struct algorithm *a, int64_t local_batch);

#endif
