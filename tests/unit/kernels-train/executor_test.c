/* The executor: its gradients are those of the loss, however the graph branches, whatever the backend fuses
 * or lays out. */
#include "kernels/train/executor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "kernels/optim/random.h"
#include "kernels/spec/model.h"

enum { ROWS = 5, CLASSES = 4 };

/* The thread sanitizer does not see how OpenMP's own library synchronises. */
#if defined(__SANITIZE_THREAD__)
enum { SEVERAL_THREADS = 1 };
#else
enum { SEVERAL_THREADS = 2 };
#endif

/* A small residual network: branches that meet, a layer used twice, one that nothing uses, relus that can and
 * cannot be fused. */
static struct graph *residual(void)
{
    struct shape image = {3, {2, 8, 8}};
    struct findings f = {0};
    struct model_spec *m = model_spec_create("residual");
    model_spec_input(m, "x", &image, DTYPE_F32);
    model_spec_set(
        model_spec_set(model_spec_set_text(model_spec_add(m, "c1", "conv2d", "x"), "padding", "same"),
                       "filters", 0, 6),
        "kernel", 0, 3);
    model_spec_add(m, "r1", "relu", "c1");
    model_spec_set(
        model_spec_set(model_spec_set_text(model_spec_add(m, "c2", "conv2d", "r1"), "padding", "same"),
                       "filters", 0, 6),
        "kernel", 0, 3);
    model_spec_add(m, "sum", "add", "c2,r1");
    model_spec_add(m, "twice", "add", "sum,sum");
    model_spec_add(m, "r2", "relu", "twice");
    model_spec_set(model_spec_add(m, "pool", "max_pool2d", "r2"), "pool", 0, 2);
    model_spec_add(m, "flat", "flatten", "pool");
    model_spec_set(model_spec_add(m, "h", "dense", "flat"), "units", 0, 7);
    model_spec_add(m, "g", "gelu", "h");
    model_spec_set(model_spec_add(m, "unused", "dense", "flat"), "units", 0, 3);
    model_spec_set(model_spec_add(m, "logits", "dense", "g"), "units", 0, CLASSES);
    model_spec_output(m, "logits");
    struct graph *g = graph_build(m, &f);
    for (size_t i = 0; i < f.count; i++)
        if (f.items[i].status == FINDING_FAILED)
            fprintf(stderr, "%s\n", f.items[i].message);
    assert_non_null(g);
    findings_free(&f);
    model_spec_destroy(m);
    return g;
}

struct fixture {
    struct graph *g;
    struct algorithm a;
    struct executor *x;
    float *gradients, *weights, input[ROWS * 2 * 8 * 8];
    size_t count;
    int32_t classes[ROWS];
    const void *inputs[1];
    size_t told; /* parts heard of */
};

static struct fixture *make(const char *backend, int threads)
{
    struct fixture *t = xcalloc(1, sizeof(*t));
    struct err err = {0};
    struct executor_options o = {.backend = backend, .threads = threads, .rows = ROWS, .seed = 11};
    algorithm_default(&t->a);
    t->g = residual();
    t->x = executor_create(t->g, &t->a, &o, &err);
    if (!t->x)
        fail_msg("%s", err.text);
    t->weights = executor_weights(t->x, &t->count);
    t->gradients = aligned_alloc(64, (t->count * sizeof(float) + 63) / 64 * 64);
    assert_non_null(t->gradients);
    memset(t->gradients, 0, t->count * sizeof(float));
    executor_set_gradients(t->x, t->gradients);
    random_normal(t->input, ROWS * 2 * 8 * 8, 1, 2, 1);
    for (int i = 0; i < ROWS; i++)
        t->classes[i] = i % CLASSES;
    t->inputs[0] = t->input;
    return t;
}

static void drop(struct fixture *t)
{
    executor_destroy(t->x);
    graph_destroy(t->g);
    free(t->gradients);
    free(t);
}

static double loss(struct fixture *t, int64_t rows, bool training)
{
    struct err err = {0};
    const struct executor_batch b = {.inputs = t->inputs, .rows = rows};
    assert_int_equal(executor_forward(t->x, &b, training, &err), 0);
    return executor_loss(t->x, t->classes, NULL, NULL).loss;
}

static int hear(void *context, size_t first, size_t count, struct err *err)
{
    struct fixture *t = context;
    (void)err;
    assert_true(first == t->told && count > 0);
    t->told += count;
    return 0;
}

/* Slope of the loss along one weight. */
static double difference(struct fixture *t, size_t w, float h)
{
    const float was = t->weights[w];
    double sides[2];
    for (int side = 0; side < 2; side++) {
        t->weights[w] = side ? was + h : was - h;
        executor_weights_changed(t->x);
        sides[side] = loss(t, ROWS, true);
    }
    t->weights[w] = was;
    executor_weights_changed(t->x);
    return (sides[1] - sides[0]) / (2 * (double)h);
}

