#include "base/ids.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

void random_bytes(void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            perror("fatal: getrandom");
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

void random_hex(char *out, size_t hex_chars)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < hex_chars; i += 32) {
        uint8_t raw[32];
        random_bytes(raw, sizeof(raw));
        for (size_t k = 0; k < 32 && i + k < hex_chars; k++)
            out[i + k] = digits[raw[k] & 15];
    }
    out[hex_chars] = 0;
}

int name_check(const char *what, const char *name, struct err *err)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0)
        return err_set(err, ERR_INVALID, "%s needs a name", what);
    if (n > 64)
        return err_set(err, ERR_INVALID, "the name of %s is %zu characters long; at most 64 are allowed",
                       what, n);
    if (!isalnum((unsigned char)name[0]) || (unsigned char)name[0] > 127)
        return err_set(err, ERR_INVALID, "the name of %s must begin with a letter or digit", what);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c > 127 || (!isalnum(c) && !strchr("._-", c)))
            return err_set(err, ERR_INVALID,
                           "the name of %s may hold letters, digits, '.', '_' and '-' only; character %zu is "
                           "none of them",
                           what, i + 1);
    }
    return 0;
}

bool path_is_safe(const char *path)
{
    size_t n = strlen(path);
    if (n == 0 || n > 255 || path[0] == '/')
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f || path[i] == '\\')
            return false;
    for (const char *part = path; part;) {
        const char *slash = strchr(part, '/');
        size_t len = slash ? (size_t)(slash - part) : strlen(part);
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < n; i++)
        diff |= (uint8_t)(x[i] ^ y[i]);
    return diff == 0;
}
