/* data: text and token files as streams, and the windows that a loader cuts. */
#include "temporary.h"

#include "kernels/data/dataset.h"
#include "kernels/data/loader.h"
#include "kernels/data/utf8.h"

static struct dataset *pack_file(const char *name, const void *data, size_t n, struct dataset_options o,
                                 struct findings *f)
{
    struct dataset_info info;
    struct err err = {0};
    struct dataset *d = NULL;
    char *to = path_join(folder, "pack");
    *f = (struct findings){0};
    if (dataset_pack(write_file(name, data, n), &o, to, f, &info) == 0 && !(d = dataset_open(to, true, &err)))
        fail_msg("%s", err.text);
    dataset_info_free(&info);
    free(to);
    return d;
}

static struct dataset *pack_text(const char *text, struct dataset_options o, struct findings *f)
{
    return pack_file("input.txt", text, strlen(text), o, f);
}

static void text_becomes_characters_in_order_of_value(void **state)
{
    (void)state;
    struct findings f;
    struct dataset *d = pack_text("b\xc3\xa4"
                                  "ab\nba\xe2\x82\xac"
                                  "b",
                                  (struct dataset_options){.test_fraction = 0.3}, &f);
    assert_non_null(d);
    static const char *const tokens[] = {"\n", "a", "b", "\xc3\xa4", "\xe2\x82\xac"};
    static const int32_t want[] = {2, 3, 1, 2, 0, 2, 1, 4, 2};
    assert_int_equal(d->info.token_unit, TOKENS_CHARACTERS);
    assert_int_equal(d->info.vocabulary, 5);
    assert_int_equal(d->info.classes, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(d->info.tokens[i], tokens[i]);
    assert_int_equal(d->info.stream_tokens[SPLIT_TRAIN], 6);
    assert_int_equal(d->info.stream_tokens[SPLIT_TEST], 3);
    for (int i = 0; i < 9; i++)
        assert_int_equal(dataset_token(d, i < 6 ? SPLIT_TRAIN : SPLIT_TEST, i < 6 ? i : i - 6), want[i]);
    dataset_close(d);
    findings_free(&f);
}

static void text_that_is_no_utf8_becomes_bytes_unless_characters_were_wanted(void **state)
{
    (void)state;
    struct findings f;
    const char *latin = "caf\xe9 au lait, caf\xe9 noir";
    struct dataset *d = pack_text(latin, (struct dataset_options){0}, &f);
    assert_non_null(d);
    assert_int_equal(d->info.token_unit, TOKENS_BYTES);
    assert_int_equal(d->info.vocabulary, 256);
    assert_int_equal(dataset_token(d, SPLIT_TRAIN, 3), 0xe9);
    dataset_close(d);
    findings_free(&f);
    assert_null(pack_text(latin, (struct dataset_options){.token_unit = "characters"}, &f));
    expect_finding(&f, "dataset.content", NULL, "byte 4 of the text is not UTF-8");
    findings_free(&f);
    assert_null(pack_text("abc", (struct dataset_options){.token_unit = "words"}, &f));
    expect_finding(&f, "dataset.options", NULL, "\"words\"");
    findings_free(&f);
    assert_null(pack_text("a", (struct dataset_options){0}, &f));
    expect_finding(&f, "dataset.content", NULL, "too few");
    findings_free(&f);
}

static void utf8_takes_what_is_valid_and_nothing_else(void **state)
{
    (void)state;
    char text[5];
    for (uint32_t c = 1; c < UTF8_MAX; c += c < 0x3000 ? 1 : 97) {
        struct utf8 u = {0};
        int32_t got = UTF8_MORE;
        int n = utf8_put(c, text);
        for (int i = 0; i < n; i++)
            got = utf8_take(&u, (uint8_t)text[i]);
        assert_int_equal(got, c >= 0xd800 && c < 0xe000 ? UTF8_WRONG : (int32_t)c);
    }
    static const char *const wrong[] = {"\xc0\x80", "\xe0\x80\x80", "\xf5",
                                        "\x80",     "\xc3(",        "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct utf8 u = {0};
        int32_t got = 0;
        for (const char *p = wrong[i]; *p && got != UTF8_WRONG; p++)
            got = utf8_take(&u, (uint8_t)*p);
        assert_int_equal(got, UTF8_WRONG);
    }
}

static void token_files_are_read_by_type_and_say_what_is_wrong(void **state)
{
    (void)state;
    struct findings f;
    uint16_t small[100];
    int32_t wide[100];
    for (int i = 0; i < 100; i++) {
        small[i] = (uint16_t)(i * 500);
        wide[i] = i * 1000;
    }
    struct dataset *d = pack_file("train.bin", small, sizeof(small), (struct dataset_options){0}, &f);
    assert_non_null(d);
    assert_int_equal(d->info.vocabulary, 49501);
    assert_int_equal(d->info.token_bytes, 2);
    assert_int_equal(dataset_token(d, SPLIT_TRAIN, 7), 3500);
    assert_int_equal(dataset_token(d, SPLIT_TEST, 9), 49500);
    dataset_close(d);
    findings_free(&f);
    d = pack_file("train.bin", wide, sizeof(wide),
                  (struct dataset_options){.token_type = "int32", .vocabulary = 100000}, &f);
    assert_non_null(d);
    assert_int_equal(d->info.vocabulary, 100000);
    assert_int_equal(d->info.token_bytes, 4);
    assert_int_equal(dataset_token(d, SPLIT_TEST, 0), 90000);
    dataset_close(d);
    findings_free(&f);
    wide[60] = -5;
    assert_null(
        pack_file("train.bin", wide, sizeof(wide), (struct dataset_options){.token_type = "int32"}, &f));
    expect_finding(&f, "dataset.content", NULL, "train.bin: token 60 is -5");
    findings_free(&f);
    assert_null(pack_file("train.bin", small, 101, (struct dataset_options){0}, &f));
    expect_finding(&f, "dataset.content", NULL, "ends inside a token");
    findings_free(&f);
    assert_null(pack_file("train.bin", small, 100, (struct dataset_options){.vocabulary = 10}, &f));
    expect_finding(&f, "dataset.options", NULL, "does not hold token 24500");
    findings_free(&f);
}

static size_t make_npy(uint8_t *out, const char *dict, const void *data, size_t n)
{
    size_t len = strlen(dict);
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (uint8_t)len;
    out[9] = (uint8_t)(len >> 8);
    memcpy(out + 10, dict, len);
    memcpy(out + 10 + len, data, n);
    return 10 + len + n;
}

static void numpy_tokens_are_a_stream_and_their_header_is_not_trusted(void **state)
{
    (void)state;
    struct findings f;
    uint8_t file[4096];
    uint16_t ids[40];
    for (int i = 0; i < 40; i++)
        ids[i] = (uint16_t)(i * 7 % 31);
    size_t n =
        make_npy(file, "{'descr': '<u2', 'fortran_order': False, 'shape': (40,), }\n", ids, sizeof(ids));
    struct dataset *d = pack_file("tokens.npy", file, n, (struct dataset_options){0}, &f);
    assert_non_null(d);
    assert_int_equal(d->info.vocabulary, 31);
    assert_int_equal(dataset_token(d, SPLIT_TRAIN, 5), 4);
    dataset_close(d);
    findings_free(&f);
    static const char *const wrong[] = {
        "{'descr': '<u2', 'fortran_order': False, 'shape': (41,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (9999999999,9999999999,9999), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (40, }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (40,), }",
        "{'descr': '<u258', 'fortran_order': False, 'shape': (40,), }",
        "{'descr': [('a','<u2')], 'fortran_order': False, 'shape': (40,), }",
        "descr': '<u2'",
        "{'descr': '",
        ""};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        n = make_npy(file, wrong[i], ids, sizeof(ids));
        assert_null(pack_file("tokens.npy", file, n, (struct dataset_options){.format = "tokens"}, &f));
        assert_true(findings_failed(&f));
        findings_free(&f);
    }
}

