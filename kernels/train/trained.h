/* trained: a trained model put to use: what `evaluate`, `predict` and `generate` share. One process, no ranks.
 *
 *     trained_open    model, algorithm and data as a training run reads and checks them (run_load), then an executor that only
 *                     goes forward, with every weight from the weights file
 *     trained_next    batches of a split in stored order, with what the model makes of them
 */
#ifndef KERNELS_TRAIN_TRAINED_H
#define KERNELS_TRAIN_TRAINED_H

#include <stdio.h>
#include "kernels/optim/loss.h"
#include "kernels/train/run.h"

struct trained_options {
    const char *run; /* a run's --out: gives model, algorithm and weights that are not given */
    const char *model, *algorithm, *weights, *data;
    const char *split, *out, *format, *backend, *prompt;
    const char *layers[OPTIONS_MAX_REPEATS];
    int layer_count;
    int threads, batch, tokens, top_k, seed;
    double temperature;
    bool help;
};

/* Which of the flags a command has. */
#define TRAINED_EVALUATE 1
#define TRAINED_PREDICT  2
#define TRAINED_GENERATE 4

struct trained {
    struct trained_options given;
    struct train_options options; /* for run_load */
    char *paths[3];               /* of files inside --run */
    struct run run;               /* model, algorithm, graph, data, executor */
    struct loader *loader;
    int split;
    int64_t batches, at; /* of the split; given by trained_next */
};

/* Flags into options. 0; 2 after saying what is wrong; 1 when help was asked for and printed. */
int trained_parse(int argc, char **argv, int command, struct trained_options *out);

/* rows: most samples of one forward pass; 0: the batch size. 0; EXIT_VERIFICATION when a file is wrong (printed); -1 with err. */
int trained_open(struct trained *t, const struct trained_options *o, int64_t rows, struct err *err);
void trained_close(struct trained *t);

/* Begin with the split that --split names. -1 with err when it has no samples. */
int trained_begin(struct trained *t, struct err *err);
/* The next batch, forward passed: 1, or 0 after the last, or -1 with err. sums and rows may be NULL. */
int trained_next(struct trained *t, const struct loader_batch **b, struct loss_batch *rows,
                 struct loss_sums *sums, struct err *err);

/* What a weights file says of the data that it was trained on, as safetensors metadata: mean and standard deviation of the columns.
 * Data is then standardised as it was in training, whatever the statistics of its own. */
#define TRAINED_MEAN "input.mean"
#define TRAINED_STD  "input.std"

/* Where results go: --out, or standard output. NULL with err. */
FILE *trained_output(const struct trained *t, struct err *err);
/* Close it; -1 with err when something was not written. */
int trained_output_close(const struct trained *t, FILE *f, struct err *err);

/* A command from its flags to its exit code: act does it with what is open. row_count as in trained_open. */
int trained_main(int argc, char **argv, int command, int64_t row_count,
                 int (*act)(struct trained *t, struct err *err));

/* The commands; argv without the program's name. They return exit codes. */
int evaluate_main(int argc, char **argv);
int predict_main(int argc, char **argv);

#endif
