/* Metrics against counts made by hand and definitions written out; scikit-learn's in metrics_sklearn_test.py. */
#include "kernels/optim/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernels/optim/random.h"

static struct algorithm with(enum loss_type loss, int count, const enum metric_type *types)
{
    struct algorithm a;
    algorithm_default(&a);
    a.loss.type = loss;
    a.metric_count = count;
    for (int i = 0; i < count; i++)
        a.metrics[i] = types[i];
    return a;
}

/* The batch's loss too, as a run does it. */
static void add(struct metrics *m, const struct algorithm *a, const float *y, const int32_t *classes,
                const float *values, int64_t rows)
{
    struct loss_batch b = {y, rows, m->width, classes, values, NULL, 1};
    struct loss_sums sums = loss_compute(a, &b);
    metrics_add(m, &b, &sums);
}

static void accuracy_and_confusion_count_samples(void **state)
{
    const float scores[] = {3, 1,         2, /* 0 */ 0, 5, 1, /* 1 */ 1, 1, 0, /* 0, the first of equals */ 0,
                            0, 9 /* 2 */, 7, 7,         7};
    const int32_t classes[] = {0, 1, 1, 0, -1};
    const enum metric_type types[] = {METRIC_ACCURACY, METRIC_TOP_K};
    struct algorithm a = with(LOSS_SOFTMAX_CROSS_ENTROPY, 2, types);
    struct metrics m;
    (void)state;
    a.top_k = 2;
    metrics_init(&m, &a, 3, true);
    assert_true(isnan(metrics_value(&m, METRIC_ACCURACY)) && isnan(metrics_loss(&m)));
    metrics_add(&m, &(struct loss_batch){scores, 5, 3, classes, NULL, NULL, 1},
                &(struct loss_sums){6, 4, -5, 4});
    assert_int_equal(metrics_samples(&m), 4);
    assert_true(metrics_value(&m, METRIC_ACCURACY) == 0.5);
    assert_true(metrics_value(&m, METRIC_TOP_K) == 1); /* the last: equal to the second, but before it */
    assert_true(metrics_loss(&m) == 1.5);
    assert_true(fabs(metrics_value(&m, METRIC_PERPLEXITY) - exp(1.25)) < 1e-12);
    assert_true(fabs(metrics_value(&m, METRIC_BITS_PER_BYTE) - 1.25 / log(2)) < 1e-12);
    m.bytes_per_target = 2;
    assert_true(fabs(metrics_value(&m, METRIC_BITS_PER_BYTE) - 0.625 / log(2)) < 1e-12);
    const int64_t want[3][3] = {{1, 0, 1}, {1, 1, 0}, {0, 0, 0}};
    for (int t = 0; t < 3; t++)
        for (int p = 0; p < 3; p++)
            assert_int_equal(metrics_confusion(&m, t, p), want[t][p]);
    assert_false(metrics_has(&m, METRIC_R2));
    metrics_clear(&m);
    assert_int_equal(metrics_samples(&m), 0);
    metrics_free(&m);
}

static void precision_recall_and_f1_are_those_of_the_counts(void **state)
{
    const int32_t classes[] = {0, 1, 1, 0}; /* predicted 0, 1, 0, 3 with four classes; class 2 is idle */
    const enum metric_type types[] = {METRIC_PRECISION, METRIC_RECALL, METRIC_F1};
    struct algorithm a = with(LOSS_SOFTMAX_CROSS_ENTROPY, 3, types);
    const float rows[] = {9, 0, 0, 0, 0, 9, 0, 0, 9, 0, 0, 0, 0, 0, 0, 9};
    struct metrics m;
    (void)state;
    metrics_init(&m, &a, 4, true);
    add(&m, &a, rows, classes, NULL, 4);
    assert_true(metrics_of_class(&m, METRIC_PRECISION, 0) == 0.5);
    assert_true(metrics_of_class(&m, METRIC_RECALL, 0) == 0.5);
    assert_true(metrics_of_class(&m, METRIC_PRECISION, 1) == 1);
    assert_true(metrics_of_class(&m, METRIC_RECALL, 1) == 0.5);
    assert_true(fabs(metrics_of_class(&m, METRIC_F1, 1) - 2.0 / 3) < 1e-15);
    assert_true(metrics_of_class(&m, METRIC_F1, 3) == 0); /* predicted, never true */
    assert_int_equal(metrics_support(&m, 1), 2);
    assert_true(fabs(metrics_value(&m, METRIC_PRECISION) - 0.5) < 1e-15); /* over 0, 1 and 3 */
    assert_true(isnan(metrics_of_class(&m, METRIC_F1, 4)));
    metrics_free(&m);
}