/* Tokens that say where they are. */
static struct dataset *counting_stream(int64_t tokens)
{
    struct findings f;
    uint32_t *ids = xcalloc((size_t)tokens, sizeof(*ids));
    for (int64_t i = 0; i < tokens; i++)
        ids[i] = (uint32_t)i;
    struct dataset *d =
        pack_file("train.bin", ids, (size_t)tokens * 4,
                  (struct dataset_options){.token_type = "uint32", .test_fraction = 0.25}, &f);
    assert_non_null(d);
    free(ids);
    findings_free(&f);
    return d;
}

/* Collect where each window of an epoch starts, over all ranks; checks the windows themselves. */
static void windows_of_epoch(const struct dataset *d, int split, bool shuffle, int ranks, int64_t epoch,
                             int64_t *starts)
{
    struct err err = {0};
    int64_t length = d->info.target_length;
    for (int rank = 0; rank < ranks; rank++) {
        struct loader *l = loader_create(
            d,
            &(struct loader_options){
                .split = split, .rank = rank, .ranks = ranks, .batch = 6, .seed = 3, .shuffle = shuffle},
            &err);
        assert_non_null(l);
        loader_seek(l, epoch, 0);
        for (int64_t i = 0; i < loader_batches_per_epoch(l); i++) {
            const struct loader_batch *b = loader_next(l);
            const int32_t *in = b->features;
            int64_t first = i * 6 + b->global_count * rank / ranks;
            for (int64_t k = 0; k < b->count; k++) {
                starts[first + k] = in[k * length];
                for (int64_t t = 0; t < length; t++) {
                    assert_int_equal(in[k * length + t], in[k * length] + t);
                    assert_int_equal(b->classes[k * length + t], in[k * length] + t + 1);
                }
            }
            for (int64_t k = b->count * length; k < loader_capacity(l) * length; k++)
                assert_int_equal(b->classes[k], -1);
        }
        loader_destroy(l);
    }
}

