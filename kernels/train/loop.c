/* The training loop. A step is: forward, loss, backward with the sums of finished gradients begun on the way, one more part
 * with the step's loss and metrics and the wish to stop, then the update. Every decision is taken from summed numbers, so all
 * ranks take the same. */
#include "kernels/train/run.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/units.h"
#include "kernels/optim/schedule.h"

/* The tail of the gradient buffer: the wish to stop, and the metrics' numbers, summed with the last part. Sums of a step are small
 * enough for float32. */
enum { TAIL_STOP, TAIL_METRICS };

size_t run_tail_count(const struct metrics *m)
{
    return TAIL_METRICS + metrics_tail_count(m);
}

/* SIGTERM and SIGUSR1 are blocked while training; one that waits is the wish to stop. */
static bool stop_wanted(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGUSR1));
}

static int start_part(void *context, size_t first, size_t count, struct err *err)
{
    return dist_reduce_start(context, first, count, err);
}

/* out += x */
static void add(float *out, const float *x, size_t n, int threads)
{
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (size_t i = 0; i < n; i++)
        out[i] += x[i];
}

/* Gradients of a batch that is not the step's last: kept on this rank. */
static int accumulate(struct run *r, const struct loader_batch *b, struct err *err)
{
    if (run_forward(r, b, true, &r->step_metrics, err) || executor_backward(r->executor, NULL, NULL, err))
        return -1;
    add(r->accumulated, r->gradients, r->weight_count, executor_threads(r->executor));
    return 0;
}

/* Gradients of this rank's part of the step's last batch and what is accumulated before, and their sum over the ranks. */
static int gradients_of(struct run *r, const struct loader_batch *b, bool accumulated, struct err *err)
{
    if (run_forward(r, b, true, &r->step_metrics, err))
        return -1;
    float *tail = r->gradients + r->weight_count;
    tail[TAIL_STOP] = stop_wanted();
    metrics_write_tail(&r->step_metrics, tail + TAIL_METRICS);
    if (executor_backward(r->executor, accumulated ? NULL : start_part, r->dist, err))
        return -1;
    if (accumulated) {
        add(r->gradients, r->accumulated, r->weight_count, executor_threads(r->executor));
        memset(r->accumulated, 0, r->weight_count * sizeof(*r->accumulated));
        if (dist_reduce_start(r->dist, 0, r->weight_count, err))
            return -1;
    }
    if (dist_reduce_start(r->dist, r->weight_count, r->tail_count, err))
        return -1;
    return dist_reduce_wait(r->dist, err);
}

/* What the summed gradients are multiplied with: 1 / weight of the targets, less when their norm is over the limit. */
static double gradient_scale(const struct run *r, double weight)
{
    double scale = weight > 0 ? 1 / weight : 0, limit = r->algorithm.gradient_clip_norm;
    if (limit > 0) {
        double norm = scale * sqrt(optimizer_sum_of_squares_threads(r->gradients, r->weight_count,
                                                                    executor_threads(r->executor)));
        if (norm > limit)
            scale *= limit / norm;
    }
    return scale;
}

static void report_step(struct run *r, double rate)
{
    struct report_values v = {0};
    double now = time_monotonic(), span = now - r->window_started;
    if (!report_wants(r->report, r->progress.step))
        return;
    report_values_metrics(&v, &r->algorithm, &r->window_metrics);
    report_values_add(&v, "learning_rate", rate);
    report_values_add(&v, "samples_per_second", span > 0 ? (double)r->window_samples / span : 0);
    report_train(r->report, r->progress.step, r->progress.epoch, &v);
    metrics_clear(&r->window_metrics);
    r->window_started = now;
    r->window_samples = 0;
}

/* The first node, over all ranks, whose output is not finite for this batch; -1 when all are. */
static int first_not_finite(struct run *r, const struct loader_batch *b, struct err *err)
{
    size_t count = (size_t)r->graph->node_count;
    int64_t *marks = xcalloc(count, sizeof(*marks));
    const struct executor_batch eb = run_batch(r, b);
    int found = -1, own = executor_find_not_finite(r->executor, &eb);
    if (own >= 0)
        marks[own] = 1;
    if (dist_sum(r->dist, marks, count, DIST_I64, err) == 0)
        for (size_t i = 0; i < count && found < 0; i++)
            if (marks[i])
                found = (int)i;
    free(marks);
    return found;
}

