/* weight_layout: where each weight and state of a graph lies in the flat arrays, and its first value. Pure. */
#ifndef KERNELS_TRAIN_WEIGHT_LAYOUT_H
#define KERNELS_TRAIN_WEIGHT_LAYOUT_H

#include "kernels/graph/graph.h"
#include "kernels/train/executor.h"

struct weight_layout {
    struct executor_weight *list; /* in the order of the backward pass: the last node first */
    size_t count;
    int64_t *of_node; /* (node_count): index in list of a node's first weight; its others follow */
    size_t weight_floats,
        state_floats; /* each weight begins at a multiple of 16 floats; what is between is 0 and stays 0 */
};

/* -1 with err when the sizes are beyond any memory. weight_layout_free() in any case. */
int weight_layout_make(struct weight_layout *l, const struct graph *g, struct err *err);
void weight_layout_free(struct weight_layout *l);
/* First values from (seed, full name): the same whatever else the model has and however many ranks there are. */
void weight_layout_initialise(const struct weight_layout *l, uint64_t seed, float *weights, float *states);
/* One for each trainable weight, without gaps from 0 to weight_floats: whether it decays, and what muon makes of it. Caller frees. */
struct optimizer_range *weight_layout_ranges(const struct weight_layout *l, const struct graph *g,
                                             const struct algorithm *a, size_t *count);

#endif
