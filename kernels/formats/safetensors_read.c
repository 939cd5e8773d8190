/* Reading safetensors: a scanner for the one JSON shape that its header has, then checks of every tensor
 * against the file. The header comes from anyone: nothing is used as an offset before it was compared with
 * the file's size. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "kernels/formats/safetensors.h"
#include "kernels/formats/safetensors_dtypes.h"

#define HEADER_MOST  100000000
#define TENSORS_MOST 1000000

struct scan {
    const char *p, *end, *start;
    struct err *err;
    struct safetensors *s;
    size_t entry_cap, metadata_cap;
    const char *data; /* where tensor data begins */
    size_t data_bytes;
};

static int fail(struct scan *c, const char *what)
{
    return err_set(c->err, ERR_INVALID, "the header is not valid at byte %zu: %s",
                   (size_t)(c->p - c->start) + 8, what);
}

static void space(struct scan *c)
{
    while (c->p < c->end && strchr(" \t\r\n", *c->p) && *c->p)
        c->p++;
}

static bool take(struct scan *c, char want)
{
    space(c);
    if (c->p >= c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)p[i]))
            return -1;
        v = v * 16 + (p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
    }
    return v;
}

static void put_utf8(struct buf *b, int c)
{
    if (c < 0x80) {
        buf_putc(b, (char)c);
    } else if (c < 0x800) {
        buf_putc(b, (char)(0xc0 | c >> 6));
        buf_putc(b, (char)(0x80 | (c & 63)));
    } else {
        buf_putc(b, (char)(0xe0 | c >> 12));
        buf_putc(b, (char)(0x80 | (c >> 6 & 63)));
        buf_putc(b, (char)(0x80 | (c & 63)));
    }
}

static int escape(struct scan *c, struct buf *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c->p >= c->end)
        return fail(c, "a string is never closed");
    char e = *c->p++;
    const char *known = e ? strchr(from, e) : NULL;
    if (known) {
        buf_putc(b, to[known - from]);
        return 0;
    }
    int code = e == 'u' && c->end - c->p >= 4 ? hex4(c->p) : -1;
    if (code <= 0)
        return fail(c, "an escape that is none");
    c->p += 4;
    /* Surrogates stay two separate marks: names are compared, never shown. */
    put_utf8(b, code);
    return 0;
}

/* A string; caller frees. NULL on error. */
static char *string(struct scan *c)
{
    struct buf b = {0};
    if (!take(c, '"')) {
        fail(c, "expected a string");
        return NULL;
    }
    while (c->p < c->end && *c->p != '"') {
        char ch = *c->p++;
        if ((unsigned char)ch < 32 || b.len > 65536) {
            fail(c, "a control character in a string, or a string too long");
            buf_free(&b);
            return NULL;
        }
        if (ch != '\\') {
            buf_putc(&b, ch);
        } else if (escape(c, &b)) {
            buf_free(&b);
            return NULL;
        }
    }
    if (c->p >= c->end) {
        fail(c, "a string is never closed");
        buf_free(&b);
        return NULL;
    }
    c->p++;
    return buf_steal(&b);
}

static int number(struct scan *c, int64_t *out)
{
    int64_t v = 0;
    space(c);
    const char *start = c->p;
    for (; c->p < c->end && isdigit((unsigned char)*c->p); c->p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *c->p - '0', &v))
            return fail(c, "a number too large");
    *out = v;
    return c->p == start ? fail(c, "expected a number") : 0;
}

/* [n, n, ...], at most `most` of them. */
static int numbers(struct scan *c, int64_t *out, int most, int *count)
{
    *count = 0;
    if (!take(c, '['))
        return fail(c, "expected an array");
    if (take(c, ']'))
        return 0;
    do {
        if (*count == most)
            return fail(c, "more numbers than are supported");
        if (number(c, &out[(*count)++]))
            return -1;
    } while (take(c, ','));
    return take(c, ']') ? 0 : fail(c, "expected \",\" or \"]\"");
}

