/* Losses against their definitions written out in float64, gradients against differences of those definitions. */
#include "kernels/optim/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernels/optim/random.h"
#include "kernels/optim/vector_math.h"

enum { ROWS = 9, WIDEST = 70 };

/* ---- definitions ---- */

static double weight_of(const struct algorithm *a, int32_t class)
{
    return a->loss.class_weight_count ? a->loss.class_weights[class] : 1;
}

static double softmax_definition(const struct algorithm *a, const double *y, int32_t class, int64_t n,
                                 double *weight)
{
    double sum = 0, loss = 0, s = a->loss.label_smoothing;
    *weight = 0;
    if (class < 0 || class >= n || class == a->loss.ignore_index)
        return 0;
    *weight = weight_of(a, class);
    for (int64_t i = 0; i < n; i++)
        sum += exp(y[i]);
    for (int64_t i = 0; i < n; i++)
        loss -= ((1 - s) * (i == class) + s / (double)n) * weight_of(a, (int32_t)i) * log(exp(y[i]) / sum);
    return loss;
}

static double binary_definition(const struct algorithm *a, double y, double t)
{
    double p = 1 / (1 + exp(-y));
    return -(a->loss.pos_weight * t * log(p) + (1 - t) * log(1 - p));
}

static double value_definition(const struct algorithm *a, double y, double t)
{
    double e = y - t, d = a->loss.delta;
    switch (a->loss.type) {
    case LOSS_BINARY_CROSS_ENTROPY:
        return binary_definition(a, y, t);
    case LOSS_MEAN_ABSOLUTE_ERROR:
        return fabs(e);
    case LOSS_HUBER:
        return fabs(e) <= d ? e * e / 2 : d * (fabs(e) - d / 2);
    default:
        return e * e;
    }
}

static double row_definition(const struct algorithm *a, const struct loss_batch *b, int64_t r,
                             const double *y, double *weight)
{
    double loss = 0;
    int64_t n = b->width;
    if (a->loss.type == LOSS_SOFTMAX_CROSS_ENTROPY)
        return softmax_definition(a, y, b->classes[r], n, weight);
    *weight = 1;
    if (b->classes && (b->classes[r] < 0 || b->classes[r] >= (n == 1 ? 2 : n))) {
        *weight = 0;
        return 0;
    }
    for (int64_t j = 0; j < n; j++) {
        double t = !b->classes ? (double)b->values[r * n + j] : n == 1 ? b->classes[r] : b->classes[r] == j;
        loss += value_definition(a, y[j], t) / (double)n;
    }
    return loss;
}

/* ---- the comparison ---- */

struct fixture {
    float outputs[ROWS * WIDEST], values[ROWS * WIDEST], gradient[ROWS * WIDEST];
    int32_t classes[ROWS];
};

static struct loss_batch make(struct fixture *f, const struct algorithm *a, int64_t width, bool classes)
{
    random_normal(f->outputs, ROWS * WIDEST, 1, (uint64_t)width, 2.5);
    random_normal(f->values, ROWS * WIDEST, 2, (uint64_t)width, 1.5);
    memset(f->gradient, 0x7f, sizeof(f->gradient));
    for (int r = 0; r < ROWS; r++)
        f->classes[r] = (int32_t)((r * 7) % (width + 1)) - (r == 4 ? 60 : 0);
    for (size_t i = 0; a->loss.type == LOSS_BINARY_CROSS_ENTROPY && i < ROWS * WIDEST; i++)
        f->values[i] = i % 3 ? (float)(i % 2) : 0.25f;
    return (struct loss_batch){.outputs = f->outputs,
                               .rows = ROWS,
                               .width = width,
                               .classes = classes ? f->classes : NULL,
                               .values = f->values,
                               .gradient = f->gradient,
                               .threads = 1};
}

