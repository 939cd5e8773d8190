#include "kernels/data/image.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#ifdef HAVE_JPEG
#include <jerror.h>
#include <jpeglib.h>
#endif
#ifdef HAVE_PNG
#include <png.h>
#endif

static bool is_jpeg(const uint8_t *p, size_t n)
{
    return n >= 3 && !memcmp(p, "\xff\xd8\xff", 3);
}

static bool is_png(const uint8_t *p, size_t n)
{
    return n >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8);
}

bool image_is(const uint8_t *head, size_t n)
{
    return is_jpeg(head, n) || is_png(head, n);
}

void image_free(struct image *i)
{
    free(i->pixels);
    i->pixels = NULL;
}

static int check_size(uint64_t width, uint64_t height, struct err *err)
{
    if (width < 1 || height < 1 || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE ||
        width * height > IMAGE_MAX_PIXELS)
        return err_set(
            err, ERR_TOO_LARGE,
            "the image claims %llu x %llu pixels; at most %d a side and %d million in all are read",
            (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS >> 20);
    return 0;
}

/* ---- JPEG ---- */

#ifdef HAVE_JPEG
struct jpeg {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
};

static void jpeg_fail(j_common_ptr c)
{
    struct jpeg *j = c->client_data;
    c->err->format_message(c, j->text);
    longjmp(j->jump, 1);
}

/* Level -1 is a warning about the data; of these, pixels are missing, and the rest need not be computed. Some are harmless (bytes between markers), and cameras write such files. */

static void jpeg_message(j_common_ptr c, int level)
{
    int code = c->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                      code == JWRN_MUST_RESYNC))
        jpeg_fail(c);
}

static void jpeg_progress(j_common_ptr c)
{
    struct jpeg *j = c->client_data;
    if (j->d.input_scan_number > IMAGE_MAX_SCANS) {
        snprintf(j->text, sizeof(j->text), "it has more than %d scans", IMAGE_MAX_SCANS);
        longjmp(j->jump, 1);
    }
}

static void jpeg_begin(struct jpeg *j, const uint8_t *p, size_t n)
{
    jpeg_create_decompress(&j->d);
    j->progress.progress_monitor = jpeg_progress;
    j->d.progress = &j->progress;
    j->d.mem->max_memory_to_use = 512L << 20;
    jpeg_mem_src(&j->d, p, n);
    jpeg_read_header(&j->d, TRUE);
}

static struct jpeg *jpeg_new(void)
{
    struct jpeg *j = xcalloc(1, sizeof(*j));
    j->d.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = jpeg_fail;
    j->errors.emit_message = jpeg_message;
    j->d.client_data = j;
    return j;
}

static int jpeg_end(struct jpeg *j, int rc, struct err *err)
{
    if (rc && *j->text)
        err_set(err, ERR_INVALID, "the JPEG image is damaged: %s", j->text);
    jpeg_destroy_decompress(&j->d);
    free(j);
    return rc;
}

static int jpeg_probe(const uint8_t *p, size_t n, struct image *out, struct err *err)
{
    struct jpeg *j = jpeg_new();
    if (setjmp(j->jump))
        return jpeg_end(j, -1, err);
    jpeg_begin(j, p, n);
    *out = (struct image){.width = (int)j->d.image_width,
                          .height = (int)j->d.image_height,
                          .channels = j->d.num_components == 1 ? 1 : 3};
    return jpeg_end(j, check_size(j->d.image_width, j->d.image_height, err), err);
}

/* The smallest of 1/8, 1/4, 1/2 that still covers what is wanted. */
static void jpeg_scale(struct jpeg *j, int height, int width)
{
    unsigned by = 8;
    while (by > 1 && ((int)j->d.image_height / (int)by < height || (int)j->d.image_width / (int)by < width))
        by /= 2;
    j->d.scale_num = 1;
    j->d.scale_denom = by;
}

static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, int count, bool inverted)
{
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 3; c++) {
            int ink = inverted ? in[4 * i + c] : 255 - in[4 * i + c],
                key = inverted ? in[4 * i + 3] : 255 - in[4 * i + 3];
            out[3 * i + c] = (uint8_t)(ink * key / 255);
        }
}

/* Luma of ITU-R BT.601, as Pillow's convert("L"). */
static void rgb_to_grey(const uint8_t *in, uint8_t *out, int count)
{
    for (int i = 0; i < count; i++)
        out[i] = (uint8_t)((19595 * in[3 * i] + 38470 * in[3 * i + 1] + 7471 * in[3 * i + 2] + 0x8000) >> 16);
}

static void jpeg_rows(struct jpeg *j, struct image *out, uint8_t *row)
{
    bool cmyk = j->d.out_color_space == JCS_CMYK;
    while (j->d.output_scanline < j->d.output_height) {
        uint8_t *to = out->pixels + (size_t)j->d.output_scanline * (size_t)out->width * (size_t)out->channels;
        JSAMPROW rows[1] = {cmyk ? row : to};
        jpeg_read_scanlines(&j->d, rows, 1);
        if (cmyk && out->channels == 3)
            cmyk_to_rgb(row, to, out->width, j->d.saw_Adobe_marker);
        else if (cmyk) {
            uint8_t *rgb = row + 4 * (size_t)out->width;
            cmyk_to_rgb(row, rgb, out->width, j->d.saw_Adobe_marker);
            rgb_to_grey(rgb, to, out->width);
        }
    }
}

