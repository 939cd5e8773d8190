#include "kernels/optim/loss.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#include "kernels/optim/vector.h"
#include "kernels/optim/vector_math.h"

enum {
    SEGMENTS = 64,
    RUN = 64
}; /* of rows, whatever the threads; vectors added in float32 before float64 takes over */
#define NUMBERS_A_THREAD 16384

/* ---- softmax cross-entropy ---- */

VECTOR_CLONES static float largest(const float *x, int64_t n)
{
    vector_f top, v;
    float best = -INFINITY;
    vector_load(&top, x, n, -INFINITY);
    for (int64_t i = VECTOR_LANES; i < n; i += VECTOR_LANES) {
        vector_load(&v, x + i, n - i, -INFINITY);
        vector_max(&top, &v);
    }
    for (int i = 0; i < VECTOR_LANES; i++)
        best = top[i] > best ? top[i] : best;
    return best;
}

/* Sum of e^(x - top), which go to out unless that is NULL. */
VECTOR_CLONES static double exponentials(const float *x, int64_t n, float top, float *out)
{
    double sum = 0;
    for (int64_t from = 0; from < n; from += RUN * VECTOR_LANES) {
        int64_t to = n - from < RUN * VECTOR_LANES ? n : from + RUN * VECTOR_LANES;
        vector_f some = {0};
        for (int64_t i = from; i < to; i += VECTOR_LANES) {
            vector_f v;
            vector_load(&v, x + i, to - i, -INFINITY);
            v -= top;
            vector_exp(&v);
            some += v;
            if (out)
                vector_store(out + i, &v, to - i);
        }
        sum += vector_sum(&some);
    }
    return sum;
}

/* gradient = scale * gradient - rest */
VECTOR_CLONES static void scale_row(float *gradient, int64_t n, float scale, float rest)
{
    for (int64_t i = 0; i < n; i++)
        gradient[i] = gradient[i] * scale - rest;
}

static double class_weight(const struct algorithm *a, int64_t i)
{
    return i < a->loss.class_weight_count ? a->loss.class_weights[i] : 1;
}

/* What smoothing adds: share / n times the weighted sum of -log p over all classes. Its weights' sum to *weights. */
static double smoothed(const struct algorithm *a, const float *score, int64_t n, double log_sum,
                       double *weights)
{
    double all = 0;
    *weights = 0;
    for (int64_t i = 0; i < n; i++) {
        all += class_weight(a, i) * (log_sum - (double)score[i]);
        *weights += class_weight(a, i);
    }
    return all;
}

/* One row: adds to sums, and weight * softmax - t into gradient. */
static void softmax_row(const struct algorithm *a, const float *score, int64_t truth, int64_t n,
                        float *gradient, struct loss_sums *sums)
{
    double smoothing = a->loss.label_smoothing, weight = class_weight(a, truth),
           share = smoothing / (double)n;
    float top = largest(score, n);
    double sum = exponentials(score, n, top, gradient), log_sum = log(sum) + (double)top;
    double minus_log = log_sum - (double)score[truth], of_truth = (1 - smoothing) * weight, weights = 0,
           rest = 0;
    if (smoothing > 0)
        rest = share * smoothed(a, score, n, log_sum, &weights);
    sums->loss += of_truth * minus_log + rest;
    sums->weight += weight;
    sums->log_likelihood -= minus_log;
    sums->targets++;
    if (!gradient)
        return;
    double whole = of_truth + share * weights; /* what the targets add up to */
    bool even = a->loss.class_weight_count == 0;
    scale_row(gradient, n, (float)(whole / sum), even ? (float)share : 0);
    for (int64_t i = 0; !even && smoothing > 0 && i < n; i++)
        gradient[i] -= (float)(share * class_weight(a, i));
    gradient[truth] -= (float)of_truth;
}

