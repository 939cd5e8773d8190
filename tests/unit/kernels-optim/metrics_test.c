#include "kernels/optim/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void accuracy_and_confusion_count_samples(void **state)
{
    const float scores[] = {3, 1,         2, /* 0 */ 0, 5, 1, /* 1 */ 1, 1, 0, /* 0, the first of equals */ 0,
                            0, 9 /* 2 */, 7, 7,         7};
    const int32_t classes[] = {0, 1, 1, 0, -1};
    struct metrics m;
    (void)state;
    metrics_init(&m, 3, 0, true);
    assert_true(isnan(metrics_value(&m, METRIC_ACCURACY)) && isnan(metrics_loss(&m)));
    metrics_add_classes(&m, scores, classes, 5);
    metrics_add_loss(&m, 6);
    assert_int_equal(metrics_samples(&m), 4);
    assert_true(metrics_value(&m, METRIC_ACCURACY) == 0.5);
    assert_true(metrics_loss(&m) == 1.5);
    const int64_t want[3][3] = {{1, 0, 1}, {1, 1, 0}, {0, 0, 0}};
    for (int t = 0; t < 3; t++)
        for (int p = 0; p < 3; p++)
            assert_int_equal(metrics_confusion(&m, t, p), want[t][p]);
    assert_false(metrics_has(&m, METRIC_R2));
    metrics_clear(&m);
    assert_int_equal(metrics_samples(&m), 0);
    metrics_free(&m);
}

/* Parts added like ranks add theirs give the numbers of the whole. */
static void parts_add_to_the_whole(void **state)
{
    enum { N = 50, W = 2 };
    float p[N * W], t[N * W];
    double absolute = 0, residual[W] = {0}, total[W] = {0}, mean[W] = {0};
    (void)state;
    for (int i = 0; i < N * W; i++) {
        t[i] = (float)((i * 37) % 11) + 3;
        p[i] = t[i] + (float)((i * 13) % 5) - 2;
        absolute += fabs((double)p[i] - t[i]);
        mean[i % W] += t[i] / (double)N;
    }
    for (int i = 0; i < N * W; i++) {
        residual[i % W] += pow((double)p[i] - t[i], 2);
        total[i % W] += pow(t[i] - mean[i % W], 2);
    }
    struct metrics a, b;
    metrics_init(&a, 0, W, false);
    metrics_init(&b, 0, W, false);
    metrics_set_shift(&a, t);
    metrics_set_shift(&b, t);
    metrics_add_values(&a, p, t, 20);
    metrics_add_values(&b, p + 20 * W, t + 20 * W, N - 20);
    for (size_t i = 0; i < a.sum_length; i++)
        a.sums[i] += b.sums[i];
    for (size_t i = 0; i < a.count_length; i++)
        a.counts[i] += b.counts[i];
    assert_int_equal(metrics_samples(&a), N);
    assert_true(fabs(metrics_value(&a, METRIC_MEAN_ABSOLUTE_ERROR) - absolute / (N * W)) < 1e-9);
    double r2 = (1 - residual[0] / total[0] + 1 - residual[1] / total[1]) / 2;
    assert_true(fabs(metrics_value(&a, METRIC_R2) - r2) < 1e-9);
    metrics_free(&a);
    metrics_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accuracy_and_confusion_count_samples),
        cmocka_unit_test(parts_add_to_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
