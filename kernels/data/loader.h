/* loader: batches of one split of a dataset, for one rank, prepared ahead by a thread.
 *
 * The order of an epoch depends on (seed, epoch) alone: global batch b of an epoch holds the same samples
 * whatever the number of ranks, and rank r of n gets the r-th of n nearly equal contiguous parts of it. The
 * order is a keyed permutation that is computed, not stored, so any (epoch, batch) can be started from at
 * once and memory does not grow with the data. Of a stream of tokens an epoch is the stream cut into windows
 * from a place that the epoch's seed chooses, round the end; without shuffling from its beginning. A loader belongs to one thread; the dataset must outlive it.
 */
#ifndef KERNELS_DATA_LOADER_H
#define KERNELS_DATA_LOADER_H

#include "kernels/data/augment.h"
#include "kernels/data/dataset.h"

struct loader_options {
    int split;       /* SPLIT_TRAIN, SPLIT_TEST */
    int rank, ranks; /* ranks 0 means 1 */
    int64_t batch;   /* global batch size, at least ranks */
    uint64_t seed;
    bool shuffle;   /* false: in stored order */
    bool drop_last; /* leave out an epoch's last batch when it is smaller (not when it is the only one) */
    int64_t epochs; /* loader_next gives NULL after so many, counted from where it started; 0: never ends */
    bool as_float;  /* give uint8 features as float32 0..255 */
    int prefetch;   /* batches ahead; 0: 3 */
    struct augment augment; /* of uint8 (channels, height, width); an error for anything else */
};

struct loader_batch {
    int64_t epoch, index; /* of the global batch */
    int64_t global_count; /* samples in the global batch */
    int64_t count;        /* samples of this rank, 0..loader_capacity() */
    void *features;   /* (capacity, feature), dtype loader_dtype(), 64-byte aligned, standardised as the pack
                         says; rows from count on are 0 */
    int32_t *classes; /* (capacity, target_length), TARGET_CLASS; rows from count on are -1 */
    float *values;    /* (capacity, target_width), TARGET_VALUE */
};

struct loader *loader_create(const struct dataset *d, const struct loader_options *o, struct err *err);
void loader_destroy(struct loader *l);
int64_t
loader_capacity(const struct loader *l); /* most samples one batch gives this rank: ceil(batch / ranks) */
int64_t loader_batches_per_epoch(const struct loader *l);
enum dtype loader_dtype(const struct loader *l);
/* Go on at this epoch and batch (both from 0); before the first loader_next, or after. */
void loader_seek(struct loader *l, int64_t epoch, int64_t batch);
/* The next batch; the pointer is valid until the next call. Waits only if the thread is behind. */
const struct loader_batch *loader_next(struct loader *l);
/* Which sample is at position `at` of an epoch (0 <= at < samples): the permutation itself. */
int64_t loader_order(uint64_t seed, int64_t epoch, int64_t samples, int64_t at);

#endif
