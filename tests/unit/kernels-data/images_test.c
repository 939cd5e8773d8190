/* data: folders of images in a folder and in zips; damaged and hostile ones. */
#include "temporary.h"

#include <sys/stat.h>

#include "kernels/data/dataset.h"
#include "kernels/data/image.h"

#if defined(HAVE_JPEG) && defined(HAVE_PNG) && defined(HAVE_LIBARCHIVE)
#include <archive.h>
#include <archive_entry.h>
#include <jpeglib.h>
#include <png.h>

/* ---- making files ---- */

static struct buf make_png(int width, int height, bool grey, int value)
{
    struct buf b = {0};
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (unsigned)width,
                     .height = (unsigned)height,
                     .format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    size_t n = (size_t)(width * height * (grey ? 1 : 3));
    uint8_t *pixels = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (uint8_t)(grey ? value : value + (int)(i % 3) * 10);
    png_alloc_size_t size = 0;
    assert_true(png_image_write_to_memory(&png, NULL, &size, 0, pixels, 0, NULL));
    buf_reserve(&b, size);
    assert_true(png_image_write_to_memory(&png, b.data, &size, 0, pixels, 0, NULL));
    b.len = size;
    free(pixels);
    return b;
}

static struct buf make_jpeg(int width, int height, int value)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    unsigned long n = 0;
    uint8_t *row = xmalloc(3 * (size_t)width);
    JSAMPROW rows[1] = {row};
    memset(row, value, 3 * (size_t)width);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out, &n);
    c.image_width = (unsigned)width;
    c.image_height = (unsigned)height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height)
        jpeg_write_scanlines(&c, rows, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    struct buf b = {0};
    buf_add(&b, out, n);
    free(out);
    free(row);
    return b;
}

struct entry {
    const char *name;
    struct buf content;
    const char *link; /* a symbolic link instead */
};

static const char *make_zip(const struct entry *entries, size_t count)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/set.zip", folder);
    struct archive *a = archive_write_new();
    assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, entries[i].name);
        archive_entry_set_filetype(e, entries[i].link ? AE_IFLNK : AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, (la_int64_t)entries[i].content.len);
        if (entries[i].link)
            archive_entry_set_symlink(e, entries[i].link);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        archive_write_data(a, entries[i].content.data, entries[i].content.len);
        archive_entry_free(e);
    }
    archive_write_free(a);
    return path;
}

static void free_entries(struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_free(&entries[i].content);
}

static struct dataset *pack(const char *path, struct dataset_options o, struct findings *f)
{
    struct dataset_info info;
    struct err err = {0};
    struct dataset *d = NULL;
    char *to = path_join(folder, "pack");
    *f = (struct findings){0};
    if (dataset_pack(path, &o, to, f, &info) == 0 && !(d = dataset_open(to, true, &err)))
        fail_msg("%s", err.text);
    dataset_info_free(&info);
    free(to);
    return d;
}

/* ---- tests ---- */

static void a_zip_of_folders_has_classes_and_splits(void **state)
{
    (void)state;
    struct findings f;
    struct entry e[] = {{"set/train/dog/1.png", make_png(6, 4, false, 100), NULL},
                        {"set/train/cat/1.jpg", make_jpeg(6, 4, 40), NULL},
                        {"set/test/cat/2.png", make_png(6, 4, true, 7), NULL},
                        {"set/train/.hidden.png", {0}, NULL},
                        {"__MACOSX/train/cat/1.jpg", make_jpeg(6, 4, 0), NULL},
                        {"set/notes.txt", {0}, NULL}};
    struct dataset *d = pack(make_zip(e, ARRAY_LEN(e)), (struct dataset_options){0}, &f);
    if (!d)
        print_findings(&f);
    assert_non_null(d);
    assert_string_equal(d->info.format, "images");
    assert_int_equal(d->info.classes, 2);
    assert_string_equal(d->info.class_names[0], "cat");
    assert_string_equal(d->info.class_names[1], "dog");
    assert_true(shape_equal(&d->info.feature_shape, &(struct shape){3, {3, 4, 6}}));
    assert_int_equal(d->info.samples[SPLIT_TRAIN], 2);
    assert_int_equal(d->info.samples[SPLIT_TEST], 1);
    const uint8_t *p = d->features[SPLIT_TRAIN];
    const int32_t *c = d->targets[SPLIT_TRAIN];
    int dog = c[0] == 1 ? 0 : 1;
    for (int channel = 0; channel < 3; channel++)
        for (int i = 0; i < 24; i++) {
            assert_int_equal(p[dog * 72 + channel * 24 + i], 100 + channel * 10);
            assert_in_range(p[(1 - dog) * 72 + channel * 24 + i], 38, 42);
        }
    const uint8_t *t = d->features[SPLIT_TEST];
    for (int i = 0; i < 72; i++)
        assert_int_equal(t[i], 7);
    expect_finding(&f, "dataset.files", NULL, "notes.txt: left out");
    dataset_close(d);
    findings_free(&f);
    free_entries(e, ARRAY_LEN(e));
}