/* Say at which step and in which layer it happened. */
static void say_diverged(struct run *r, const struct loader_batch *b, double loss)
{
    int found = first_not_finite(r, b, NULL);
    if (found >= 0)
        report_note(r->report,
                    "the loss is %g at step %lld: training diverged; the first layer with a value that is "
                    "not finite is %s. "
                    "Try a smaller learning rate, a warm-up, or gradient_clip_norm",
                    loss, (long long)r->progress.step + 1, r->graph->nodes[found].name);
    else
        report_note(r->report,
                    "the loss is %g at step %lld: training diverged in the loss itself. Try a smaller "
                    "learning rate, a warm-up, or "
                    "gradient_clip_norm",
                    loss, (long long)r->progress.step + 1);
}

enum step_result { STEP_FAILED = -1, STEP_DONE, STEP_STOP, STEP_DIVERGED };

static const struct loader_batch *next_batch(struct run *r, struct err *err)
{
    const struct loader_batch *b = loader_next(r->train_loader);
    if (b && b->index == r->progress.batch)
        return b;
    err_set(err, ERR_INTERNAL, "the loader is not at batch %lld of its epoch", (long long)r->progress.batch);
    return NULL;
}

/* The batches of one update, their gradients summed over the ranks; the last batch, NULL with err. */
static const struct loader_batch *step_batches(struct run *r, struct err *err)
{
    int64_t left = r->algorithm.gradient_accumulation;
    metrics_clear(&r->step_metrics);
    for (bool first = true;; first = false) {
        const struct loader_batch *b = next_batch(r, err);
        if (!b)
            return NULL;
        bool last = --left == 0 || r->progress.batch + 1 == r->per_epoch;
        if (last ? gradients_of(r, b, !first, err) : accumulate(r, b, err))
            return NULL;
        r->window_samples += b->global_count;
        r->progress.batch++;
        if (last)
            return b;
    }
}

static enum step_result step(struct run *r, struct err *err)
{
    double loss, weight;
    size_t count;
    const struct loader_batch *b = step_batches(r, err);
    if (!b)
        return STEP_FAILED;
    const float *tail = r->gradients + r->weight_count;
    metrics_tail_loss(tail + TAIL_METRICS, &loss, &weight);
    loss = weight > 0 ? loss / weight : loss;
    if (!isfinite(loss)) {
        say_diverged(r, b, loss);
        return STEP_DIVERGED;
    }
    double rate = schedule_rate_after(&r->algorithm, &r->progress.plateau, r->progress.step,
                                      r->updates_per_epoch, r->steps);
    executor_update(r->executor, r->optimizer, rate, gradient_scale(r, weight));
    if (shard_share_weights(&r->shard, executor_weights(r->executor, &count), r->dist, err))
        return STEP_FAILED;
    metrics_add_tail(&r->epoch_metrics, tail + TAIL_METRICS);
    metrics_add_tail(&r->window_metrics, tail + TAIL_METRICS);
    r->progress.step++;
    weight_average_add(r->average, executor_weights(r->executor, &count), r->progress.step,
                       executor_threads(r->executor));
    report_step(r, rate);
    run_checkpoint_poll(r);
    return tail[TAIL_STOP] > 0 ? STEP_STOP : STEP_DONE;
}

/* ---- epochs ---- */

/* What watched values decide: the rate of the next epoch, the end. Without a test split those of the training split. */
static void watch(struct run *r)
{
    const struct algorithm *a = &r->algorithm;
    const struct metrics *m = r->evaluated ? &r->eval_metrics : &r->epoch_metrics;
    struct progress *p = &r->progress;
    plateau_watch(&p->plateau, a, metrics_watched(m, &a->schedule.watch));
    if (!a->early_stopping.on)
        return;
    double v = metrics_watched(m, &a->early_stopping.watch);
    if (watch_is_better(&a->early_stopping.watch, v, p->best, a->early_stopping.min_delta)) {
        p->best = v;
        p->bad_epochs = 0;
    } else if (++p->bad_epochs >= a->early_stopping.patience_epochs) {
        p->stopped = 1;
    }
}

