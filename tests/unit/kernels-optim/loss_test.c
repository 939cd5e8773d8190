/* Losses against their definitions in float64, gradients against differences. */
#include "kernels/optim/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROWS = 6, N = 5 };

static double cross_entropy(const float *x, const int32_t *classes, double smoothing)
{
    double loss = 0;
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int i = 0; i < N; i++)
            sum += exp((double)x[r * N + i]);
        for (int i = 0; i < N && classes[r] >= 0; i++)
            loss -=
                ((i == classes[r]) * (1 - smoothing) + smoothing / N) * log(exp((double)x[r * N + i]) / sum);
    }
    return loss;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sin((double)i * 12.9898) * 3;
}

static void cross_entropy_is_the_definition(void **state)
{
    float x[ROWS * N], g[ROWS * N];
    const int32_t classes[ROWS] = {0, 4, 2, -1, 3, 1};
    (void)state;
    for (int k = 0; k < 2; k++) {
        double smoothing = k * 0.1;
        fill(x, ROWS * N);
        double loss = loss_softmax_cross_entropy(x, classes, ROWS, N, smoothing, g);
        assert_true(fabs(loss - cross_entropy(x, classes, smoothing)) < 1e-5);
        assert_true(loss == loss_softmax_cross_entropy(x, classes, ROWS, N, smoothing, NULL));
        for (int i = 0; i < ROWS * N; i++) {
            const float h = 1.0f / 64, was = x[i];
            x[i] = was + h;
            double up = cross_entropy(x, classes, smoothing);
            x[i] = was - h;
            double down = cross_entropy(x, classes, smoothing);
            x[i] = was;
            assert_true(fabs((up - down) / (2 * (double)h) - (double)g[i]) < 1e-4);
        }
    }
}

static void cross_entropy_of_large_scores_is_finite(void **state)
{
    float x[N] = {1e4f, -1e4f, 0, 3e4f, 0}, g[N];
    const int32_t truth = 0;
    (void)state;
    assert_true(fabs(loss_softmax_cross_entropy(x, &truth, 1, N, 0, g) - 2e4) < 1e-2);
    assert_true(g[0] == -1 && g[3] == 1);
}

static void mean_squared_error_is_the_definition(void **state)
{
    float y[ROWS * N], t[ROWS * N], g[ROWS * N];
    double want = 0;
    (void)state;
    fill(y, ROWS * N);
    for (int i = 0; i < ROWS * N; i++) {
        t[i] = (float)i / 7;
        want += pow((double)y[i] - (double)t[i], 2) / N;
    }
    assert_true(fabs(loss_mean_squared_error(y, t, ROWS, N, g) - want) < 1e-4);
    for (int i = 0; i < ROWS * N; i++)
        assert_true(fabs((double)g[i] - 2 * ((double)y[i] - (double)t[i]) / N) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_is_the_definition),
        cmocka_unit_test(cross_entropy_of_large_scores_is_finite),
        cmocka_unit_test(mean_squared_error_is_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