static void softmax_rows(const struct algorithm *a, const struct loss_batch *b, int64_t from, int64_t to,
                         struct loss_sums *sums)
{
    int64_t n = b->width;
    for (int64_t r = from; r < to; r++) {
        float *gradient = b->gradient ? b->gradient + r * n : NULL;
        int32_t truth = b->classes[r];
        if (truth >= 0 && truth < n && truth != a->loss.ignore_index)
            softmax_row(a, b->outputs + r * n, truth, n, gradient, sums);
        else if (gradient)
            memset(gradient, 0, (size_t)n * sizeof(*gradient));
    }
}

/* ---- binary cross-entropy ---- */

/* Sum over n outputs of (1 - t) y + (1 + (p - 1) t) log(1 + e^-y), and scale times its slope into gradient. */
VECTOR_CLONES static double binary(const float *y, const float *t, int64_t n, float p, float scale,
                                   float *gradient)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i += VECTOR_LANES) {
        const vector_f none = {0}, one = none + 1.0f;
        vector_f v, target, minus, e, softplus, slope, loss;
        vector_load(&v, y + i, n - i, 0);
        vector_load(&target, t + i, n - i, 0);
        minus = -v;
        vector_i negative = v < none;
        vector_choose(&e, &negative, &v, &minus); /* -|y| */
        vector_exp(&e);
        softplus = e;
        vector_log1p(&softplus); /* log(1 + e^-|y|); of -y it is that much above max(-y, 0) */
        slope = one / (one + e); /* sigmoid(|y|); sigmoid(-y) is that, or its rest */
        vector_f other = e * slope;
        vector_choose(&slope, &negative, &slope, &other);
        vector_choose(&loss, &negative, &minus, &none);
        softplus += loss;
        vector_f factor = one + (p - 1.0f) * target;
        loss = (one - target) * v + factor * softplus;
        slope = scale * ((one - target) - factor * slope);
        if (gradient)
            vector_store(gradient + i, &slope, n - i);
        for (int64_t j = 0; j < VECTOR_LANES && j < n - i; j++)
            sum += (double)loss[j];
    }
    return sum;
}

/* Targets of a class: (width) into t; false when the row counts nothing. */
static bool targets_of_class(int32_t class, int64_t from, int64_t n, int64_t width, float *t)
{
    if (class < 0 || class >= (width == 1 ? 2 : width))
        return false;
    for (int64_t j = 0; j < n; j++)
        t[j] = width == 1 ? (float)class : (float)(from + j == class);
    return true;
}

static void binary_rows(const struct algorithm *a, const struct loss_batch *b, int64_t from, int64_t to,
                        struct loss_sums *sums)
{
    enum { BLOCK = 256 };
    float made[BLOCK], p = (float)a->loss.pos_weight, scale = (float)(1 / (double)b->width);
    for (int64_t r = from; r < to; r++) {
        double row = 0;
        bool counts = true;
        for (int64_t j = 0; j < b->width && counts; j += BLOCK) {
            int64_t n = b->width - j < BLOCK ? b->width - j : BLOCK, at = r * b->width + j;
            if (b->classes)
                counts = targets_of_class(b->classes[r], j, n, b->width, made);
            if (counts)
                row += binary(b->outputs + at, b->classes ? made : b->values + at, n, p, scale,
                              b->gradient ? b->gradient + at : NULL);
        }
        if (!counts && b->gradient)
            memset(b->gradient + r * b->width, 0, (size_t)b->width * sizeof(float));
        sums->loss += counts ? row / (double)b->width : 0;
        sums->targets += counts;
    }
    sums->weight = (double)sums->targets;
}

/* ---- distances ---- */

