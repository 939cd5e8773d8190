/* ids: random names and the checks for names that people give. */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

void random_bytes(void *out, size_t n);       /* getrandom(2); aborts if the kernel has none */
void random_hex(char *out, size_t hex_chars); /* hex_chars + 1 bytes written */

/* A task, asset, node or user name: 1 to 64 of a-z A-Z 0-9 . _ - , first a letter or digit. */
int name_check(const char *what, const char *name, struct err *err);

/* A file name inside an artifact list or archive: relative, no "..", no empty part, no control character, at
 * most 255 bytes. */
bool path_is_safe(const char *path);

/* Compare secrets in constant time. */
bool secret_equal(const void *a, const void *b, size_t n);

#endif
