/* A step allocates nothing: calls of the allocator in this process are counted, by who makes them. What oneDNN takes inside a
 * primitive's run and gives back at its end (a map of its arguments) is counted apart: it must not grow. */
#include <dlfcn.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "kernels/optim/random.h"
#include "kernels/spec/model.h"
#include "kernels/train/executor.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static atomic_long own;
static void *base; /* where this program, kernels/ in it, lies in memory */

static void count(const void *caller)
{
    Dl_info who;
    if (base && dladdr(caller, &who) && who.dli_fbase == base)
        atomic_fetch_add(&own, 1);
}

void *malloc(size_t n)
{
    count(__builtin_return_address(0));
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count(__builtin_return_address(0));
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    count(__builtin_return_address(0));
    *out = __libc_memalign(alignment, n);
    return *out ? 0 : 12;
}

enum { ROWS = 8, CLASSES = 10, SIDE = 12 };

/* The kinds of layers that keep state of their own between passes: converted layouts, masks, statistics. */
static struct graph *network(void)
{
    struct shape image = {3, {1, SIDE, SIDE}};
    struct findings f = {0};
    struct model_spec *m = model_spec_create("m");
    model_spec_input(m, "x", &image, DTYPE_F32);
    model_spec_set(model_spec_set(model_spec_add(m, "c1", "conv2d", "x"), "filters", 0, 8), "kernel", 0, 3);
    model_spec_add(m, "n1", "batch_norm", "c1");
    model_spec_add(m, "r1", "relu", "n1");
    model_spec_set(model_spec_add(m, "p1", "max_pool2d", "r1"), "pool", 0, 2);
    model_spec_add(m, "f", "flatten", "p1");
    model_spec_add(m, "d", "dropout", "f");
    model_spec_set(model_spec_add(m, "h", "dense", "d"), "units", 0, 32);
    model_spec_add(m, "g", "gelu", "h");
    model_spec_set(model_spec_add(m, "o", "dense", "g"), "units", 0, CLASSES);
    model_spec_output(m, "o");
    struct graph *g = graph_build(m, &f);
    assert_non_null(g);
    findings_free(&f);
    model_spec_destroy(m);
    return g;
}

static void step(struct executor *x, struct optimizer *o, const float *image, const int32_t *classes,
                 int64_t at)
{
    const void *inputs[] = {image};
    const struct executor_batch b = {.inputs = inputs, .rows = ROWS, .step = at};
    struct err err = {0};
    assert_int_equal(executor_forward(x, &b, true, &err), 0);
    executor_loss(x, classes, NULL, NULL);
    assert_int_equal(executor_backward(x, NULL, NULL, &err), 0);
    executor_update(x, o, 0.001, 1.0 / ROWS);
}

static void counted(enum dtype precision)
{
    struct algorithm a;
    size_t weights, ranges;
    assert_non_null(base);
    struct graph *g = network();
    static float image[ROWS * SIDE * SIDE];
    static int32_t classes[ROWS];
    algorithm_default(&a);
    a.precision = precision;
    struct executor_options eo = {.backend = "cpu", .threads = 1, .rows = ROWS, .seed = 1};
    struct executor *x = executor_create(g, &a, &eo, NULL);
    assert_non_null(x);
    executor_weights(x, &weights);
    float *gradients = aligned_alloc(64, (weights * sizeof(float) + 127) / 64 * 64);
    executor_set_gradients(x, gradients);
    struct optimizer_range *r = executor_ranges(x, &ranges);
    struct optimizer *o = optimizer_create(&a, weights, r, ranges);
    random_normal(image, ROWS * SIDE * SIDE, 1, 1, 1);
    for (int64_t i = 0; i < 3; i++)
        step(x, o, image, classes, i); /* primitives are made at the first */
    long before = atomic_load(&own);
    assert_true(before > 0); /* planning was counted, so counting works */
    size_t held = mallinfo2().uordblks;
    for (int64_t i = 3; i < 13; i++)
        step(x, o, image, classes, i);
    assert_true(atomic_load(&own) == before);
    assert_true(mallinfo2().uordblks <= held);
    optimizer_destroy(o);
    executor_destroy(x);
    graph_destroy(g);
    free(r);
    free(gradients);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    counted(DTYPE_F32);
}

static void nor_does_one_in_bfloat16(void **state)
{
    (void)state;
    counted(DTYPE_BF16);
}

int main(void)
{
    Dl_info here;
    if (dladdr((void *)(uintptr_t)main, &here))
        base = here.dli_fbase;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(nor_does_one_in_bfloat16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