static int jpeg_decode(const uint8_t *p, size_t n, int channels, int height, int width, struct image *out,
                       struct err *err)
{
    struct jpeg *j = jpeg_new();
    uint8_t *volatile row = NULL;
    if (setjmp(j->jump)) {
        image_free(out);
        free(row);
        return jpeg_end(j, -1, err);
    }
    jpeg_begin(j, p, n);
    if (check_size(j->d.image_width, j->d.image_height, err))
        return jpeg_end(j, -1, err);
    bool four = j->d.jpeg_color_space == JCS_CMYK || j->d.jpeg_color_space == JCS_YCCK;
    j->d.out_color_space = four ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_scale(j, height, width);
    jpeg_start_decompress(&j->d);
    *out = (struct image){(int)j->d.output_width, (int)j->d.output_height, channels, NULL};
    out->pixels = xmalloc((size_t)out->width * (size_t)out->height * (size_t)channels);
    row = four ? xmalloc(7 * (size_t)out->width) : NULL;
    jpeg_rows(j, out, row);
    jpeg_finish_decompress(&j->d);
    free(row);
    return jpeg_end(j, 0, err);
}
#endif

/* ---- PNG ---- */

#ifdef HAVE_PNG
static int png_open(const uint8_t *p, size_t n, png_image *png, struct err *err)
{
    memset(png, 0, sizeof(*png));
    png->version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_memory(png, p, n)) {
        err_set(err, ERR_INVALID, "the PNG image is damaged: %s", png->message);
        return -1;
    }
    if (check_size(png->width, png->height, err)) {
        png_image_free(png);
        return -1;
    }
    return 0;
}

static int png_probe(const uint8_t *p, size_t n, struct image *out, struct err *err)
{
    png_image png;
    if (png_open(p, n, &png, err))
        return -1;
    *out = (struct image){(int)png.width, (int)png.height, png.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1, NULL};
    png_image_free(&png);
    return 0;
}

static int png_decode(const uint8_t *p, size_t n, int channels, struct image *out, struct err *err)
{
    png_image png;
    if (png_open(p, n, &png, err))
        return -1;
    size_t pixels = (size_t)png.width * png.height;
    int stored = png.format & PNG_FORMAT_FLAG_COLOR ? 3 : channels;
    png_color white = {255, 255, 255};
    png.format = stored == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    *out = (struct image){(int)png.width, (int)png.height, channels, xmalloc(pixels * (size_t)stored)};
    /* libpng's warnings (a wrong checksum of a side chunk) are no errors; a missing row is. */
    if (!png_image_finish_read(&png, &white, out->pixels, 0, NULL)) {
        err_set(err, ERR_INVALID, "the PNG image is damaged: %s", png.message);
        png_image_free(&png);
        image_free(out);
        return -1;
    }
    if (stored == 3 && channels == 1)
        for (size_t i = 0; i < pixels; i++)
            out->pixels[i] = (uint8_t)((19595 * out->pixels[3 * i] + 38470 * out->pixels[3 * i + 1] +
                                        7471 * out->pixels[3 * i + 2] + 0x8000) >>
                                       16);
    png_image_free(&png);
    return 0;
}
#endif

/* ---- either ---- */

static int not_built(const char *what, const char *with, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "it is a %s image, and this trainer was built without %s", what,
                   with);
}

int image_probe(const uint8_t *p, size_t n, struct image *out, struct err *err)
{
    *out = (struct image){0};
    if (is_jpeg(p, n)) {
#ifdef HAVE_JPEG
        return jpeg_probe(p, n, out, err);
#else
        return not_built("JPEG", "libjpeg", err);
#endif
    }
    if (is_png(p, n)) {
#ifdef HAVE_PNG
        return png_probe(p, n, out, err);
#else
        return not_built("PNG", "libpng", err);
#endif
    }
    return err_set(err, ERR_INVALID, "it is neither a JPEG nor a PNG image");
}

int image_decode(const uint8_t *p, size_t n, int channels, int least_height, int least_width,
                 struct image *out, struct err *err)
{
    *out = (struct image){0};
    (void)channels, (void)least_height, (void)least_width;
#ifdef HAVE_JPEG
    if (is_jpeg(p, n))
        return jpeg_decode(p, n, channels, least_height, least_width, out, err);
#endif
#ifdef HAVE_PNG
    if (is_png(p, n))
        return png_decode(p, n, channels, out, err);
#endif
    return is_jpeg(p, n)  ? not_built("JPEG", "libjpeg", err)
           : is_png(p, n) ? not_built("PNG", "libpng", err)
                          : err_set(err, ERR_INVALID, "it is neither a JPEG nor a PNG image");
}
