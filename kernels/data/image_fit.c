/* Scaling: a triangle filter as wide as the reduction, so that no pixel is left out when an image gets smaller. Two passes, each
 * with the weights of its axis. */
#include "kernels/data/image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Weights of one axis: output i takes `width` inputs from first[i]. */
struct taps {
    int *first;
    float *weight; /* (outputs, width) */
    int width;
};

/* Outputs are the part [from, from + span) of the input axis. */
static struct taps make_taps(int inputs, double from, double span, int outputs)
{
    double step = span / outputs, reach = step > 1 ? step : 1;
    struct taps t = {.width = (int)ceil(2 * reach) + 2};
    t.first = xcalloc((size_t)outputs, sizeof(*t.first));
    t.weight = xcalloc((size_t)outputs * (size_t)t.width, sizeof(*t.weight));
    for (int i = 0; i < outputs; i++) {
        double centre = from + (i + 0.5) * step, sum = 0;
        int first = (int)floor(centre - reach);
        first = first < 0 ? 0 : first;
        float *w = t.weight + (size_t)i * (size_t)t.width;
        t.first[i] = first;
        for (int k = 0; k < t.width && first + k < inputs; k++) {
            double distance = fabs(first + k + 0.5 - centre) / reach;
            w[k] = distance < 1 ? (float)(1 - distance) : 0;
            sum += (double)w[k];
        }
        for (int k = 0; k < t.width; k++)
            w[k] = (float)((double)w[k] / sum);
    }
    return t;
}

static void free_taps(struct taps *t)
{
    free(t->first);
    free(t->weight);
}

/* Columns: (rows, width, channels) bytes to (rows, out_width, channels) floats. */
static void fit_columns(const struct image *in, const struct taps *t, int out_width, float *out)
{
    int channels = in->channels;
    for (int y = 0; y < in->height; y++) {
        const uint8_t *row = in->pixels + (size_t)y * (size_t)in->width * (size_t)channels;
        for (int x = 0; x < out_width; x++)
            for (int c = 0; c < channels; c++) {
                const float *w = t->weight + (size_t)x * (size_t)t->width;
                float sum = 0;
                for (int k = 0; k < t->width && t->first[x] + k < in->width; k++)
                    sum += w[k] * (float)row[(t->first[x] + k) * channels + c];
                *out++ = sum;
            }
    }
}

/* Rows, and channels first. */
static void fit_rows(const float *in, const struct taps *t, int in_height, int height, int width,
                     int channels, uint8_t *out)
{
    size_t line = (size_t)width * (size_t)channels;
    for (int y = 0; y < height; y++)
        for (size_t i = 0; i < line; i++) {
            const float *w = t->weight + (size_t)y * (size_t)t->width;
            float sum = 0;
            for (int k = 0; k < t->width && t->first[y] + k < in_height; k++)
                sum += w[k] * in[(size_t)(t->first[y] + k) * line + i];
            int v = (int)(sum + 0.5f);
            size_t x = i / (size_t)channels, c = i % (size_t)channels;
            out[(c * (size_t)height + (size_t)y) * (size_t)width + x] = (uint8_t)(v < 0     ? 0
                                                                                  : v > 255 ? 255
                                                                                            : v);
        }
}

static void copy_planes(const struct image *i, uint8_t *out)
{
    size_t pixels = (size_t)i->width * (size_t)i->height, channels = (size_t)i->channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < pixels; p++)
            out[c * pixels + p] = i->pixels[p * channels + c];
}

void image_fit(const struct image *i, int height, int width, bool stretch, uint8_t *out)
{
    if (i->height == height && i->width == width) {
        copy_planes(i, out);
        return;
    }
    double sx = (double)i->width / width, sy = (double)i->height / height, s = sx < sy ? sx : sy;
    double span_x = stretch ? i->width : s * width, span_y = stretch ? i->height : s * height;
    struct taps across = make_taps(i->width, (i->width - span_x) / 2, span_x, width);
    struct taps down = make_taps(i->height, (i->height - span_y) / 2, span_y, height);
    float *middle = xmalloc((size_t)i->height * (size_t)width * (size_t)i->channels * sizeof(float));
    fit_columns(i, &across, width, middle);
    fit_rows(middle, &down, i->height, height, width, i->channels, out);
    free(middle);
    free_taps(&across);
    free_taps(&down);
}
