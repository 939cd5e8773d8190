/* What a run leaves in --out. */
#include "kernels/train/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "kernels/formats/safetensors.h"
#include "kernels/train/trained.h"

static int write_file(struct run *r, const char *name, struct buf *content, struct err *err)
{
    char *path = path_join(r->options->out, name);
    if (content->len == 0 || content->data[content->len - 1] != '\n')
        buf_putc(content, '\n');
    int rc = file_write_atomic(path, content->data, content->len, 0644, err);
    free(path);
    buf_free(content);
    return rc;
}

int run_write_inputs(struct run *r, struct err *err)
{
    struct buf b = {0};
    if (r->dist->rank != 0)
        return 0;
    model_spec_write_json(r->model, &b);
    if (write_file(r, "model.json", &b, err))
        return -1;
    algorithm_write_json(&r->algorithm, &b);
    return write_file(r, "algorithm.json", &b, err);
}

/* "[1,2.5]"; NULL without numbers. Caller frees. */
static char *numbers_text(const float *x, int n)
{
    struct buf b = {0};
    if (!x || n < 1)
        return NULL;
    for (int i = 0; i < n; i++) {
        buf_putc(&b, i ? ',' : '[');
        buf_printf(&b, "%.9g", (double)x[i]);
    }
    buf_putc(&b, ']');
    return buf_steal(&b);
}

/* Weights and states under their full names, in the plain row-major layouts of the layer types' documentation, in the
 * order of the graph. */
static int write_weights(struct run *r, struct err *err)
{
    size_t n, count;
    const struct executor_weight *list = executor_weight_list(r->executor, &n);
    const float *weights = executor_weights(r->executor, &count),
                *states = executor_states(r->executor, &count);
    struct tensor_entry *entries = xcalloc(n ? n : 1, sizeof(*entries));
    for (size_t i = 0; i < n; i++) { /* the list runs from the last layer to the first */
        const struct executor_weight *w = &list[n - 1 - i];
        entries[i] = (struct tensor_entry){.name = w->name,
                                           .dtype = DTYPE_F32,
                                           .shape = w->def->shape,
                                           .data = (w->def->trainable ? weights : states) + w->first,
                                           .bytes = w->count * sizeof(float)};
    }
    char step[32], epoch[32];
    snprintf(step, sizeof(step), "%lld", (long long)r->progress.step);
    snprintf(epoch, sizeof(epoch), "%lld", (long long)r->progress.epoch);
    const struct dataset_info *d = &r->data->info;
    char *mean = numbers_text(d->column_mean, d->column_count),
         *std = numbers_text(d->column_std, d->column_count);
    const struct tensor_metadata metadata[] = {{"format", "trainyard"},
                                               {"trainer", TRAINYARD_VERSION},
                                               {"model", r->model->name},
                                               {"algorithm", r->algorithm.name},
                                               {"step", step},
                                               {"epoch", epoch},
                                               {TRAINED_MEAN, mean},
                                               {TRAINED_STD, std}};
    char *path = path_join(r->options->out, "weights.safetensors");
    int rc =
        safetensors_write(path, entries, n, metadata, ARRAY_LEN(metadata) - (mean && std ? 0 : 2), err) ||
                run_write_onnx(r, entries, n, err)
            ? -1
            : 0;
    free(mean);
    free(std);
    free(path);
    free(entries);
    return rc;
}

static void final_values(struct run *r, enum report_outcome outcome, struct report_values *v)
{
    const struct algorithm *a = &r->algorithm;
    int64_t row = a->checkpoint.export_best ? r->progress.best_row : r->progress.rows - 1;
    const struct report_epoch *last = r->progress.rows > 0 ? &r->rows[row] : NULL;
    bool eval = last && !isnan(last->eval_loss);
    if (outcome == REPORT_DIVERGED)
        report_values_add(v, "loss", NAN);
    if (!last || outcome == REPORT_DIVERGED)
        return;
    report_values_add(v, "loss", eval ? last->eval_loss : last->train_loss);
    for (int i = 0; i < a->metric_count; i++) {
        double value = eval ? last->eval_metrics[i] : last->train_metrics[i];
        if (!isnan(value))
            report_values_add(v, metric_name(a->metrics[i]), value);
    }
}

static int write_all(struct run *r, enum report_outcome outcome, struct err *err)
{
    struct report_values v = {0};
    double seconds = r->progress.seconds + time_monotonic() - r->started;
    final_values(r, outcome, &v);
    bool best = r->algorithm.checkpoint.export_best && !isnan(r->progress.best_checkpoint);
    if (outcome != REPORT_DIVERGED) {
        if (best && run_load_best(r, err))
            return -1;
        run_swap_average(r);
        int rc = write_weights(r, err);
        run_swap_average(r);
        if (rc)
            return -1;
    }
    char *path = path_join(r->options->out, "report.json");
    int rc = report_write(r->report, path, r->progress.step, r->progress.epoch, &v, r->rows, r->progress.rows,
                          r->evaluated && outcome != REPORT_DIVERGED ? &r->eval_metrics : NULL, seconds,
                          outcome, err);
    free(path);
    if (!rc)
        report_end(r->report, r->progress.step, r->progress.epoch, &v, seconds, outcome);
    return rc;
}

int run_finish(struct run *r, enum report_outcome outcome, struct err *err)
{
    struct err local = {0};
    /* A finished run that was resumed at its end has no confusion matrix yet; an interrupted one needs none. */
    if (r->test_loader && !r->evaluated && (outcome == REPORT_FINISHED || outcome == REPORT_EARLY) &&
        run_evaluate(r, err))
        return -1;
    int64_t failed = r->dist->rank == 0 && write_all(r, outcome, &local) ? 1 : 0;
    if (dist_sum(r->dist, &failed, 1, DIST_I64,
                 err)) /* no rank ends, and makes mpirun end the others, before this is done */
        return -1;
    return failed ? err_set(err, ERR_IO, "%s", local.code ? local.text : "rank 0 could not write the results")
                  : 0;
}
