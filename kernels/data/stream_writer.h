/* stream_writer: tokens in the order of the text, divided over train and test, into a pack of one stream. */
#ifndef KERNELS_DATA_STREAM_WRITER_H
#define KERNELS_DATA_STREAM_WRITER_H

#include "kernels/data/pack.h"

struct stream_writer {
    struct pack_writer *w;
    struct dataset_info *info;
    bool divided; /* by us: the end of the stream is for testing */
    int64_t written[SPLIT_COUNT];
};

/* counts: tokens of files named train, named test, and of others. Fills info's splits and storage (its unit, vocabulary and
 * tokens are there) and begins the pack; -1 after a finding. */
int stream_writer_begin(struct stream_writer *s, const int64_t counts[SPLIT_COUNT + 1],
                        const struct dataset_options *o, const char *pack_path, struct dataset_info *info,
                        struct findings *f);
/* The next token, of a file whose name says `split` (-1: neither). */
int stream_writer_put(struct stream_writer *s, int split, uint32_t token, struct err *err);
/* -1 after a finding. */
int stream_writer_finish(struct stream_writer *s, struct findings *f);

#endif
