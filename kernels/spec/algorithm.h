/* algorithm: how to train, checked. From an algorithm file (trainyard.algorithm/1) by algorithm_parse (needs
 * jansson), or algorithm_default() and fields set in C. Every member, its limits, default and help is a row
 * of a table in algorithm_rows.c; parser, JSON Schema, documentation and algorithm_write_json come from the rows.
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
#define ALGORITHM_MAX_WEIGHTS    1024 /* class weights */
#define ALGORITHM_MAX_PATTERNS   16
#define ALGORITHM_PATTERN_MAX    64
#define ALGORITHM_MAX_OVERRIDES  64

enum loss_type {
    LOSS_SOFTMAX_CROSS_ENTROPY,
    LOSS_BINARY_CROSS_ENTROPY, /* of logits */
    LOSS_MEAN_SQUARED_ERROR,
    LOSS_MEAN_ABSOLUTE_ERROR,
    LOSS_HUBER,
    LOSS_TYPE_COUNT
};
enum optimizer_type {
    OPTIMIZER_SGD,
    OPTIMIZER_ADAM,
    OPTIMIZER_ADAMW,
    OPTIMIZER_RMSPROP,
    OPTIMIZER_ADAGRAD,
    OPTIMIZER_LAMB,
    OPTIMIZER_LION,
    OPTIMIZER_MUON,
    OPTIMIZER_TYPE_COUNT
};
enum schedule_type {
    SCHEDULE_CONSTANT,
    SCHEDULE_STEP,              /* times gamma every every_epochs epochs */
    SCHEDULE_MULTISTEP,         /* times gamma at the start of each milestone epoch */
    SCHEDULE_EXPONENTIAL,       /* times gamma every epoch */
    SCHEDULE_COSINE,            /* half a cosine from learning_rate to minimum over the steps after warm-up */
    SCHEDULE_ONE_CYCLE,         /* up to learning_rate, then down to nearly nothing */
    SCHEDULE_POLYNOMIAL,        /* (1 - t)^power between learning_rate and minimum */
    SCHEDULE_REDUCE_ON_PLATEAU, /* times factor when a watched value no longer gets better */
    SCHEDULE_TYPE_COUNT
};
enum metric_type {
    METRIC_ACCURACY,
    METRIC_TOP_K,
    METRIC_PRECISION, /* macro: the mean over the classes; so are the next three */
    METRIC_RECALL,
    METRIC_F1,
    METRIC_AUC,
    METRIC_PERPLEXITY,
    METRIC_BITS_PER_BYTE,
    METRIC_MEAN_ABSOLUTE_ERROR,
    METRIC_MEAN_SQUARED_ERROR,
    METRIC_ROOT_MEAN_SQUARED_ERROR,
    METRIC_R2,
    METRIC_TYPE_COUNT
};

/* A value of the test split (of the training split where there is none) that decides something. */
struct watch {
    bool by_loss; /* otherwise by metric */
    enum metric_type metric;
};

struct patterns {
    char text[ALGORITHM_MAX_PATTERNS][ALGORITHM_PATTERN_MAX]; /* "*.bias": over a weight's full name */
    int count;
};

