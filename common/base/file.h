/* file: whole-file reads with a bound, durable atomic writes, folders. Every error names the path. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

/* Read at most max bytes of path into out (appended). Over max is ERR_TOO_LARGE; absent is ERR_NOT_FOUND. */
int file_read(const char *path, size_t max, struct buf *out, struct err *err);

/* Write a temporary beside path, fsync it, rename over path, fsync the folder. Readers see the old or the
 * new. */
int file_write_atomic(const char *path, const void *data, size_t n, mode_t mode, struct err *err);

int file_write_all(int fd, const void *data, size_t n); /* loops over short writes and EINTR; -1 with errno */
int file_sync_dir(const char *dir, struct err *err); /* fsync a folder, so that renames in it are durable */
int dir_make(const char *path, mode_t mode, struct err *err); /* mkdir -p; an existing folder is fine */
int dir_remove(const char *path, struct err *err); /* rm -rf without following links; absent is fine */
bool file_exists(const char *path);
char *path_join(const char *a, const char *b); /* caller frees */

#endif
