/* Rounding to bfloat16, and a network computed in it, against float64 with every tensor rounded by the definition. */
#include "kernels/train/bfloat16.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "kernels/spec/model.h"
#include "kernels/train/executor.h"

/* By the definition: the multiple of the spacing that is nearest, of two the one with an even mantissa. 8 bits of mantissa. */
static double nearest(double x)
{
    int e;
    if (x == 0 || !isfinite(x))
        return x;
    frexp(x, &e);
    double spacing = ldexp(1, (e < -125 ? -125 : e) - 8);
    return rint(x / spacing) * spacing; /* rint: ties to even */
}

static void every_float_goes_to_the_nearest(void **state)
{
    (void)state;
    enum { N = 300000 };
    float *x = xcalloc(N, sizeof(*x)), *y = xcalloc(N, sizeof(*y));
    uint32_t bits = 1;
    for (size_t i = 0; i < N; i++) {
        bits = i % 3 ? bits * 1664525u + 1013904223u : (uint32_t)(i << 14) ^ 0x8000u; /* ties, too */
        memcpy(&x[i], &bits, sizeof(bits));
    }
    for (int threads = 1; threads <= 2; threads++) {
        bfloat16_round(x, y, N, threads);
        for (size_t i = 0; i < N; i++) {
            if (isnan(x[i])) {
                assert_true(isnan(y[i]));
                continue;
            }
            float want = (float)nearest((double)x[i]);
            if (memcmp(&y[i], &want, sizeof(want)) != 0)
                fail_msg("%a goes to %a, the nearest is %a", (double)x[i], (double)y[i], (double)want);
        }
    }
    free(x);
    free(y);
}

enum { ROWS = 3, IN = 6, HIDDEN = 5, OUT = 2 };

struct net {
    struct graph *graph;
    struct executor *executor;
    float x[ROWS * IN], target[ROWS * OUT], *gradients;
};

static void open_net(struct net *n, const char *backend)
{
    struct findings found = {0};
    struct shape in = {1, {IN}};
    struct algorithm a;
    size_t count;
    struct model_spec *m = model_spec_create("m");
    model_spec_input(m, "x", &in, DTYPE_F32);
    model_spec_set(model_spec_add(m, "a", "dense", "x"), "units", 0, HIDDEN);
    model_spec_add(m, "r", "tanh", "a");
    model_spec_set(model_spec_add(m, "b", "dense", "r"), "units", 0, OUT);
    model_spec_output(m, "b");
    n->graph = graph_build(m, &found);
    model_spec_destroy(m);
    findings_free(&found);
    assert_non_null(n->graph);
    algorithm_default(&a);
    a.loss.type = LOSS_MEAN_SQUARED_ERROR;
    a.precision = DTYPE_BF16;
    struct executor_options o = {.backend = backend, .threads = 1, .rows = ROWS, .seed = 5};
    n->executor = executor_create(n->graph, &a, &o, NULL);
    assert_non_null(n->executor);
    executor_weights(n->executor, &count);
    n->gradients = aligned_alloc(64, (count * sizeof(float) + 127) / 64 * 64);
    assert_non_null(n->gradients);
    executor_set_gradients(n->executor, n->gradients);
    for (int i = 0; i < ROWS * IN; i++)
        n->x[i] = (float)nearest(sin(i * 1.7));
    for (int i = 0; i < ROWS * OUT; i++)
        n->target[i] = (float)cos(i);
}

static void close_net(struct net *n)
{
    executor_destroy(n->executor);
    graph_destroy(n->graph);
    free(n->gradients);
}

static size_t first_of(const struct net *n, const char *name)
{
    size_t count;
    const struct executor_weight *list = executor_weight_list(n->executor, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].first;
    fail_msg("no weight %s", name);
    return 0;
}