struct algorithm {
    char name[65];
    struct {
        enum loss_type type;
        double label_smoothing; /* softmax_cross_entropy */
        int64_t
            ignore_index; /* softmax_cross_entropy: this target counts nothing; so do all outside the classes */
        double class_weights[ALGORITHM_MAX_WEIGHTS]; /* softmax_cross_entropy */
        int class_weight_count;                      /* 0: all 1 */
        double pos_weight;                           /* binary_cross_entropy: of targets that are 1 */
        double delta;                                /* huber: beyond this the error counts in a line */
    } loss;
    struct {
        enum optimizer_type type;
        double learning_rate;
        double
            weight_decay; /* sgd, adam, rmsprop, adagrad: added to the gradient (L2); adamw, lion, muon: decoupled;
                                lamb: part of the step. Only weights with decay set that no pattern excludes */
        struct patterns weight_decay_exclude;
        double momentum;              /* sgd, rmsprop, muon */
        bool nesterov;                /* sgd (needs momentum > 0), muon */
        double beta1, beta2, epsilon; /* adam, adamw, lamb, lion (no epsilon), muon's adamw */
        double alpha;                 /* rmsprop: decay of the mean of squares */
        bool centered;                /* rmsprop */
        double rate_decay;            /* adagrad: rate / (1 + steps * rate_decay) */
        double initial_accumulator;   /* adagrad */
        int64_t newton_schulz_steps;  /* muon */
        double adamw_rate;            /* muon: rate of what is no matrix, as a share of learning_rate */
        struct patterns adamw_for;    /* muon: matrices that adamw moves */
    } optimizer;
    struct {
        enum schedule_type type;
        int64_t
            warmup_steps; /* every type but one_cycle: linear (rate * (step + 1) / warmup_steps) before anything else */
        int64_t every_epochs; /* step */
        double gamma;         /* step, multistep, exponential */
        int64_t milestones[ALGORITHM_MAX_MILESTONES];
        int milestone_count;
        double minimum; /* cosine, polynomial: the learning rate at the end; reduce_on_plateau: the least */
        int64_t restart_epochs;  /* cosine: epochs of the first cycle; 0: one cycle to the end */
        double restart_multiply; /* cosine: each cycle is so many times as long as the one before */
        double restart_decay;    /* cosine: each cycle begins with so much of the rate before */
        double power;            /* polynomial */
        double rise_share, start_divisor, end_divisor; /* one_cycle */
        bool linear;                                   /* one_cycle: lines instead of cosines */
        struct watch watch;                            /* reduce_on_plateau, and the next four */
        double factor, min_delta;
        int64_t patience_epochs, cooldown_epochs;
    } schedule;
    int64_t batch_size; /* global: split over ranks */
    int64_t epochs;
    uint64_t seed;
    enum dtype precision;          /* DTYPE_F32, DTYPE_BF16 (train/bfloat16.h) */
    double gradient_clip_norm;     /* 0: off; of the averaged gradient */
    double gradient_clip_value;    /* 0: off; after the norm */
    int64_t gradient_accumulation; /* batches whose gradients are averaged for one update; 1: every batch */
    enum metric_type metrics[ALGORITHM_MAX_METRICS];
    int metric_count;
    int64_t top_k; /* of METRIC_TOP_K */
    struct {
        bool on;
        double decay;
        int64_t every_steps; /* updates between two additions */
        bool warmup;         /* decay at most (1 + n) / (10 + n) at the n-th addition */
    } weight_average;        /* exponential moving average of the weights: what is evaluated and exported */
    struct {
        bool on;
        int64_t crop_padding, cutout;
        double flip, brightness, contrast, saturation;
    } augment; /* images of the train split, as data/augment.h says */
    struct {
        bool on;
        struct watch watch;
        int64_t patience_epochs; /* stop after so many epochs without a gain of min_delta */
        double min_delta;
    } early_stopping;
    struct {
        int64_t every_steps; /* 0: at the end of each epoch only */
        int64_t keep;        /* newest to keep */
        bool keep_best;      /* and the best by watch, beside them */
        bool export_best;    /* the run ends with the weights of the best epoch; needs keep_best */
        struct watch watch;
    } checkpoint;
    int64_t report_every_steps; /* 0: about 100 lines an epoch */
};

const char *loss_name(enum loss_type t);
const char *optimizer_name(enum optimizer_type t);
const char *schedule_name(enum schedule_type t);
const char *metric_name(enum metric_type t);
bool metric_higher_is_better(enum metric_type t);
/* Whether a model trained with this loss has this metric. */
bool metric_fits_loss(enum metric_type t, enum loss_type loss);
bool watch_higher_is_better(const struct watch *w);
/* Whether v is better than best by more than min_delta; anything is better than a NaN, a NaN than nothing. */
bool watch_is_better(const struct watch *w, double v, double best, double min_delta);
/* Whether a pattern matches the name: * is any run of characters, ? one, the rest itself. */
bool patterns_match(const struct patterns *p, const char *name);

/* Defaults of every member; adam, softmax cross-entropy, batch 32, one epoch. */
void algorithm_default(struct algorithm *a);
/* Another type, with its own defaults of every member it has. */
void algorithm_set_optimizer(struct algorithm *a, enum optimizer_type t);
void algorithm_set_schedule(struct algorithm *a, enum schedule_type t);

/* Parse an algorithm file after applying overrides ("/optimizer/learning_rate=0.1"; a value that is not JSON
 * is taken as a string). -1 when a finding failed. Needs jansson. */
int algorithm_parse(const char *text, size_t n, const char *const *overrides, int override_count,
                    struct algorithm *out, struct findings *f);

/* As an algorithm file with every value written out; it parses back to the same struct. */
void algorithm_write_json(const struct algorithm *a, struct buf *out);

#endif
