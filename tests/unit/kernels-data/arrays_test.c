/* data: NumPy arrays as features and labels. */
#include "temporary.h"

#include <math.h>
#include <sys/stat.h>

#include "kernels/data/dataset.h"

static char *set; /* a folder of .npy files */

static void put_npy(const char *name, const char *type, const char *shape, const void *data, size_t n)
{
    struct buf b = {0};
    char dict[200], path[64];
    int len = snprintf(dict, sizeof(dict), "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", type,
                       shape);
    buf_add(&b, "\x93NUMPY\1\0", 8);
    buf_putc(&b, (char)len);
    buf_putc(&b, 0);
    buf_add(&b, dict, (size_t)len);
    buf_add(&b, data, n);
    snprintf(path, sizeof(path), "set/%.40s.npy", name);
    write_file(path, b.data, b.len);
    buf_free(&b);
}

static int new_set(void **state)
{
    (void)state;
    set = path_join(folder, "set");
    return mkdir(set, 0755);
}

static int end_set(void **state)
{
    (void)state;
    dir_remove(set, NULL);
    free(set);
    return 0;
}

static struct dataset *pack(struct dataset_options o, struct findings *f)
{
    struct dataset_info info;
    struct err err = {0};
    struct dataset *d = NULL;
    char *to = path_join(folder, "pack");
    *f = (struct findings){0};
    if (dataset_pack(set, &o, to, f, &info) == 0 && !(d = dataset_open(to, true, &err)))
        fail_msg("%s", err.text);
    dataset_info_free(&info);
    free(to);
    return d;
}

static void pictures_become_channels_first_with_their_own_labels(void **state)
{
    (void)state;
    struct findings f;
    static uint8_t x[20 * 4 * 5 * 3];
    int64_t y[20];
    for (int i = 0; i < 20; i++) {
        y[i] = i % 3;
        for (int p = 0; p < 20; p++)
            for (int c = 0; c < 3; c++)
                x[(i * 20 + p) * 3 + c] = (uint8_t)(i * 10 + c * 3 + p % 3);
    }
    put_npy("x_train", "|u1", "20, 4, 5, 3", x, sizeof(x));
    put_npy("y_train", "<i8", "20,", y, sizeof(y));
    put_npy("x_test", "|u1", "6, 4, 5, 3", x, 6 * 60);
    put_npy("y_test", "<i8", "6,", y, 6 * 8);
    struct dataset *d = pack((struct dataset_options){0}, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    assert_string_equal(d->info.format, "numpy");
    assert_true(shape_equal(&d->info.feature_shape, &(struct shape){3, {3, 4, 5}}));
    assert_int_equal(d->info.classes, 3);
    for (int s = 0; s < 2; s++) {
        const uint8_t *p = d->features[s];
        assert_int_equal(d->info.samples[s], s ? 6 : 20);
        for (int i = 0; i < d->info.samples[s]; i++) {
            assert_int_equal(((const int32_t *)d->targets[s])[i], i % 3);
            for (int c = 0; c < 3; c++)
                for (int k = 0; k < 20; k++)
                    assert_int_equal(p[(i * 3 + c) * 20 + k], i * 10 + c * 3 + k % 3);
        }
    }
    dataset_close(d);
    findings_free(&f);
}

static void undivided_tables_are_divided_with_their_labels_and_standardised(void **state)
{
    (void)state;
    struct findings f;
    double x[100 * 2], y[100];
    for (int i = 0; i < 100; i++) {
        x[2 * i] = i;
        x[2 * i + 1] = -3;
        y[i] = 10 * i;
    }
    put_npy("X", "<f8", "100, 2", x, sizeof(x));
    put_npy("y", "<f8", "100, 1", y, sizeof(y));
    struct dataset *d = pack((struct dataset_options){.test_fraction = 0.25}, &f);
    assert_non_null(d);
    assert_int_equal(d->info.target, TARGET_VALUE);
    assert_int_equal(d->info.samples[SPLIT_TEST], 25);
    double mean = 0, square = 0;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < d->info.samples[s]; i++) {
            const float *row = (const float *)d->features[s] + 2 * i;
            assert_true(((const float *)d->targets[s])[i] == 10 * row[0]);
            mean += s == 0 ? (double)row[0] / 75 : 0;
            square += s == 0 ? (double)(row[0] * row[0]) / 75 : 0;
        }
    assert_true(fabs((double)d->info.column_mean[0] - mean) < 1e-3);
    assert_true(fabs((double)d->info.column_std[0] - sqrt(square - mean * mean)) < 1e-3);
    assert_true(d->info.column_std[1] == 1);
    dataset_close(d);
    findings_free(&f);
}