static void windows_cover_a_stream_and_do_not_depend_on_ranks(void **state)
{
    (void)state;
    struct err err = {0};
    struct dataset *d = counting_stream(1000);
    int64_t one[128] = {0}, three[128] = {0}, later[128] = {0};
    assert_int_equal(dataset_set_window(d, 16, &err), 0);
    assert_int_equal(d->info.samples[SPLIT_TRAIN], 46); /* (750 - 1) / 16 */
    assert_int_equal(d->info.samples[SPLIT_TEST], 15);
    windows_of_epoch(d, SPLIT_TEST, false, 1, 0, one);
    for (int64_t i = 0; i < 15; i++)
        assert_int_equal(one[i], 750 + i * 16);
    windows_of_epoch(d, SPLIT_TRAIN, true, 1, 0, one);
    windows_of_epoch(d, SPLIT_TRAIN, true, 3, 0, three);
    windows_of_epoch(d, SPLIT_TRAIN, true, 1, 1, later);
    assert_memory_equal(one, three, sizeof(one));
    int seen[750] = {0}, alike = 0;
    for (int64_t i = 0; i < 46; i++) {
        assert_in_range(one[i], 0, 733);
        for (int64_t t = 0; t < 16; t++)
            seen[one[i] + t]++;
        for (int64_t k = 0; k < 46; k++)
            alike += one[i] == later[k];
    }
    int covered = 0;
    for (int i = 0; i < 750; i++)
        covered += seen[i] > 0;
    assert_true(covered >= 700); /* 46 windows of 16 are 736; only round the end two may overlap */
    assert_true(alike < 46);     /* the next epoch cuts elsewhere */
    assert_int_equal(dataset_set_window(d, 300, &err), -1);
    assert_non_null(strstr(err.text, "the test split has 250"));
    dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_characters_in_order_of_value),
        cmocka_unit_test(text_that_is_no_utf8_becomes_bytes_unless_characters_were_wanted),
        cmocka_unit_test(utf8_takes_what_is_valid_and_nothing_else),
        cmocka_unit_test(token_files_are_read_by_type_and_say_what_is_wrong),
        cmocka_unit_test(numpy_tokens_are_a_stream_and_their_header_is_not_trusted),
        cmocka_unit_test(windows_cover_a_stream_and_do_not_depend_on_ranks),
    };
    return cmocka_run_group_tests_name("data: text and tokens", tests, make_folder, remove_folder);
}