static void without_splits_every_class_gives_its_share(void **state)
{
    (void)state;
    struct findings f;
    struct entry e[40];
    char names[40][32];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "%s/%d.png", i < 30 ? "many" : "few", i);
        e[i] = (struct entry){names[i], make_png(5 + i % 3, 8, true, i), NULL};
    }
    const char *zip = make_zip(e, 40);
    struct dataset_options o = {.test_fraction = 0.2, .seed = 9, .image_height = 4, .image_width = 4};
    struct dataset *d = pack(zip, o, &f);
    assert_non_null(d);
    assert_int_equal(d->info.samples[SPLIT_TEST], 8);
    assert_int_equal(d->info.feature_shape.dim[0], 1); /* all are grey */
    int few = 0;
    for (int i = 0; i < 8; i++)
        few += ((const int32_t *)d->targets[SPLIT_TEST])[i] == 0;
    assert_int_equal(few, 2);
    const uint8_t *p = d->features[SPLIT_TRAIN];
    for (int64_t i = 0; i < d->info.samples[SPLIT_TRAIN]; i++)
        for (int k = 1; k < 16; k++)
            assert_int_equal(p[16 * i + k], p[16 * i]); /* one value stays one value at any size */
    char digest[65];
    memcpy(digest, d->info.digest, 65);
    dataset_close(d);
    findings_free(&f);
    d = pack(zip, o, &f);
    assert_string_equal(d->info.digest, digest);
    dataset_close(d);
    findings_free(&f);
    d = pack(zip, (struct dataset_options){0}, &f);
    assert_int_equal(d->info.feature_shape.dim[1], 64);
    expect_finding(&f, "dataset.content", NULL, "differ in size");
    dataset_close(d);
    findings_free(&f);
    free_entries(e, 40);
}

static void scaling_covers_cuts_the_centre_and_leaves_no_pixel_out(void **state)
{
    (void)state;
    uint8_t in[8 * 4], out[4 * 4];
    for (int i = 0; i < 32; i++)
        in[i] = (uint8_t)(i % 8 * 20);
    struct image image = {8, 4, 1, in};
    image_fit(&image, 4, 4, false, out); /* the middle four columns as they are */
    for (int i = 0; i < 16; i++)
        assert_int_equal(out[i], (i % 4 + 2) * 20);
    image_fit(&image, 4, 4, true,
              out); /* pairs of columns; inside, the mean by a triangle: a ramp stays one */
    assert_int_equal(out[1], 50);
    assert_int_equal(out[2], 90);
    memset(in, 0, sizeof(in));
    in[11] = 255;
    int sum = 0;
    image_fit(&image, 2, 4, true, out);
    for (int i = 0; i < 8; i++)
        sum += out[i];
    assert_in_range(sum, 60, 80); /* 255 / 4: its light is spread, not lost */
}

static void expect_refused(struct entry *e, size_t count, const char *check, const char *text)
{
    struct findings f;
    struct dataset *d = pack(make_zip(e, count), (struct dataset_options){0}, &f);
    assert_null(d);
    expect_finding(&f, check, NULL, text);
    findings_free(&f);
    free_entries(e, count);
}

static void what_is_wrong_is_said_with_the_file(void **state)
{
    (void)state;
    struct entry cut[] = {{"a/1.png", make_png(30, 30, false, 1), NULL},
                          {"b/2.jpg", make_jpeg(64, 64, 9), NULL}};
    cut[1].content.len /= 2;
    expect_refused(cut, 2, "dataset.content", "b/2.jpg: the JPEG image is damaged");
    struct entry png[] = {{"a/1.png", make_png(30, 30, false, 1), NULL},
                          {"b/2.png", make_png(64, 64, false, 9), NULL}};
    png[1].content.len -= 30;
    expect_refused(png, 2, "dataset.content", "b/2.png: the PNG image is damaged");
    struct entry huge[] = {{"a/1.png", make_png(3, 3, false, 1), NULL},
                           {"b/2.jpg", make_jpeg(64, 64, 9), NULL}};
    for (size_t i = 0; i + 8 < huge[1].content.len; i++)
        if (!memcmp(huge[1].content.data + i, "\xff\xc0", 2)) {
            memcpy(huge[1].content.data + i + 5, "\x40\0\x40\0", 4);
            break;
        }
    expect_refused(huge, 2, "dataset.content", "b/2.jpg: the image claims 16384 x 16384 pixels");
    struct entry flat[] = {{"1.png", make_png(3, 3, false, 1), NULL},
                           {"2.png", make_png(3, 3, false, 1), NULL}};
    expect_refused(flat, 2, "dataset.labels", "no folder that names its class");
    struct entry one[] = {{"a/1.png", make_png(3, 3, false, 1), NULL},
                          {"a/2.png", make_png(3, 3, false, 1), NULL}};
    expect_refused(one, 2, "dataset.labels", "all images lie in one folder");
    struct entry out[] = {{"a/../../1.png", make_png(3, 3, false, 1), NULL}};
    expect_refused(out, 1, "dataset.files", "leads out of the archive");
}