static void compare(const struct algorithm *a, int64_t width, bool classes)
{
    struct fixture f;
    struct loss_batch b = make(&f, a, width, classes);
    double y[WIDEST], loss = 0, weight = 0;
    struct loss_sums got = loss_compute(a, &b);
    for (int64_t r = 0; r < ROWS; r++) {
        double w, none;
        for (int64_t j = 0; j < width; j++)
            y[j] = (double)f.outputs[r * width + j];
        loss += row_definition(a, &b, r, y, &w);
        weight += w;
        for (int64_t j = 0; j < width; j++) {
            const double h = 1e-5, was = y[j];
            y[j] = was + h;
            double up = row_definition(a, &b, r, y, &none);
            y[j] = was - h;
            double slope = (up - row_definition(a, &b, r, y, &none)) / (2 * h);
            y[j] = was;
            if (!(fabs(slope - (double)f.gradient[r * width + j]) < 3e-6 * (1 + fabs(slope))))
                fail_msg("%s of %lld: slope of row %lld output %lld is %.9g, by differences %.9g",
                         loss_name(a->loss.type), (long long)width, (long long)r, (long long)j,
                         (double)f.gradient[r * width + j], slope);
        }
    }
    if (!(fabs(got.loss - loss) < 2e-6 * (1 + fabs(loss))) || fabs(got.weight - weight) > 1e-12)
        fail_msg("%s of %lld: %.12g with weight %g, by definition %.12g with %g", loss_name(a->loss.type),
                 (long long)width, got.loss, got.weight, loss, weight);
    b.gradient = NULL;
    struct loss_sums alone = loss_compute(a, &b);
    assert_true(alone.loss == got.loss && alone.weight == got.weight);
}

static const int64_t widths[] = {1, 2, 3, 10, 15, 16, 17, 33, 64, 70};

static void softmax_cross_entropy_is_the_definition(void **state)
{
    struct algorithm a;
    (void)state;
    for (int k = 0; k < 8; k++)
        for (size_t i = 1; i < sizeof(widths) / sizeof(*widths); i++) {
            algorithm_default(&a);
            a.loss.label_smoothing = k & 1 ? 0.1 : 0;
            a.loss.ignore_index = k & 2 ? 1 : -100;
            a.loss.class_weight_count = k & 4 ? (int)widths[i] : 0;
            for (int c = 0; c < WIDEST; c++)
                a.loss.class_weights[c] = 0.25 + c % 5;
            compare(&a, widths[i], true);
        }
}

static void losses_of_values_are_the_definitions(void **state)
{
    static const enum loss_type types[] = {LOSS_BINARY_CROSS_ENTROPY, LOSS_MEAN_SQUARED_ERROR,
                                           LOSS_MEAN_ABSOLUTE_ERROR, LOSS_HUBER};
    struct algorithm a;
    (void)state;
    for (size_t t = 0; t < 4; t++)
        for (size_t i = 0; i < sizeof(widths) / sizeof(*widths); i++)
            for (int k = 0; k < 2; k++) {
                algorithm_default(&a);
                a.loss.type = types[t];
                a.loss.pos_weight = k ? 3.5 : 1;
                a.loss.delta = k ? 0.7 : 1;
                compare(&a, widths[i], false);
                if (types[t] == LOSS_BINARY_CROSS_ENTROPY)
                    compare(&a, widths[i], true);
            }
}

