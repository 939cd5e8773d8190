/* The header is a Python dict literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. Only these three keys, in any
 * order, are taken; everything else is refused. */
#include "kernels/data/npy.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAGIC       "\x93NUMPY"
#define HEADER_MOST 65535

bool npy_is(const uint8_t *head, size_t n)
{
    return n >= 10 && !memcmp(head, MAGIC, 6);
}

static const char *value_of(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    if (!p || p == text || (p[-1] != '\'' && p[-1] != '"'))
        return NULL;
    p += strlen(key);
    if (*p != '\'' && *p != '"')
        return NULL;
    p += 1 + strspn(p + 1, " ");
    return *p == ':' ? p + 1 + strspn(p + 1, " ") : NULL;
}

static int read_type(const char *p, struct npy *a, struct err *err)
{
    char quote = p ? *p : 0, order = quote ? p[1] : 0;
    if ((quote != '\'' && quote != '"') || !order || !strchr("<>|=", order))
        return err_set(err, ERR_UNSUPPORTED,
                       "its type is not one plain number (records and objects are not read)");
    char *end;
    a->kind = p[2];
    a->width = a->kind ? (int)strtol(p + 3, &end, 10) : 0;
    a->big = order == '>';
    bool known =
        a->kind && *end == quote && a->width > 0 && a->width <= 8 &&
        ((a->kind == 'b' && a->width == 1) || (strchr("iu", a->kind) && strchr("\1\2\4\10", a->width)) ||
         (a->kind == 'f' && strchr("\2\4\10", a->width)));
    return known ? 0
                 : err_set(err, ERR_UNSUPPORTED, "its type %.10s is not read: give bool, int, uint or float",
                           p);
}

static int read_shape(const char *p, struct npy *a, struct err *err)
{
    a->count = 1;
    if (!p || *p++ != '(')
        return err_set(err, ERR_INVALID, "its header has no shape");
    while (*(p += strspn(p, " ,")) != ')') {
        char *end;
        long long n = strtoll(p, &end, 10);
        if (end == p || n < 0 || a->rank == NPY_MAX_RANK)
            return err_set(err, ERR_INVALID, "its shape cannot be used: at most %d dimensions", NPY_MAX_RANK);
        if (__builtin_mul_overflow(a->count, (int64_t)n, &a->count) || a->count > (int64_t)1 << 50)
            return err_set(err, ERR_TOO_LARGE, "its shape has more numbers than a file can hold");
        a->dim[a->rank++] = n;
        p = end;
    }
    return 0;
}

static int read_dict(const char *text, struct npy *a, struct err *err)
{
    const char *order = value_of(text, "fortran_order");
    *a = (struct npy){0};
    if (read_type(value_of(text, "descr"), a, err) || read_shape(value_of(text, "shape"), a, err))
        return -1;
    if (!order || strncmp(order, "False", 5) != 0)
        return err_set(err, ERR_UNSUPPORTED, "it is in Fortran order: save numpy.ascontiguousarray(x)");
    return 0;
}

static size_t text_length(const uint8_t *h, size_t *prefix)
{
    *prefix = h[6] >= 2 ? 12 : 10;
    return h[6] >= 2 ? (size_t)h[8] | (size_t)h[9] << 8 | (size_t)h[10] << 16 | (size_t)h[11] << 24
                     : (size_t)h[8] | (size_t)h[9] << 8;
}

bool npy_peek(const uint8_t *head, size_t n, struct npy *out)
{
    size_t prefix;
    if (!npy_is(head, n) || n < 12)
        return false;
    size_t len = text_length(head, &prefix);
    if (len > n - prefix)
        return false;
    char *text = xstrndup((const char *)head + prefix, len);
    int rc = read_dict(text, out, NULL);
    free(text);
    return rc == 0;
}

int npy_read(struct stream *s, struct npy *out, struct err *err)
{
    uint8_t h[12];
    size_t prefix;
    if (stream_read(s, h, 10, err) < 10 || !npy_is(h, 10))
        return err_set(err, ERR_INVALID, "it is no NumPy file, or cut off in its header");
    if (h[6] < 1 || h[6] > 3)
        return err_set(err, ERR_UNSUPPORTED, "NumPy format %d is not read", h[6]);
    if (h[6] >= 2 && stream_read(s, h + 10, 2, err) < 2)
        return err_set(err, ERR_INVALID, "it is cut off in its header");
    size_t len = text_length(h, &prefix);
    if (len > HEADER_MOST)
        return err_set(err, ERR_TOO_LARGE, "its header claims %zu bytes", len);
    char *text = xcalloc(1, len + 1);
    ssize_t got = stream_read(s, text, len, err);
    int rc = got < 0             ? -1
             : (size_t)got < len ? err_set(err, ERR_INVALID, "it is cut off in its header")
                                 : read_dict(text, out, err);
    free(text);
    return rc;
}

static uint64_t raw(const struct npy *a, const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < a->width; i++)
        v |= (uint64_t)p[a->big ? a->width - 1 - i : i] << (8 * i);
    return v;
}

int64_t npy_integer(const struct npy *a, const uint8_t *p, int64_t i)
{
    uint64_t v = raw(a, p + i * a->width);
    if (a->kind != 'i')
        return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    int shift = 64 - 8 * a->width;
    return (int64_t)(v << shift) >> shift;
}

double npy_number(const struct npy *a, const uint8_t *p, int64_t i)
{
    uint64_t v = raw(a, p + i * a->width);
    float single;
    double full;
    _Float16 half;
    uint32_t v32 = (uint32_t)v;
    uint16_t v16 = (uint16_t)v;
    if (a->kind != 'f')
        return a->kind == 'u' ? (double)v : (double)npy_integer(a, p, i);
    memcpy(&single, &v32, 4);
    memcpy(&full, &v, 8);
    memcpy(&half, &v16, 2);
    return a->width == 8 ? full : a->width == 4 ? (double)single : (double)half;
}
