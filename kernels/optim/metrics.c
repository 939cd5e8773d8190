#include "kernels/optim/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/vector.h"

/* counts: these, then of each class targets, predictions and hits, then the confusion matrix, row = truth. OVER: ranks that had more
 * scores than are kept. */
enum { COUNT_TARGETS, COUNT_CORRECT, COUNT_TOP, COUNT_OVER, COUNT_CLASSES };
enum { CLASS_TARGETS, CLASS_PREDICTED, CLASS_HITS, CLASS_COUNTS };
/* sums: these, then per output of a regression: of squared errors, of targets, of squared targets. */
enum { SUM_LOSS, SUM_WEIGHT, SUM_LOG, SUM_ABSOLUTE, SUM_OUTPUTS };
/* the tail: the first three counts, then all sums */
enum { TAIL_COUNTS = COUNT_TOP + 1 };

/* ---- making ---- */

static bool wants(const struct algorithm *a, enum metric_type from, enum metric_type to)
{
    for (int i = 0; i < a->metric_count; i++)
        if (a->metrics[i] >= from && a->metrics[i] <= to)
            return true;
    return false;
}

void metrics_init(struct metrics *m, const struct algorithm *a, int width, bool whole)
{
    *m = (struct metrics){.width = width, .ignore_index = a->loss.ignore_index, .bytes_per_target = 1};
    m->kind = a->loss.type == LOSS_SOFTMAX_CROSS_ENTROPY  ? METRICS_CLASSES
              : a->loss.type == LOSS_BINARY_CROSS_ENTROPY ? METRICS_BINARY
                                                          : METRICS_VALUES;
    if (wants(a, METRIC_TOP_K, METRIC_TOP_K))
        m->top_k = (int)a->top_k;
    if (whole && m->kind != METRICS_VALUES) {
        int classes = m->kind == METRICS_CLASSES ? width : width == 1 ? 2 : 0;
        m->confusion = classes <= METRICS_MAX_CONFUSION ? classes : 0;
        m->by_class = m->confusion > 0 || wants(a, METRIC_PRECISION, METRIC_F1);
        m->keeps = wants(a, METRIC_AUC, METRIC_AUC);
    }
    m->count_length = COUNT_CLASSES + (m->by_class ? CLASS_COUNTS * (size_t)width : 0) +
                      (size_t)m->confusion * (size_t)m->confusion;
    m->sum_length = SUM_OUTPUTS + (m->kind == METRICS_VALUES ? 3 * (size_t)width : 0);
    m->counts = xcalloc(m->count_length, sizeof(*m->counts));
    m->sums = xcalloc(m->sum_length, sizeof(*m->sums));
    m->shift = xcalloc(width > 0 ? (size_t)width : 1, sizeof(*m->shift));
}

void metrics_set_shift(struct metrics *m, const float *target)
{
    for (int j = 0; j < m->width && m->kind == METRICS_VALUES; j++)
        m->shift[j] = (double)target[j];
}

void metrics_free(struct metrics *m)
{
    free(m->counts);
    free(m->sums);
    free(m->shift);
    free(m->kept);
    *m = (struct metrics){0};
}

void metrics_clear(struct metrics *m)
{
    memset(m->counts, 0, m->count_length * sizeof(*m->counts));
    memset(m->sums, 0, m->sum_length * sizeof(*m->sums));
    m->kept_rows = 0;
}

static int64_t *of_class(const struct metrics *m, int class)
{
    return m->counts + COUNT_CLASSES + CLASS_COUNTS * (size_t) class;
}

static int64_t *cell(const struct metrics *m, int truth, int predicted)
{
    return m->counts + COUNT_CLASSES + (m->by_class ? CLASS_COUNTS * (size_t)m->width : 0) +
           (size_t)truth * (size_t)m->confusion + (size_t)predicted;
}

/* ---- kept scores ---- */

size_t metrics_kept_width(const struct metrics *m)
{
    return (size_t)m->width + (m->kind == METRICS_BINARY ? (size_t)m->width : 1);
}

