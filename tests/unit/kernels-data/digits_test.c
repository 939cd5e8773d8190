/* data/digits: the drawn digits are the same everywhere, differ among each other, and can be told apart. */
#include "temporary.h"

#include "kernels/data/dataset.h"
#include "kernels/data/digits.h"

static void the_same_seed_draws_the_same(void **state)
{
    (void)state;
    uint8_t a[784], b[784], c[784];
    digit_draw(5, 1, 77, a);
    digit_draw(5, 1, 77, b);
    digit_draw(5, 1, 78, c);
    assert_memory_equal(a, b, 784);
    assert_memory_not_equal(a, c, 784);
}

static void nearest_mean_tells_most_digits(void **state)
{
    (void)state;
    /* The means of 200 drawings of each digit, then 50 others go to the nearest: far above chance, below
     * perfect. */
    static double mean[10][784];
    uint8_t image[784];
    for (int d = 0; d < 10; d++)
        for (uint64_t i = 0; i < 200; i++) {
            digit_draw(d, 3, 1000 * (uint64_t)d + i, image);
            for (int k = 0; k < 784; k++)
                mean[d][k] += image[k] / 200.0;
        }
    int right = 0;
    for (int d = 0; d < 10; d++)
        for (uint64_t i = 0; i < 50; i++) {
            digit_draw(d, 4, 1000 * (uint64_t)d + i, image);
            int best = 0;
            double least = 1e18;
            for (int m = 0; m < 10; m++) {
                double distance = 0;
                for (int k = 0; k < 784; k++)
                    distance += (image[k] - mean[m][k]) * (image[k] - mean[m][k]);
                if (distance < least) {
                    least = distance;
                    best = m;
                }
            }
            right += best == d;
        }
    print_message("nearest mean: %d of 500\n", right);
    assert_true(right > 250 && right < 495);
}

static void the_files_are_a_dataset(void **state)
{
    (void)state;
    struct err err = {0};
    char *dir = path_join(folder, "digits");
    assert_int_equal(digits_write(dir, 300, 100, 1, &err), 0);
    struct dataset *d = dataset_open(dir, false, &err);
    if (!d)
        fail_msg("%s", err.text);
    assert_int_equal(d->info.samples[SPLIT_TRAIN], 300);
    assert_int_equal(d->info.samples[SPLIT_TEST], 100);
    assert_int_equal(d->info.classes, 10);
    uint8_t first[784];
    digit_draw(((const int32_t *)d->targets[SPLIT_TRAIN])[0], 1, 0, first);
    assert_memory_equal(first, d->features[SPLIT_TRAIN], 784);
    dataset_close(d);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_draws_the_same),
        cmocka_unit_test(nearest_mean_tells_most_digits),
        cmocka_unit_test(the_files_are_a_dataset),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