static void links_are_left_out_and_bombs_are_refused(void **state)
{
    (void)state;
    struct findings f;
    struct entry e[] = {{"a/1.png", make_png(3, 3, false, 1), NULL},
                        {"b/2.png", make_png(3, 3, false, 1), NULL},
                        {"b/3.png", {0}, "/etc/passwd"}};
    struct dataset *d = pack(make_zip(e, 3), (struct dataset_options){0}, &f);
    assert_non_null(d);
    assert_int_equal(d->info.samples[0] + d->info.samples[1], 2);
    expect_finding(&f, "dataset.files", NULL, "b/3.png: left out, it is a link");
    dataset_close(d);
    findings_free(&f);
    free_entries(e, 3);
    struct buf zeros = {0};
    buf_reserve(&zeros, 90 << 20);
    for (int i = 0; i < 90 << 20; i += 4)
        memcpy(zeros.data + i, "1,2\n", 4);
    zeros.len = 90 << 20;
    struct entry bomb[] = {{"data.csv", zeros, NULL}};
    expect_refused(bomb, 1, "dataset.files", "200 times its size");
}

/* Whatever is changed in a zip, a JPEG or a PNG: an answer, no crash (the sanitizers watch). */
static void damaged_files_never_crash(void **state)
{
    (void)state;
    struct entry e[] = {{"a/1.png", make_png(12, 9, false, 1), NULL},
                        {"b/2.jpg", make_jpeg(24, 16, 9), NULL}};
    struct buf zip = {0};
    struct err err = {0};
    assert_int_equal(file_read(make_zip(e, 2), 1 << 20, &zip, &err), 0);
    uint64_t r = 7;
    for (int round = 0; round < 60; round++) {
        struct findings f;
        struct buf b = {0};
        buf_add(&b, zip.data, zip.len);
        for (int k = 0; k < 1 + round % 4; k++) {
            r = r * 6364136223846793005u + 1442695040888963407u;
            b.data[(r >> 33) % b.len] = (char)(r >> 20);
        }
        size_t n = round % 5 ? b.len : (size_t)(r >> 40) % b.len;
        dataset_close(pack(write_file("broken.zip", b.data, n), (struct dataset_options){0}, &f));
        findings_free(&f);
        buf_free(&b);
    }
    for (int which = 0; which < 2; which++)
        for (int round = 0; round < 1000; round++) {
            const struct buf *from = &e[which].content;
            uint8_t *p = xmalloc(from->len);
            struct image image;
            memcpy(p, from->data, from->len);
            for (int k = 0; k < 1 + round % 3; k++) {
                r = r * 6364136223846793005u + 1442695040888963407u;
                p[2 + (r >> 33) % (from->len - 2)] = (uint8_t)(r >> 20);
            }
            if (image_probe(p, from->len, &image, NULL) == 0 &&
                image_decode(p, from->len, 1 + 2 * (round & 1), 4, 4, &image, &err) == 0)
                image_free(&image);
            free(p);
        }
    buf_free(&zip);
    free_entries(e, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zip_of_folders_has_classes_and_splits),
        cmocka_unit_test(without_splits_every_class_gives_its_share),
        cmocka_unit_test(scaling_covers_cuts_the_centre_and_leaves_no_pixel_out),
        cmocka_unit_test(what_is_wrong_is_said_with_the_file),
        cmocka_unit_test(links_are_left_out_and_bombs_are_refused),
        cmocka_unit_test(damaged_files_never_crash),
    };
    return cmocka_run_group_tests_name("data: images", tests, make_folder, remove_folder);
}
#else
int main(void)
{
    printf("data: images: built without libjpeg, libpng or libarchive\n");
    return 0;
}
#endif