/* Room for one more row; NULL when there are too many. */
static float *keep_row(struct metrics *m)
{
    size_t width = metrics_kept_width(m);
    if (m->kept_rows == m->kept_room) {
        size_t room = m->kept_room ? 2 * m->kept_room : 1024;
        if (width > METRICS_MAX_KEPT || room > METRICS_MAX_KEPT / width)
            room = METRICS_MAX_KEPT / width;
        if (room <= m->kept_rows) {
            m->counts[COUNT_OVER] = 1;
            return NULL;
        }
        m->kept = xrealloc(m->kept, room * width * sizeof(*m->kept));
        m->kept_room = room;
    }
    return m->kept + width * m->kept_rows++;
}

void metrics_append_kept(struct metrics *m, const float *kept, size_t rows)
{
    size_t width = metrics_kept_width(m);
    for (size_t i = 0; i < rows && m->keeps; i++) {
        float *row = keep_row(m);
        if (!row)
            return;
        memcpy(row, kept + i * width, width * sizeof(*row));
    }
}

/* Of one target against the rest what counts is the class's probability: its logarithm has the same order. */
static void keep_class(struct metrics *m, const float *score, int32_t truth)
{
    float *row = keep_row(m), top = score[0];
    double sum = 0;
    for (int i = 1; row && i < m->width; i++)
        top = score[i] > top ? score[i] : top;
    for (int i = 0; row && i < m->width; i++)
        sum += exp((double)score[i] - (double)top);
    for (int i = 0; row && i < m->width; i++)
        row[i] = (float)((double)score[i] - (double)top - log(sum));
    if (row)
        row[m->width] = (float)truth;
}

/* ---- adding ---- */

/* Scores that come before the truth's: larger, or equal and first. */
VECTOR_CLONES static int ahead(const float *score, int32_t truth, int32_t n)
{
    float own = score[truth];
    int count = 0;
    for (int32_t i = 0; i < n; i++)
        count += score[i] > own;
    for (int32_t i = 0; i < truth; i++)
        count += score[i] == own;
    return own == own ? count : n;
}

static int largest(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static void count_class(struct metrics *m, int truth, int predicted)
{
    if (m->by_class) {
        of_class(m, truth)[CLASS_TARGETS]++;
        of_class(m, predicted)[CLASS_PREDICTED]++;
        of_class(m, truth)[CLASS_HITS] += truth == predicted;
    }
    if (m->confusion)
        ++*cell(m, truth, predicted);
}

static void add_classes(struct metrics *m, const struct loss_batch *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *score = b->outputs + r * m->width;
        int32_t truth = b->classes[r];
        if (truth < 0 || truth >= m->width || truth == m->ignore_index)
            continue;
        int before = ahead(score, truth, m->width);
        m->counts[COUNT_TARGETS]++;
        m->counts[COUNT_CORRECT] += before == 0;
        m->counts[COUNT_TOP] += before < m->top_k;
        if (m->by_class || m->confusion)
            count_class(m, truth, largest(score, m->width));
        if (m->keeps)
            keep_class(m, score, truth);
    }
}

/* A single label has a confusion matrix; of several each has its counts. */
static void add_label(struct metrics *m, int label, bool truth, bool predicted)
{
    m->counts[COUNT_CORRECT] += truth == predicted;
    if (m->by_class) {
        of_class(m, label)[CLASS_TARGETS] += truth;
        of_class(m, label)[CLASS_PREDICTED] += predicted;
        of_class(m, label)[CLASS_HITS] += truth && predicted;
    }
    if (m->confusion)
        ++*cell(m, truth, predicted);
}

static void add_labels(struct metrics *m, const struct loss_batch *b)
{
    int n = m->width;
    for (int64_t r = 0; r < b->rows; r++) {
        const float *score = b->outputs + r * n;
        int32_t class = b->classes ? b->classes[r] : 0;
        if (class < 0 || class >= (b->classes && n > 1 ? n : 2))
            continue;
        float *row = m->keeps ? keep_row(m) : NULL;
        m->counts[COUNT_TARGETS]++;
        for (int j = 0; j < n; j++) {
            bool truth = b->classes ? (n == 1 ? class == 1 : class == j) : b->values[r * n + j] > 0.5f;
            add_label(m, j, truth, score[j] > 0);
            if (row) {
                row[j] = score[j];
                row[n + j] = truth;
            }
        }
    }
}

