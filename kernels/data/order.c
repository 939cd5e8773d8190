/* The keyed permutation of samples: a Feistel network over the smallest even number of bits that holds all
 * positions, walked again until it lands inside (under four rounds on average). Nothing is stored, every
 * position stands alone. */
#include <math.h>
#include <string.h>

#include "kernels/data/loader.h"
#include "kernels/data/readers.h"

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

int64_t loader_order(uint64_t seed, int64_t epoch, int64_t samples, int64_t at)
{
    if (samples <= 1)
        return 0;
    int half = 1;
    while (half < 31 && ((int64_t)1 << (2 * half)) < samples)
        half++;
    uint64_t mask = ((uint64_t)1 << half) - 1, key = mix(seed + 0x9e3779b97f4a7c15u * (uint64_t)(epoch + 1));
    uint64_t x = (uint64_t)at;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint64_t next = left ^ (mix(right + key + round * 0xd1342543de82ef95u) & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= (uint64_t)samples);
    return (int64_t)x;
}

void divide_init(struct divide *d, int64_t samples, const struct dataset_options *o)
{
    double fraction = o->test_fraction > 0 ? o->test_fraction : 0.2;
    d->samples = samples;
    d->seed = o->seed;
    d->test = (int64_t)llround(fraction * (double)samples);
    if (d->test < 1 && samples > 1)
        d->test = 1;
    if (d->test > samples - 1)
        d->test = samples > 0 ? samples - 1 : 0;
}

int divide_split(const struct divide *d, int64_t sample)
{
    /* Epoch -2: an order that no epoch of training has. */
    return loader_order(d->seed, -2, d->samples, sample) < d->test ? SPLIT_TEST : SPLIT_TRAIN;
}

bool name_has_word(const char *name, const char *word)
{
    for (const char *p = name; (p = strcasestr(p, word)); p++) {
        bool starts = p == name || !((p[-1] | 32) >= 'a' && (p[-1] | 32) <= 'z');
        char after = p[strlen(word)];
        if (starts && !((after | 32) >= 'a' && (after | 32) <= 'z'))
            return true;
    }
    return false;
}

int split_of_name(const char *name)
{
    if (name_has_word(name, "t10k") || name_has_word(name, "test") || name_has_word(name, "val") ||
        name_has_word(name, "valid") || name_has_word(name, "validation"))
        return SPLIT_TEST;
    return name_has_word(name, "train") || name_has_word(name, "training") ? SPLIT_TRAIN : -1;
}
