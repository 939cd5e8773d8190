/* metrics: what a pass over samples adds up to. Counts are integers and sums float64, so accumulators of several ranks (and of several
 * batches) add to exactly the whole; for the area under the curve the scores themselves are kept and put together.
 *
 * A target is one class or one row of values: of a sequence model each position is one.
 */
#ifndef KERNELS_OPTIM_METRICS_H
#define KERNELS_OPTIM_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/optim/loss.h"
#include "kernels/spec/algorithm.h"

enum metrics_kind {
    METRICS_CLASSES, /* softmax_cross_entropy: one class of `width` a target */
    METRICS_BINARY,  /* binary_cross_entropy: `width` labels a target, each there or not */
    METRICS_VALUES,  /* the others: `width` numbers a target */
};

#define METRICS_MAX_CONFUSION 1024              /* classes */
#define METRICS_MAX_KEPT      ((size_t)1 << 26) /* floats of scores over all ranks; beyond, auc is NaN */

struct metrics {
    enum metrics_kind kind;
    int width, top_k; /* top_k: 0 when not wanted */
    int64_t ignore_index;
    bool by_class;           /* counts of each class are kept: precision, recall, f1 */
    int confusion;           /* side of the confusion matrix; 0: none. A single label has 2 classes */
    bool keeps;              /* scores: auc */
    double bytes_per_target; /* for bits_per_byte; 1 unless the caller knows better */
    /* two arrays that may be summed over ranks as they are */
    int64_t *counts; /* see metrics.c */
    size_t count_length;
    double *sums;
    size_t sum_length;
    double *
        shift; /* (width) taken off every target before it is squared: keeps the digits of targets far from 0 */
    /* of each target kept: width scores, then its class or its width labels. Those of other ranks are appended */
    float *kept;
    size_t kept_rows, kept_room;
};

/* width: outputs of the model for one target (loss_width). whole: of an evaluation, with counts of classes and kept scores as the
 * algorithm's metrics need them; otherwise only what a training step adds up. Caller metrics_free()s. */
void metrics_init(struct metrics *m, const struct algorithm *a, int width, bool whole);
void metrics_free(struct metrics *m);
void metrics_clear(struct metrics *m);
/* A typical target (width), the same for all accumulators that are added: any sample's will do. Before the first sample. */
void metrics_set_shift(struct metrics *m, const float *target);

/* Add a batch and its loss. Targets that do not count for the loss do not count here. The largest score wins, the first of equals; a
 * label is taken to be there when its score is above 0. */
void metrics_add(struct metrics *m, const struct loss_batch *b, const struct loss_sums *loss);
/* Add another accumulator made in the same way, its kept scores too. */
void metrics_merge(struct metrics *m, const struct metrics *other);
/* Floats of a kept row, and rows from another rank. */
size_t metrics_kept_width(const struct metrics *m);
void metrics_append_kept(struct metrics *m, const float *kept, size_t rows);

int64_t metrics_samples(const struct metrics *m);                     /* targets that counted */
double metrics_loss(const struct metrics *m);                         /* weighted mean; NaN without samples */
bool metrics_has(const struct metrics *m, enum metric_type type);     /* does it make sense here? */
double metrics_value(const struct metrics *m, enum metric_type type); /* NaN without samples */
/* The watched value. */
double metrics_watched(const struct metrics *m, const struct watch *w);

/* Targets of class `truth` taken for class `predicted`; 0 without a confusion matrix. */
int64_t metrics_confusion(const struct metrics *m, int truth, int predicted);
/* precision, recall, f1 or auc of one class (of one label); NaN when by_class is not set. support: its targets. */
double metrics_of_class(const struct metrics *m, enum metric_type type, int class);
int64_t metrics_support(const struct metrics *m, int class);

/* The numbers of a training step as floats, to be summed over ranks beside the gradients; adding them back. */
size_t metrics_tail_count(const struct metrics *m);
void metrics_write_tail(const struct metrics *m, float *tail);
void metrics_add_tail(struct metrics *m, const float *tail);
/* Of a tail: the summed loss and weight. */
void metrics_tail_loss(const float *tail, double *loss, double *weight);

/* Area under the receiver operating curve of n scores: the share of (positive, negative) pairs in order, equal ones a half. Exact: pairs
 * are counted in integers. NaN when either kind is missing, or a score is NaN. score and truth are `stride` floats apart; positive is
 * the truth's value that counts. */
double auc(const float *score, const float *truth, size_t n, size_t stride, float positive);

#endif
