/* checkpoint: everything needed to go on, as named parts in one file, written so that a kill at any instant leaves either the
 * whole new file or none of it, and read only when its SHA-256 is right.
 *
 *     8 bytes "TYCKPT01", u64 file bytes, u32 parts, u32 0, then per part: name (48 bytes, NUL-padded), u64 offset, u64 bytes;
 *     the parts, each 64-byte aligned; at the end 32 bytes SHA-256 of everything before. Little-endian.
 */
#ifndef KERNELS_TRAIN_CHECKPOINT_H
#define KERNELS_TRAIN_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define CHECKPOINT_NAME_MAX  48
#define CHECKPOINT_MAX_PARTS 4096

struct checkpoint_part {
    char name[CHECKPOINT_NAME_MAX];
    const void *data;
    size_t bytes;
};

/* Write DIR/step-NNNNNN.ckpt (the folder is made), then delete all but the newest `keep` (at least 1) and what killed writers
 * left. file_name gets the name inside DIR. */
int checkpoint_write(const char *dir, int64_t step, const struct checkpoint_part *parts, size_t count,
                     int64_t keep, char file_name[64], struct err *err);

/* Let DIR/best.ckpt be this file of DIR from now on, also when it is deleted; atomic. */
#define CHECKPOINT_BEST "best.ckpt"
int checkpoint_keep_best(const char *dir, const char *file_name, struct err *err);

struct checkpoint {
    struct checkpoint_part *parts; /* data points into the map */
    size_t count;
    void *map;
    size_t map_bytes;
};

/* Map a file and check it wholly. ERR_NOT_FOUND when absent, ERR_UNPROCESSABLE when it is not whole. */
struct checkpoint *checkpoint_open(const char *path, struct err *err);
/* From memory (a broadcast file); the bytes must outlive it. */
struct checkpoint *checkpoint_read(const void *bytes, size_t n, const char *path, struct err *err);
void checkpoint_close(struct checkpoint *c);
/* A part of exactly this many bytes (SIZE_MAX: any), or NULL with an err that says what differs. */
const struct checkpoint_part *checkpoint_find(const struct checkpoint *c, const char *name, size_t bytes,
                                              struct err *err);

/* The newest checkpoint of DIR that is whole: its path, caller frees. NULL with err->code ERR_NONE when there is none; broken
 * ones are passed over and named in `skipped` (n bytes, may be NULL). */
char *checkpoint_newest(const char *dir, char *skipped, size_t n, struct err *err);

#endif
