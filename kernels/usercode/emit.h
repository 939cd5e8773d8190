/* emit: a program as C, for one grid and one set of constants and shapes. What can be shown to lie inside its tensor for these shapes is
 * plain indexing; every other access is tested, so the compiled program, too, touches nothing but its tensors.
 */
#ifndef KERNELS_USERCODE_EMIT_H
#define KERNELS_USERCODE_EMIT_H

#include "kernels/usercode/lang.h"

/* What a compiled program is given, and leaves its first fault in. The same struct is written into the C text. */
struct emit_context {
    long line, column, index; /* of the first access outside its tensor; line 0: none */
    double *tape;
    long tape_count, tape_cap;
    void *(*grow)(void *tape, unsigned long bytes); /* realloc, or NULL when there is no more */
    long full;                                      /* the tape could not grow */
};

/* void NAME(long first, long last, float *const *tensors, struct emit_context *k): the whole grid for samples [first, last). */
typedef void emit_function(long first, long last, float *const *tensors, struct emit_context *k);

struct emit_tensor {
    int64_t dim[LANG_RANK_MAX];
    bool per_sample; /* tensors[i] holds one for every sample, one after the other */
};

/* Append the function to out; emit_prelude goes before the first. */
void emit_prelude(struct buf *out);
void emit_c(const struct program *p, const struct lang_scope *scope, const double *constants,
            const int64_t *grid, const struct emit_tensor *tensors, const char *name, struct buf *out);

/* Operations of one sample (an upper bound from the loops' ranges). */
double emit_flops(const struct program *p, const struct lang_scope *scope, const double *constants,
                  const int64_t *grid);

#endif
