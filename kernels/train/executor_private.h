/* The inside of an executor, shared by planning (executor_plan.c) and running (executor.c). */
#ifndef KERNELS_TRAIN_EXECUTOR_PRIVATE_H
#define KERNELS_TRAIN_EXECUTOR_PRIVATE_H

#include "kernels/backend/backend.h"
#include "kernels/train/executor.h"
#include "kernels/train/weight_layout.h"

/* A tensor between steps. */
struct value {
    struct op_tensor t;
    int producer; /* step; -1: input of the graph */
    int input;    /* of the graph, -1: not one */
    int plain;    /* the value that holds the same in plain layout, -1: not made */
    bool has_grad;
    void *data, *grad; /* in the arena */
};

/* An operation, or (node -1) a conversion of in[0] to plain layout. */
struct step {
    int node;
    struct op op;
    struct op_call call; /* pointers are filled once; rows, step and the like at each pass */
    int in[LAYER_MAX_INPUTS], in_count, out;   /* values */
    bool reads_input, backward, accumulate_in; /* accumulate_in: of a conversion's backward */
    size_t ready;                              /* gradients [0, ready) are final after its backward */
};

struct executor {
    const struct graph *graph;
    struct algorithm algorithm;
    struct executor_options options;
    struct backend *backend;
    struct weight_layout layout;
    float *weights, *states, *gradients;
    float *rounded; /* bfloat16: what the layers see of the weights; NULL in float32 */
    uint64_t rounded_version;
    uint64_t version; /* of the weights */
    struct value *values;
    size_t value_count, value_cap;
    struct step *steps;
    size_t step_count;
    int *node_value; /* of each node's output */
    int output;      /* value, plain */
    void *arena, *scratch;
    size_t arena_bytes, scratch_bytes;
    int64_t rows; /* of the last forward pass */
    bool training;
};

/* Fill steps, values and memory. -1 names the layer. */
int executor_plan(struct executor *x, struct err *err);

#endif
