/* random: numbers that depend on (seed, stream, index) alone: Philox4x32-10 (Salmon et al., SC 2011), a counter hashed with
 * a key. No state, so any rank, thread or resumed run gets the same numbers for the same place. */
#ifndef KERNELS_OPTIM_RANDOM_H
#define KERNELS_OPTIM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_block {
    uint32_t v[4];
};

static inline struct random_block random_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (struct random_block){{c0, c1, c2, c3}};
}

/* A stream number for a name (FNV-1a, 64 bits): "conv1.kernel". */
uint64_t random_stream(const char *name);

/* n numbers uniform in [low, high); n numbers normal with mean 0. */
void random_uniform(float *out, size_t n, uint64_t seed, uint64_t stream, double low, double high);
void random_normal(float *out, size_t n, uint64_t seed, uint64_t stream, double deviation);

#endif