static void add_values(struct metrics *m, const struct loss_batch *b)
{
    for (int64_t i = 0; i < b->rows; i++)
        for (int j = 0; j < m->width; j++) {
            double t = (double)b->values[i * m->width + j], e = (double)b->outputs[i * m->width + j] - t,
                   *of = m->sums + SUM_OUTPUTS + 3 * j;
            t -= m->shift[j];
            m->sums[SUM_ABSOLUTE] += fabs(e);
            of[0] += e * e;
            of[1] += t;
            of[2] += t * t;
        }
    m->counts[COUNT_TARGETS] += b->rows;
}

void metrics_add(struct metrics *m, const struct loss_batch *b, const struct loss_sums *loss)
{
    m->sums[SUM_LOSS] += loss->loss;
    m->sums[SUM_WEIGHT] += loss->weight;
    m->sums[SUM_LOG] += loss->log_likelihood;
    if (m->kind == METRICS_CLASSES)
        add_classes(m, b);
    else if (m->kind == METRICS_BINARY)
        add_labels(m, b);
    else
        add_values(m, b);
}

void metrics_merge(struct metrics *m, const struct metrics *other)
{
    for (size_t i = 0; i < m->count_length; i++)
        m->counts[i] += other->counts[i];
    for (size_t i = 0; i < m->sum_length; i++)
        m->sums[i] += other->sums[i];
    metrics_append_kept(m, other->kept, other->kept_rows);
}

/* ---- values ---- */

int64_t metrics_samples(const struct metrics *m)
{
    return m->counts[COUNT_TARGETS];
}

double metrics_loss(const struct metrics *m)
{
    return m->sums[SUM_WEIGHT] > 0 ? m->sums[SUM_LOSS] / m->sums[SUM_WEIGHT] : NAN;
}

bool metrics_has(const struct metrics *m, enum metric_type type)
{
    static const enum loss_type of_kind[] = {LOSS_SOFTMAX_CROSS_ENTROPY, LOSS_BINARY_CROSS_ENTROPY,
                                             LOSS_MEAN_SQUARED_ERROR};
    if (!metric_fits_loss(type, of_kind[m->kind]))
        return false;
    if (type == METRIC_PRECISION || type == METRIC_RECALL || type == METRIC_F1)
        return m->by_class;
    return type == METRIC_AUC ? m->keeps : type == METRIC_TOP_K ? m->top_k > 0 : true;
}

/* 1 - residual / total sum of squares, the mean over the outputs; 0 for an output whose targets are all equal. */
static double r2(const struct metrics *m)
{
    double n = (double)m->counts[COUNT_TARGETS], sum = 0;
    for (int j = 0; j < m->width; j++) {
        const double *of = m->sums + SUM_OUTPUTS + 3 * j;
        double total = of[2] - of[1] * of[1] / n;
        sum += total > 1e-12 * of[2] ? 1 - of[0] / total : 0;
    }
    return sum / m->width;
}

static double squared_error(const struct metrics *m)
{
    double sum = 0;
    for (int j = 0; j < m->width; j++)
        sum += m->sums[SUM_OUTPUTS + 3 * j];
    return sum / ((double)m->counts[COUNT_TARGETS] * m->width);
}

static double ratio(int64_t a, int64_t b)
{
    return b ? (double)a / (double)b : 0;
}

int64_t metrics_support(const struct metrics *m, int class)
{
    return m->by_class && class >= 0 && class < m->width ? of_class(m, class)[CLASS_TARGETS] : 0;
}

static double auc_of_class(const struct metrics *m, int class)
{
    size_t stride = metrics_kept_width(m), width = (size_t)m->width, at = (size_t) class;
    if (m->counts[COUNT_OVER] || !m->kept_rows)
        return NAN;
    if (m->kind == METRICS_BINARY)
        return auc(m->kept + at, m->kept + width + at, m->kept_rows, stride, 1);
    return auc(m->kept + at, m->kept + width, m->kept_rows, stride, (float)class);
}