static void area_under_the_curve_counts_pairs(void **state)
{
    enum { N = 500 };
    float score[N], truth[N];
    double pairs = 0, all = 0;
    (void)state;
    random_normal(score, N, 1, 1, 1);
    for (int i = 0; i < N; i++) {
        truth[i] = i % 3 == 0;
        score[i] = roundf(score[i] * 4) / 4 + truth[i] * 0.5f; /* with equals */
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            if (truth[i] > truth[k]) {
                all++;
                pairs += score[i] > score[k] ? 1 : score[i] == score[k] ? 0.5 : 0;
            }
    assert_true(auc(score, truth, N, 1, 1) == pairs / all);
    const float two[] = {1, 1, 1, 1};
    assert_true(isnan(auc(two, two, 4, 1, 1)));
    score[7] = NAN;
    assert_true(isnan(auc(score, truth, N, 1, 1)));
}

/* A rank's parts, through sums, kept rows and step tails, give the numbers of the whole. */
static void parts_add_to_the_whole(void **state)
{
    enum { N = 90, W = 5, CUT = 33 };
    static const enum loss_type losses[] = {LOSS_SOFTMAX_CROSS_ENTROPY, LOSS_BINARY_CROSS_ENTROPY,
                                            LOSS_HUBER};
    float y[N * W], values[N * W];
    int32_t classes[N];
    (void)state;
    random_normal(y, N * W, 1, 1, 2);
    for (int i = 0; i < N * W; i++)
        values[i] = (float)(i * 7 % 2);
    for (int i = 0; i < N; i++)
        classes[i] = i % 7 - 1;
    for (int k = 0; k < 3; k++) {
        enum metric_type types[ALGORITHM_MAX_METRICS];
        int count = 0;
        for (int t = 0; t < METRIC_TYPE_COUNT && count < ALGORITHM_MAX_METRICS; t++)
            if (metric_fits_loss((enum metric_type)t, losses[k]))
                types[count++] = (enum metric_type)t;
        struct algorithm a = with(losses[k], count, types);
        const int32_t *c = k ? NULL : classes;
        struct metrics whole, first, second;
        metrics_init(&whole, &a, W, true);
        metrics_init(&first, &a, W, true);
        metrics_init(&second, &a, W, true);
        add(&whole, &a, y, c, values, N);
        add(&second, &a, y, c, values, CUT);
        add(&first, &a, y + CUT * W, c ? c + CUT : NULL, values + CUT * W, N - CUT);
        metrics_merge(&first, &second);
        for (int i = 0; i < count; i++) {
            double v = metrics_value(&whole, types[i]);
            if (!(fabs(v - metrics_value(&first, types[i])) <= 1e-12 * (1 + fabs(v))))
                fail_msg("%s of %s: %.15g in one, %.15g in two", metric_name(types[i]), loss_name(losses[k]),
                         v, metrics_value(&first, types[i]));
        }
        struct metrics tail;
        float numbers[64];
        metrics_init(&tail, &a, W, false);
        assert_true(metrics_tail_count(&whole) <= 64);
        metrics_write_tail(&whole, numbers);
        metrics_add_tail(&tail, numbers);
        assert_int_equal(metrics_samples(&tail), metrics_samples(&whole));
        assert_true(fabs(metrics_loss(&tail) / metrics_loss(&whole) - 1) < 1e-6);
        assert_false(metrics_has(&tail, METRIC_AUC));
        metrics_free(&whole);
        metrics_free(&first);
        metrics_free(&second);
        metrics_free(&tail);
    }
}

static void regression_metrics_are_the_definitions(void **state)
{
    enum { N = 50, W = 2 };
    float p[N * W], t[N * W];
    double absolute = 0, squares = 0, residual[W] = {0}, total[W] = {0}, mean[W] = {0};
    struct algorithm a = with(LOSS_MEAN_SQUARED_ERROR, 0, NULL);
    (void)state;
    for (int i = 0; i < N * W; i++) {
        t[i] = (float)((i * 37) % 11) + 30000;
        p[i] = t[i] + (float)((i * 13) % 5) - 2;
        absolute += fabs((double)p[i] - (double)t[i]);
        mean[i % W] += (double)t[i] / N;
    }
    for (int i = 0; i < N * W; i++) {
        residual[i % W] += pow((double)p[i] - (double)t[i], 2);
        total[i % W] += pow((double)t[i] - mean[i % W], 2);
        squares += pow((double)p[i] - (double)t[i], 2);
    }
    struct metrics m;
    metrics_init(&m, &a, W, true);
    metrics_set_shift(&m, t);
    add(&m, &a, p, NULL, t, 20);
    add(&m, &a, p + 20 * W, NULL, t + 20 * W, N - 20);
    assert_int_equal(metrics_samples(&m), N);
    assert_true(fabs(metrics_value(&m, METRIC_MEAN_ABSOLUTE_ERROR) - absolute / (N * W)) < 1e-9);
    assert_true(fabs(metrics_value(&m, METRIC_MEAN_SQUARED_ERROR) - squares / (N * W)) < 1e-9);
    assert_true(fabs(metrics_value(&m, METRIC_ROOT_MEAN_SQUARED_ERROR) - sqrt(squares / (N * W))) < 1e-9);
    double r2 = (1 - residual[0] / total[0] + 1 - residual[1] / total[1]) / 2;
    assert_true(fabs(metrics_value(&m, METRIC_R2) - r2) < 1e-9);
    metrics_free(&m);
}

static void one_label_is_two_classes(void **state)
{
    const float y[] = {2, -1, 0.5f, -3, 0};
    const int32_t classes[] = {1, 1, 0, 0, 0};
    const enum metric_type types[] = {METRIC_PRECISION, METRIC_AUC};
    struct algorithm a = with(LOSS_BINARY_CROSS_ENTROPY, 2, types);
    struct metrics m;
    (void)state;
    metrics_init(&m, &a, 1, true);
    add(&m, &a, y, classes, NULL, 5);
    assert_int_equal(m.confusion, 2);
    assert_int_equal(metrics_confusion(&m, 1, 1), 1);
    assert_int_equal(metrics_confusion(&m, 1, 0), 1);
    assert_int_equal(metrics_confusion(&m, 0, 1), 1);
    assert_int_equal(metrics_confusion(&m, 0, 0), 2);
    assert_true(metrics_value(&m, METRIC_ACCURACY) == 0.6 && metrics_value(&m, METRIC_PRECISION) == 0.5);
    assert_true(fabs(metrics_value(&m, METRIC_AUC) - 4.0 / 6) < 1e-15);
    metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accuracy_and_confusion_count_samples),
        cmocka_unit_test(precision_recall_and_f1_are_those_of_the_counts),
        cmocka_unit_test(area_under_the_curve_counts_pairs),
        cmocka_unit_test(parts_add_to_the_whole),
        cmocka_unit_test(regression_metrics_are_the_definitions),
        cmocka_unit_test(one_label_is_two_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
