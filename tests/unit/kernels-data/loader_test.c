/* data/loader: the order of samples, the shares of ranks, going on from anywhere. */
#include "temporary.h"

#include "kernels/data/loader.h"

#define SAMPLES 103

/* A dataset in memory: sample i is three bytes i, its class i % 5. */
static struct dataset *numbered(void)
{
    static uint8_t features[SAMPLES * 3];
    static int32_t classes[SAMPLES];
    struct dataset *d = xcalloc(1, sizeof(*d));
    for (int i = 0; i < SAMPLES; i++) {
        memset(features + 3 * i, i, 3);
        classes[i] = i % 5;
    }
    d->info = (struct dataset_info){.feature_shape = {1, {3}},
                                    .feature_dtype = DTYPE_U8,
                                    .target = TARGET_CLASS,
                                    .classes = 5,
                                    .samples = {SAMPLES, 0}};
    d->features[0] = features;
    d->targets[0] = classes;
    return d;
}

static struct loader *make(const struct dataset *d, struct loader_options o)
{
    struct err err = {0};
    struct loader *l = loader_create(d, &o, &err);
    if (!l)
        fail_msg("%s", err.text);
    return l;
}

static void the_order_is_a_permutation(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 300; n += 7) {
        char *seen = xcalloc((size_t)n, 1);
        int64_t fixed = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = loader_order(42, 3, n, i);
            assert_true(at >= 0 && at < n && !seen[at]);
            seen[at] = 1;
            fixed += at == i;
        }
        if (n > 50)
            assert_true(fixed < 10);
        free(seen);
    }
}

