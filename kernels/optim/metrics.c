#include "kernels/optim/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { COUNT_SAMPLES, COUNT_CORRECT, COUNT_CONFUSION };
enum { SUM_LOSS, SUM_ABSOLUTE, SUM_OUTPUTS };

void metrics_init(struct metrics *m, int classes, int width, bool with_confusion)
{
    *m = (struct metrics){.classes = classes, .width = width};
    m->with_confusion = with_confusion && classes > 0 && classes <= METRICS_MAX_CONFUSION;
    m->count_length = COUNT_CONFUSION + (m->with_confusion ? (size_t)classes * (size_t)classes : 0);
    m->sum_length = SUM_OUTPUTS + 3 * (size_t)width;
    m->counts = xcalloc(m->count_length, sizeof(*m->counts));
    m->sums = xcalloc(m->sum_length, sizeof(*m->sums));
    m->shift = xcalloc(width > 0 ? (size_t)width : 1, sizeof(*m->shift));
}

void metrics_set_shift(struct metrics *m, const float *target)
{
    for (int j = 0; j < m->width; j++)
        m->shift[j] = target[j];
}

void metrics_free(struct metrics *m)
{
    free(m->counts);
    free(m->sums);
    free(m->shift);
    *m = (struct metrics){0};
}

void metrics_clear(struct metrics *m)
{
    memset(m->counts, 0, m->count_length * sizeof(*m->counts));
    memset(m->sums, 0, m->sum_length * sizeof(*m->sums));
}

static int largest(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

void metrics_add_classes(struct metrics *m, const float *scores, const int32_t *classes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t truth = classes[i];
        if (truth < 0 || truth >= m->classes)
            continue;
        int predicted = largest(scores + i * m->classes, m->classes);
        m->counts[COUNT_SAMPLES]++;
        m->counts[COUNT_CORRECT] += predicted == truth;
        if (m->with_confusion)
            m->counts[COUNT_CONFUSION + (size_t)truth * (size_t)m->classes + (size_t)predicted]++;
    }
}

void metrics_add_values(struct metrics *m, const float *predictions, const float *targets, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < m->width; j++) {
            double t = targets[i * m->width + j], e = predictions[i * m->width + j] - t;
            t -= m->shift[j];
            double *of = m->sums + SUM_OUTPUTS + 3 * j;
            m->sums[SUM_ABSOLUTE] += fabs(e);
            of[0] += e * e;
            of[1] += t;
            of[2] += t * t;
        }
    m->counts[COUNT_SAMPLES] += n;
}

void metrics_add_loss(struct metrics *m, double loss_sum)
{
    m->sums[SUM_LOSS] += loss_sum;
}

int64_t metrics_samples(const struct metrics *m)
{
    return m->counts[COUNT_SAMPLES];
}

double metrics_loss(const struct metrics *m)
{
    return m->counts[COUNT_SAMPLES] ? m->sums[SUM_LOSS] / (double)m->counts[COUNT_SAMPLES] : NAN;
}

bool metrics_has(const struct metrics *m, enum metric_type type)
{
    return type == METRIC_ACCURACY ? m->classes > 0 : m->width > 0;
}

/* 1 - residual / total sum of squares, the mean over the outputs; 0 for an output whose targets are all equal. */
static double r2(const struct metrics *m)
{
    double n = (double)m->counts[COUNT_SAMPLES], sum = 0;
    for (int j = 0; j < m->width; j++) {
        const double *of = m->sums + SUM_OUTPUTS + 3 * j;
        double total = of[2] - of[1] * of[1] / n;
        sum += total > 1e-12 * of[2] ? 1 - of[0] / total : 0;
    }
    return sum / m->width;
}

double metrics_value(const struct metrics *m, enum metric_type type)
{
    double n = (double)m->counts[COUNT_SAMPLES];
    if (n == 0 || !metrics_has(m, type))
        return NAN;
    switch (type) {
    case METRIC_ACCURACY:
        return (double)m->counts[COUNT_CORRECT] / n;
    case METRIC_MEAN_ABSOLUTE_ERROR:
        return m->sums[SUM_ABSOLUTE] / (n * m->width);
    case METRIC_R2:
        return r2(m);
    case METRIC_TYPE_COUNT:
        break;
    }
    return NAN;
}

int64_t metrics_confusion(const struct metrics *m, int truth, int predicted)
{
    return m->with_confusion
               ? m->counts[COUNT_CONFUSION + (size_t)truth * (size_t)m->classes + (size_t)predicted]
               : 0;
}
