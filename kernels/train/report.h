/* report: what a run tells while it goes and leaves at its end. Rank 0 has one; the others pass NULL, and every function then
 * does nothing.
 *
 * - metrics.jsonl: the lines of docs/architecture.md 4.1, each appended with one write(2)
 * - lines for people: on standard error as one that renews itself (a terminal, or asked for), else sparse ones on standard output
 * - report.json: the final values, a row per epoch, the confusion matrix
 */
#ifndef KERNELS_TRAIN_REPORT_H
#define KERNELS_TRAIN_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "kernels/data/dataset.h"
#include "kernels/optim/metrics.h"
#include "kernels/spec/algorithm.h"

#define REPORT_MAX_VALUES (ALGORITHM_MAX_METRICS + 4)

/* Named numbers in the order they are shown. Names are literals. */
struct report_values {
    int count;
    struct {
        const char *name;
        double value;
    } items[REPORT_MAX_VALUES];
};
void report_values_add(struct report_values *v, const char *name, double value);
/* loss and the algorithm's metrics, as far as they make sense for the target. */
void report_values_metrics(struct report_values *v, const struct algorithm *a, const struct metrics *m);

/* One epoch's row. Plain data: checkpoints hold rows as they stand. */
struct report_epoch {
    int64_t epoch, step; /* epochs and steps done */
    double train_loss, train_metrics[ALGORITHM_MAX_METRICS];
    double eval_loss, eval_metrics[ALGORITHM_MAX_METRICS]; /* NaN without a test split */
    double learning_rate, seconds;
};

/* What a run is; the pointers are borrowed for the report's life. */
struct report_run {
    const struct algorithm *algorithm;
    const struct dataset_info *data;
    const char *model_name, *backend, *collectives;
    int ranks, threads;
    int64_t steps, epochs, steps_per_epoch, parameters;
};

enum report_outcome { REPORT_FINISHED, REPORT_EARLY, REPORT_INTERRUPTED, REPORT_DIVERGED };

struct report;

/* metrics_path may be NULL; the file is appended to. progress: renew a line on standard error. */
struct report *report_open(const struct report_run *run, const char *metrics_path, bool progress,
                           struct err *err);
void report_close(struct report *r);

void report_start(struct report *r);
void report_resume(struct report *r, int64_t step);
/* step: optimizer steps done; epoch: the one it belongs to, from 0. */
void report_train(struct report *r, int64_t step, int64_t epoch, const struct report_values *v);
/* epoch: epochs done. */
void report_eval(struct report *r, int64_t step, int64_t epoch, const struct report_values *v);
void report_epoch_done(struct report *r, const struct report_epoch *row);
void report_checkpoint(struct report *r, int64_t step, int64_t epoch, const char *file);
void report_note(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_end(struct report *r, int64_t step, int64_t epoch, const struct report_values *v, double seconds,
                enum report_outcome outcome);

/* Why there is no model.onnx: for report.json and a line for people. */
void report_no_onnx(struct report *r, const char *why);

/* Should a train line be written for this step (1 is the first)? At most 20 a second. */
bool report_wants(struct report *r, int64_t step);

/* Write report.json. confusion may be NULL; rows are those of the whole run, resumed parts too. */
int report_write(const struct report *r, const char *path, int64_t step, int64_t epoch,
                 const struct report_values *v, const struct report_epoch *rows, int64_t row_count,
                 const struct metrics *confusion, double seconds, enum report_outcome outcome,
                 struct err *err);

/* An evaluation of a model on a split as JSON: samples, loss, the algorithm's metrics, the confusion matrix, each class. */
void report_evaluation(struct buf *out, const char *model, const char *split, const struct algorithm *a,
                       const struct dataset_info *data, const struct metrics *m);

#endif
