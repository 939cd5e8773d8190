/* layout: where each weight and state of a graph lies in the flat arrays, and its first value. Pure. */
#ifndef KERNELS_TRAIN_LAYOUT_H
#define KERNELS_TRAIN_LAYOUT_H

#include "kernels/graph/graph.h"
#include "kernels/train/executor.h"

struct layout {
    struct executor_weight *list; /* in the order of the backward pass: the last node first */
    size_t count;
    int64_t *of_node;               /* (node_count): index in list of a node's first weight; its others follow */
    size_t weight_floats, state_floats; /* each weight begins at a multiple of 16 floats; what is between is 0 and stays 0 */
};

/* -1 with err when the sizes are beyond any memory. layout_free() in any case. */
int layout_make(struct layout *l, const struct graph *g, struct err *err);
void layout_free(struct layout *l);
/* First values from (seed, full name): the same whatever else the model has and however many ranks there are. */
void layout_initialise(const struct layout *l, uint64_t seed, float *weights, float *states);
/* Runs of weights that are decayed or not, without gaps from 0 to weight_floats. Caller frees. */
struct optimizer_range *layout_ranges(const struct layout *l, size_t *count);

#endif
