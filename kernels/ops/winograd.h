/* winograd: 3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3): a tile of 4x4 outputs costs 36
 * products instead of 144.
 *
 *   y = A^T [ (G g G^T) * (B^T d B) ] A          d: 6x6 of the input, g: the 3x3 kernel, y: 4x4 of the output
 *
 * After the transforms, the products of all channels are 36 small matrix products, (tiles, in) x (in, out). The gradient for
 * the input is the same with the kernel turned round; that for the kernel is G^T [ sum (B^T d B) * (A dy A^T) ] G.
 * Rounding is a few times that of the direct sum (tests/ops holds it to the same tolerance).
 *
 * Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308.
 */
#ifndef KERNELS_OPS_WINOGRAD_H
#define KERNELS_OPS_WINOGRAD_H

#include "kernels/ops/blocked.h"
#include "kernels/ops/conv.h"

struct winograd {
    struct blocked in, out;
    int64_t in_size[2], out_size[2], pad[2]; /* height, width; pad: before */
    int64_t tiles[2], chunk;                 /* tiles: of one sample; chunk: worked on at once by a thread */
};

/* Is this convolution one that gains by it, with sides of these layouts? */
bool winograd_fits(const struct conv *c, const struct blocked *x, const struct blocked *y);
/* From x to y, or (back) from y's gradient to x's. */
struct winograd winograd_of(const struct conv *c, const struct blocked *x, const struct blocked *y,
                            bool back);

size_t winograd_kernel_floats(const struct winograd *w);                /* a transformed kernel */
size_t winograd_scratch_floats(const struct winograd *w, int threads);  /* run */
size_t winograd_gradient_floats(const struct winograd *w, int threads); /* gradient */
/* The kernel, plain (y channels, x channels, 3, 3), for a winograd made with the same back. */
void winograd_kernel(const struct winograd *w, const float *plain, bool back, float *u);

/* out (accumulate: +)= in * kernel + bias (may be NULL); with relu, which goes with no accumulate, max of that and 0. */
void winograd_run(const struct winograd *w, const float *u, const float *in, const float *bias, bool relu,
                  bool accumulate, float *out, int64_t rows, int threads, float *scratch);
/* The plain kernel's gradient from the input and the output's gradient; w of the forward direction. */
void winograd_gradient(const struct winograd *w, const float *in, const float *g, float *plain, int64_t rows,
                       int threads, float *scratch);

#endif
