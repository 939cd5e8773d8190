/* vector_math: exponential and logarithm of 16 numbers at once, in GCC's vectors, so that each clone of VECTOR_CLONES gets them in its
 * own instructions. Within 2 units in the last place of float32 (tests/unit/kernels-optim/loss_test.c). Coefficients: Cephes 2.2
 * (Moshier 1992), expf and logf. */
#ifndef KERNELS_OPTIM_VECTOR_MATH_H
#define KERNELS_OPTIM_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

enum { VECTOR_LANES = 16 };
typedef float vector_f __attribute__((vector_size(64)));
typedef int32_t vector_i __attribute__((vector_size(64)));

#define VECTOR_INLINE static inline __attribute__((always_inline))

/* Vectors go by pointer: their way through registers depends on the instruction set. */
VECTOR_INLINE void vector_load(vector_f *v, const float *from, int64_t n, float fill)
{
    if (n >= VECTOR_LANES) {
        memcpy(v, from, sizeof(*v));
        return;
    }
    float some[VECTOR_LANES];
    for (int i = 0; i < VECTOR_LANES; i++)
        some[i] = i < n ? from[i] : fill;
    memcpy(v, some, sizeof(*v));
}

VECTOR_INLINE void vector_store(float *to, const vector_f *v, int64_t n)
{
    if (n >= VECTOR_LANES) {
        memcpy(to, v, sizeof(*v));
        return;
    }
    float some[VECTOR_LANES];
    memcpy(some, v, sizeof(*v));
    for (int i = 0; i < n; i++)
        to[i] = some[i];
}

/* where mask (all bits or none) then a else b */
VECTOR_INLINE void vector_choose(vector_f *out, const vector_i *mask, const vector_f *a, const vector_f *b)
{
    *out = (vector_f)((*mask & (vector_i)*a) | (~*mask & (vector_i)*b));
}

VECTOR_INLINE void vector_max(vector_f *out, const vector_f *x)
{
    vector_i more = *x > *out;
    vector_choose(out, &more, x, out);
}

/* The lanes' sum in float64, in order. */
VECTOR_INLINE double vector_sum(const vector_f *v)
{
    double sum = 0;
    for (int i = 0; i < VECTOR_LANES; i++)
        sum += (double)(*v)[i];
    return sum;
}

/* e^x; 0 below -87.3, and e^88 above 88; of a NaN a NaN. */
VECTOR_INLINE void vector_exp(vector_f *x)
{
    const vector_f none = {0}, low = none - 87.3365f, high = none + 88.0f, round = none + 12582912.0f;
    vector_f in = *x, n, r, y;
    vector_i under = in<low, over = in> high, nan = in != in;
    vector_choose(&in, &under, &none, &in);
    vector_choose(&in, &over, &high, &in);
    vector_choose(&in, &nan, &none, &in);
    n = (in * 1.44269504088896341f + round) - round;
    r = in - n * 0.693359375f + n * 2.12194440e-4f;
    y = none + 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    y *= (vector_f)((__builtin_convertvector(n, vector_i) + 127) << 23);
    vector_choose(&y, &under, &none, &y);
    vector_choose(x, &nan, x, &y);
}

/* log(1 + x) for 0 <= x <= 1, exact for small x too: log(u) * x / (u - 1) with u = 1 + x (Goldberg 1991, theorem 4). */
VECTOR_INLINE void vector_log1p(vector_f *x)
{
    const vector_f none = {0}, one = none + 1.0f;
    vector_f u = one + *x, m = u, z, y, shift = none, part;
    vector_i big = u > 1.41421356237f, tiny = u == one;
    vector_f half = u * 0.5f;
    vector_choose(&m, &big, &half, &m); /* u is 1 to 2: m from 0.7 to 1.41, u = m or 2 m */
    vector_choose(&shift, &big, &one, &shift);
    part = u - one;
    vector_choose(&part, &tiny, &one, &part);
    m -= one;
    z = m * m;
    y = none + 7.0376836292e-2f;
    y = y * m - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = y * m * z - shift * 2.12194440e-4f - 0.5f * z + m + shift * 0.693359375f;
    y = y * (*x / part);
    vector_choose(x, &tiny, x, &y);
}

#endif
