/* algorithm: how to train, checked. From an algorithm file (trainyard.algorithm/1) by algorithm_parse (needs
 * jansson), or algorithm_default() and fields set in C. Every member, its limits, default and help is a row
 * of a table in algorithm.c; parser, JSON Schema, documentation and algorithm_write_json come from the rows.
 * Who computes: optim/.
 */
#ifndef KERNELS_SPEC_ALGORITHM_H
#define KERNELS_SPEC_ALGORITHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/finding.h"
#include "kernels/spec/layer_type.h"

#define ALGORITHM_FILE_MAX       (1 << 20)
#define ALGORITHM_MAX_METRICS    8
#define ALGORITHM_MAX_MILESTONES 32
#define ALGORITHM_MAX_OVERRIDES  64

enum loss_type { LOSS_SOFTMAX_CROSS_ENTROPY, LOSS_MEAN_SQUARED_ERROR, LOSS_TYPE_COUNT };
enum optimizer_type { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW, OPTIMIZER_TYPE_COUNT };
enum schedule_type {
    SCHEDULE_CONSTANT,
    SCHEDULE_STEP,        /* times gamma every every_epochs epochs */
    SCHEDULE_MULTISTEP,   /* times gamma at the start of each milestone epoch */
    SCHEDULE_EXPONENTIAL, /* times gamma every epoch */
    SCHEDULE_COSINE,      /* half a cosine from learning_rate to minimum over the steps after warm-up */
    SCHEDULE_TYPE_COUNT
};
enum metric_type { METRIC_ACCURACY, METRIC_MEAN_ABSOLUTE_ERROR, METRIC_R2, METRIC_TYPE_COUNT };

struct algorithm {
    char name[65];
    struct {
        enum loss_type type;
        double label_smoothing; /* softmax_cross_entropy */
    } loss;
    struct {
        enum optimizer_type type;
        double learning_rate, weight_decay; /* sgd, adam: added to the gradient (L2); adamw: decoupled. Only
                                               weights with decay set */
        double momentum;                    /* sgd */
        bool nesterov;                      /* sgd; needs momentum > 0 */
        double beta1, beta2, epsilon;       /* adam, adamw */
    } optimizer;
    struct {
        enum schedule_type type;
        int64_t warmup_steps; /* every type: linear from 0 (rate * (step + 1) / warmup_steps) before anything
                                 else */
        int64_t every_epochs; /* step */
        double gamma;         /* step, multistep, exponential */
        int64_t milestones[ALGORITHM_MAX_MILESTONES];
        int milestone_count;
        double minimum; /* cosine: the learning rate at the end */
    } schedule;
    int64_t batch_size; /* global: split over ranks */
    int64_t epochs;
    uint64_t seed;
    enum dtype precision;      /* DTYPE_F32 */
    double gradient_clip_norm; /* 0: off */
    enum metric_type metrics[ALGORITHM_MAX_METRICS];
    int metric_count;
    struct {
        bool on;
        bool by_loss; /* watches eval loss; otherwise metric */
        enum metric_type metric;
        int64_t patience_epochs; /* stop after so many epochs without a gain of min_delta */
        double min_delta;
    } early_stopping;
    struct {
        int64_t every_steps; /* 0: at the end of each epoch only */
        int64_t keep;        /* newest to keep */
    } checkpoint;
    int64_t report_every_steps; /* 0: about 100 lines an epoch */
};

const char *loss_name(enum loss_type t);
const char *optimizer_name(enum optimizer_type t);
const char *schedule_name(enum schedule_type t);
const char *metric_name(enum metric_type t);
bool metric_higher_is_better(enum metric_type t);

/* Defaults of every member; adam, softmax cross-entropy, batch 32, one epoch. */
void algorithm_default(struct algorithm *a);

/* Parse an algorithm file after applying overrides ("/optimizer/learning_rate=0.1"; a value that is not JSON
 * is taken as a string). -1 when a finding failed. Needs jansson. */
int algorithm_parse(const char *text, size_t n, const char *const *overrides, int override_count,
                    struct algorithm *out, struct findings *f);

/* As an algorithm file with every value written out; it parses back to the same struct. */
void algorithm_write_json(const struct algorithm *a, struct buf *out);

#endif