double metrics_of_class(const struct metrics *m, enum metric_type type, int class)
{
    if (class < 0 || class >= m->width || !metrics_has(m, type))
        return NAN;
    if (type == METRIC_AUC)
        return auc_of_class(m, class);
    const int64_t *of = m->by_class ? of_class(m, class) : NULL;
    switch (of ? type : METRIC_TYPE_COUNT) {
    case METRIC_PRECISION:
        return ratio(of[CLASS_HITS], of[CLASS_PREDICTED]);
    case METRIC_RECALL:
        return ratio(of[CLASS_HITS], of[CLASS_TARGETS]);
    case METRIC_F1:
        return ratio(2 * of[CLASS_HITS], of[CLASS_PREDICTED] + of[CLASS_TARGETS]);
    default:
        return NAN;
    }
}

/* The mean over the classes; one that is neither a target nor predicted is left out, and so is an area that does not exist. */
static double macro(const struct metrics *m, enum metric_type type)
{
    double sum = 0;
    int classes = 0;
    for (int i = 0; i < m->width; i++) {
        bool idle = type != METRIC_AUC && m->kind == METRICS_CLASSES && !of_class(m, i)[CLASS_TARGETS] &&
                    !of_class(m, i)[CLASS_PREDICTED];
        double v = idle ? NAN : metrics_of_class(m, type, i);
        classes += !isnan(v);
        sum += isnan(v) ? 0 : v;
    }
    return classes ? sum / classes : NAN;
}

double metrics_value(const struct metrics *m, enum metric_type type)
{
    double n = (double)m->counts[COUNT_TARGETS], nats = -m->sums[SUM_LOG] / n;
    if (n == 0 || !metrics_has(m, type))
        return NAN;
    switch (type) {
    case METRIC_ACCURACY:
        return (double)m->counts[COUNT_CORRECT] / (m->kind == METRICS_BINARY ? n * m->width : n);
    case METRIC_TOP_K:
        return (double)m->counts[COUNT_TOP] / n;
    case METRIC_PRECISION:
    case METRIC_RECALL:
    case METRIC_F1:
    case METRIC_AUC:
        return macro(m, type);
    case METRIC_PERPLEXITY:
        return exp(nats);
    case METRIC_BITS_PER_BYTE:
        return nats / M_LN2 / m->bytes_per_target;
    case METRIC_MEAN_ABSOLUTE_ERROR:
        return m->sums[SUM_ABSOLUTE] / (n * m->width);
    case METRIC_MEAN_SQUARED_ERROR:
        return squared_error(m);
    case METRIC_ROOT_MEAN_SQUARED_ERROR:
        return sqrt(squared_error(m));
    case METRIC_R2:
        return r2(m);
    case METRIC_TYPE_COUNT:
        break;
    }
    return NAN;
}

double metrics_watched(const struct metrics *m, const struct watch *w)
{
    return w->by_loss ? metrics_loss(m) : metrics_value(m, w->metric);
}

int64_t metrics_confusion(const struct metrics *m, int truth, int predicted)
{
    int n = m->confusion;
    return truth >= 0 && predicted >= 0 && truth < n && predicted < n ? *cell(m, truth, predicted) : 0;
}

/* ---- the tail of a step ---- */

size_t metrics_tail_count(const struct metrics *m)
{
    return TAIL_COUNTS + m->sum_length;
}

void metrics_write_tail(const struct metrics *m, float *tail)
{
    for (size_t i = 0; i < TAIL_COUNTS; i++)
        tail[i] = (float)m->counts[i];
    for (size_t i = 0; i < m->sum_length; i++)
        tail[TAIL_COUNTS + i] = (float)m->sums[i];
}

void metrics_add_tail(struct metrics *m, const float *tail)
{
    for (size_t i = 0; i < TAIL_COUNTS; i++)
        m->counts[i] += llrintf(tail[i]);
    for (size_t i = 0; i < m->sum_length; i++)
        m->sums[i] += (double)tail[TAIL_COUNTS + i];
}

void metrics_tail_loss(const float *tail, double *loss, double *weight)
{
    *loss = (double)tail[TAIL_COUNTS + SUM_LOSS];
    *weight = (double)tail[TAIL_COUNTS + SUM_WEIGHT];
}
