/* `trainyard-train evaluate` and `predict`. */
#include "kernels/train/trained.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- a sample's line ---- */

struct writer {
    struct buf line;
    bool csv;
    enum loss_type loss;
    const struct dataset_info *data;
    int64_t width;     /* numbers of one target */
    int64_t positions; /* targets of one sample */
    float *p;          /* (width) probabilities, or the values */
};

static int largest(const float *x, int64_t n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* Scores of one target to probabilities; values stay what they are. */
static void to_probabilities(const struct writer *w, const float *score)
{
    double sum = 0;
    if (w->loss == LOSS_BINARY_CROSS_ENTROPY) {
        for (int64_t i = 0; i < w->width; i++)
            w->p[i] = 1 / (1 + expf(-score[i]));
    } else if (w->loss == LOSS_SOFTMAX_CROSS_ENTROPY) {
        float top = score[largest(score, w->width)];
        for (int64_t i = 0; i < w->width; i++)
            sum += (double)(w->p[i] = expf(score[i] - top));
        for (int64_t i = 0; i < w->width; i++)
            w->p[i] /= (float)sum;
    } else {
        memcpy(w->p, score, (size_t)w->width * sizeof(*w->p));
    }
}

/* The class: the largest, or of a single label whether it is there. */
static int chosen(const struct writer *w)
{
    return w->loss == LOSS_BINARY_CROSS_ENTROPY && w->width == 1 ? w->p[0] > 0.5f : largest(w->p, w->width);
}

static const char *label(const struct writer *w, int class, char number[16])
{
    snprintf(number, 16, "%d", class);
    return w->data->class_names && class >= 0 && class < w->data->classes ? w->data->class_names[class]
                                                                          : number;
}

static void csv_text(struct buf *b, const char *s)
{
    if (!strpbrk(s, ",\"\r\n")) {
        buf_puts(b, s);
        return;
    }
    buf_putc(b, '"');
    for (; *s; s++) {
        if (*s == '"')
            buf_putc(b, '"');
        buf_putc(b, *s);
    }
    buf_putc(b, '"');
}

static void put_label(struct writer *w, int class)
{
    char number[16];
    const char *text = label(w, class, number);
    if (w->csv)
        csv_text(&w->line, text);
    else
        buf_json_str(&w->line, text);
}

static void put_numbers(struct writer *w, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (i)
            buf_putc(&w->line, ',');
        buf_json_num(&w->line, (double)x[i]);
    }
}

static bool by_class(const struct writer *w)
{
    return w->data->target == TARGET_CLASS;
}

static void header(struct writer *w)
{
    char number[16];
    buf_puts(&w->line, "index");
    if (by_class(w) && w->positions == 1) {
        buf_puts(&w->line, ",truth,prediction");
        for (int i = 0; i < w->width; i++) {
            struct buf name = {0};
            buf_printf(&name, "p(%s)", label(w, w->width == 1 ? 1 : i, number));
            buf_putc(&w->line, ',');
            csv_text(&w->line, buf_str(&name));
            buf_free(&name);
        }
    } else if (by_class(w)) {
        buf_puts(&w->line, ",position,truth,prediction,p(truth)");
    } else {
        for (int i = 0; i < w->width; i++)
            buf_printf(&w->line, ",truth%d", i);
        for (int i = 0; i < w->width; i++)
            buf_printf(&w->line, ",prediction%d", i);
    }
    buf_putc(&w->line, '\n');
}

static void class_line(struct writer *w, int64_t index, const float *scores, int truth)
{
    to_probabilities(w, scores);
    buf_printf(&w->line, w->csv ? "%" PRId64 "," : "{\"index\":%" PRId64 ",\"truth\":", index);
    put_label(w, truth);
    buf_puts(&w->line, w->csv ? "," : ",\"prediction\":");
    put_label(w, chosen(w));
    buf_puts(&w->line, w->csv ? "," : ",\"probabilities\":[");
    put_numbers(w, w->p, w->width);
    buf_puts(&w->line, w->csv ? "\n" : "]}\n");
}

static void value_line(struct writer *w, int64_t index, const float *prediction, const float *truth)
{
    buf_printf(&w->line, w->csv ? "%" PRId64 "," : "{\"index\":%" PRId64 ",\"truth\":[", index);
    put_numbers(w, truth, w->width);
    buf_puts(&w->line, w->csv ? "," : "],\"prediction\":[");
    to_probabilities(w, prediction);
    put_numbers(w, w->p, w->width);
    buf_puts(&w->line, w->csv ? "\n" : "]}\n");
}

