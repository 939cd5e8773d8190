/* Optimizer updates against the published algorithms, written out once more in float64 from the papers'
 * pseudocode. */
#include "kernels/optim/optimizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernels/optim/random.h"

enum { N = 1037, STEPS = 25 };

struct reference {
    double w[N], m[N], v[N];
};

static double gradient(double w, size_t i, int step)
{
    return w * (1 + (double)(i % 7)) + sin((double)i + step);
}

/* torch.optim.SGD: g += wd w; b = mu b + g (first: g); g = nesterov ? g + mu b : b; w -= lr g */
static void sgd_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd,
                          int step)
{
    double mu = a->optimizer.momentum;
    g += wd * r->w[i];
    if (mu > 0) {
        r->m[i] = step == 1 ? g : mu * r->m[i] + g;
        g = a->optimizer.nesterov ? g + mu * r->m[i] : r->m[i];
    }
    r->w[i] -= a->optimizer.learning_rate * g;
}

/* Kingma & Ba, algorithm 1; Loshchilov & Hutter, algorithm 2 (eta = 1, as torch: decay times the rate). */
static void adam_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd,
                           int step)
{
    double b1 = a->optimizer.beta1, b2 = a->optimizer.beta2, lr = a->optimizer.learning_rate;
    if (a->optimizer.type == OPTIMIZER_ADAM)
        g += wd * r->w[i];
    else
        r->w[i] -= lr * wd * r->w[i];
    r->m[i] = b1 * r->m[i] + (1 - b1) * g;
    r->v[i] = b2 * r->v[i] + (1 - b2) * g * g;
    double mean = r->m[i] / (1 - pow(b1, step)), variance = r->v[i] / (1 - pow(b2, step));
    r->w[i] -= lr * mean / (sqrt(variance) + a->optimizer.epsilon);
}

static void compare(const struct algorithm *a)
{
    static struct reference r;
    const struct optimizer_range ranges[] = {
        {0, 100, true}, {100, 1, false}, {101, 636, true}, {737, N - 737, false}};
    struct optimizer *o = optimizer_create(a, N, ranges, 4);
    float *w = malloc(N * sizeof(float)), *g = malloc(N * sizeof(float));
    assert_true(w && g);
    memset(&r, 0, sizeof(r));
    random_normal(w, N, 5, 1, 1);
    for (size_t i = 0; i < N; i++)
        r.w[i] = w[i];
    for (int step = 1; step <= STEPS; step++) {
        for (size_t i = 0; i < N; i++) {
            bool decay = i < 100 || (i > 100 && i < 737);
            double exact = gradient(r.w[i], i, step), wd = decay ? a->optimizer.weight_decay : 0;
            g[i] = (float)(exact * 8); /* scaled back by 1/8 in the update */
            if (a->optimizer.type == OPTIMIZER_SGD)
                sgd_reference(&r, a, i, exact, wd, step);
            else
                adam_reference(&r, a, i, exact, wd, step);
        }
        if (step % 2) {
            optimizer_step(o, w, g, a->optimizer.learning_rate, 0.125);
        } else { /* in pieces */
            optimizer_begin(o, a->optimizer.learning_rate, 0.125);
            optimizer_update(o, w, g, 0, 333);
            optimizer_update(o, w, g, 333, N - 333);
        }
    }
    assert_int_equal(o->step, STEPS);
    for (size_t i = 0; i < N; i++)
        if (!(fabs(w[i] - r.w[i]) < 2e-5 * (1 + fabs(r.w[i]))))
            fail_msg("weight %zu is %.9g, the float64 reference has %.9g", i, (double)w[i], r.w[i]);
    optimizer_destroy(o);
    free(w);
    free(g);
}

static void sgd_is_the_published_one(void **state)
{
    (void)state;
    struct algorithm a;
    algorithm_default(&a);
    a.optimizer.type = OPTIMIZER_SGD;
    a.optimizer.learning_rate = 0.01;
    for (int k = 0; k < 6; k++) {
        a.optimizer.momentum = k < 2 ? 0 : 0.9;
        a.optimizer.nesterov = k >= 4;
        a.optimizer.weight_decay = k % 2 ? 0.05 : 0;
        compare(&a);
    }
}

static void adam_and_adamw_are_the_published_ones(void **state)
{
    (void)state;
    struct algorithm a;
    algorithm_default(&a);
    for (int k = 0; k < 4; k++) {
        a.optimizer.type = k < 2 ? OPTIMIZER_ADAM : OPTIMIZER_ADAMW;
        a.optimizer.learning_rate = 0.003;
        a.optimizer.weight_decay = k % 2 ? 0.1 : 0;
        a.optimizer.beta1 = 0.9;
        a.optimizer.beta2 = 0.99;
        a.optimizer.epsilon = 1e-8;
        compare(&a);
    }
}

static void sum_of_squares_counts_every_number(void **state)
{
    float x[100];
    (void)state;
    for (size_t n = 0; n < 100; n++) {
        double want = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)i - 40;
            want += (double)x[i] * x[i];
        }
        assert_true(optimizer_sum_of_squares(x, n) == want);
    }
}

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_gives_the_published_numbers(void **state)
{
    (void)state;
    struct random_block z = random_philox(0, 0, 0);
    assert_int_equal(z.v[0], 0x6627e8d5u);
    assert_int_equal(z.v[1], 0xe169c58du);
    assert_int_equal(z.v[2], 0xbc57ac4cu);
    assert_int_equal(z.v[3], 0x9b00dbd8u);
    struct random_block f = random_philox(UINT64_MAX, UINT64_MAX, UINT64_MAX);
    assert_int_equal(f.v[0], 0x408f276du);
    assert_int_equal(f.v[1], 0x41c83b0eu);
    assert_int_equal(f.v[2], 0xa20bc7c6u);
    assert_int_equal(f.v[3], 0x6d5451fdu);
    /* of the digits of pi */
    struct random_block p = random_philox(0x299f31d0a4093822u, 0x85a308d3243f6a88u, 0x0370734413198a2eu);
    assert_int_equal(p.v[0], 0xd16cfe09u);
    assert_int_equal(p.v[1], 0x94fdccebu);
    assert_int_equal(p.v[2], 0x5001e420u);
    assert_int_equal(p.v[3], 0x24126ea1u);
}

static void random_numbers_have_their_moments(void **state)
{
    enum { M = 200001 };
    float *x = malloc(M * sizeof(float));
    (void)state;
    assert_non_null(x);
    for (int normal = 0; normal < 2; normal++) {
        double mean = 0, square = 0;
        if (normal)
            random_normal(x, M, 3, random_stream("a.kernel"), 2);
        else
            random_uniform(x, M, 3, random_stream("a.kernel"), -3, 3);
        for (size_t i = 0; i < M; i++) {
            mean += x[i];
            square += (double)x[i] * x[i];
            assert_true(normal || (x[i] >= -3 && x[i] < 3));
        }
        mean /= M;
        assert_true(fabs(mean) < 5 * 2 / sqrt(M));
        assert_true(fabs(square / M - (normal ? 4 : 3)) < 0.06);
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_the_published_one),
        cmocka_unit_test(adam_and_adamw_are_the_published_ones),
        cmocka_unit_test(sum_of_squares_counts_every_number),
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(random_numbers_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
