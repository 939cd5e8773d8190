/* data: what augmentation does to a picture, and that it depends on seed, epoch and sample alone. */
#include "../kernels-spec/expect.h"

#include "kernels/data/loader.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, BYTES = 3 * PIXELS };

static void picture(uint8_t out[BYTES], int sample)
{
    for (int i = 0; i < BYTES; i++)
        out[i] = (uint8_t)(1 + (i * 7 + sample * 31) % 200);
}

static void crops_move_and_flips_mirror(void **state)
{
    (void)state;
    uint8_t in[BYTES], out[BYTES];
    picture(in, 0);
    struct augment a = {.on = true, .crop_padding = 2, .flip = 0.5};
    int places[5][5] = {0}, flips = 0;
    for (int epoch = 0; epoch < 400; epoch++) {
        int found = 0;
        augment_image(&a, 5, epoch, 3, 3, SIDE, SIDE, in, out);
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++)
                for (int flip = 0; flip < 2; flip++) {
                    bool same = true;
                    for (int c = 0; c < 3; c++)
                        for (int y = 0; y < SIDE; y++)
                            for (int x = 0; x < SIDE; x++) {
                                int sy = y + dy, sx = (flip ? SIDE - 1 - x : x) + dx;
                                bool inside = sy >= 0 && sy < SIDE && sx >= 0 && sx < SIDE;
                                same &= out[c * PIXELS + y * SIDE + x] ==
                                        (inside ? in[c * PIXELS + sy * SIDE + sx] : 0);
                            }
                    if (same) {
                        found++;
                        places[dy + 2][dx + 2]++;
                        flips += flip;
                    }
                }
        assert_int_equal(found, 1);
    }
    for (int i = 0; i < 25; i++)
        assert_in_range(places[i / 5][i % 5], 3, 40); /* 16 expected */
    assert_in_range(flips, 150, 250);
}

static void cutout_takes_a_square_and_colours_stay_in_their_range(void **state)
{
    (void)state;
    uint8_t in[BYTES], out[BYTES];
    picture(in, 1);
    struct augment a = {.on = true, .cutout = 4};
    for (int epoch = 0; epoch < 50; epoch++) {
        int changed = 0;
        augment_image(&a, 1, epoch, 0, 3, SIDE, SIDE, in, out);
        for (int i = 0; i < PIXELS; i++)
            changed += in[i] != out[i];
        assert_in_range(changed, 3, 16);
    }
    memset(in, 100, BYTES);
    a = (struct augment){.on = true, .brightness = 0.2, .contrast = 0.5, .saturation = 0.5};
    int least = 255, most = 0;
    for (int epoch = 0; epoch < 200; epoch++) {
        augment_image(&a, 1, epoch, 0, 3, SIDE, SIDE, in, out);
        for (int i = 1; i < BYTES; i++)
            assert_int_equal(out[i], out[0]); /* one grey has no contrast and no colour to change */
        least = out[0] < least ? out[0] : least;
        most = out[0] > most ? out[0] : most;
    }
    assert_in_range(least, 80, 83);
    assert_in_range(most, 117, 120);
}

static void batches_are_the_same_on_any_number_of_ranks_and_differ_by_epoch(void **state)
{
    (void)state;
    enum { SAMPLES = 23, BATCH = 6 };
    static uint8_t images[SAMPLES * BYTES];
    static int32_t labels[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        picture(images + i * BYTES, i);
        labels[i] = i;
    }
    struct dataset d = {.info = {.feature_shape = {3, {3, SIDE, SIDE}},
                                 .feature_dtype = DTYPE_U8,
                                 .target = TARGET_CLASS,
                                 .classes = SAMPLES,
                                 .samples = {SAMPLES, 0}},
                        .features = {images},
                        .targets = {labels}};
    static float seen[3][SAMPLES][BYTES]; /* one rank, two ranks, the epoch after */
    struct err err = {0};
    for (int run = 0; run < 3; run++)
        for (int rank = 0; rank < 1 + (run == 1); rank++) {
            struct loader *l = loader_create(
                &d,
                &(struct loader_options){
                    .rank = rank,
                    .ranks = 1 + (run == 1),
                    .batch = BATCH,
                    .seed = 4,
                    .shuffle = true,
                    .as_float = true,
                    .augment = {.on = true, .crop_padding = 2, .flip = 0.5, .contrast = 0.3, .cutout = 3}},
                &err);
            assert_non_null(l);
            loader_seek(l, run == 2, 0);
            for (int64_t i = 0; i < loader_batches_per_epoch(l); i++) {
                const struct loader_batch *b = loader_next(l);
                for (int64_t k = 0; k < b->count; k++)
                    memcpy(seen[run][b->classes[k]], (const float *)b->features + k * BYTES,
                           sizeof(seen[0][0]));
            }
            loader_destroy(l);
        }
    assert_memory_equal(seen[0], seen[1], sizeof(seen[0]));
    int same = 0;
    for (int i = 0; i < SAMPLES; i++)
        same += !memcmp(seen[0][i], seen[2][i], sizeof(seen[0][0]));
    assert_in_range(same, 0, 3);
    d.info.feature_dtype = DTYPE_F32;
    assert_null(loader_create(&d, &(struct loader_options){.batch = 2, .augment = {.on = true}}, &err));
    assert_non_null(strstr(err.text, "only images can be augmented"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_move_and_flips_mirror),
        cmocka_unit_test(cutout_takes_a_square_and_colours_stay_in_their_range),
        cmocka_unit_test(batches_are_the_same_on_any_number_of_ranks_and_differ_by_epoch),
    };
    return cmocka_run_group_tests_name("data: augmentation", tests, NULL, NULL);
}
