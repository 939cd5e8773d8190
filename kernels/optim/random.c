#include "kernels/optim/random.h"

#include <math.h>

uint64_t random_stream(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return h;
}

/* (0, 1): 24 bits and a half, so that the logarithm below is finite. */
static float open_unit(uint32_t x)
{
    return ((float)(x >> 8) + 0.5f) * 0x1p-24f;
}

void random_uniform(float *out, size_t n, uint64_t seed, uint64_t stream, double low, double high)
{
    float scale = (float)(high - low), base = (float)low;
    for (size_t i = 0; i < n; i += 4) {
        struct random_block b = random_philox(seed, i / 4, stream);
        for (size_t j = 0; j < 4 && i + j < n; j++)
            out[i + j] = base + scale * ((float)(b.v[j] >> 8) * 0x1p-24f);
    }
}

void random_normal(float *out, size_t n, uint64_t seed, uint64_t stream, double deviation)
{
    for (size_t i = 0; i < n; i += 4) { /* Box-Muller: two pairs a block */
        struct random_block b = random_philox(seed, i / 4, stream);
        float pairs[4];
        for (int j = 0; j < 4; j += 2) {
            float radius = (float)deviation * sqrtf(-2 * logf(open_unit(b.v[j]))),
                  angle = 2 * (float)M_PI * open_unit(b.v[j + 1]);
            pairs[j] = radius * cosf(angle);
            pairs[j + 1] = radius * sinf(angle);
        }
        for (size_t j = 0; j < 4 && i + j < n; j++)
            out[i + j] = pairs[j];
    }
}
