#include "kernels/train/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define LINES_AN_EPOCH 100
#define LEAST_INTERVAL 0.05 /* seconds between two train lines */

struct report {
    struct report_run run;
    int fd; /* metrics, -1: none */
    bool progress, line_open;
    bool write_failed; /* said once */
    int64_t every;
    double last_line, started;
    char *no_onnx;   /* why there is no model.onnx; NULL: there is */
    struct buf line; /* reused: a train line allocates nothing after the first */
};

void report_values_add(struct report_values *v, const char *name, double value)
{
    if (v->count < REPORT_MAX_VALUES) {
        v->items[v->count].name = name;
        v->items[v->count++].value = value;
    }
}

void report_values_metrics(struct report_values *v, const struct algorithm *a, const struct metrics *m)
{
    report_values_add(v, "loss", metrics_loss(m));
    for (int i = 0; i < a->metric_count; i++)
        if (metrics_has(m, a->metrics[i]))
            report_values_add(v, metric_name(a->metrics[i]), metrics_value(m, a->metrics[i]));
}

struct report *report_open(const struct report_run *run, const char *metrics_path, bool progress,
                           struct err *err)
{
    int fd = -1;
    if (metrics_path) {
        fd = open(metrics_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0) {
            err_set(err, ERR_IO, "cannot write %s: %s", metrics_path, strerror(errno));
            return NULL;
        }
    }
    struct report *r = xcalloc(1, sizeof(*r));
    r->run = *run;
    r->fd = fd;
    r->progress = progress;
    r->every = run->algorithm->report_every_steps;
    if (r->every <= 0)
        r->every = run->steps_per_epoch > LINES_AN_EPOCH ? run->steps_per_epoch / LINES_AN_EPOCH : 1;
    r->started = time_monotonic();
    buf_reserve(&r->line, 4096);
    return r;
}

/* End the renewing line, so that what follows starts on its own. */
static void end_progress(struct report *r)
{
    if (r->line_open)
        fputc('\n', stderr);
    r->line_open = false;
}

void report_close(struct report *r)
{
    if (!r)
        return;
    end_progress(r);
    if (r->fd >= 0)
        close(r->fd);
    buf_free(&r->line);
    free(r->no_onnx);
    free(r);
}

bool report_wants(struct report *r, int64_t step)
{
    if (!r || (step != 1 && step % r->every != 0))
        return false;
    return step == 1 || time_monotonic() - r->last_line >= LEAST_INTERVAL;
}

/* ---- metrics.jsonl ---- */

static void begin(struct report *r, const char *kind)
{
    buf_clear(&r->line);
    buf_printf(&r->line, "{\"t\":%.6f,\"kind\":\"%s\"", time_now(), kind);
}

static void add_int(struct report *r, const char *name, int64_t v)
{
    buf_printf(&r->line, ",\"%s\":%" PRId64, name, v);
}

static void write_values(struct buf *b, const struct report_values *v)
{
    buf_putc(b, '{');
    for (int i = 0; i < v->count; i++) {
        if (i)
            buf_putc(b, ',');
        buf_json_str(b, v->items[i].name);
        buf_putc(b, ':');
        buf_json_num(b, v->items[i].value);
    }
    buf_putc(b, '}');
}

static void add_values(struct report *r, const struct report_values *v)
{
    buf_puts(&r->line, ",\"values\":");
    write_values(&r->line, v);
}

/* A full disk must not end hours of training: the loss of a line is said once. */
static void finish(struct report *r)
{
    buf_puts(&r->line, "}\n");
    if (r->fd < 0)
        return;
    ssize_t n;
    do
        n = write(r->fd, r->line.data, r->line.len);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)r->line.len && !r->write_failed) {
        r->write_failed = true;
        log_error("train", "metrics could not be written; training goes on without them",
                  KV_S("why", n < 0 ? strerror(errno) : "no space for a whole line"));
    }
}

/* ---- lines for people ---- */

static void say(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct report *r, const char *fmt, ...)
{
    FILE *to = r->progress ? stderr : stdout;
    va_list ap;
    end_progress(r);
    va_start(ap, fmt);
    vfprintf(to, fmt, ap);
    va_end(ap);
    fputc('\n', to);
    fflush(to);
}

