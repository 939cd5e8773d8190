/* digits: the project's own sample dataset: the ten digits, drawn from stroke outlines with varying shape,
 * slant, size, place, pen width and noise, 28x28, as IDX files with MNIST's names. */
#ifndef KERNELS_DATA_DIGITS_H
#define KERNELS_DATA_DIGITS_H

#include <stdint.h>
#include "base/err.h"

#define DIGIT_SIZE 28

/* One image; the same (seed, index) gives the same one. */
void digit_draw(int digit, uint64_t seed, uint64_t index, uint8_t out[DIGIT_SIZE * DIGIT_SIZE]);

/* Write {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz into folder (made if absent; without zlib not
 * compressed). */
int digits_write(const char *folder, int64_t train, int64_t test, uint64_t seed, struct err *err);

/* ---- digits_strokes.c: the outlines ---- */

struct stroke {
    int points;      /* 0 ends the digit */
    int smooth;      /* a curve through the points, or straight lines */
    float at[14][2]; /* x, y in the unit box, y down */
};

#define DIGIT_STROKES 4
struct outline {
    struct stroke strokes[DIGIT_STROKES];
};

/* The ways a digit is written: a list and its length. */
const struct outline *digit_outlines(int digit, int *count);

#endif
