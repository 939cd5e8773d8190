/* memory_plan: places for buffers of known lifetimes in one arena, so that what is never needed at the same time shares memory. Pure. */
#ifndef KERNELS_TRAIN_MEMORY_PLAN_H
#define KERNELS_TRAIN_MEMORY_PLAN_H

#include <stddef.h>

struct memory_request {
    size_t bytes;
    int first, last; /* times at which it is needed, inclusive */
    size_t offset;   /* filled */
};

/* Give every request an offset, a multiple of 64, such that requests whose times overlap do not overlap in memory. Requests of 0
 * bytes get offset 0. Returns the arena's size. */
size_t memory_plan(struct memory_request *requests, size_t count);

#endif
