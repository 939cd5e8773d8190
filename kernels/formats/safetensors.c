/* Writing safetensors. Reading: safetensors_read.c. */
#include "kernels/formats/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "kernels/formats/safetensors_dtypes.h"

#define ALIGN 64

const char *safetensors_dtype_name(enum dtype t)
{
    static const char *const names[DTYPE_COUNT] = {
        [DTYPE_F32] = "F32", [DTYPE_BF16] = "BF16", [DTYPE_F16] = "F16", [DTYPE_F64] = "F64",
        [DTYPE_U8] = "U8",   [DTYPE_I32] = "I32",   [DTYPE_I64] = "I64",
    };
    return (unsigned)t < DTYPE_COUNT ? names[t] : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct tensor_entry *const *)a)->name,
                  (*(const struct tensor_entry *const *)b)->name);
}

static int check(const struct tensor_entry *e, size_t count, struct err *err)
{
    const struct tensor_entry **sorted = xcalloc(count + 1, sizeof(*sorted));
    int rc = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        int64_t n = shape_elements(&e[i].shape);
        sorted[i] = &e[i];
        if (n < 0 || (size_t)n * (size_t)dtype_size(e[i].dtype) != e[i].bytes)
            rc = err_set(err, ERR_INTERNAL, "tensor %s has %zu bytes, its shape says otherwise", e[i].name,
                         e[i].bytes);
    }
    if (!rc)
        qsort(sorted, count, sizeof(*sorted), by_name);
    for (size_t i = 1; i < count && !rc; i++)
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            rc = err_set(err, ERR_EXISTS, "two tensors are named %s", sorted[i]->name);
    free(sorted);
    return rc;
}

static void write_header(const struct tensor_entry *e, size_t count, const struct tensor_metadata *m,
                         size_t metadata_count, struct buf *out)
{
    size_t at = 0;
    buf_putc(out, '{');
    if (metadata_count) {
        buf_puts(out, "\"__metadata__\":{");
        for (size_t i = 0; i < metadata_count; i++) {
            buf_puts(out, i ? "," : "");
            buf_json_str(out, m[i].key);
            buf_putc(out, ':');
            buf_json_str(out, m[i].value);
        }
        buf_puts(out, count ? "}," : "}");
    }
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_str(out, e[i].name);
        buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", safetensors_dtype_name(e[i].dtype));
        for (int d = 0; d < e[i].shape.rank; d++)
            buf_printf(out, "%s%lld", d ? "," : "", (long long)e[i].shape.dim[d]);
        buf_printf(out, "],\"data_offsets\":[%zu,%zu]}", at, at + e[i].bytes);
        at += e[i].bytes;
    }
    buf_putc(out, '}');
    while ((out->len + 8) % ALIGN)
        buf_putc(out, ' ');
}

/* The format wants the data without holes, in the order of the offsets; wide types first keeps every tensor
 * aligned. */
static int by_width(const void *a, const void *b)
{
    const struct tensor_entry *x = a, *y = b;
    int wide = dtype_size(y->dtype) - dtype_size(x->dtype);
    return wide ? wide : strcmp(x->name, y->name);
}

static int write_to(int fd, const struct tensor_entry *e, size_t count, const struct buf *header)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header->len >> (8 * i));
    if (file_write_all(fd, length, 8) || file_write_all(fd, header->data, header->len))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (e[i].bytes && file_write_all(fd, e[i].data, e[i].bytes))
            return -1;
    return fsync(fd);
}

int safetensors_write(const char *path, const struct tensor_entry *entries, size_t count,
                      const struct tensor_metadata *metadata, size_t metadata_count, struct err *err)
{
    if (check(entries, count, err))
        return -1;
    struct tensor_entry *sorted = xcalloc(count + 1, sizeof(*sorted));
    struct buf header = {0};
    memcpy(sorted, entries, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_width);
    write_header(sorted, count, metadata, metadata_count, &header);
    char *temporary = xasprintf("%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC), rc = 0;
    if (fd < 0 || fchmod(fd, 0644) || write_to(fd, sorted, count, &header) || rename(temporary, path))
        rc = err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (rc && fd >= 0)
        unlink(temporary);
    char *folder = xstrdup(path), *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    if (!rc)
        rc = file_sync_dir(slash ? folder : ".", err);
    free(folder);
    free(temporary);
    free(sorted);
    buf_free(&header);
    return rc;
}