static double run(struct net *n)
{
    const void *inputs[] = {n->x};
    const struct executor_batch b = {.inputs = inputs, .rows = ROWS};
    struct err err = {0};
    assert_int_equal(executor_forward(n->executor, &b, true, &err), 0);
    double loss = executor_loss(n->executor, NULL, n->target, NULL).loss;
    float output[ROWS * OUT];
    memcpy(output, executor_output(n->executor), sizeof(output));
    for (int i = 0; i < ROWS * OUT; i++)
        assert_float_equal(output[i], nearest((double)output[i]), 0);
    assert_int_equal(executor_backward(n->executor, NULL, NULL, &err), 0);
    return loss;
}

/* The same in float64, every tensor between layers rounded: loss, and gradient of the first kernel. */
static double by_definition(const struct net *n, double gradient[IN * HIDDEN])
{
    size_t count;
    const float *w = executor_weights(n->executor, &count);
    const float *ka = w + first_of(n, "a.kernel"), *ba = w + first_of(n, "a.bias"),
                *kb = w + first_of(n, "b.kernel"), *bb = w + first_of(n, "b.bias");
    double loss = 0;
    memset(gradient, 0, IN * HIDDEN * sizeof(*gradient));
    for (int r = 0; r < ROWS; r++) {
        double a[HIDDEN], h[HIDDEN], gh[HIDDEN] = {0};
        for (int j = 0; j < HIDDEN; j++) {
            double s = nearest((double)ba[j]);
            for (int i = 0; i < IN; i++)
                s += (double)n->x[r * IN + i] * nearest((double)ka[i * HIDDEN + j]);
            a[j] = nearest(s);
            h[j] = nearest(tanh(a[j]));
        }
        for (int o = 0; o < OUT; o++) {
            double y = nearest((double)bb[o]);
            for (int j = 0; j < HIDDEN; j++)
                y += h[j] * nearest((double)kb[j * OUT + o]);
            double e = nearest(y) - (double)n->target[r * OUT + o];
            loss += e * e / OUT;
            for (int j = 0; j < HIDDEN; j++)
                gh[j] += 2 * e / OUT * nearest((double)kb[j * OUT + o]);
        }
        for (int j = 0; j < HIDDEN; j++) {
            double ga = nearest(nearest(gh[j]) * (1 - h[j] * h[j]));
            for (int i = 0; i < IN; i++)
                gradient[i * HIDDEN + j] += (double)n->x[r * IN + i] * ga;
        }
    }
    return loss;
}

static void a_network_is_that_of_the_definition(void **state)
{
    (void)state;
    static const char *const backends[] = {"reference", "cpu"};
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        struct net n;
        double gradient[IN * HIDDEN];
        open_net(&n, backends[k]);
        double have = run(&n), want = by_definition(&n, gradient);
        size_t at = first_of(&n, "a.kernel");
        /* A sum that lies on the edge between two neighbours may fall to either: a spacing is 2^-8. */
        assert_true(fabs(have - want) < 0.01 * (1 + want));
        for (size_t i = 0; i < IN * HIDDEN; i++)
            if (!(fabs((double)n.gradients[at + i] - gradient[i]) < 0.02 * (1 + fabs(gradient[i]))))
                fail_msg("%s: gradient %zu is %g, by definition %g", backends[k], i,
                         (double)n.gradients[at + i], gradient[i]);
        close_net(&n);
    }
}

static void steps_too_small_for_bfloat16_add_up(void **state)
{
    (void)state;
    struct net n;
    size_t count;
    open_net(&n, "cpu");
    float *w = executor_weights(n.executor, &count), *k = w + first_of(&n, "b.bias");
    k[0] = 1;
    executor_weights_changed(n.executor);
    double before = run(&n);
    for (int i = 0; i < 64; i++) { /* each is an eighth of what bfloat16 can tell from 1 */
        k[0] += 0x1p-10f;
        executor_weights_changed(n.executor);
    }
    assert_float_equal(k[0], 1.0625, 1e-6);
    assert_true(fabs(run(&n) - before) > 1e-3);
    close_net(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_float_goes_to_the_nearest),
        cmocka_unit_test(a_network_is_that_of_the_definition),
        cmocka_unit_test(steps_too_small_for_bfloat16_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
