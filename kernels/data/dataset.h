/* dataset: the packed form of a dataset, mapped read-only, and its making. (File layout: pack.h)
 *
 * A dataset has splits ("train", "test"; a single-split file is divided by a seeded fraction when packed),
 * and per sample one feature tensor and one target. Readers of user formats (idx.c, csv.c, archive.c) turn
 * bytes into a pack; everything after that reads the pack.
 */
#ifndef KERNELS_DATA_DATASET_H
#define KERNELS_DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/finding.h"
#include "kernels/spec/layer_type.h"

enum target_kind { TARGET_NONE, TARGET_CLASS /* int32 0..classes-1 */, TARGET_VALUE /* float32 vector */ };
enum { SPLIT_TRAIN, SPLIT_TEST, SPLIT_COUNT };
/* What a token is: not tokens at all, a byte of UTF-8 text, a character of it, a number of a tokenizer outside. */
enum token_unit { TOKENS_NONE, TOKENS_BYTES, TOKENS_CHARACTERS, TOKENS_IDS };
const char *token_unit_name(enum token_unit u); /* "none", "bytes", "characters", "ids" */

struct dataset_info {
    char format[16]; /* "idx", "csv": what it was */
    struct shape feature_shape;
    enum dtype feature_dtype; /* uint8 for images, float32 for tables */
    enum target_kind target;
    int classes;      /* TARGET_CLASS */
    int target_width; /* TARGET_VALUE */
    int64_t samples[SPLIT_COUNT];
    char **class_names; /* classes entries, or NULL */
    char **columns;     /* CSV: feature column names (of a one-hot category "colour=red"), or NULL */
    int column_count;
    char *target_name; /* CSV: the target column's name, or NULL */
    /* CSV: mean and standard deviation of each feature column over the train split; the pack holds raw values
     * and the loader gives (x - mean) / std. Categories have mean 0, std 1, and so has every column when
     * standardise was switched off; NULL for other formats. Whoever keeps weights keeps these with them. */
    float *column_mean, *column_std;
    /* Tokens, TOKENS_NONE for everything else. A text with a class is an int32 row of token ids; a stream is
     * one run of tokens a split, and a sample is a window of it: feature_shape (T), int32, with TARGET_CLASS,
     * classes = vocabulary and target_length = T: the next tokens. samples[] counts windows of T. */
    enum token_unit token_unit;
    bool stream;
    int vocabulary;
    char **tokens;                      /* TOKENS_CHARACTERS: vocabulary entries, UTF-8; NULL for others */
    int padding;                        /* id that fills up short texts; -1: none */
    int token_bytes;                    /* of a stream, as it is stored: 1, 2, 4 */
    int64_t stream_tokens[SPLIT_COUNT]; /* of a stream */
    int64_t target_length;              /* of a stream: T classes a sample */
    char digest[65];                    /* SHA-256 of the packed content */
};

struct dataset {
    struct dataset_info info;
    const void *features[SPLIT_COUNT]; /* samples x feature, row-major; of a stream its tokens */
    const void *targets[SPLIT_COUNT];  /* int32 (samples) or float32 (samples, target_width) */
    void *map;
    size_t map_bytes;
};

/* Options for packing, from the upload's metadata object; all may be left zero. */
struct dataset_options {
    const char *format;    /* NULL: by content */
    const char *target;    /* CSV: column name, or number from 0, or negative from the end; NULL: last */
    const char *task_type; /* "classification" | "regression" | NULL: by the target column */
    double test_fraction;  /* 0: 0.2 where the files have no split of their own; in a table, of every class */
    uint64_t seed;         /* of that split */
    int header;            /* CSV: first row is names: 1 yes, -1 no, 0 by content */
    bool no_standardise;   /* CSV: give numbers as they are */
    const char *token_unit; /* text: "bytes" | "characters" | NULL: characters when there are not too many */
    const char *token_type; /* .bin token files: "uint16" (also NULL) | "uint32" | "int32" */
    int64_t vocabulary;     /* token files: ids there are; 0: up to the largest that comes */
    int64_t length;         /* text with a class: tokens of a sample; 0: the longest, at most 256 */
    int64_t image_height, image_width; /* 0: the images' own size where it is common, else 64 x 64 */
    int image_channels;                /* 1, 3; 0: 1 when every image is grey */
    bool image_stretch;                /* scale both sides apart instead of cutting out the centre */
    const char *features, *labels;     /* NPZ: array names; NULL: by the usual ones */
    int64_t max_bytes;                 /* most bytes of content to accept, unpacked; 0: 64 GiB */
};

/* Read the file(s) in user format at path (a file, a tar of files, or a folder), check them, write the pack
 * to pack_path (NULL: check only). -1 when a finding failed; the findings say where (file, row, column,
 * byte). Streams; memory does not grow with the file. */
int dataset_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                 struct dataset_info *info);
void dataset_info_free(struct dataset_info *info);
void dataset_info_write_json(const struct dataset_info *info, struct buf *out);

/* Map a pack (checks magic, version, sizes; whole checksum when verify is true). A path in user format is
 * packed to a temporary first. */
struct dataset *dataset_open(const char *path, bool verify, struct err *err);
void dataset_close(struct dataset *d);

/* A stream's window: T tokens a sample, from the model's input shape. Anything else is left as it is. An error
 * when a split that has tokens has fewer than T + 1. dataset_open sets 64, or what a short stream has. */
int dataset_set_window(struct dataset *d, int64_t length, struct err *err);
/* Token `at` of a stream; one that is not in the vocabulary (a damaged pack) is 0. */
int32_t dataset_token(const struct dataset *d, int split, int64_t at);

/* {"samples": [{"split","index","class","label" or "target", and "image" (base64 of 8-bit grey or RGB
 * pixels),"width","height", "channels", or "values"}], "classes": [{"name","count","train","test"}],
 * "columns": [{"name","type","min","max","mean"}]}: what the console shows; of the train split's first
 * samples. */
int dataset_preview_json(const struct dataset *d, int samples, struct buf *out, struct err *err);

#endif
