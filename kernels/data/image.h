/* image: JPEG (libjpeg-turbo) and PNG (libpng) out of memory, and bringing them to a size. Private to data/. */
#ifndef KERNELS_DATA_IMAGE_H
#define KERNELS_DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define IMAGE_MAX_SIDE   16384
#define IMAGE_MAX_PIXELS (32 << 20)
#define IMAGE_MAX_SCANS  100 /* of a progressive JPEG: each is a pass over all pixels */

struct image {
    int width, height, channels; /* 1 grey, 3 RGB */
    uint8_t *pixels;             /* (height, width, channels); NULL after image_probe */
};

/* JPEG or PNG, by the first bytes. */
bool image_is(const uint8_t *head, size_t n);
/* Size and kind from the header alone: channels is 1 when the image itself is grey. Larger than the limits is an error. */
int image_probe(const uint8_t *p, size_t n, struct image *out, struct err *err);
/* Decode to so many channels; what is transparent becomes white. A large JPEG may come at 1/2, 1/4 or 1/8, when that is not below
 * least_height and least_width. A damaged or cut-off image is an error. Caller image_free()s. */
int image_decode(const uint8_t *p, size_t n, int channels, int least_height, int least_width,
                 struct image *out, struct err *err);
void image_free(struct image *i);

/* Scale so that the image covers height x width and cut out its centre (or, stretch: scale both sides apart), by area-weighted
 * linear interpolation as Pillow's BILINEAR; out is channels first: (channels, height, width). */
void image_fit(const struct image *i, int height, int width, bool stretch, uint8_t *out);

#endif
