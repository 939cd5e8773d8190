/* data: IDX files in folders and tars, plain and gzipped; packs; broken and hostile files. */
#include "temporary.h"

#include <sys/resource.h>
#include <sys/stat.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "kernels/data/dataset.h"
#include "kernels/data/pack.h"

/* ---- making files ---- */

static void put_be(struct buf *b, uint32_t v)
{
    for (int i = 3; i >= 0; i--)
        buf_putc(b, (char)(v >> (8 * i)));
}

/* n images of 2x3, pixel = 10 * index + position; or n labels, index % 3. */
static struct buf images(uint32_t n)
{
    struct buf b = {0};
    put_be(&b, 0x00000803);
    put_be(&b, n);
    put_be(&b, 2);
    put_be(&b, 3);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < 6; k++)
            buf_putc(&b, (char)(10 * i + k));
    return b;
}

static struct buf labels(uint32_t n)
{
    struct buf b = {0};
    put_be(&b, 0x00000801);
    put_be(&b, n);
    for (uint32_t i = 0; i < n; i++)
        buf_putc(&b, (char)(i % 3));
    return b;
}

#ifdef HAVE_ZLIB
static struct buf gzipped(const struct buf *in)
{
    struct buf out = {0};
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    buf_reserve(&out, deflateBound(&z, in->len) + 64);
    z.next_in = (Bytef *)in->data;
    z.avail_in = (unsigned)in->len;
    z.next_out = (Bytef *)out.data;
    z.avail_out = (unsigned)out.cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = z.total_out;
    deflateEnd(&z);
    return out;
}
#endif

static void tar_add(struct buf *tar, const char *name, const struct buf *content, char kind)
{
    char h[512] = {0};
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "0000644");
    snprintf(h + 124, 12, "%011o", (unsigned)content->len);
    snprintf(h + 136, 12, "00000000000");
    memcpy(h + 257, "ustar\00000", 8);
    h[156] = kind;
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    buf_add(tar, h, 512);
    buf_add(tar, content->data, content->len);
    while (tar->len % 512)
        buf_putc(tar, 0);
}

static void tar_end(struct buf *tar)
{
    for (int i = 0; i < 1024; i++)
        buf_putc(tar, 0);
}

static struct buf whole_tar(uint32_t train, uint32_t test)
{
    struct buf tar = {0}, a = labels(train), b = images(train), c = images(test), d = labels(test);
    tar_add(&tar, "set/train-labels-idx1-ubyte", &a, '0');
    tar_add(&tar, "set/t10k-images-idx3-ubyte", &c, '0');
    tar_add(&tar, "set/train-images-idx3-ubyte", &b, '0');
    tar_add(&tar, "set/t10k-labels-idx1-ubyte", &d, '0');
    tar_end(&tar);
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
    buf_free(&d);
    return tar;
}

static char *pack_path(void)
{
    return path_join(folder, "pack");
}

static struct dataset *pack_and_open(const char *path, const struct dataset_options *o, struct findings *f)
{
    char *to = pack_path();
    struct dataset_info info;
    struct err err = {0};
    struct dataset *d = NULL;
    if (dataset_pack(path, o, to, f, &info) == 0) {
        d = dataset_open(to, true, &err);
        if (!d)
            fail_msg("%s", err.text);
        assert_string_equal(d->info.digest, info.digest);
    }
    dataset_info_free(&info);
    free(to);
    return d;
}

static void check_contents(const struct dataset *d, int64_t train, int64_t test)
{
    assert_string_equal(d->info.format, "idx");
    assert_int_equal(d->info.feature_shape.rank, 3);
    assert_true(d->info.feature_shape.dim[0] == 1 && d->info.feature_shape.dim[1] == 2 &&
                d->info.feature_shape.dim[2] == 3);
    assert_int_equal(d->info.feature_dtype, DTYPE_U8);
    assert_int_equal(d->info.target, TARGET_CLASS);
    assert_int_equal(d->info.classes, 3);
    assert_string_equal(d->info.class_names[2], "2");
    int64_t counts[] = {train, test};
    for (int s = 0; s < 2; s++) {
        assert_int_equal(d->info.samples[s], counts[s]);
        for (int64_t i = 0; i < counts[s]; i++) {
            assert_int_equal(((const uint8_t *)d->features[s])[i * 6 + 5], (uint8_t)(10 * i + 5));
            assert_int_equal(((const int32_t *)d->targets[s])[i], i % 3);
        }
    }
}

