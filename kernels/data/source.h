/* source: the files of a dataset, whatever they came in: one file, a folder, a zip, a tar; each with gzip or zstd
 * around it, and the tar too. Nothing is written out and nothing is held: every walk reads the bytes once, in
 * order. Names that lead out of the archive are refused, links are left out, and so is what is hidden. */
#ifndef KERNELS_DATA_SOURCE_H
#define KERNELS_DATA_SOURCE_H

#include "base/finding.h"
#include "kernels/data/stream.h"

#define SOURCE_MAX_FILES 2000000

/* One regular file: its name inside the source, without .gz or .zst, and its unpacked content. 0 to go on; -1
 * to stop (after a finding). What it does not read is skipped. */
typedef int (*source_f)(void *arg, const char *name, struct stream *s);

/* Call fn for each file, in the order of the archive, or of the names in a folder. max_bytes bounds all
 * unpacked bytes together. -1 after a finding "dataset.files". */
int source_walk(const char *path, int64_t max_bytes, source_f fn, void *arg, struct findings *f);

#endif
