/* run: a program run by a checked interpreter in float64. What verification believes: every index is checked, every write is recorded, every
 * step counted. Slow; a compiled program (build.h) is for training.
 */
#ifndef KERNELS_USERCODE_RUN_H
#define KERNELS_USERCODE_RUN_H

#include "kernels/usercode/lang.h"

struct run_tensor {
    double *data; /* row-major; WRITE and ADD tensors hold zeros before */
    int64_t dim[LANG_RANK_MAX];
};

enum run_fault {
    RUN_OK,
    RUN_BOUNDS,    /* an index outside its dimension */
    RUN_DIVISION,  /* an int divided by 0, or an int that overflows */
    RUN_STEPS,     /* more than max_steps */
    RUN_TWICE,     /* two points of the grid write one element */
    RUN_UNWRITTEN, /* an element of a WRITE tensor that no point writes */
};

struct run {
    const struct program *program;
    const struct lang_scope *scope;
    const double *constants;
    const int64_t *grid; /* extents */
    struct run_tensor *tensors;
    int64_t max_steps;
    /* out */
    int64_t steps;
    enum run_fault fault;
    struct lang_error error; /* says which element, and at which point of the grid */
};

/* Once at every point of the grid, in order. */
enum run_fault program_run(struct run *r);

/* The value of an expression of constants and numbers, such as the size of an array. */
int64_t constant_value(const struct node *n, const double *constants);

#endif
