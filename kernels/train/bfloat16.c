#include "kernels/train/bfloat16.h"

#include <stdint.h>
#include <string.h>
#include "kernels/optim/vector.h"

enum { BLOCK = 64 * 1024 };

VECTOR_CLONES static void round_block(const float *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits, nan;
        memcpy(&bits, from + i, sizeof(bits));
        nan = (bits & 0x7fffffffu) > 0x7f800000u ? 0x00400000u : 0; /* stays one when its low bits go */
        bits = nan ? bits | nan : bits + 0x7fffu + (bits >> 16 & 1);
        bits &= 0xffff0000u;
        memcpy(to + i, &bits, sizeof(bits));
    }
}

void bfloat16_round(const float *from, float *to, size_t n, int threads)
{
    if (threads <= 1 || n < BLOCK) {
        round_block(from, to, n);
        return;
    }
    int64_t blocks = (int64_t)((n + BLOCK - 1) / BLOCK);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < blocks; b++) {
        size_t at = (size_t)b * BLOCK;
        round_block(from + at, to + at, n - at < BLOCK ? n - at : BLOCK);
    }
}