/* Whether this epoch's checkpoint is the best one. Call when its row is there. */
static bool is_best(struct run *r)
{
    const struct watch *w = &r->algorithm.checkpoint.watch;
    double v = metrics_watched(r->evaluated ? &r->eval_metrics : &r->epoch_metrics, w);
    if (!r->algorithm.checkpoint.keep_best || !watch_is_better(w, v, r->progress.best_checkpoint, 0))
        return false;
    r->progress.best_checkpoint = v;
    r->progress.best_row = r->progress.rows - 1;
    return true;
}

static void fill_row(struct run *r, struct report_epoch *row)
{
    const struct algorithm *a = &r->algorithm;
    memset(row, 0, sizeof(*row));
    row->epoch = r->progress.epoch;
    row->step = r->progress.step;
    row->train_loss = metrics_loss(&r->epoch_metrics);
    row->eval_loss = r->evaluated ? metrics_loss(&r->eval_metrics) : NAN;
    for (int i = 0; i < a->metric_count; i++) {
        row->train_metrics[i] = metrics_value(&r->epoch_metrics, a->metrics[i]);
        row->eval_metrics[i] = r->evaluated ? metrics_value(&r->eval_metrics, a->metrics[i]) : NAN;
    }
    row->learning_rate =
        schedule_rate_after(a, &r->progress.plateau, r->progress.step - 1, r->updates_per_epoch, r->steps);
    row->seconds = r->progress.epoch_seconds + time_monotonic() - r->epoch_started;
}

static int end_epoch(struct run *r, struct err *err)
{
    struct report_values v = {0};
    if (run_average_states(r, err))
        return -1;
    if (r->test_loader && run_evaluate(r, err))
        return -1;
    r->progress.epoch++;
    r->progress.batch = 0;
    if (r->evaluated) {
        report_values_metrics(&v, &r->algorithm, &r->eval_metrics);
        report_eval(r->report, r->progress.step, r->progress.epoch, &v);
    }
    struct report_epoch *row = &r->rows[r->progress.rows++];
    fill_row(r, row);
    report_epoch_done(r->report, row);
    watch(r);
    bool best = is_best(r);
    metrics_clear(&r->epoch_metrics);
    metrics_clear(&r->window_metrics);
    r->progress.epoch_seconds = 0;
    r->epoch_started = r->window_started = time_monotonic();
    r->window_samples = 0;
    return run_checkpoint(r, best, err);
}

static int steps_of_epoch(struct run *r, enum report_outcome *outcome, struct err *err)
{
    int64_t every = r->algorithm.checkpoint.every_steps;
    while (r->progress.batch < r->per_epoch) {
        switch (step(r, err)) {
        case STEP_FAILED:
            return -1;
        case STEP_DIVERGED:
            *outcome = REPORT_DIVERGED;
            return 0;
        case STEP_STOP:
            *outcome = REPORT_INTERRUPTED;
            return run_checkpoint(r, false, err);
        case STEP_DONE:
            break;
        }
        if (every > 0 && r->progress.step % every == 0 && r->progress.batch < r->per_epoch &&
            run_checkpoint(r, false, err))
            return -1;
    }
    return 0;
}

static int train(struct run *r, enum report_outcome *outcome, struct err *err)
{
    *outcome = REPORT_FINISHED;
    r->epoch_started = r->window_started = time_monotonic();
    if (r->progress.epoch < r->algorithm.epochs)
        loader_seek(r->train_loader, r->progress.epoch + r->progress.batch / r->per_epoch,
                    r->progress.batch % r->per_epoch);
    while (r->progress.epoch < r->algorithm.epochs && !r->progress.stopped) {
        if (steps_of_epoch(r, outcome, err))
            return -1;
        if (*outcome != REPORT_FINISHED)
            return 0;
        if (end_epoch(r, err))
            return -1;
    }
    if (r->progress.stopped)
        *outcome = REPORT_EARLY;
    return 0;
}

int run_train(struct run *r, enum report_outcome *outcome, struct err *err)
{
    return train(r, outcome, err) || run_checkpoint_wait(r, err) ? -1 : 0;
}
