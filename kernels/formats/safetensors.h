/* safetensors: named tensors in one file (https://github.com/huggingface/safetensors): 8 bytes little-endian
 * header length, a JSON header, the data. Written atomically; read by mapping, with every offset, shape and
 * name checked before use, so that a hostile file gives an error and nothing else. No jansson.
 */
#ifndef KERNELS_FORMATS_SAFETENSORS_H
#define KERNELS_FORMATS_SAFETENSORS_H

#include <stddef.h>
#include "base/err.h"
#include "kernels/spec/layer_type.h"

struct tensor_entry {
    const char *name; /* "conv1.kernel" */
    enum dtype dtype;
    struct shape shape; /* rank 0: one number */
    const void
        *data; /* row-major, little-endian; bytes = elements * dtype_size; aligned to its dtype when read */
    size_t bytes;
};

struct tensor_metadata {
    const char *key, *value; /* strings only, as the format wants */
};

/* Write all entries to path: temporary, fsync, rename. Data starts 64-byte aligned. Names must differ. */
int safetensors_write(const char *path, const struct tensor_entry *entries, size_t count,
                      const struct tensor_metadata *metadata, size_t metadata_count, struct err *err);

struct safetensors {
    struct tensor_entry *entries; /* in header order; names and data belong to the struct */
    size_t count;
    struct tensor_metadata *metadata;
    size_t metadata_count;
    void *map;
    size_t map_bytes;
};

/* Map a file. Errors: not the format, truncated, a tensor outside the file, overlapping, sizes that
 * contradict, unknown dtype, rank over SHAPE_MAX_RANK, header over 100 MB. NULL on error. */
struct safetensors *safetensors_open(const char *path, struct err *err);
void safetensors_close(struct safetensors *s);
const struct tensor_entry *safetensors_find(const struct safetensors *s, const char *name); /* NULL if none */
const char *safetensors_metadata(const struct safetensors *s, const char *key);             /* NULL if none */

#endif