static void the_order_is_even(void **state)
{
    (void)state;
    /* Over many epochs every sample comes everywhere: chi-square of the first position among 16, 15 degrees
     * of freedom. */
    int counts[16] = {0};
    for (int epoch = 0; epoch < 16000; epoch++)
        counts[loader_order(7, epoch, 16, 0)]++;
    double chi = 0;
    for (int i = 0; i < 16; i++)
        chi += (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000.0;
    assert_true(chi < 37.7); /* 0.1 % */
}

static void an_epoch_gives_every_sample_once(void **state)
{
    (void)state;
    struct dataset *d = numbered();
    struct loader *l = make(d, (struct loader_options){.batch = 10, .shuffle = true, .seed = 1, .epochs = 2});
    assert_int_equal(loader_batches_per_epoch(l), 11);
    int seen[SAMPLES] = {0}, batches = 0;
    const struct loader_batch *b;
    while ((b = loader_next(l))) {
        assert_int_equal(b->epoch, batches / 11);
        assert_int_equal(b->index, batches % 11);
        assert_int_equal(b->count, batches % 11 == 10 ? 3 : 10);
        for (int64_t i = 0; i < b->count; i++) {
            int sample = ((const uint8_t *)b->features)[3 * i];
            seen[sample]++;
            assert_int_equal(b->classes[i], sample % 5);
        }
        for (int64_t i = b->count; i < 10; i++) {
            assert_int_equal(b->classes[i], -1);
            assert_int_equal(((const uint8_t *)b->features)[3 * i], 0);
        }
        batches++;
    }
    assert_int_equal(batches, 22);
    for (int i = 0; i < SAMPLES; i++)
        assert_int_equal(seen[i], 2);
    assert_null(loader_next(l));
    loader_destroy(l);
    free(d);
}

static void ranks_share_the_same_batches(void **state)
{
    (void)state;
    struct dataset *d = numbered();
    struct loader *whole =
        make(d, (struct loader_options){.batch = 10, .shuffle = true, .seed = 9, .epochs = 1});
    struct loader *part[3];
    for (int r = 0; r < 3; r++)
        part[r] = make(d, (struct loader_options){
                              .batch = 10, .shuffle = true, .seed = 9, .epochs = 1, .rank = r, .ranks = 3});
    const struct loader_batch *b;
    while ((b = loader_next(whole))) {
        int64_t at = 0;
        for (int r = 0; r < 3; r++) {
            const struct loader_batch *p = loader_next(part[r]);
            assert_true(p->count <= loader_capacity(part[r]));
            assert_int_equal(p->global_count, b->count);
            assert_memory_equal(p->features, (const uint8_t *)b->features + 3 * at, (size_t)(3 * p->count));
            at += p->count;
        }
        assert_int_equal(at, b->count);
    }
    for (int r = 0; r < 3; r++) {
        assert_null(loader_next(part[r]));
        loader_destroy(part[r]);
    }
    loader_destroy(whole);
    free(d);
}

static void it_goes_on_from_anywhere(void **state)
{
    (void)state;
    struct dataset *d = numbered();
    struct loader_options o = {.batch = 16, .shuffle = true, .seed = 3, .drop_last = true};
    struct loader *a = make(d, o), *b = make(d, o);
    assert_int_equal(loader_batches_per_epoch(a), 6);
    for (int i = 0; i < 2 * 6 + 4; i++)
        loader_next(a);
    loader_next(b);
    loader_seek(b, 2, 4);
    for (int i = 0; i < 10; i++) {
        const struct loader_batch *x = loader_next(a), *y = loader_next(b);
        assert_true(x->epoch == y->epoch && x->index == y->index);
        assert_memory_equal(x->features, y->features, 48);
    }
    loader_destroy(a);
    loader_destroy(b);
    free(d);
}

static void floats_are_standardised(void **state)
{
    (void)state;
    float mean[] = {10, 0}, std[] = {2, 1}, features[] = {12, 5, 8, 6};
    float values[] = {1.5f, 2.5f};
    struct dataset d = {.info = {.feature_shape = {1, {2}},
                                 .feature_dtype = DTYPE_F32,
                                 .target = TARGET_VALUE,
                                 .target_width = 1,
                                 .samples = {2, 0},
                                 .column_mean = mean,
                                 .column_std = std,
                                 .column_count = 2},
                        .features = {features},
                        .targets = {values}};
    struct loader *l = make(&d, (struct loader_options){.batch = 2});
    const struct loader_batch *b = loader_next(l);
    const float *f = b->features;
    assert_true(f[0] == 1 && f[1] == 5 && f[2] == -1 && f[3] == 6);
    assert_true(b->values[1] == 2.5f);
    loader_destroy(l);
}

static void bytes_become_floats_on_request(void **state)
{
    (void)state;
    struct dataset *d = numbered();
    struct loader *l = make(d, (struct loader_options){.batch = 8, .as_float = true});
    assert_int_equal(loader_dtype(l), DTYPE_F32);
    const struct loader_batch *b = loader_next(l);
    assert_true(((const float *)b->features)[3 * 7 + 1] == 7.0f);
    loader_destroy(l);
    free(d);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct dataset *d = numbered();
    struct err err = {0};
    assert_null(loader_create(d, &(struct loader_options){.batch = 10, .split = SPLIT_TEST}, &err));
    assert_non_null(strstr(err.text, "test split"));
    assert_null(loader_create(d, &(struct loader_options){.batch = 2, .ranks = 3}, &err));
    assert_non_null(strstr(err.text, "3 ranks"));
    free(d);
}

static void more_ranks_than_samples(void **state)
{
    (void)state;
    struct dataset *d = numbered();
    d->info.samples[0] = 2;
    int64_t total = 0;
    for (int r = 0; r < 4; r++) {
        struct loader *l = make(d, (struct loader_options){.batch = 100, .rank = r, .ranks = 4, .epochs = 1});
        const struct loader_batch *b = loader_next(l);
        assert_non_null(b);
        total += b->count;
        assert_null(loader_next(l));
        loader_destroy(l);
    }
    assert_int_equal(total, 2);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_a_permutation),       cmocka_unit_test(the_order_is_even),
        cmocka_unit_test(an_epoch_gives_every_sample_once), cmocka_unit_test(ranks_share_the_same_batches),
        cmocka_unit_test(it_goes_on_from_anywhere),         cmocka_unit_test(floats_are_standardised),
        cmocka_unit_test(bytes_become_floats_on_request),   cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(more_ranks_than_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