static void format_values(const struct report_values *v, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < v->count && at < n; i++) {
        const char *name = v->items[i].name;
        if (strcmp(name, "learning_rate") == 0)
            continue;
        at += (size_t)snprintf(out + at, n - at, "%s%s %.4g", at ? "  " : "", name, v->items[i].value);
    }
}

static void show_progress(struct report *r, int64_t step, const struct report_values *v)
{
    char text[256], left[32];
    double spent = time_monotonic() - r->started,
           done = (double)step / (double)(r->run.steps > 0 ? r->run.steps : 1);
    int filled = (int)(done * 20);
    if (!r->progress)
        return;
    format_values(v, text, sizeof(text));
    units_format_duration(done > 0 ? spent / done - spent : 0, left, sizeof(left));
    fprintf(stderr, "\r\033[K[%.*s%.*s] %3.0f%%  step %" PRId64 "/%" PRId64 "  %s  %s left", filled,
            "####################", 20 - filled, "....................", done * 100, step, r->run.steps, text,
            left);
    fflush(stderr);
    r->line_open = true;
}

/* ---- the events ---- */

void report_start(struct report *r)
{
    if (!r)
        return;
    const struct report_run *run = &r->run;
    begin(r, "start");
    add_int(r, "ranks", run->ranks);
    add_int(r, "steps", run->steps);
    add_int(r, "epochs", run->epochs);
    add_int(r, "samples", run->data->samples[SPLIT_TRAIN]);
    add_int(r, "parameters", run->parameters);
    buf_puts(&r->line, ",\"backend\":");
    buf_json_str(&r->line, run->backend);
    finish(r);
    say(r,
        "training %s (%" PRId64 " parameters) with %s: %" PRId64 " samples, %" PRId64 " epochs, %" PRId64
        " steps, %d rank%s, %s",
        run->model_name, run->parameters, run->algorithm->name, run->data->samples[SPLIT_TRAIN], run->epochs,
        run->steps, run->ranks, run->ranks == 1 ? "" : "s", run->backend);
}

void report_resume(struct report *r, int64_t step)
{
    if (!r)
        return;
    begin(r, "resume");
    add_int(r, "step", step);
    finish(r);
    say(r, "resumed at step %" PRId64, step);
}

static void values_event(struct report *r, const char *kind, int64_t step, int64_t epoch,
                         const struct report_values *v)
{
    begin(r, kind);
    add_int(r, "step", step);
    add_int(r, "epoch", epoch);
    add_values(r, v);
}

void report_train(struct report *r, int64_t step, int64_t epoch, const struct report_values *v)
{
    if (!r)
        return;
    values_event(r, "train", step, epoch, v);
    finish(r);
    r->last_line = time_monotonic();
    show_progress(r, step, v);
}

void report_eval(struct report *r, int64_t step, int64_t epoch, const struct report_values *v)
{
    if (!r)
        return;
    values_event(r, "eval", step, epoch, v);
    finish(r);
}

void report_epoch_done(struct report *r, const struct report_epoch *row)
{
    char duration[32], eval[160] = "";
    if (!r)
        return;
    const struct algorithm *a = r->run.algorithm;
    units_format_duration(row->seconds, duration, sizeof(duration));
    size_t at = 0;
    if (!isnan(row->eval_loss)) {
        at = (size_t)snprintf(eval, sizeof(eval), "  eval loss %.4f", row->eval_loss);
        for (int i = 0; i < a->metric_count && at < sizeof(eval); i++)
            if (!isnan(row->eval_metrics[i]))
                at += (size_t)snprintf(eval + at, sizeof(eval) - at, "  %s %.4f", metric_name(a->metrics[i]),
                                       row->eval_metrics[i]);
    }
    say(r, "epoch %" PRId64 "/%" PRId64 "  step %" PRId64 "  loss %.4f%s  %s", row->epoch, r->run.epochs,
        row->step, row->train_loss, eval, duration);
}