static void extreme_scores_stay_finite_and_bad_ones_show(void **state)
{
    const float far[] = {1e4f, -1e4f, 0, 3e4f, 0}, holes[] = {-INFINITY, 2, NAN};
    const float truths[] = {1, 0, 1};
    const int32_t first = 0, second = 1;
    float g[5];
    struct algorithm a;
    (void)state;
    algorithm_default(&a);
    struct loss_batch b = {
        .outputs = far, .rows = 1, .width = 5, .classes = &first, .gradient = g, .threads = 1};
    assert_true(fabs(loss_compute(&a, &b).loss - 2e4) < 1e-2);
    assert_true(g[0] == -1 && g[3] == 1);
    b.outputs = holes;
    b.width = 2;
    b.classes = &second;
    assert_true(loss_compute(&a, &b).loss == 0 && g[0] == 0); /* a masked score has no share */
    b.width = 3;
    assert_true(isnan(loss_compute(&a, &b).loss));
    a.loss.type = LOSS_BINARY_CROSS_ENTROPY;
    b = (struct loss_batch){
        .outputs = far, .rows = 1, .width = 3, .values = truths, .gradient = g, .threads = 1};
    assert_true(fabs(loss_compute(&a, &b).loss - log(2) / 3) < 1e-6);
    assert_true(g[0] == 0 && g[1] == 0);
    b.outputs = holes;
    assert_true(isnan(loss_compute(&a, &b).loss));
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    enum { MANY = 900, N = 100 };
    float *y = malloc(MANY * N * sizeof(float)), *one = malloc(MANY * N * sizeof(float)),
          *four = malloc(MANY * N * sizeof(float));
    int32_t classes[MANY];
    struct algorithm a;
    (void)state;
    assert_true(y && one && four);
    random_normal(y, MANY * N, 3, 3, 3);
    for (int i = 0; i < MANY; i++)
        classes[i] = i % N;
    for (int t = 0; t < LOSS_TYPE_COUNT; t++) {
        algorithm_default(&a);
        a.loss.type = (enum loss_type)t;
        struct loss_batch b = {y, MANY, N, t < 2 ? classes : NULL, y, one, 1};
        struct loss_sums x = loss_compute(&a, &b);
        b.gradient = four;
        b.threads = 4;
        struct loss_sums z = loss_compute(&a, &b);
        assert_memory_equal(&x, &z, sizeof(x));
        assert_memory_equal(one, four, MANY * N * sizeof(float));
    }
    free(y);
    free(one);
    free(four);
}

static void exponential_and_logarithm_are_close_to_libm(void **state)
{
    float lane[VECTOR_LANES];
    double worst_exp = 0, worst_log = 0;
    vector_f v;
    (void)state;
    for (int block = 0; block < 20000; block++) {
        for (int i = 0; i < VECTOR_LANES; i++)
            lane[i] = (float)((block * VECTOR_LANES + i) * (175.0 / (20000 * VECTOR_LANES)) - 87.2);
        vector_load(&v, lane, VECTOR_LANES, 0);
        vector_exp(&v);
        for (int i = 0; i < VECTOR_LANES; i++)
            worst_exp = fmax(worst_exp, fabs((double)v[i] / exp((double)lane[i]) - 1));
        for (int i = 0; i < VECTOR_LANES; i++)
            lane[i] = (float)exp(-(block * VECTOR_LANES + i) * (90.0 / (20000 * VECTOR_LANES)));
        vector_load(&v, lane, VECTOR_LANES, 0);
        vector_log1p(&v);
        for (int i = 0; i < VECTOR_LANES; i++)
            worst_log = fmax(worst_log, fabs((double)v[i] / log1p((double)lane[i]) - 1));
    }
    if (!(worst_exp < 2.4e-7 && worst_log < 2.4e-7))
        fail_msg("relative errors %g and %g", worst_exp, worst_log);
    const float odd[VECTOR_LANES] = {-INFINITY, INFINITY, NAN, -88, 0, -0.0f, -1e9f};
    vector_load(&v, odd, VECTOR_LANES, 0);
    vector_exp(&v);
    assert_true(v[0] == 0 && v[1] > 1e38f && isnan(v[2]) && v[3] == 0 && v[4] == 1 && v[5] == 1 && v[6] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_cross_entropy_is_the_definition),
        cmocka_unit_test(losses_of_values_are_the_definitions),
        cmocka_unit_test(extreme_scores_stay_finite_and_bad_ones_show),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(exponential_and_logarithm_are_close_to_libm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
