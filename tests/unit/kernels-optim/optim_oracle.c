/* What the optimizers, schedules and metrics of an algorithm file compute, as text for optim_peers_test.py, which compares with PyTorch and
 * scikit-learn.
 *
 *     optim_oracle optimizer FILE STEPS            weights after each step, a line a step
 *     optim_oracle schedule FILE PER_EPOCH TOTAL   learning rates; with watched values on stdin, one an epoch, where it reduces on plateau
 *     optim_oracle metrics FILE ROWS WIDTH         stdin: scores, then classes (one column) or values, as text; NAME VALUE lines
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "kernels/optim/metrics.h"
#include "kernels/optim/optimizer.h"
#include "kernels/optim/schedule.h"

/* The test's problem: two matrices and a vector of weights, i-th weight w, step s from 1: gradient w (1 + i mod 7) / 7 + sin(i + s). */
enum { COUNT = 128, RANGES = 3 };

static int run_optimizer(const struct algorithm *a, int steps)
{
    const struct optimizer_range ranges[RANGES] = {
        {.first = 0, .count = 48, .decay = true, .rows = 6, .columns = 8, .lengthen = 1},
        {.first = 48,
         .count = 60,
         .decay = true,
         .rows = 12,
         .columns = 5,
         .lengthen = (float)sqrt(12.0 / 5)},
        {.first = 108, .count = 20, .decay = true}};
    float w[COUNT], g[COUNT];
    struct optimizer *o = optimizer_create(a, COUNT, ranges, RANGES);
    for (int i = 0; i < COUNT; i++)
        w[i] = (float)cos(i);
    for (int s = 1; s <= steps; s++) {
        for (int i = 0; i < COUNT; i++)
            g[i] = (float)((double)w[i] * (1 + i % 7) / 7 + sin(i + s));
        optimizer_step(o, w, g, a->optimizer.learning_rate, 1);
        for (int i = 0; i < COUNT; i++)
            printf("%.9g%s", (double)w[i], i + 1 < COUNT ? " " : "\n");
    }
    optimizer_destroy(o);
    return 0;
}

static int run_schedule(const struct algorithm *a, int64_t per_epoch, int64_t total)
{
    struct plateau p;
    double value;
    plateau_init(&p);
    for (int64_t step = 0; step < total; step++) {
        printf("%.17g\n", schedule_rate_after(a, &p, step, per_epoch, total));
        if ((step + 1) % per_epoch == 0 && scanf("%lf", &value) == 1)
            plateau_watch(&p, a, value);
    }
    return 0;
}

static int run_metrics(const struct algorithm *a, int64_t rows, int width)
{
    bool classes = a->loss.type == LOSS_SOFTMAX_CROSS_ENTROPY;
    size_t n = (size_t)rows * (size_t)width;
    float *y = calloc(n, sizeof(*y)), *values = calloc(n, sizeof(*values));
    int32_t *class = calloc((size_t)rows, sizeof(*class));
    if (!y || !values || !class)
        abort();
    int got = 0;
    for (size_t i = 0; i < n; i++)
        got += scanf("%f", &y[i]);
    for (size_t i = 0; i < (classes ? (size_t)rows : n); i++)
        got += classes ? scanf("%d", &class[i]) : scanf("%f", &values[i]);
    struct loss_batch b = {y, rows, width, classes ? class : NULL, values, NULL, 1};
    struct loss_sums sums = loss_compute(a, &b);
    struct metrics m;
    metrics_init(&m, a, width, true);
    metrics_add(&m, &b, &sums);
    printf("loss %.12g\n", metrics_loss(&m));
    for (int i = 0; i < a->metric_count; i++) {
        printf("%s %.12g\n", metric_name(a->metrics[i]), metrics_value(&m, a->metrics[i]));
        for (int c = 0; c < width && a->metrics[i] >= METRIC_PRECISION && a->metrics[i] <= METRIC_AUC; c++)
            printf("%s.%d %.12g\n", metric_name(a->metrics[i]), c, metrics_of_class(&m, a->metrics[i], c));
    }
    for (int t = 0; t < m.confusion; t++)
        for (int p = 0; p < m.confusion; p++)
            printf("confusion.%d.%d %lld\n", t, p, (long long)metrics_confusion(&m, t, p));
    metrics_free(&m);
    free(y);
    free(values);
    free(class);
    return got == 0;
}

int main(int argc, char **argv)
{
    struct buf text = {0};
    struct err err = {0};
    struct algorithm a;
    struct findings f = {0};
    if (argc < 4 || file_read(argv[2], ALGORITHM_FILE_MAX, &text, &err) ||
        algorithm_parse(buf_str(&text), text.len, NULL, 0, &a, &f)) {
        fprintf(stderr, "optim_oracle: %s\n", f.count ? f.items[0].message : "what to do?");
        return 2;
    }
    buf_free(&text);
    findings_free(&f);
    long long x = atoll(argv[3]), y = argc > 4 ? atoll(argv[4]) : 0;
    if (!strcmp(argv[1], "optimizer"))
        return run_optimizer(&a, (int)x);
    if (!strcmp(argv[1], "schedule"))
        return run_schedule(&a, x, y);
    return run_metrics(&a, x, (int)y);
}
