/* readers: one for each user format; dataset.c chooses. Private to data/. */
#ifndef KERNELS_DATA_READERS_H
#define KERNELS_DATA_READERS_H

#include "kernels/data/dataset.h"
#include "kernels/data/source.h"

/* As dataset_pack, for one format. */
int idx_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
             struct dataset_info *info);
int images_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info);
int text_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
              struct dataset_info *info);
int arrays_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info);
int tokens_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info);
int csv_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
             struct dataset_info *info);

/* Append a failed finding; -1. */
int reader_fail(struct findings *f, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a file's beginning is of the format. */
bool text_is(const char *name, const uint8_t *head, size_t n);
bool tokens_is(const char *name, const uint8_t *head, size_t n);
bool npy_file_is(const char *name, const uint8_t *head, size_t n);
bool name_has_word(const char *name, const char *word); /* the word, with no letter before or after it */
bool name_ends(const char *name, const char *ending);   /* whatever the case */
bool idx_is(const uint8_t *head, size_t n);
bool csv_is(const char *name, const uint8_t *head, size_t n);

/* What the name of a file says of its split: SPLIT_TRAIN, SPLIT_TEST, or -1. */
int split_of_name(const char *name);

/* Which samples of an undivided dataset are for testing: a seeded permutation decides, so the counts are
 * exact. */
struct divide {
    int64_t samples, test;
    uint64_t seed;
};
void divide_init(struct divide *d, int64_t samples, const struct dataset_options *o);
int divide_split(const struct divide *d, int64_t sample);

#endif
