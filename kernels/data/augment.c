/* Crop and flip: He et al. 2015, section 4.2; cutout: DeVries and Taylor 2017; colours as torchvision's ColorJitter without hue, in
 * a fixed order. */
#include "kernels/data/augment.h"

#include <string.h>

struct dice {
    uint64_t state;
};

/* splitmix64 (Steele et al. 2014). */
static uint64_t roll(struct dice *d)
{
    uint64_t x = d->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static double roll_unit(struct dice *d)
{
    return (double)(roll(d) >> 11) * 0x1p-53;
}

static int64_t roll_below(struct dice *d, int64_t n)
{
    return (int64_t)(roll_unit(d) * (double)n);
}

static struct dice start(uint64_t seed, int64_t epoch, int64_t sample)
{
    struct dice d = {seed};
    d.state = roll(&d) ^ (uint64_t)epoch;
    d.state = roll(&d) ^ (uint64_t)sample;
    return d;
}

/* Row y of the output is row y + dy of the input, moved by dx; what lies outside is black. */
static void crop_plane(const uint8_t *in, uint8_t *out, int64_t height, int64_t width, int64_t dy, int64_t dx,
                       bool flip)
{
    int64_t from = dx < 0 ? -dx : 0, to = dx > 0 ? width - dx : width;
    for (int64_t y = 0; y < height; y++, out += width) {
        if (y + dy < 0 || y + dy >= height || to <= from) {
            memset(out, 0, (size_t)width);
            continue;
        }
        const uint8_t *row = in + (y + dy) * width;
        memset(out, 0, (size_t)from);
        memcpy(out + from, row + from + dx, (size_t)(to - from));
        memset(out + to, 0, (size_t)(width - to));
        for (int64_t x = 0; flip && x < width / 2; x++) {
            uint8_t left = out[x];
            out[x] = out[width - 1 - x];
            out[width - 1 - x] = left;
        }
    }
}

static uint8_t clamp(float v)
{
    return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5f);
}

static float roll_factor(struct dice *d, double strength)
{
    double f = 1 + strength * (2 * roll_unit(d) - 1);
    return (float)(f > 0 ? f : 0);
}

static float grey_of(const uint8_t *p, int64_t pixels, int64_t i, int channels)
{
    return channels == 3
               ? 0.299f * (float)p[i] + 0.587f * (float)p[pixels + i] + 0.114f * (float)p[2 * pixels + i]
               : (float)p[i];
}

/* v becomes v * factor + (1 - factor) * middle: towards the middle, or away from it. */
static void blend(uint8_t *p, int64_t n, float factor, float middle)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = clamp(factor * (float)p[i] + (1 - factor) * middle);
}

static void jitter(const struct augment *a, struct dice *d, uint8_t *p, int64_t pixels, int channels)
{
    if (a->brightness > 0)
        blend(p, pixels * channels, roll_factor(d, a->brightness), 0);
    if (a->contrast > 0) {
        double mean = 0;
        for (int64_t i = 0; i < pixels; i++)
            mean += (double)grey_of(p, pixels, i, channels);
        blend(p, pixels * channels, roll_factor(d, a->contrast), (float)(mean / (double)pixels));
    }
    if (a->saturation > 0 && channels == 3) {
        float factor = roll_factor(d, a->saturation);
        for (int64_t i = 0; i < pixels; i++) {
            float grey = grey_of(p, pixels, i, channels);
            for (int c = 0; c < 3; c++)
                p[c * pixels + i] = clamp(factor * (float)p[c * pixels + i] + (1 - factor) * grey);
        }
    }
}

/* The square's centre may be anywhere, so a part of it may lie outside. */
static void cut_out(int64_t side, struct dice *d, uint8_t *p, int channels, int64_t height, int64_t width)
{
    int64_t top = roll_below(d, height) - side / 2, left = roll_below(d, width) - side / 2;
    int64_t bottom = top + side < height ? top + side : height,
            right = left + side < width ? left + side : width;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    for (int c = 0; c < channels; c++, p += height * width) {
        int64_t sum = 0;
        for (int64_t i = 0; i < height * width; i++)
            sum += p[i];
        for (int64_t y = top; y < bottom && right > left; y++)
            memset(p + y * width + left, (int)(sum / (height * width)), (size_t)(right - left));
    }
}

void augment_image(const struct augment *a, uint64_t seed, int64_t epoch, int64_t sample, int channels,
                   int height, int width, const uint8_t *in, uint8_t *out)
{
    struct dice d = start(seed, epoch, sample);
    int64_t pixels = (int64_t)height * width, span = 2 * a->crop_padding + 1;
    /* Always the same number of rolls before the next kind, so that switching one on leaves the others as they were. */
    int64_t dy = roll_below(&d, span) - a->crop_padding, dx = roll_below(&d, span) - a->crop_padding;
    bool flip = roll_unit(&d) < a->flip;
    for (int c = 0; c < channels; c++)
        crop_plane(in + c * pixels, out + c * pixels, height, width, dy, dx, flip);
    struct dice colours = {roll(&d)};
    jitter(a, &colours, out, pixels, channels);
    if (a->cutout > 0)
        cut_out(a->cutout, &d, out, channels, height, width);
}
