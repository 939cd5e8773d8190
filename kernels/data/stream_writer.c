#include "kernels/data/stream_writer.h"

#include <math.h>

#include "kernels/data/readers.h"

#define TEST_FRACTION                                                                                        \
    0.1 /* of a text; its neighbours are alike, so fewer are enough than of a table's rows */

/* The end of the stream is for testing: windows of both splits never overlap. */
static int choose_splits(struct stream_writer *s, const int64_t counts[SPLIT_COUNT + 1],
                         const struct dataset_options *o, struct findings *f)
{
    int64_t train = counts[SPLIT_TRAIN], test = counts[SPLIT_TEST], loose = counts[SPLIT_COUNT];
    if ((train || test) && loose)
        return reader_fail(f, "dataset.files", "some files are named train or test and others are not");
    s->divided = !(train && test);
    if (s->divided) {
        int64_t total = train + test + loose;
        double fraction = o->test_fraction > 0 ? o->test_fraction : TEST_FRACTION;
        test = llround(fraction * (double)total);
        train = total - test;
    }
    if (train < 2 || test == 1)
        return reader_fail(f, "dataset.content", "%lld tokens are too few: each split needs two at least",
                           (long long)(train + test));
    s->info->stream_tokens[SPLIT_TRAIN] = train;
    s->info->stream_tokens[SPLIT_TEST] = test;
    return 0;
}

int stream_writer_begin(struct stream_writer *s, const int64_t counts[SPLIT_COUNT + 1],
                        const struct dataset_options *o, const char *pack_path, struct dataset_info *info,
                        struct findings *f)
{
    struct err err = {0};
    *s = (struct stream_writer){.info = info};
    if (choose_splits(s, counts, o, f))
        return -1;
    info->stream = true;
    info->padding = -1;
    info->token_bytes = info->vocabulary <= 256 ? 1 : info->vocabulary <= 65536 ? 2 : 4;
    info->target = TARGET_CLASS;
    info->classes = info->vocabulary;
    info->feature_dtype = DTYPE_I32;
    info->feature_shape = (struct shape){.rank = 1, .dim = {1}};
    info->target_length = 1;
    for (int i = 0; i < SPLIT_COUNT; i++)
        info->samples[i] = info->stream_tokens[i] > 0 ? info->stream_tokens[i] - 1 : 0;
    s->w = pack_writer_create(pack_path, info, &err);
    return s->w ? 0 : reader_fail(f, "dataset.write", "%s", err.text);
}

int stream_writer_put(struct stream_writer *s, int split, uint32_t token, struct err *err)
{
    if (s->divided)
        split = s->written[SPLIT_TRAIN] < s->info->stream_tokens[SPLIT_TRAIN] ? SPLIT_TRAIN : SPLIT_TEST;
    if (split < 0 || s->written[split] == s->info->stream_tokens[split])
        return err_set(err, ERR_CONFLICT, "the files changed while they were read");
    s->written[split]++;
    uint8_t byte = (uint8_t)token;
    uint16_t two = (uint16_t)token;
    return s->info->token_bytes == 1   ? pack_write_features(s->w, split, &byte, 1, err)
           : s->info->token_bytes == 2 ? pack_write_features(s->w, split, &two, 2, err)
                                       : pack_write_features(s->w, split, &token, 4, err);
}

int stream_writer_finish(struct stream_writer *s, struct findings *f)
{
    struct err err = {0};
    struct pack_writer *w = s->w;
    s->w = NULL;
    for (int i = 0; i < SPLIT_COUNT; i++)
        if (s->written[i] != s->info->stream_tokens[i]) {
            pack_writer_destroy(w);
            return reader_fail(f, "dataset.files", "the files changed while they were read");
        }
    return pack_writer_finish(w, s->info, &err) ? reader_fail(f, "dataset.write", "%s", err.text) : 0;
}
