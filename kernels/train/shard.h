/* shard: the optimizer's state divided over the ranks (ZeRO-1: Rajbhandari et al., ZeRO, SC 2020, stage 1). Each rank updates the part
 * of the weights that it has state for and gives the result to the others; gradients are summed as without it. What is done to a
 * weight is the same as on one rank, so results do not depend on whether it is on.
 *
 * A checkpoint holds the whole state, whoever wrote it: it can be gone on from on another number of ranks.
 */
#ifndef KERNELS_TRAIN_SHARD_H
#define KERNELS_TRAIN_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "kernels/optim/optimizer.h"
#include "kernels/train/distributed.h"

struct shard {
    size_t *bounds; /* (ranks + 1): rank r has weights [bounds[r], bounds[r + 1]); NULL: not divided */
};

/* The optimizer of this rank, whole or of its part. mode: "auto" (divided when there are several ranks, state, and at least
 * SHARD_LEAST weights), "on", "off". Caller optimizer_destroy()s and shard_free()s. */
#define SHARD_LEAST 65536
struct optimizer *shard_create(struct shard *s, const char *mode, const struct algorithm *a, size_t count,
                               const struct optimizer_range *ranges, size_t range_count,
                               const struct dist *d);
void shard_free(struct shard *s);

/* After an update: every rank's part of the weights to all ranks. Uses the gradient buffer. Collective. */
int shard_share_weights(const struct shard *s, float *weights, struct dist *d, struct err *err);

/* The whole state number i on rank 0: out (count of the optimizer); the others pass NULL. Collective. */
int shard_collect_state(const struct shard *s, const struct optimizer *o, int i, float *out, struct dist *d,
                        struct err *err);
/* Take this rank's part of a whole state (count). */
void shard_take_state(const struct shard *s, struct optimizer *o, int i, const float *whole);

#endif