/* ---- tests ---- */

static void a_tar_in_any_order_is_read(void **state)
{
    (void)state;
    struct buf tar = whole_tar(20, 7);
    struct findings f = {0};
    struct dataset *d =
        pack_and_open(write_file("set.tar", tar.data, tar.len), &(struct dataset_options){0}, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    check_contents(d, 20, 7);
    dataset_close(d);
    buf_free(&tar);
}

static void a_folder_is_read_and_strangers_are_named(void **state)
{
    (void)state;
    struct buf files[] = {images(20), labels(20), images(7), labels(7)};
    char *dir = path_join(folder, "d");
    mkdir(dir, 0755);
    write_file("d/train-images-idx3-ubyte", files[0].data, files[0].len);
    write_file("d/train-labels-idx1-ubyte", files[1].data, files[1].len);
    write_file("d/test-images", files[2].data, files[2].len);
    write_file("d/test-labels", files[3].data, files[3].len);
    write_file("d/README", "hello", 5);
    write_file("d/.hidden", "x", 1);
    struct findings f = {0};
    struct dataset *d = pack_and_open(dir, &(struct dataset_options){0}, &f);
    assert_non_null(d);
    check_contents(d, 20, 7);
    expect_finding(&f, "dataset.files", NULL, "README: left out");
    assert_int_equal(f.count, 1);
    dataset_close(d);
    findings_free(&f);
    for (int i = 0; i < 4; i++)
        buf_free(&files[i]);
    dir_remove(dir, NULL);
    free(dir);
}

static void compressed_inside_and_outside(void **state)
{
    (void)state;
#ifdef HAVE_ZLIB
    struct buf a = images(30), b = labels(30), ga = gzipped(&a), gb = gzipped(&b), tar = {0};
    tar_add(&tar, "images.gz", &ga, '0');
    tar_add(&tar, "labels.gz", &gb, '0');
    tar_end(&tar);
    struct buf outer = gzipped(&tar);
    struct findings f = {0};
    struct dataset *d = pack_and_open(write_file("x.tar.gz", outer.data, outer.len),
                                      &(struct dataset_options){.test_fraction = 0.3, .seed = 5}, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    /* One undivided pair: divided by fraction, every sample once. */
    assert_int_equal(d->info.samples[SPLIT_TRAIN], 21);
    assert_int_equal(d->info.samples[SPLIT_TEST], 9);
    int seen[256] = {0};
    for (int s = 0; s < 2; s++)
        for (int64_t i = 0; i < d->info.samples[s]; i++) {
            int first = ((const uint8_t *)d->features[s])[i * 6];
            seen[first]++;
            int sample = 0; /* 10 * sample is first, modulo 256 */
            while ((uint8_t)(10 * sample) != first)
                sample++;
            assert_int_equal(((const int32_t *)d->targets[s])[i], sample % 3);
        }
    for (int i = 0; i < 30; i++)
        assert_int_equal(seen[(uint8_t)(10 * i)], 1);
    dataset_close(d);
    buf_free(&a);
    buf_free(&b);
    buf_free(&ga);
    buf_free(&gb);
    buf_free(&tar);
    buf_free(&outer);
#endif
}

static void long_names_and_links_in_tars(void **state)
{
    (void)state;
    struct buf tar = {0}, a = images(9), b = labels(9), name = {0}, none = {0}, pax = {0};
    for (int i = 0; i < 30; i++)
        buf_puts(&name, "deeper/");
    buf_puts(&name, "images");
    buf_putc(&name, 0);
    tar_add(&tar, "././@LongLink", &name, 'L');
    tar_add(&tar, "cut-off-name", &a, '0');
    tar_add(&tar, "link", &none, '2');
    buf_puts(&pax, "24 path=some/dir/labels\n");
    tar_add(&tar, "PaxHeader", &pax, 'x');
    tar_add(&tar, "whatever", &b, '0');
    tar_end(&tar);
    struct findings f = {0};
    struct dataset *d =
        pack_and_open(write_file("long.tar", tar.data, tar.len), &(struct dataset_options){0}, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    expect_finding(&f, "dataset.files", NULL, "link: left out");
    dataset_close(d);
    findings_free(&f);
    buf_free(&tar);
    buf_free(&a);
    buf_free(&b);
    buf_free(&name);
    buf_free(&pax);
}

/* A tar of images and labels that must be refused with this. */
static void refuse(struct buf a, struct buf b, const char *check, const char *says)
{
    struct buf tar = {0};
    tar_add(&tar, "images", &a, '0');
    tar_add(&tar, "labels", &b, '0');
    tar_end(&tar);
    struct findings f = {0};
    assert_null(pack_and_open(write_file("bad.tar", tar.data, tar.len), &(struct dataset_options){0}, &f));
    expect_finding(&f, check, NULL, says);
    char *to = pack_path();
    unlink(to);
    free(to);
    findings_free(&f);
    buf_free(&tar);
    buf_free(&a);
    buf_free(&b);
}

static struct buf cut(struct buf b, size_t n)
{
    b.len = n;
    return b;
}

static struct buf with_byte(struct buf b, size_t at, char c)
{
    b.data[at] = c;
    return b;
}

static struct buf longer(struct buf b)
{
    buf_puts(&b, "xx");
    return b;
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    refuse(images(9), labels(8), "dataset.labels", "9 samples");
    refuse(cut(images(9), 40), labels(9), "dataset.content", "it ends at byte 40, in sample 4");
    refuse(cut(images(9), 10), labels(9), "dataset.content", "inside its header");
    refuse(longer(images(9)), labels(9), "dataset.content", "more data follows");
    refuse(with_byte(images(9), 7, (char)200), labels(9), "dataset.labels", "200 samples");
    refuse(with_byte(images(9), 3, 7), labels(9), "dataset.content", "rank 7");
    refuse(with_byte(images(9), 11, 0), labels(9), "dataset.content", "dimension 1 is 0");
    refuse(images(9), images(9), "dataset.files", "are both");
    refuse(labels(9), labels(9), "dataset.files", "are both");
    struct buf same = labels(9);
    memset(same.data + 8, 0, 9);
    refuse(images(9), same, "dataset.labels", "only one class");
}

static void other_formats_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *content, *says;
        size_t n;
    } cases[] = {{"%PDF-1.4 zzzzzzz", "a PDF file", 16},
                 {"SQLite format 3zzz", "an SQLite database", 18},
                 {"", "no dataset", 0},
                 {"\0\0\0\0", "no dataset", 4}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct findings f = {0};
        assert_null(pack_and_open(write_file("strange", cases[i].content, cases[i].n),
                                  &(struct dataset_options){0}, &f));
        expect_finding(&f, "dataset.format", NULL, cases[i].says);
        findings_free(&f);
    }
}

static void a_bomb_stops_at_the_limit(void **state)
{
    (void)state;
#ifdef HAVE_ZLIB
    /* 64 MiB of zeros in 64 KiB; the header promises 2^32 - 1 images. */
    struct buf a = {0}, b = labels(9), tar = {0};
    put_be(&a, 0x00000803);
    put_be(&a, 0xffffffff);
    put_be(&a, 28);
    put_be(&a, 28);
    buf_reserve(&a, 64 << 20);
    memset(a.data + a.len, 0, 64 << 20);
    a.len += 64 << 20;
    struct buf packed = gzipped(&a);
    tar_add(&tar, "images.gz", &packed, '0');
    tar_add(&tar, "labels", &b, '0');
    tar_end(&tar);
    struct findings f = {0};
    /* The counts disagree, which is known from the headers alone. */
    assert_null(pack_and_open(write_file("bomb.tar", tar.data, tar.len),
                              &(struct dataset_options){.max_bytes = 1 << 20}, &f));
    assert_true(findings_failed(&f));
    expect_finding(&f, "dataset.labels", NULL, "4294967295 samples");
    findings_free(&f);
    /* A bomb that is no dataset at all: the limit ends it. */
    struct buf twice = gzipped(&packed);
    f = (struct findings){0};
    assert_null(pack_and_open(write_file("bomb.gz", packed.data, packed.len),
                              &(struct dataset_options){.format = "csv", .max_bytes = 1 << 20}, &f));
    assert_true(findings_failed(&f));
    findings_free(&f);
    buf_free(&a);
    buf_free(&b);
    buf_free(&packed);
    buf_free(&twice);
    buf_free(&tar);
#endif
}

static void damaged_archives_never_crash(void **state)
{
    (void)state;
    struct buf tar = whole_tar(20, 7);
    uint32_t x = 3;
    for (int round = 0; round < 400; round++) {
        struct buf b = {0};
        buf_add(&b, tar.data, tar.len);
        for (int k = 0; k < 1 + round % 6; k++) {
            x = x * 1664525 + 1013904223;
            b.data[(x >> 6) % b.len] = (char)(x >> 24);
        }
        size_t n = round % 3 ? b.len : (x >> 8) % b.len;
        struct findings f = {0};
        struct dataset *d =
            pack_and_open(write_file("broken.tar", b.data, n), &(struct dataset_options){0}, &f);
        assert_true(d || findings_failed(&f));
        dataset_close(d);
        findings_free(&f);
        buf_free(&b);
    }
    buf_free(&tar);
}

static void a_damaged_pack_is_refused_or_harmless(void **state)
{
    (void)state;
    struct buf tar = whole_tar(20, 7), good = {0};
    struct findings f = {0};
    struct err err = {0};
    dataset_close(pack_and_open(write_file("set.tar", tar.data, tar.len), &(struct dataset_options){0}, &f));
    char *path = pack_path();
    assert_int_equal(file_read(path, 1 << 24, &good, &err), 0);
    uint32_t x = 11;
    for (int round = 0; round < 1200; round++) {
        struct buf b = {0};
        buf_add(&b, good.data, good.len);
        for (int k = 0; k < 1 + round % 3; k++) {
            x = x * 1664525 + 1013904223;
            b.data[8 + (x >> 6) % 248] = (char)(x >> 24);
        }
        const char *at = write_file("p", b.data, round % 8 ? b.len : (x >> 8) % b.len);
        struct dataset *checked = dataset_open(at, true, NULL), *d = dataset_open(at, false, NULL);
        if (memcmp(b.data, good.data, good.len))
            assert_null(checked); /* the checksum covers the header too */
        struct buf out = {0};
        if (d)
            dataset_preview_json(d, 4, &out, NULL);
        buf_free(&out);
        dataset_close(d);
        dataset_close(checked);
        buf_free(&b);
    }
    buf_free(&tar);
    buf_free(&good);
    free(path);
}

static void a_dataset_in_user_format_opens_directly(void **state)
{
    (void)state;
    struct buf tar = whole_tar(20, 7);
    struct err err = {0};
    struct dataset *d = dataset_open(write_file("set.tar", tar.data, tar.len), false, &err);
    if (!d)
        fail_msg("%s", err.text);
    check_contents(d, 20, 7);
    struct buf out = {0};
    assert_int_equal(dataset_preview_json(d, 3, &out, &err), 0);
    assert_non_null(strstr(buf_str(&out), "{\"split\":\"train\",\"index\":1,\"class\":1,\"label\":\"1\","
                                          "\"width\":3,\"height\":2,\"channels\":1,\"image\":\"CgsMDQ4P\"}"));
    assert_non_null(
        strstr(buf_str(&out), "\"classes\":[{\"name\":\"0\",\"count\":10,\"train\":7,\"test\":3}"));
    buf_free(&out);
    dataset_close(d);
    buf_free(&tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tar_in_any_order_is_read),
        cmocka_unit_test(a_folder_is_read_and_strangers_are_named),
        cmocka_unit_test(compressed_inside_and_outside),
        cmocka_unit_test(long_names_and_links_in_tars),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(a_bomb_stops_at_the_limit),
        cmocka_unit_test(damaged_archives_never_crash),
        cmocka_unit_test(a_damaged_pack_is_refused_or_harmless),
        cmocka_unit_test(a_dataset_in_user_format_opens_directly),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