static void gradients_are_the_differences_of_the_loss(void **state)
{
    const char *const backends[] = {"reference", "cpu"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct fixture *t = make(backends[k], 1);
        struct err err = {0};
        loss(t, ROWS, true);
        assert_int_equal(executor_backward(t->x, hear, t, &err), 0);
        assert_true(t->told == t->count); /* every gradient was handed on, once */
        int checked = 0;
        size_t n;
        const struct executor_weight *list = executor_weight_list(t->x, &n);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < list[i].count; j += list[i].count / 9 + 1) {
                size_t w = list[i].first + j;
                double have = (double)t->gradients[w], want = difference(t, w, 1.0f / 4096);
                if (fabs(want - have) > 2e-2 * (1 + fabs(want)))
                    want = difference(t, w, 1.0f / 16384); /* a kink of relu or pooling lay between */
                if (!(fabs(want - have) < 3e-2 * (1 + fabs(want))))
                    fail_msg("%s: gradient of %s[%zu] is %g, the difference of the loss %g", backends[k],
                             list[i].name, j, have, want);
                checked += have != 0;
                if (strncmp(list[i].name, "unused", 6) == 0)
                    assert_true(have == 0);
            }
        assert_true(checked > 30);
        drop(t);
    }
}

static void cpu_and_reference_agree(void **state)
{
    (void)state;
    struct fixture *a = make("reference", 1), *b = make("cpu", SEVERAL_THREADS);
    struct err err = {0};
    assert_memory_equal(a->weights, b->weights, a->count * sizeof(float));
    for (int64_t rows = ROWS; rows >= 1; rows -= 2) { /* fewer rows than planned, too */
        double la = loss(a, rows, true), lb = loss(b, rows, true);
        assert_true(fabs(la - lb) < 1e-4 * (1 + la));
        for (int64_t i = 0; i < rows * CLASSES; i++)
            assert_true(fabs((double)executor_output(a->x)[i] - (double)executor_output(b->x)[i]) < 1e-4);
        assert_int_equal(executor_backward(a->x, NULL, NULL, &err), 0);
        assert_int_equal(executor_backward(b->x, NULL, NULL, &err), 0);
        for (size_t i = 0; i < a->count; i++)
            if (!(fabs((double)a->gradients[i] - (double)b->gradients[i]) < 1e-3))
                fail_msg("gradient %zu: reference %g, cpu %g", i, (double)a->gradients[i],
                         (double)b->gradients[i]);
        assert_true(fabs(loss(a, rows, false) - la) <
                    1e-6 * (1 + la)); /* nothing here differs in evaluation */
    }
    drop(a);
    drop(b);
}

static void no_rows_give_no_gradient(void **state)
{
    (void)state;
    struct fixture *t = make("cpu", 1);
    struct err err = {0};
    loss(t, ROWS, true);
    assert_int_equal(executor_backward(t->x, NULL, NULL, &err), 0);
    assert_true(loss(t, 0, true) == 0);
    assert_int_equal(executor_backward(t->x, hear, t, &err), 0);
    assert_true(t->told == t->count);
    for (size_t i = 0; i < t->count; i++)
        assert_true(t->gradients[i] == 0);
    const struct executor_batch b = {.inputs = t->inputs, .rows = ROWS + 1};
    assert_int_equal(executor_forward(t->x, &b, true, &err), -1);
    drop(t);
}

static void the_first_layer_that_is_not_finite_is_found(void **state)
{
    (void)state;
    struct fixture *t = make("cpu", 1);
    const struct executor_batch b = {.inputs = t->inputs, .rows = ROWS};
    assert_int_equal(executor_find_not_finite(t->x, &b), -1);
    size_t n;
    const struct executor_weight *list = executor_weight_list(t->x, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, "h.kernel") == 0)
            t->weights[list[i].first + 3] = INFINITY;
    executor_weights_changed(t->x);
    assert_false(isfinite(loss(t, ROWS, true)));
    assert_string_equal(t->g->nodes[executor_find_not_finite(t->x, &b)].name, "h");
    drop(t);
}

static void weights_start_from_seed_and_name_alone(void **state)
{
    (void)state;
    struct fixture *a = make("cpu", 1), *b = make("reference", SEVERAL_THREADS);
    assert_memory_equal(a->weights, b->weights, a->count * sizeof(float));
    size_t n, count;
    const struct executor_weight *list = executor_weight_list(a->x, &n);
    for (size_t i = 0; i < n; i++) {
        double square = 0;
        for (size_t k = 0; k < list[i].count; k++)
            square += pow((double)a->weights[list[i].first + k], 2);
        assert_true(strstr(list[i].name, ".bias") ? square == 0 : square > 0);
    }
    struct optimizer_range *r = executor_ranges(a->x, &count);
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(r[i].first == end);
        end += r[i].count;
    }
    assert_true(end == a->count);
    free(r);
    drop(a);
    drop(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_the_differences_of_the_loss),
        cmocka_unit_test(cpu_and_reference_agree),
        cmocka_unit_test(no_rows_give_no_gradient),
        cmocka_unit_test(the_first_layer_that_is_not_finite_is_found),
        cmocka_unit_test(weights_start_from_seed_and_name_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
