/* vmath: exp, tanh, the logistic function and erf in float32 without branches or calls, so that the compiler makes vectors of
 * loops over them for every instruction set. Relative error of exp, tanh and the logistic function: a few 1e-7; absolute
 * error of erf: 2e-7. NaN stays NaN. Not for files compiled with -ffast-math: the order of operations matters here.
 *
 * exp: x = n ln 2 + f, a polynomial for e^f, n into the exponent (Cephes, Moshier 1989). tanh: the rational function of
 * Eigen (MathFunctionsImpl.h). erf: Abramowitz and Stegun 7.1.26.
 */
#ifndef KERNELS_OPS_VMATH_H
#define KERNELS_OPS_VMATH_H

#include <stdint.h>

/* Saturates at exp(88.3) = 2.2e38 and exp(-87.3) = 1.2e-38. */
static inline float v_exp(float x)
{
    union {
        int32_t i;
        float f;
    } power;
    x = x > 88.3f ? 88.3f : x;
    x = x < -87.3f ? -87.3f : x;
    int32_t n = (int32_t)(x * 1.44269504f + __builtin_copysignf(0.5f, x));
    float f = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * f * f + f + 1;
    power.i = (n + 127) * (1 << 23);
    return p * power.f;
}

static inline float v_sigmoid(float x)
{
    return 1 / (1 + v_exp(-x));
}

static inline float v_tanh(float x)
{
    x = x > 7.90531111f ? 7.90531111f : x;
    x = x < -7.90531111f ? -7.90531111f : x;
    float s = x * x, p = -2.76076847742355e-16f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

static inline float v_erf(float x)
{
    float a = __builtin_fabsf(x), t = 1 / (1 + 0.3275911f * a);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    float y = 1 - p * t * v_exp(-a * a);
    return __builtin_copysignf(y, x);
}

#endif