void report_checkpoint(struct report *r, int64_t step, int64_t epoch, const char *file)
{
    if (!r)
        return;
    begin(r, "checkpoint");
    add_int(r, "step", step);
    add_int(r, "epoch", epoch);
    buf_puts(&r->line, ",\"file\":");
    buf_json_str(&r->line, file);
    finish(r);
}

void report_note(struct report *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (!r)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say(r, "%s", text);
}

static const char *outcome_name(enum report_outcome o)
{
    static const char *const names[] = {"finished", "stopped_early", "interrupted", "diverged"};
    return names[o];
}

void report_end(struct report *r, int64_t step, int64_t epoch, const struct report_values *v, double seconds,
                enum report_outcome outcome)
{
    char text[256], duration[32];
    if (!r)
        return;
    values_event(r, "end", step, epoch, v);
    buf_printf(&r->line, ",\"seconds\":%.3f", seconds);
    if (outcome == REPORT_DIVERGED)
        buf_puts(&r->line, ",\"diverged\":true");
    if (outcome == REPORT_INTERRUPTED)
        buf_puts(&r->line, ",\"interrupted\":true");
    if (outcome == REPORT_EARLY)
        buf_puts(&r->line, ",\"stopped_early\":true");
    finish(r);
    format_values(v, text, sizeof(text));
    units_format_duration(seconds, duration, sizeof(duration));
    say(r, "%s after %" PRId64 " steps in %s  %s", outcome_name(outcome), step, duration, text);
}

/* ---- report.json ---- */

static void write_pass(struct buf *b, const struct algorithm *a, double loss, const double *metrics)
{
    buf_puts(b, "{\"loss\":");
    buf_json_num(b, loss);
    for (int i = 0; i < a->metric_count; i++) {
        if (isnan(metrics[i]))
            continue;
        buf_putc(b, ',');
        buf_json_str(b, metric_name(a->metrics[i]));
        buf_putc(b, ':');
        buf_json_num(b, metrics[i]);
    }
    buf_putc(b, '}');
}

static void write_rows(struct buf *b, const struct algorithm *a, const struct report_epoch *rows,
                       int64_t count)
{
    buf_puts(b, ",\n \"epochs\":[");
    for (int64_t i = 0; i < count; i++) {
        const struct report_epoch *e = &rows[i];
        buf_printf(b, "%s\n  {\"epoch\":%" PRId64 ",\"step\":%" PRId64 ",\"train\":", i ? "," : "", e->epoch,
                   e->step);
        write_pass(b, a, e->train_loss, e->train_metrics);
        if (!isnan(e->eval_loss)) {
            buf_puts(b, ",\"eval\":");
            write_pass(b, a, e->eval_loss, e->eval_metrics);
        }
        buf_puts(b, ",\"learning_rate\":");
        buf_json_num(b, e->learning_rate);
        buf_printf(b, ",\"seconds\":%.3f}", e->seconds);
    }
    buf_puts(b, count ? "\n ]" : "]");
}

static void write_label(struct buf *b, const struct dataset_info *d, int class)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", class);
    buf_json_str(b, d->class_names && class < d->classes ? d->class_names[class] : number);
}

static void write_confusion(struct buf *b, const char *split, const struct dataset_info *d,
                            const struct metrics *m)
{
    buf_printf(b, ",\n \"confusion_matrix\":{\"of\":\"%s\",\"rows_are\":\"truth\",\"labels\":[", split);
    for (int i = 0; i < m->confusion; i++) {
        buf_puts(b, i ? "," : "");
        write_label(b, d, i);
    }
    buf_puts(b, "],\"rows\":[");
    for (int t = 0; t < m->confusion; t++) {
        buf_puts(b, t ? ",\n  [" : "\n  [");
        for (int p = 0; p < m->confusion; p++)
            buf_printf(b, "%s%" PRId64, p ? "," : "", metrics_confusion(m, t, p));
        buf_putc(b, ']');
    }
    buf_puts(b, "]}");
}

