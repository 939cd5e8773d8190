/* Weights to begin with: by name, in every floating-point form, wholly or not at all. */
#include "kernels/train/start_weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "kernels/formats/safetensors.h"
#include "kernels/spec/model.h"

enum { INPUTS = 3, UNITS = 2, KERNEL = INPUTS * UNITS };

struct fixture {
    struct graph *graph;
    struct executor *executor;
    char path[64];
    struct buf note;
    struct err err;
};

static void open_fixture(struct fixture *f)
{
    struct findings found = {0};
    struct shape in = {1, {INPUTS}};
    struct algorithm a;
    *f = (struct fixture){0};
    struct model_spec *m = model_spec_create("m");
    model_spec_input(m, "x", &in, DTYPE_F32);
    model_spec_set(model_spec_add(m, "a", "dense", "x"), "units", 0, UNITS);
    model_spec_set(model_spec_add(m, "b", "dense", "a"), "units", 0, UNITS);
    model_spec_output(m, "b");
    f->graph = graph_build(m, &found);
    model_spec_destroy(m);
    findings_free(&found);
    assert_non_null(f->graph);
    algorithm_default(&a);
    struct executor_options o = {.backend = "reference", .threads = 1, .rows = 2, .seed = 5};
    f->executor = executor_create(f->graph, &a, &o, NULL);
    assert_non_null(f->executor);
    snprintf(f->path, sizeof(f->path), "/tmp/start_weights_test-%d", (int)getpid());
}

static void close_fixture(struct fixture *f)
{
    unlink(f->path);
    buf_free(&f->note);
    executor_destroy(f->executor);
    graph_destroy(f->graph);
}

static const float *weight(const struct fixture *f, const char *name)
{
    size_t n, count;
    const struct executor_weight *list = executor_weight_list(f->executor, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return executor_weights(f->executor, &count) + list[i].first;
    fail_msg("no weight %s", name);
    return NULL;
}

static void write_tensors(const struct fixture *f, const struct tensor_entry *e, size_t n)
{
    struct err err = {0};
    if (safetensors_write(f->path, e, n, NULL, 0, &err))
        fail_msg("%s", err.text);
}

static struct tensor_entry kernel(const char *name, enum dtype t, const void *data)
{
    return (struct tensor_entry){.name = name,
                                 .dtype = t,
                                 .shape = {2, {INPUTS, UNITS}},
                                 .data = data,
                                 .bytes = KERNEL * (size_t)dtype_size(t)};
}

static void test_names_that_agree_are_taken_and_the_rest_is_said(void **state)
{
    (void)state;
    struct fixture f;
    const float values[KERNEL] = {1, -2, 3, -4, 5, -6};
    open_fixture(&f);
    float before[UNITS * UNITS];
    memcpy(before, weight(&f, "b.kernel"), sizeof(before));
    const struct tensor_entry e[] = {kernel("a.kernel", DTYPE_F32, values),
                                     kernel("stranger", DTYPE_F32, values)};
    write_tensors(&f, e, 2);
    assert_int_equal(start_weights_load(f.executor, f.path, false, &f.note, &f.err), 0);
    assert_memory_equal(weight(&f, "a.kernel"), values, sizeof(values));
    assert_memory_equal(weight(&f, "b.kernel"), before, sizeof(before));
    assert_non_null(strstr(buf_str(&f.note), "3 that it lacks"));
    assert_non_null(strstr(buf_str(&f.note), "stranger"));
    assert_int_equal(start_weights_load(f.executor, f.path, true, &f.note, &f.err), -1);
    assert_non_null(strstr(f.err.text, "b."));
    close_fixture(&f);
}

static void test_every_floating_point_form_is_read(void **state)
{
    (void)state;
    const float want[KERNEL] = {1, -2, 0.5f, 6.103515625e-05f, 5.9604644775390625e-08f, -65504};
    const double f64[KERNEL] = {1, -2, 0.5, 6.103515625e-05, 5.9604644775390625e-08, -65504};
    const uint16_t f16[KERNEL] = {0x3c00, 0xc000, 0x3800, 0x0400, 0x0001, 0xfbff};
    const uint16_t bf16[KERNEL] = {0x3f80, 0xc000, 0x3f00, 0x3880, 0x3380, 0xc780};
    const struct {
        enum dtype type;
        const void *data;
        float last;
    } forms[] = {{DTYPE_F64, f64, -65504}, {DTYPE_F16, f16, -65504}, {DTYPE_BF16, bf16, -65536}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct fixture f;
        open_fixture(&f);
        const struct tensor_entry e = kernel("a.kernel", forms[i].type, forms[i].data);
        write_tensors(&f, &e, 1);
        assert_int_equal(start_weights_load(f.executor, f.path, false, &f.note, &f.err), 0);
        assert_memory_equal(weight(&f, "a.kernel"), want, (KERNEL - 1) * sizeof(float));
        assert_float_equal(weight(&f, "a.kernel")[KERNEL - 1], forms[i].last, 0);
        close_fixture(&f);
    }
}

static void refuses(const struct tensor_entry *e, size_t n, const char *word)
{
    struct fixture f;
    size_t count;
    open_fixture(&f);
    const float *all = executor_weights(f.executor, &count);
    float *before = xcalloc(count, sizeof(*before));
    memcpy(before, all, count * sizeof(*before));
    write_tensors(&f, e, n);
    assert_int_equal(start_weights_load(f.executor, f.path, false, &f.note, &f.err), -1);
    assert_non_null(strstr(f.err.text, word));
    assert_memory_equal(all, before, count * sizeof(*before));
    free(before);
    close_fixture(&f);
}

static void test_what_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    const float values[KERNEL] = {1, 2, 3, 4, 5, 6}, broken[KERNEL] = {1, 2, 3, 4, 5, 0.0f / 0.0f};
    const int32_t whole[KERNEL] = {0};
    struct tensor_entry flat = kernel("b.kernel", DTYPE_F32, values);
    const struct tensor_entry good = kernel("a.kernel", DTYPE_F32, values);
    refuses((const struct tensor_entry[]){good, flat}, 2, "(2, 2)");
    refuses((const struct tensor_entry[]){kernel("a.kernel", DTYPE_F32, broken)}, 1, "not finite");
    refuses((const struct tensor_entry[]){kernel("a.kernel", DTYPE_I32, whole)}, 1, "int32");
    refuses((const struct tensor_entry[]){kernel("other", DTYPE_F32, values)}, 1, "none of its 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_agree_are_taken_and_the_rest_is_said),
        cmocka_unit_test(test_every_floating_point_form_is_read),
        cmocka_unit_test(test_what_does_not_fit_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
