#include "kernels/formats/protobuf.h"

#include <string.h>

static bool refuse(struct pb_reader *r)
{
    r->bad = true;
    r->rest.n = 0;
    return false;
}

static void skip(struct pb_reader *r, size_t n)
{
    r->rest.at += n;
    r->rest.n -= n;
}

bool pb_varint(struct pb_reader *r, uint64_t *v)
{
    if (r->rest.n == 0)
        return false;
    *v = 0;
    for (size_t i = 0; i < 10 && i < r->rest.n; i++) {
        *v |= (uint64_t)(r->rest.at[i] & 0x7f) << (7 * i);
        if (r->rest.at[i] & 0x80)
            continue;
        skip(r, i + 1);
        return true;
    }
    return refuse(r);
}

static bool fixed(struct pb_reader *r, size_t n, uint64_t *v)
{
    if (r->rest.n < n)
        return refuse(r);
    *v = 0;
    for (size_t i = 0; i < n; i++)
        *v |= (uint64_t)r->rest.at[i] << (8 * i);
    skip(r, n);
    return true;
}

bool pb_next(struct pb_reader *r, struct pb_field *f)
{
    uint64_t key, n;
    *f = (struct pb_field){0};
    if (!pb_varint(r, &key))
        return false;
    f->number = (uint32_t)(key >> 3);
    f->wire = (enum pb_wire)(key & 7);
    if (f->number == 0 || key >> 32)
        return refuse(r);
    switch (f->wire) {
    case PB_VARINT:
        return pb_varint(r, &f->value) || refuse(r);
    case PB_FIXED64:
        return fixed(r, 8, &f->value);
    case PB_FIXED32:
        return fixed(r, 4, &f->value);
    case PB_BYTES:
        if (!pb_varint(r, &n) || n > r->rest.n)
            return refuse(r);
        f->bytes = (struct pb_bytes){r->rest.at, (size_t)n};
        skip(r, (size_t)n);
        return true;
    }
    return refuse(r); /* groups: deprecated, and ONNX has none */
}

float pb_float(const struct pb_field *f)
{
    uint32_t bits = (uint32_t)f->value;
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void put_raw(struct buf *out, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        buf_putc(out, (char)(v | 0x80));
    buf_putc(out, (char)v);
}

static void put_key(struct buf *out, uint32_t number, enum pb_wire wire)
{
    put_raw(out, (uint64_t)number << 3 | wire);
}

void pb_put_varint(struct buf *out, uint32_t number, uint64_t v)
{
    put_key(out, number, PB_VARINT);
    put_raw(out, v);
}

void pb_put_float(struct buf *out, uint32_t number, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_key(out, number, PB_FIXED32);
    for (int i = 0; i < 4; i++)
        buf_putc(out, (char)(bits >> (8 * i)));
}

void pb_put_bytes(struct buf *out, uint32_t number, const void *p, size_t n)
{
    put_key(out, number, PB_BYTES);
    put_raw(out, n);
    buf_add(out, p, n);
}

void pb_put_text(struct buf *out, uint32_t number, const char *s)
{
    pb_put_bytes(out, number, s, strlen(s));
}

void pb_put_message(struct buf *out, uint32_t number, struct buf *message)
{
    pb_put_bytes(out, number, buf_str(message), message->len);
    buf_free(message);
}