/* {"key": value, ...}: each calls one with the key read and its colon taken. */
static int object(struct scan *c, int (*one)(struct scan *c, const char *key, void *arg), void *arg)
{
    if (!take(c, '{'))
        return fail(c, "expected an object");
    if (take(c, '}'))
        return 0;
    do {
        char *key = string(c);
        int rc = !key ? -1 : take(c, ':') ? one(c, key, arg) : fail(c, "expected \":\"");
        free(key);
        if (rc)
            return -1;
    } while (take(c, ','));
    return take(c, '}') ? 0 : fail(c, "expected \",\" or \"}\"");
}

/* ---- tensors ---- */

struct tensor {
    bool has_dtype, has_shape, has_offsets;
    enum dtype dtype;
    struct shape shape;
    int64_t offsets[2];
};

static int tensor_member(struct scan *c, const char *key, void *arg)
{
    struct tensor *t = arg;
    if (!strcmp(key, "dtype")) {
        char *name = string(c);
        for (int i = 0; name && i < DTYPE_COUNT; i++)
            if (!strcmp(safetensors_dtype_name((enum dtype)i), name)) {
                t->dtype = (enum dtype)i;
                t->has_dtype = true;
            }
        free(name);
        return t->has_dtype ? 0 : fail(c, "an unknown dtype");
    }
    if (!strcmp(key, "shape")) {
        t->has_shape = true;
        return numbers(c, t->shape.dim, SHAPE_MAX_RANK, &t->shape.rank);
    }
    if (!strcmp(key, "data_offsets")) {
        int count;
        t->has_offsets = true;
        return numbers(c, t->offsets, 2, &count) ? -1
               : count == 2                      ? 0
                                                 : fail(c, "data_offsets are two numbers");
    }
    return fail(c, "an unknown member of a tensor");
}

static int metadata_member(struct scan *c, const char *key, void *arg)
{
    struct safetensors *s = arg;
    char *value = string(c);
    if (!value)
        return -1;
    s->metadata = vec_grow(s->metadata, &c->metadata_cap, s->metadata_count + 1, sizeof(*s->metadata));
    s->metadata[s->metadata_count++] = (struct tensor_metadata){xstrdup(key), value};
    return 0;
}

static int add_tensor(struct scan *c, const char *name, const struct tensor *t)
{
    struct safetensors *s = c->s;
    int64_t elements = shape_elements(&t->shape), bytes = elements * dtype_size(t->dtype);
    if (!t->has_dtype || !t->has_shape || !t->has_offsets)
        return err_set(c->err, ERR_INVALID, "tensor %s lacks dtype, shape or data_offsets", name);
    if (elements < 0 || t->offsets[0] > t->offsets[1] || t->offsets[1] - t->offsets[0] != bytes)
        return err_set(c->err, ERR_INVALID, "tensor %s: its offsets do not hold its shape", name);
    if ((uint64_t)t->offsets[1] > c->data_bytes)
        return err_set(c->err, ERR_INVALID, "tensor %s reaches beyond the end of the file", name);
    if (s->count == TENSORS_MOST)
        return err_set(c->err, ERR_TOO_LARGE, "more than %d tensors", TENSORS_MOST);
    s->entries = vec_grow(s->entries, &c->entry_cap, s->count + 1, sizeof(*s->entries));
    s->entries[s->count++] = (struct tensor_entry){.name = xstrdup(name),
                                                   .dtype = t->dtype,
                                                   .shape = t->shape,
                                                   .data = c->data + t->offsets[0],
                                                   .bytes = (size_t)bytes};
    return 0;
}

static int top_member(struct scan *c, const char *key, void *arg)
{
    struct tensor t = {0};
    if (!strcmp(key, "__metadata__"))
        return object(c, metadata_member, arg);
    return object(c, tensor_member, &t) ? -1 : add_tensor(c, key, &t);
}