/* A sample of a sequence model: each position's likeliest class, and how likely the true one was. */
static void sequence_lines(struct writer *w, int64_t index, const float *scores, const int32_t *truth)
{
    if (!w->csv)
        buf_printf(&w->line, "{\"index\":%" PRId64 ",\"positions\":[", index);
    for (int64_t i = 0; i < w->positions; i++) {
        to_probabilities(w, scores + i * w->width);
        bool known = truth[i] >= 0 && truth[i] < w->width;
        double likely = known ? (double)w->p[truth[i]] : NAN;
        if (w->csv)
            buf_printf(&w->line, "%" PRId64 ",%" PRId64 ",%d,%d,", index, i, truth[i], chosen(w));
        else
            buf_printf(&w->line, "%s[%d,%d,", i ? "," : "", truth[i], chosen(w));
        if (known || !w->csv)
            buf_json_num(&w->line, likely);
        buf_puts(&w->line, w->csv ? "\n" : "]");
    }
    if (!w->csv)
        buf_puts(&w->line, "],\"position_is\":[\"truth\",\"prediction\",\"p(truth)\"]}\n");
}

static void write_batch(struct writer *w, const struct loader_batch *b, const struct loss_batch *rows,
                        int64_t first, FILE *out)
{
    for (int64_t i = 0; i < b->count; i++) {
        const float *scores = rows->outputs + i * w->positions * w->width;
        buf_clear(&w->line);
        if (!by_class(w))
            value_line(w, first + i, scores, b->values + i * w->width);
        else if (w->positions == 1)
            class_line(w, first + i, scores, b->classes[i]);
        else
            sequence_lines(w, first + i, scores, b->classes + i * w->positions);
        fwrite(w->line.data, 1, w->line.len, out);
    }
}

static int predict(struct trained *t, struct err *err)
{
    const struct loader_batch *b;
    struct loss_batch rows;
    const struct graph *g = t->run.graph;
    const struct shape *shape = &g->nodes[g->outputs[0]].shape;
    struct writer w = {.csv = strcmp(t->given.format, "csv") == 0,
                       .loss = t->run.algorithm.loss.type,
                       .data = &t->run.data->info,
                       .width = loss_width(t->run.algorithm.loss.type, shape)};
    w.positions = shape_elements(shape) / w.width;
    if (trained_begin(t, err))
        return -1;
    FILE *out = trained_output(t, err);
    if (!out)
        return -1;
    w.p = xcalloc((size_t)w.width, sizeof(*w.p));
    if (w.csv) {
        header(&w);
        fwrite(w.line.data, 1, w.line.len, out);
    }
    int64_t first = 0;
    int rc;
    while ((rc = trained_next(t, &b, &rows, NULL, err)) > 0 && !ferror(out)) {
        write_batch(&w, b, &rows, first, out);
        first += b->count;
    }
    free(w.p);
    buf_free(&w.line);
    return trained_output_close(t, out, rc < 0 ? NULL : err) || rc < 0 ? -1 : 0;
}

/* ---- evaluate ---- */

static int evaluate(struct trained *t, struct err *err)
{
    struct run *r = &t->run;
    const struct loader_batch *b;
    struct loss_batch rows;
    struct loss_sums sums;
    const struct shape *shape = &r->graph->nodes[r->graph->outputs[0]].shape;
    struct buf text = {0};
    int rc;
    if (trained_begin(t, err))
        return -1;
    metrics_init(&r->eval_metrics, &r->algorithm, (int)loss_width(r->algorithm.loss.type, shape), true);
    if (r->data->info.target == TARGET_VALUE)
        metrics_set_shift(&r->eval_metrics, r->data->targets[t->split]);
    while ((rc = trained_next(t, &b, &rows, &sums, err)) > 0)
        metrics_add(&r->eval_metrics, &rows, &sums);
    if (rc < 0)
        return -1;
    report_evaluation(&text, r->graph->name, t->given.split, &r->algorithm, &r->data->info, &r->eval_metrics);
    FILE *out = trained_output(t, err);
    if (out)
        fwrite(text.data, 1, text.len, out);
    buf_free(&text);
    return out ? trained_output_close(t, out, err) : -1;
}

int evaluate_main(int argc, char **argv)
{
    return trained_main(argc, argv, TRAINED_EVALUATE, 0, evaluate);
}

int predict_main(int argc, char **argv)
{
    return trained_main(argc, argv, TRAINED_PREDICT, 0, predict);
}
