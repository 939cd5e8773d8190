/* augment: pictures changed a little, so that no epoch shows the same twice. What happens to a sample depends on (seed, epoch,
 * sample) alone, never on who loads it or when. */
#ifndef KERNELS_DATA_AUGMENT_H
#define KERNELS_DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

struct augment {
    bool on;
    int64_t crop_padding; /* pixels of black around; a crop of the own size at a random place */
    double flip;          /* probability of left and right changing places */
    double brightness, contrast, saturation; /* factors from 1 - x to 1 + x, in this order */
    int64_t cutout; /* side of a square that becomes grey (the mean of the sample), anywhere; 0: none */
};

/* One sample of bytes, channels first. in and out do not overlap. */
void augment_image(const struct augment *a, uint64_t seed, int64_t epoch, int64_t sample, int channels,
                   int height, int width, const uint8_t *in, uint8_t *out);

#endif