static int by_place(const void *a, const void *b)
{
    const struct tensor_entry *x = *(const struct tensor_entry *const *)a,
                              *y = *(const struct tensor_entry *const *)b;
    return x->data < y->data ? -1 : x->data > y->data ? 1 : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct tensor_entry *const *)a)->name,
                  (*(const struct tensor_entry *const *)b)->name);
}

/* No two of one name, none over another, each aligned to its dtype. */
static int check_together(const struct safetensors *s, struct err *err)
{
    const struct tensor_entry **list = xcalloc(s->count + 1, sizeof(*list));
    int rc = 0;
    for (size_t i = 0; i < s->count; i++) {
        list[i] = &s->entries[i];
        if (list[i]->bytes && (uintptr_t)list[i]->data % (uintptr_t)dtype_size(list[i]->dtype))
            rc = err_set(err, ERR_UNSUPPORTED, "tensor %s is not aligned to its dtype", list[i]->name);
    }
    qsort(list, s->count, sizeof(*list), by_place);
    for (size_t i = 1; i < s->count && !rc; i++)
        if ((const char *)list[i - 1]->data + list[i - 1]->bytes > (const char *)list[i]->data)
            rc = err_set(err, ERR_INVALID, "tensors %s and %s overlap", list[i - 1]->name, list[i]->name);
    qsort(list, s->count, sizeof(*list), by_name);
    for (size_t i = 1; i < s->count && !rc; i++)
        if (!strcmp(list[i - 1]->name, list[i]->name))
            rc = err_set(err, ERR_INVALID, "two tensors are named %s", list[i]->name);
    free(list);
    return rc;
}

static int read_header(struct safetensors *s, struct err *err)
{
    const uint8_t *map = s->map;
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)map[i] << (8 * i);
    if (length > HEADER_MOST || length > s->map_bytes - 8)
        return err_set(
            err, ERR_INVALID,
            "its header of %llu bytes does not fit into the file: it is no safetensors file, or cut off",
            (unsigned long long)length);
    const char *text = (const char *)map + 8;
    struct scan c = {.p = text,
                     .start = text,
                     .end = text + length,
                     .err = err,
                     .s = s,
                     .data = text + length,
                     .data_bytes = s->map_bytes - 8 - (size_t)length};
    if (object(&c, top_member, s))
        return -1;
    space(&c);
    if (c.p != c.end)
        return fail(&c, "something follows the object");
    return check_together(s, err);
}

struct safetensors *safetensors_open(const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct safetensors *s = xcalloc(1, sizeof(*s));
    int rc = 0;
    if (!S_ISREG(st.st_mode) || st.st_size < 10)
        rc = err_set(err, ERR_INVALID, "%s is no safetensors file", path);
    if (!rc) {
        s->map_bytes = (size_t)st.st_size;
        s->map = mmap(NULL, s->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (s->map == MAP_FAILED) {
            s->map = NULL;
            rc = err_set(err, ERR_IO, "cannot map %s: %s", path, strerror(errno));
        } else if (read_header(s, err)) {
            rc = err_prefix(err, "%s", path);
        }
    }
    close(fd);
    if (!rc)
        return s;
    safetensors_close(s);
    return NULL;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        free((char *)(uintptr_t)s->entries[i].name);
    for (size_t i = 0; i < s->metadata_count; i++) {
        free((char *)(uintptr_t)s->metadata[i].key);
        free((char *)(uintptr_t)s->metadata[i].value);
    }
    if (s->map)
        munmap(s->map, s->map_bytes);
    free(s->entries);
    free(s->metadata);
    free(s);
}

const struct tensor_entry *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->entries[i].name, name))
            return &s->entries[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->metadata_count; i++)
        if (!strcmp(s->metadata[i].key, key))
            return s->metadata[i].value;
    return NULL;
}
