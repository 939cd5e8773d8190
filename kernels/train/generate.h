/* generate: choosing the next token from a language model's scores. Pure. */
#ifndef KERNELS_TRAIN_GENERATE_H
#define KERNELS_TRAIN_GENERATE_H

#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "kernels/data/dataset.h"

/* One of n tokens, with probability softmax(score / temperature) among the top_k likeliest (0: all; of equal scores the first come
 * first); temperature 0: the likeliest. at: how many were chosen before; the choice depends on (seed, at) and the scores alone.
 * work: room for n floats. A score that is NaN is never chosen unless all are. */
int generate_choose(const float *score, int n, double temperature, int top_k, uint64_t seed, uint64_t at,
                    float *work);

/* The tokens of a text in the dataset's vocabulary. An err names what is not in it. Caller frees. */
int32_t *generate_tokens(const struct dataset_info *info, const char *text, size_t *count, struct err *err);
/* A token as text. */
void generate_text(const struct dataset_info *info, int32_t token, struct buf *out);

/* The command; argv without the program's name. */
int generate_main(int argc, char **argv);

#endif
