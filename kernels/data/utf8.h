/* utf8: characters out of bytes that come in pieces. */
#ifndef KERNELS_DATA_UTF8_H
#define KERNELS_DATA_UTF8_H

#include <stdint.h>

#define UTF8_MAX   0x110000u
#define UTF8_MORE  (-1) /* the byte was taken, the character is not complete */
#define UTF8_WRONG (-2) /* no UTF-8 */

struct utf8 {
    uint32_t value, least; /* so far; the least that may be written with so many bytes */
    int left;              /* bytes to come */
};

/* Take one byte: a character, or UTF8_MORE or UTF8_WRONG. Overlong forms and surrogates are wrong. */
static inline int32_t utf8_take(struct utf8 *u, uint8_t byte)
{
    if (u->left == 0) {
        if (byte < 0x80)
            return byte;
        if (byte < 0xc2 || byte > 0xf4)
            return UTF8_WRONG;
        u->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        u->value = byte & (0x3fu >> u->left);
        u->least = u->left == 1 ? 0x80 : u->left == 2 ? 0x800 : 0x10000;
        return UTF8_MORE;
    }
    if ((byte & 0xc0) != 0x80)
        return UTF8_WRONG;
    u->value = u->value << 6 | (byte & 0x3f);
    if (--u->left)
        return UTF8_MORE;
    if (u->value < u->least || u->value >= UTF8_MAX || (u->value >= 0xd800 && u->value < 0xe000))
        return UTF8_WRONG;
    return (int32_t)u->value;
}

/* Write a character; how many bytes (1 to 4). */
static inline int utf8_put(uint32_t c, char out[5])
{
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    out[n] = 0;
    return n;
}

#endif
