/* run: one training run on one rank: everything from the files to the results. main makes one; no other state exists.
 *
 *     run_load      read and check the files                                   (load.c; findings: exit 3)
 *     run_plan      executor, optimizer, loaders, report                       (run.c)
 *     run_resume    take over a checkpoint's state                             (state.c)
 *     run_train     epochs of steps, evaluations, checkpoints                  (loop.c)
 *     run_finish    weights and report                                         (results.c)
 */
#ifndef KERNELS_TRAIN_RUN_H
#define KERNELS_TRAIN_RUN_H

#include <stdint.h>
#include "base/finding.h"
#include "kernels/data/dataset.h"
#include "kernels/data/loader.h"
#include "kernels/formats/translation.h"
#include "kernels/graph/graph.h"
#include "kernels/optim/metrics.h"
#include "kernels/optim/optimizer.h"
#include "kernels/optim/schedule.h"
#include "kernels/optim/weight_average.h"
#include "kernels/spec/layer_file.h"
#include "kernels/spec/model.h"
#include "kernels/train/checkpoint_writer.h"
#include "kernels/train/distributed.h"
#include "kernels/train/executor.h"
#include "kernels/train/options.h"
#include "kernels/train/report.h"
#include "kernels/train/shard.h"

enum { EXIT_VERIFICATION = 3, EXIT_DIVERGED = 4, EXIT_INTERRUPTED = 75 };

/* Where a run stands. Plain data: a checkpoint holds it as it is. */
struct progress {
    int64_t step, epoch, batch; /* optimizer steps done; epochs done; batches of this epoch done */
    int64_t optimizer_step, rows;
    int64_t bad_epochs;   /* since the best evaluation */
    int64_t stopped;      /* early stopping has decided */
    double best, seconds; /* seconds of training before this process */
    double epoch_seconds; /* of this epoch, before this process */
    struct plateau plateau;
    double best_checkpoint; /* the watched value of best.ckpt; NaN: there is none */
    int64_t best_row;       /* its row */
    int64_t average_additions;
    /* what must be equal for a run to go on */
    uint64_t seed;
    int64_t batch_size;
    char data_digest[65], layout_digest[65], padding[6];
};

struct run {
    const struct train_options *options;
    struct layer_library *library;
    struct model_spec *model;
    struct algorithm algorithm;
    struct graph *graph;
    struct translation imported; /* a foreign model file's weights, to begin with */
    struct dataset *data;
    struct dist *dist;
    struct executor *executor;
    struct optimizer *optimizer;
    struct shard shard;             /* of the optimizer */
    struct weight_average *average; /* NULL: none */
    struct loader *train_loader, *test_loader;
    struct report *report; /* rank 0 */
    float *gradients;      /* the weights' gradients, then the tail: what else is summed in a step */
    float *accumulated;    /* of the batches before in this step; NULL without gradient_accumulation */
    size_t weight_count, tail_count;
    struct metrics step_metrics, epoch_metrics, window_metrics, eval_metrics;
    int64_t per_epoch;                /* batches of an epoch */
    int64_t updates_per_epoch, steps; /* updates of the weights: of an epoch, of the whole run */
    struct progress progress;
    struct report_epoch *rows; /* algorithm.epochs of them, progress.rows filled */
    char *checkpoint_dir;
    struct checkpoint_writer *writer; /* rank 0 */
    struct err checkpoint_err;        /* why one could not be written */
    struct buf note;                  /* to be said once the report is there */
    double started, epoch_started, window_started;
    int64_t window_samples;
    bool evaluated; /* eval_metrics hold the last epoch's */
};

/* Read model, layers, algorithm and data and check that they fit; dist is there already. 0, EXIT_VERIFICATION when a file is wrong
 * (the findings are printed as FILE:LINE:COLUMN lines), or -1 with err; the same on every rank. */
int run_load(struct run *r, struct err *err);
/* Make what a loaded run needs to train. -1 with err. */
int run_plan(struct run *r, struct err *err);
void run_destroy(struct run *r); /* all but dist */

/* Take over options->resume. -1 with err. */
int run_resume(struct run *r, struct err *err);
/* Begin to write a checkpoint, as the best one too if so; all ranks call it. Training may go on while it is written. -1 on all ranks
 * when it, or one before, could not be written. */
int run_checkpoint(struct run *r, bool best, struct err *err);
/* Report the checkpoint that became durable, if one did. */
void run_checkpoint_poll(struct run *r);
/* Wait until what was begun is durable; all ranks call it. */
int run_checkpoint_wait(struct run *r, struct err *err);
/* Rank 0: take the weights and the average of the best checkpoint. */
int run_load_best(struct run *r, struct err *err);

/* Train to the end. *outcome says how it ended; a last checkpoint is written. */
int run_train(struct run *r, enum report_outcome *outcome, struct err *err);

/* Rank 0 writes weights.safetensors and model.onnx (not after divergence), report.json and the last metrics line; all ranks call it. */
int run_finish(struct run *r, enum report_outcome outcome, struct err *err);
/* model.onnx from these weights; where ONNX cannot express a layer, the report says which, and that is no error. */
struct tensor_entry;
int run_write_onnx(struct run *r, const struct tensor_entry *weights, size_t count, struct err *err);
/* model.json and algorithm.json as run. */
int run_write_inputs(struct run *r, struct err *err);

/* Average the running statistics over the ranks; all ranks call it. */
int run_average_states(struct run *r, struct err *err);
/* The test split through the model, on all ranks: fills eval_metrics. */
int run_evaluate(struct run *r, struct err *err);

/* Exchange weights and average, where there is one. */
void run_swap_average(struct run *r);

/* This rank's part of a batch for the executor; b must outlive it. */
struct executor_batch run_batch(const struct run *r, const struct loader_batch *b);
/* Forward and loss of a batch, added to m. */
int run_forward(struct run *r, const struct loader_batch *b, bool training, struct metrics *m,
                struct err *err);

/* Numbers that a step sums beside the gradients, for accumulators like m. */
size_t run_tail_count(const struct metrics *m);

#endif