/* Each: the sum over n outputs, in 16 lanes so that the order does not depend on the instruction set; scale times the slope into g. */
#define DISTANCE(name, loss_of_e, slope_of_e)                                                                \
    VECTOR_CLONES static void name(const float *restrict y, const float *restrict t, int64_t n, float delta, \
                                   float scale, float *restrict g, double *restrict lanes)                   \
    {                                                                                                        \
        (void)delta;                                                                                         \
        for (int64_t at = 0; at < n; at += VECTOR_LANES) {                                                   \
            int64_t some = n - at < VECTOR_LANES ? n - at : VECTOR_LANES;                                    \
            for (int64_t j = 0; j < some; j++) {                                                             \
                float e = y[at + j] - t[at + j], size = e < 0 ? -e : e;                                      \
                lanes[j] += loss_of_e;                                                                       \
                if (g)                                                                                       \
                    g[at + j] = scale * (slope_of_e);                                                        \
                (void)size;                                                                                  \
            }                                                                                                \
        }                                                                                                    \
    }
DISTANCE(squared, (double)e *(double)e, 2 * e)
DISTANCE(absolute, (double)size, (e > 0 ? 1.0f : e < 0 ? -1.0f : e))
DISTANCE(huber,
         (size <= delta ? 0.5 * (double)e * (double)e : (double)delta * ((double)size - 0.5 * (double)delta)),
         (e > delta    ? delta
          : e < -delta ? -delta
                       : e))

typedef void distance_f(const float *, const float *, int64_t, float, float, float *, double *);

static void distance_rows(distance_f *distance, const struct algorithm *a, const struct loss_batch *b,
                          int64_t from, int64_t to, struct loss_sums *sums)
{
    double lanes[VECTOR_LANES] = {0}, width = (double)b->width;
    int64_t at = from * b->width;
    distance(b->outputs + at, b->values + at, (to - from) * b->width, (float)a->loss.delta,
             (float)(1 / width), b->gradient ? b->gradient + at : NULL, lanes);
    for (int j = 0; j < VECTOR_LANES; j++)
        sums->loss += lanes[j] / width;
    sums->targets += to - from;
    sums->weight += (double)(to - from);
}

/* ---- all ---- */

static void rows(const struct algorithm *a, const struct loss_batch *b, int64_t from, int64_t to,
                 struct loss_sums *sums)
{
    switch (a->loss.type) {
    case LOSS_SOFTMAX_CROSS_ENTROPY:
        softmax_rows(a, b, from, to, sums);
        break;
    case LOSS_BINARY_CROSS_ENTROPY:
        binary_rows(a, b, from, to, sums);
        break;
    case LOSS_MEAN_SQUARED_ERROR:
        distance_rows(squared, a, b, from, to, sums);
        break;
    case LOSS_MEAN_ABSOLUTE_ERROR:
        distance_rows(absolute, a, b, from, to, sums);
        break;
    case LOSS_HUBER:
        distance_rows(huber, a, b, from, to, sums);
        break;
    case LOSS_TYPE_COUNT:
        break;
    }
}

struct loss_sums loss_compute(const struct algorithm *a, const struct loss_batch *b)
{
    struct loss_sums part[SEGMENTS] = {0}, all = {0};
    int64_t numbers = b->rows * b->width, threads = numbers / NUMBERS_A_THREAD;
    threads = threads < b->threads ? threads : b->threads;
    threads = threads > 1 ? threads : 1;
#pragma omp parallel for num_threads((int)threads) schedule(static) if (threads > 1)
    for (int64_t s = 0; s < SEGMENTS; s++)
        rows(a, b, b->rows * s / SEGMENTS, b->rows * (s + 1) / SEGMENTS, &part[s]);
    for (int s = 0; s < SEGMENTS; s++) {
        all.loss += part[s].loss;
        all.weight += part[s].weight;
        all.log_likelihood += part[s].log_likelihood;
        all.targets += part[s].targets;
    }
    return all;
}

int64_t loss_width(enum loss_type t, const struct shape *output)
{
    return t == LOSS_SOFTMAX_CROSS_ENTROPY && output->rank > 0 ? output->dim[output->rank - 1]
                                                               : shape_elements(output);
}
