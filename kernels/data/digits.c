/* Draws digits: an outline is bent a little, its curves are cut into short lines, the lines are turned,
 * sheared, scaled and moved, and every pixel is inked by its distance to them. */
#include "kernels/data/digits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "base/file.h"
#include "base/mem.h"
#include "kernels/verify/verify.h"

#define CUTS       8 /* lines a curve's part is cut into */
#define LINES_MOST (DIGIT_STROKES * 14 * CUTS)

/* ---- chance ---- */

struct chance {
    uint64_t state;
};

static uint64_t next_bits(struct chance *c)
{
    uint64_t x = c->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static float uniform(struct chance *c, float low, float high)
{
    return low + (high - low) * (float)(next_bits(c) >> 40) / (float)(1 << 24);
}

static float normal(struct chance *c)
{
    float u = uniform(c, 1e-6f, 1), v = uniform(c, 0, 6.2831853f);
    return sqrtf(-2 * logf(u)) * cosf(v);
}

/* ---- outlines to lines ---- */

struct line {
    float x0, y0, x1, y1;
};

struct drawing {
    struct line lines[LINES_MOST];
    int count;
};

static void add_line(struct drawing *d, const float a[2], const float b[2])
{
    if (d->count < LINES_MOST)
        d->lines[d->count++] = (struct line){a[0], a[1], b[0], b[1]};
}

/* Catmull-Rom between b and c; a and e are the neighbours. */
static void curve_at(const float a[2], const float b[2], const float c[2], const float e[2], float t,
                     float out[2])
{
    for (int k = 0; k < 2; k++)
        out[k] = 0.5f * (2 * b[k] + (c[k] - a[k]) * t + (2 * a[k] - 5 * b[k] + 4 * c[k] - e[k]) * t * t +
                         (3 * b[k] - a[k] - 3 * c[k] + e[k]) * t * t * t);
}

static void add_stroke(struct drawing *d, const struct stroke *s, struct chance *c)
{
    float at[14][2];
    for (int i = 0; i < s->points; i++) {
        at[i][0] = s->at[i][0] + 0.022f * normal(c);
        at[i][1] = s->at[i][1] + 0.022f * normal(c);
    }
    /* Strokes that begin or end together still do. */
    if (s->smooth && s->points > 3 && s->at[0][0] == s->at[s->points - 1][0] &&
        s->at[0][1] == s->at[s->points - 1][1])
        memcpy(at[s->points - 1], at[0], sizeof(at[0]));
    for (int i = 0; i + 1 < s->points; i++) {
        if (!s->smooth) {
            add_line(d, at[i], at[i + 1]);
            continue;
        }
        const float *before = at[i ? i - 1 : 0], *after = at[i + 2 < s->points ? i + 2 : s->points - 1];
        float from[2] = {at[i][0], at[i][1]}, to[2];
        for (int k = 1; k <= CUTS; k++) {
            curve_at(before, at[i], at[i + 1], after, (float)k / CUTS, to);
            add_line(d, from, to);
            memcpy(from, to, sizeof(to));
        }
    }
}

/* From the unit box to pixels: size, slant, turn, place. */
static void place(struct drawing *d, struct chance *c)
{
    float size = uniform(c, 15.5f, 21.0f), wide = size * uniform(c, 0.62f, 0.98f);
    float turn = 0.16f * normal(c), shear = 0.14f * normal(c);
    float x = DIGIT_SIZE / 2.0f + uniform(c, -2.4f, 2.4f), y = DIGIT_SIZE / 2.0f + uniform(c, -2.0f, 2.0f);
    float cosine = cosf(turn), sine = sinf(turn);
    for (int i = 0; i < d->count; i++) {
        float *ends[2] = {&d->lines[i].x0, &d->lines[i].x1};
        for (int k = 0; k < 2; k++) {
            float v = (ends[k][1] - 0.5f) * size, u = (ends[k][0] - 0.5f) * wide - shear * v;
            ends[k][0] = x + cosine * u - sine * v;
            ends[k][1] = y + sine * u + cosine * v;
        }
    }
}

/* ---- ink ---- */

static float distance_to(const struct line *l, float x, float y)
{
    float dx = l->x1 - l->x0, dy = l->y1 - l->y0, length = dx * dx + dy * dy;
    float t = length > 0 ? ((x - l->x0) * dx + (y - l->y0) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    float ex = l->x0 + t * dx - x, ey = l->y0 + t * dy - y;
    return sqrtf(ex * ex + ey * ey);
}

static void ink_line(const struct line *l, float reach, float ink[DIGIT_SIZE * DIGIT_SIZE])
{
    int left = (int)floorf(fminf(l->x0, l->x1) - reach), right = (int)ceilf(fmaxf(l->x0, l->x1) + reach);
    int top = (int)floorf(fminf(l->y0, l->y1) - reach), bottom = (int)ceilf(fmaxf(l->y0, l->y1) + reach);
    for (int y = top < 0 ? 0 : top; y <= bottom && y < DIGIT_SIZE; y++)
        for (int x = left < 0 ? 0 : left; x <= right && x < DIGIT_SIZE; x++) {
            float d = distance_to(l, (float)x + 0.5f, (float)y + 0.5f), *p = &ink[y * DIGIT_SIZE + x];
            if (d < *p)
                *p = d;
        }
}

void digit_draw(int digit, uint64_t seed, uint64_t index, uint8_t out[DIGIT_SIZE * DIGIT_SIZE])
{
    struct chance c = {.state = seed * 0xd1342543de82ef95u + index};
    struct drawing d = {.count = 0};
    int count;
    const struct outline *outlines = digit_outlines(digit, &count);
    const struct outline *o = &outlines[next_bits(&c) % (uint64_t)count];
    for (int i = 0; i < DIGIT_STROKES && o->strokes[i].points; i++)
        add_stroke(&d, &o->strokes[i], &c);
    place(&d, &c);
    float half = uniform(&c, 0.75f, 1.75f), soft = uniform(&c, 0.7f, 1.2f),
          strength = uniform(&c, 0.75f, 1.0f);
    float noise = uniform(&c, 0.0f, 0.07f), ink[DIGIT_SIZE * DIGIT_SIZE];
    for (int i = 0; i < DIGIT_SIZE * DIGIT_SIZE; i++)
        ink[i] = 1e9f;
    for (int i = 0; i < d.count; i++)
        ink_line(&d.lines[i], half + soft + 1, ink);
    for (int i = 0; i < DIGIT_SIZE * DIGIT_SIZE; i++) {
        float v = 0.5f + (half - ink[i]) / (2 * soft) * 1.4f;
        v = strength * (v < 0   ? 0
                        : v > 1 ? 1
                                : v) +
            noise * (uniform(&c, 0, 1) + uniform(&c, 0, 1) - (v > 0.5f ? 1 : 0.6f));
        out[i] = (uint8_t)(255 * (v < 0 ? 0 : v > 1 ? 1 : v) + 0.5f);
    }
}

/* ---- files ---- */

struct out_file {
#ifdef HAVE_ZLIB
    gzFile f;
#else
    FILE *f;
#endif
    char *path;
};

static int out_open(struct out_file *o, const char *folder, const char *name, struct err *err)
{
#ifdef HAVE_ZLIB
    o->path = xasprintf("%s/%s.gz", folder, name);
    o->f = gzopen(o->path, "wb4");
#else
    o->path = xasprintf("%s/%s", folder, name);
    o->f = fopen(o->path, "wb");
#endif
    return o->f ? 0 : err_set(err, ERR_IO, "cannot create %s: %s", o->path, strerror(errno));
}

static int out_write(struct out_file *o, const void *p, size_t n, struct err *err)
{
#ifdef HAVE_ZLIB
    bool good = gzwrite(o->f, p, (unsigned)n) == (int)n;
#else
    bool good = fwrite(p, 1, n, o->f) == n;
#endif
    return good ? 0 : err_set(err, ERR_IO, "cannot write %s", o->path);
}

static int out_close(struct out_file *o, int rc, struct err *err)
{
#ifdef HAVE_ZLIB
    bool good = !o->f || gzclose(o->f) == Z_OK;
#else
    bool good = !o->f || fclose(o->f) == 0;
#endif
    if (!rc && !good)
        rc = err_set(err, ERR_IO, "cannot write %s", o->path);
    free(o->path);
    return rc;
}

static void big_endian(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)(v >> 24);
    out[1] = (uint8_t)(v >> 16);
    out[2] = (uint8_t)(v >> 8);
    out[3] = (uint8_t)v;
}

static int write_samples(struct out_file *images, struct out_file *labels, int64_t count, uint64_t first,
                         uint64_t seed, struct err *err)
{
    uint8_t h[16] = {0, 0, 8, 3}, pixels[DIGIT_SIZE * DIGIT_SIZE];
    struct chance c = {.state = seed ^ (first + 1)};
    big_endian(h + 4, (uint32_t)count);
    big_endian(h + 8, DIGIT_SIZE);
    big_endian(h + 12, DIGIT_SIZE);
    if (out_write(images, h, 16, err))
        return -1;
    h[3] = 1;
    if (out_write(labels, h, 8, err))
        return -1;
    for (int64_t i = 0; i < count; i++) {
        uint8_t digit = (uint8_t)(next_bits(&c) % 10);
        digit_draw(digit, seed, first + (uint64_t)i, pixels);
        if (out_write(images, pixels, sizeof(pixels), err) || out_write(labels, &digit, 1, err))
            return -1;
    }
    return 0;
}

int digits_write(const char *folder, int64_t train, int64_t test, uint64_t seed, struct err *err)
{
    static const char *const names[2][2] = {{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
                                            {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};
    if (dir_make(folder, 0755, err))
        return -1;
    for (int s = 0; s < 2; s++) {
        struct out_file images = {0}, labels = {0};
        int rc = out_open(&images, folder, names[s][0], err);
        if (!rc)
            rc = out_open(&labels, folder, names[s][1], err);
        /* The test split's indices are far from any of the train split's. */
        if (!rc)
            rc = write_samples(&images, &labels, s ? test : train, s ? (uint64_t)1 << 40 : 0, seed, err);
        rc = out_close(&images, rc, err);
        rc = out_close(&labels, rc, err);
        if (rc)
            return -1;
    }
    return 0;
}

/* ---- trainyard-train make-digits ---- */

static int usage(FILE *to, int code)
{
    fputs("usage: trainyard-train make-digits --out DIR [--train 12000] [--test 2000] [--seed 1]\n"
          "Draws a dataset of digits, 28x28 grey, ten classes, as IDX files with MNIST's names.\n",
          to);
    return code;
}

static int number_option(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end || !*text || errno || v < least || v > most)
        return -1;
    *out = v;
    return 0;
}

int make_digits_main(int argc, char **argv)
{
    const char *out = NULL;
    int64_t train = 12000, test = 2000, seed = 1;
    struct err err = {0};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool good = true;
        if (!strcmp(argv[i], "--help"))
            return usage(stdout, 0);
        if (value && !strcmp(argv[i], "--out"))
            out = value;
        else if (value && !strcmp(argv[i], "--train"))
            good = number_option(value, 1, 10000000, &train) == 0;
        else if (value && !strcmp(argv[i], "--test"))
            good = number_option(value, 1, 10000000, &test) == 0;
        else if (value && !strcmp(argv[i], "--seed"))
            good = number_option(value, 0, INT64_MAX, &seed) == 0;
        else
            return usage(stderr, 2);
        if (!good) {
            fprintf(stderr, "trainyard-train make-digits: %s is not valid for %s\n", value, argv[i]);
            return 2;
        }
    }
    if (!out)
        return usage(stderr, 2);
    if (digits_write(out, train, test, (uint64_t)seed, &err)) {
        fprintf(stderr, "trainyard-train make-digits: %s\n", err.text);
        return err_exit_code(err.code);
    }
    return 0;
}
