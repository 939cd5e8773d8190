/* executor: a graph made runnable on a backend for one rank: every buffer and operation planned once, so that a step allocates
 * nothing. It computes; what to do with gradients is its caller's.
 *
 * All trainable weights lie in one flat float array, all gradients in another of the same layout (given by the caller, so that it
 * may be shared memory), all states (running statistics) in a third. Layers stand in the order in which the backward pass
 * finishes them, the last layer first, so gradients become final from the front and their sum over the ranks can begin.
 */
#ifndef KERNELS_TRAIN_EXECUTOR_H
#define KERNELS_TRAIN_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "kernels/graph/graph.h"
#include "kernels/optim/loss.h"
#include "kernels/optim/optimizer.h"
#include "kernels/spec/algorithm.h"

struct backend;

/* One weight or state in its flat array. */
struct executor_weight {
    char *name; /* "conv1.kernel" */
    const struct weight_def *def;
    int node;
    size_t first, count; /* in floats, of executor_weights (trainable) or executor_states */
};

struct executor_options {
    const char *backend; /* "cpu", "reference", "cuda" */
    int threads;
    int64_t rows;  /* most samples of one batch on this rank */
    uint64_t seed; /* initial weights and dropout */
    bool forward_only;
};

struct executor;

/* Plan the graph (kept: must outlive the executor) for an algorithm's loss. An operation that the backend lacks, or a loss that
 * does not fit the output, is an err that names the layer. Caller executor_destroy()s. */
struct executor *executor_create(const struct graph *g, const struct algorithm *a,
                                 const struct executor_options *o, struct err *err);
void executor_destroy(struct executor *x);

const char *executor_backend(const struct executor *x);
int executor_threads(const struct executor *x);
/* About how many bytes executor_create would plan for this many rows, from the graph's cost alone: nothing is planned. */
double executor_memory_bytes(const struct graph *g, const struct algorithm *a, int64_t rows);

const struct executor_weight *executor_weight_list(const struct executor *x, size_t *count); /* states too */
float *executor_weights(struct executor *x, size_t *count);
float *executor_states(struct executor *x, size_t *count);
/* Where gradients go: executor_weights' count floats, 64-byte aligned; the caller's. Before the first backward pass. */
void executor_set_gradients(struct executor *x, float *gradients);
/* One for each weight, as the algorithm's patterns have it. Caller frees. */
struct optimizer_range *executor_ranges(const struct executor *x, size_t *count);

/* Call after changing weights from outside (start, resume, optimizer): the backend may hold them in its own layout. */
void executor_weights_changed(struct executor *x);

/* A rank's part of a batch. */
struct executor_batch {
    const void *const *
        inputs; /* one pointer for each graph input, (rows, input shape) of its dtype; valid until after backward */
    int64_t rows; /* at most options.rows; 0 is allowed and does nothing */
    int64_t
        first_sample; /* of this rank's part within the global batch, and the step: what dropout is keyed with */
    int64_t step;
};

/* The batch through the graph. training: keep what backward needs, use batch statistics, drop. */
int executor_forward(struct executor *x, const struct executor_batch *b, bool training, struct err *err);
/* The (first) output of the last forward pass, (rows, output elements); valid until backward. */
const float *executor_output(const struct executor *x);
/* Loss of the last forward pass, over rows and positions; classes (rows, positions) or values (rows, output elements) by the loss.
 * After a training forward also the gradient of its sum at the output. batch (may be NULL) gets what it was computed from: what
 * metrics_add takes; valid until backward. */
struct loss_sums executor_loss(struct executor *x, const int32_t *classes, const float *values,
                               struct loss_batch *batch);

/* gradients[first, first+count) became final. */
typedef int executor_part_f(void *context, size_t first, size_t count, struct err *err);
/* From the gradient at the output back to all weights: the gradients of the loss sum overwrite the gradient array. part (may be NULL)
 * is told of every run of final gradients, in order, without gaps. */
int executor_backward(struct executor *x, executor_part_f *part, void *context, struct err *err);

/* One optimizer update of all weights, on all threads. */
void executor_update(struct executor *x, struct optimizer *o, double rate, double gradient_scale);

/* Repeat the forward pass layer by layer and name the first node with an output that is not finite; -1 if there is none. */
int executor_find_not_finite(struct executor *x, const struct executor_batch *b);

#endif
