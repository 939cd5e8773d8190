/* bench_models: the networks that are measured, built in C. Each has a twin in torch_step.py with the same name. */
#ifndef BENCHMARKS_BENCH_MODELS_H
#define BENCHMARKS_BENCH_MODELS_H

#include "kernels/graph/graph.h"
#include "kernels/spec/algorithm.h"

struct bench_model {
    const char *name, *what;
    int64_t batch;
    int classes; /* of the output; of the input as well where that is tokens */
    struct graph *(*build)(void);
    void (*algorithm)(struct algorithm *a);
};

extern const struct bench_model bench_models[];
extern const int bench_model_count;

#endif
