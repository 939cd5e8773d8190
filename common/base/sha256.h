/* sha256: FIPS 180-4. Streaming and one-shot; digests as 64 lower-case hex digits. Uses SHA-NI where the CPU
 * has it. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define SHA256_HEX 65 /* 64 digits and NUL */

struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *p, size_t n);
void sha256_final(struct sha256 *s, uint8_t out[32]);
void sha256_hex(struct sha256 *s, char out[SHA256_HEX]); /* final + hex */
void sha256_of(const void *p, size_t n, char out[SHA256_HEX]);
int sha256_of_file(const char *path, char out[SHA256_HEX], struct err *err);
bool sha256_is_hex(const char *text); /* exactly 64 lower-case hex digits */

#endif