static void expect_failure(struct dataset_options o, const char *check, const char *text)
{
    struct findings f;
    assert_null(pack(o, &f));
    expect_finding(&f, check, NULL, text);
    findings_free(&f);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    float x[10] = {0, 1, 2, NAN};
    int32_t y[5] = {0, 1, 1, 0, 1}, negative[5] = {0, -1, 1, 0, 1};
    put_npy("x", "<f4", "5, 2", x, sizeof(x));
    expect_failure((struct dataset_options){0}, "dataset.files", "there are no labels");
    put_npy("y", "<i4", "5,", y, sizeof(y));
    expect_failure((struct dataset_options){0}, "dataset.values",
                   "x.npy: number 1 of sample 1 is not a finite float32");
    x[3] = 3;
    put_npy("x", "<f4", "5, 2", x, 36);
    expect_failure((struct dataset_options){0}, "dataset.content", "ends early, in sample 4 of 5");
    put_npy("x", "<f4", "4, 2", x, 32);
    expect_failure((struct dataset_options){0}, "dataset.labels", "x.npy has 4 samples, y.npy has 5 labels");
    put_npy("x", "<f4", "5, 2", x, 40);
    put_npy("y", "<i4", "5,", negative, sizeof(negative));
    expect_failure((struct dataset_options){0}, "dataset.labels", "labels are from -1 to 1");
    put_npy("y", "<i4", "5,", y, 16);
    expect_failure((struct dataset_options){0}, "dataset.content", "y.npy: it is cut off");
    put_npy("x", "<f4", "5, 999999999, 99999999", x, 40);
    expect_failure((struct dataset_options){0}, "dataset.content", "x.npy: its shape");
    put_npy("x", "<f4", "0, 2", x, 0);
    expect_failure((struct dataset_options){0}, "dataset.content", "x.npy: its shape");
}

static void damaged_arrays_never_crash(void **state)
{
    (void)state;
    float x[12] = {0};
    int32_t y[6] = {0, 1, 2, 0, 1, 2};
    struct buf whole = {0};
    struct err err = {0};
    put_npy("x", "<f4", "6, 2", x, sizeof(x));
    put_npy("y", "<i4", "6,", y, sizeof(y));
    char *path = path_join(set, "x.npy");
    assert_int_equal(file_read(path, 1 << 16, &whole, &err), 0);
    uint64_t r = 3;
    for (int round = 0; round < 400; round++) {
        struct findings f = {0};
        struct dataset_info info;
        struct buf b = {0};
        buf_add(&b, whole.data, whole.len);
        for (int k = 0; k < 1 + round % 3; k++) {
            r = r * 6364136223846793005u + 1442695040888963407u;
            b.data[(r >> 33) % b.len] = (char)(r >> 20);
        }
        write_file("set/x.npy", b.data, round % 4 ? b.len : (size_t)(r >> 40) % b.len);
        dataset_pack(set, &(struct dataset_options){0}, NULL, &f, &info);
        dataset_info_free(&info);
        findings_free(&f);
        buf_free(&b);
    }
    buf_free(&whole);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pictures_become_channels_first_with_their_own_labels, new_set,
                                        end_set),
        cmocka_unit_test_setup_teardown(undivided_tables_are_divided_with_their_labels_and_standardised,
                                        new_set, end_set),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_said, new_set, end_set),
        cmocka_unit_test_setup_teardown(damaged_arrays_never_crash, new_set, end_set),
    };
    return cmocka_run_group_tests_name("data: NumPy arrays", tests, make_folder, remove_folder);
}
