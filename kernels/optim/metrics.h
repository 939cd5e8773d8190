/* metrics: what a pass over samples adds up to. Only sums are kept, so accumulators of several ranks (and of several batches)
 * add to exactly the whole: counts and the confusion matrix are integers, the rest float64.
 */
#ifndef KERNELS_OPTIM_METRICS_H
#define KERNELS_OPTIM_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/spec/algorithm.h"

struct metrics {
    int classes; /* 0: not a classification */
    int width;   /* outputs of a regression; 0: not one */
    bool with_confusion;
    /* two arrays that may be summed over ranks as they are */
    int64_t *counts; /* [0] samples, [1] correct, then the confusion matrix (classes, classes) row = truth */
    size_t count_length;
    double *
        sums; /* [0] loss, [1] absolute errors, then per output: sum of squared errors, of targets, of squared targets */
    size_t sum_length;
    double *
        shift; /* (width) taken off every target before it is squared: keeps the digits of targets far from 0 */
};

/* with_confusion only for classifications of at most METRICS_MAX_CONFUSION classes. Caller metrics_free()s. */
#define METRICS_MAX_CONFUSION 1024
void metrics_init(struct metrics *m, int classes, int width, bool with_confusion);
void metrics_free(struct metrics *m);
void metrics_clear(struct metrics *m);
/* A typical target (width), the same for all accumulators that are added: any sample's will do. Before the first sample. */
void metrics_set_shift(struct metrics *m, const float *target);

/* Add n samples. scores (n, classes): the largest wins, the first of equals; classes (n), a negative one is left out. */
void metrics_add_classes(struct metrics *m, const float *scores, const int32_t *classes, int64_t n);
/* Add n samples: predictions and targets (n, width). */
void metrics_add_values(struct metrics *m, const float *predictions, const float *targets, int64_t n);
/* Add to the loss: the sum over the samples just added. */
void metrics_add_loss(struct metrics *m, double loss_sum);

int64_t metrics_samples(const struct metrics *m);
double metrics_loss(const struct metrics *m);                         /* mean; NaN without samples */
bool metrics_has(const struct metrics *m, enum metric_type type);     /* does it make sense here? */
double metrics_value(const struct metrics *m, enum metric_type type); /* NaN without samples */
int64_t metrics_confusion(const struct metrics *m, int truth, int predicted);

#endif