/* Precision, recall, f1 and, where it was asked for, the area under the curve of each class. */
static void write_each_class(struct buf *b, const struct dataset_info *d, const struct metrics *m)
{
    static const enum metric_type types[] = {METRIC_PRECISION, METRIC_RECALL, METRIC_F1, METRIC_AUC};
    bool positive = m->kind == METRICS_BINARY && m->width == 1; /* one label: the second class */
    buf_puts(b, ",\n \"classes\":[");
    for (int i = 0; i < m->width; i++) {
        buf_puts(b, i ? ",\n  {\"label\":" : "\n  {\"label\":");
        write_label(b, d, positive ? 1 : i);
        buf_printf(b, ",\"targets\":%" PRId64, metrics_support(m, i));
        for (size_t k = 0; k < ARRAY_LEN(types); k++) {
            if (!metrics_has(m, types[k]))
                continue;
            buf_printf(b, ",\"%s\":", metric_name(types[k]));
            buf_json_num(b, metrics_of_class(m, types[k], i));
        }
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void write_classes(struct buf *b, const char *split, const struct dataset_info *d,
                          const struct metrics *m)
{
    if (m->confusion)
        write_confusion(b, split, d, m);
    if (m->by_class && m->width <= METRICS_MAX_CONFUSION)
        write_each_class(b, d, m);
}

static void write_string(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, ",\n \"%s\":", name);
    buf_json_str(b, value);
}

void report_no_onnx(struct report *r, const char *why)
{
    if (!r)
        return;
    free(r->no_onnx);
    r->no_onnx = xstrdup(why);
    report_note(r, "no model.onnx: %s", why);
}

int report_write(const struct report *r, const char *path, int64_t step, int64_t epoch,
                 const struct report_values *v, const struct report_epoch *rows, int64_t row_count,
                 const struct metrics *confusion, double seconds, enum report_outcome outcome,
                 struct err *err)
{
    struct buf b = {0};
    if (!r)
        return 0;
    const struct report_run *run = &r->run;
    buf_puts(&b, "{\"format\":\"trainyard.report/1\"");
    write_string(&b, "trainer", TRAINYARD_VERSION);
    write_string(&b, "outcome", outcome_name(outcome));
    write_string(&b, "model", run->model_name);
    write_string(&b, "algorithm", run->algorithm->name);
    write_string(&b, "dataset_digest", run->data->digest);
    write_string(&b, "backend", run->backend);
    write_string(&b, "collectives", run->collectives);
    buf_printf(&b, ",\n \"ranks\":%d,\"threads\":%d,\"seed\":%" PRIu64 ",\"batch_size\":%" PRId64, run->ranks,
               run->threads, run->algorithm->seed, run->algorithm->batch_size);
    buf_printf(&b, ",\n \"samples\":%" PRId64 ",\"test_samples\":%" PRId64 ",\"parameters\":%" PRId64,
               run->data->samples[SPLIT_TRAIN], run->data->samples[SPLIT_TEST], run->parameters);
    buf_printf(&b,
               ",\n \"step\":%" PRId64 ",\"steps\":%" PRId64 ",\"epoch\":%" PRId64
               ",\"seconds\":%.3f,\n \"values\":",
               step, run->steps, epoch, seconds);
    write_values(&b, v);
    if (r->no_onnx)
        write_string(&b, "no_onnx", r->no_onnx);
    write_rows(&b, run->algorithm, rows, row_count);
    if (confusion && metrics_samples(confusion) > 0)
        write_classes(&b, "test", run->data, confusion);
    buf_puts(&b, "}\n");
    int rc = file_write_atomic(path, b.data, b.len, 0644, err);
    buf_free(&b);
    return rc;
}

void report_evaluation(struct buf *out, const char *model, const char *split, const struct algorithm *a,
                       const struct dataset_info *data, const struct metrics *m)
{
    struct report_values v = {0};
    report_values_metrics(&v, a, m);
    buf_puts(out, "{\"format\":\"trainyard.evaluation/1\"");
    write_string(out, "trainer", TRAINYARD_VERSION);
    write_string(out, "model", model);
    write_string(out, "algorithm", a->name);
    write_string(out, "dataset_digest", data->digest);
    write_string(out, "split", split);
    buf_printf(out, ",\n \"targets\":%" PRId64 ",\n \"values\":", metrics_samples(m));
    write_values(out, &v);
    if (metrics_samples(m) > 0)
        write_classes(out, split, data, m);
    buf_puts(out, "}\n");
}
