/* tar: a POSIX archive made on the fly, so that several files go up as one body of known size. The same files always give
 * the same bytes (names sorted, no times, no owners), so a second upload is recognised by its digest. */
#ifndef CLI_TAR_H
#define CLI_TAR_H

#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

struct tar;

/* Regular files under their last name part, folders with what is below them (hidden files left out, links to files followed),
 * names relative to the folder. Two of one name are an error. NULL with err. Caller tar_destroy()s. */
struct tar *tar_create(const char *const *paths, int count, struct err *err);
int tar_files(const struct tar *t);
int64_t tar_size(const struct tar *t); /* of the archive */
/* The next bytes, from 1 to n; -1 with err when a file cannot be read or became shorter. Not beyond tar_size(). */
ssize_t tar_read(void *p, size_t n, void *tar, struct err *err);
void tar_destroy(struct tar *t);

#endif
