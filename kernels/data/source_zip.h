/* source_zip: the entries of a zip, for source.c. */
#ifndef KERNELS_DATA_SOURCE_ZIP_H
#define KERNELS_DATA_SOURCE_ZIP_H

#include "kernels/data/stream.h"

enum zip_kind { ZIP_FILE, ZIP_LINK };

/* One entry that is no folder; takes s. */
typedef int (*zip_f)(void *arg, const char *name, enum zip_kind kind, struct stream *s);

bool zip_is(const uint8_t *head, size_t n);
/* -1: fn stopped (err is untouched), or err says what is wrong with the zip. What is unpacked counts against the budget. */
int zip_walk(const char *path, int64_t *budget, zip_f fn, void *arg, struct err *err);

#endif
