/* pack: the one form in which datasets are trained on. A header of 4096 bytes, then arrays that each begin at
 * a multiple of 4096, so that a rank maps the file and reads at memory speed. Little-endian. Written to a
 * temporary beside the path, synced, renamed.
 *
 *     0       struct pack_header
 *     4096..  features of train, targets of train, features of test, targets of test  (row-major, samples
 * first) column means, column deviations (float32) strings: class names, column names, target name,
 * the vocabulary's characters, each NUL-ended
 */
#ifndef KERNELS_DATA_PACK_H
#define KERNELS_DATA_PACK_H

#include "kernels/data/dataset.h"

#define PACK_MAGIC       "TYPACK\r\n"
#define PACK_VERSION     1
#define PACK_ALIGN       4096
#define PACK_MAX_CLASSES 65536
#define PACK_MAX_COLUMNS 65536
#define PACK_MAX_TOKENS  (1 << 24)  /* vocabulary */
#define PACK_MAX_STRINGS (64 << 20) /* bytes */

struct pack_header {
    char magic[8];
    uint32_t version, feature_rank;
    int64_t file_bytes;
    int64_t feature_dim[SHAPE_MAX_RANK];
    uint32_t feature_dtype, target, classes, target_width;
    int64_t samples[SPLIT_COUNT], features_at[SPLIT_COUNT], targets_at[SPLIT_COUNT];
    int64_t stats_at, strings_at, strings_bytes;
    uint32_t column_count, has_class_names, has_target_name, has_stats;
    char format[16];
    char digest[64];                                          /* SHA-256 of the file with this field zero */
    uint32_t token_unit, vocabulary, token_bytes, has_tokens; /* token_bytes 0: no stream */
    int64_t stream_tokens[SPLIT_COUNT];                       /* of a stream; its samples[] are 0 */
    int32_t padding, reserved_word;
    uint8_t reserved[PACK_ALIGN - 296];
};
_Static_assert(sizeof(struct pack_header) == PACK_ALIGN, "the header fills its page");

/* Writes a pack as samples come; memory is four buffers. */
struct pack_writer;

/* info: shapes, kinds and the exact counts of both splits; names and statistics may come later. path NULL:
 * count and check only. NULL on error. */
struct pack_writer *pack_writer_create(const char *path, const struct dataset_info *info, struct err *err);
/* Append raw bytes to a split's features or targets; more than was promised is a bug of the caller (aborts).
 */
int pack_write_features(struct pack_writer *w, int split, const void *p, size_t bytes, struct err *err);
int pack_write_targets(struct pack_writer *w, int split, const void *p, size_t bytes, struct err *err);
/* Everything was written: names, statistics, digest (into info), sync, rename. Destroys w in any case. */
int pack_writer_finish(struct pack_writer *w, struct dataset_info *info, struct err *err);
void pack_writer_destroy(struct pack_writer *w); /* removes the temporary */

size_t dataset_feature_bytes(const struct dataset_info *info); /* of one sample */
size_t dataset_target_bytes(const struct dataset_info *info);
/* What a split takes in the pack. */
int64_t pack_feature_bytes(const struct dataset_info *info, int split);
int64_t pack_target_bytes(const struct dataset_info *info, int split);

#endif
