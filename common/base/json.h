/* json: jansson, with errors that say where. JSON pointers are RFC 6901. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/nearest.h" /* nearest_name */
#include "base/place.h"   /* json_locate */

/* Parse a whole document: duplicate keys, NUL bytes and trailing text are errors, nesting is bounded. On
 * failure the err says line and column, and *line, *column (may be NULL) hold them, counted from 1. Caller
 * json_decref()s. */
json_t *json_parse(const char *text, size_t n, int *line, int *column, struct err *err);
json_t *json_parse_file(const char *path, size_t max_bytes, struct err *err);

/* Compact text of a value. Caller frees. */
char *json_text(const json_t *value);
void json_append(struct buf *b, const json_t *value);

/* Typed member access for messages and requests. The err names the member and what was expected. A missing
 * optional member leaves *out as it was and returns 0. */
int json_get_str(const json_t *o, const char *key, bool required, const char **out,
                 struct err *err); /* borrowed */
int json_get_int(const json_t *o, const char *key, bool required, int64_t *out, struct err *err);
int json_get_real(const json_t *o, const char *key, bool required, double *out,
                  struct err *err); /* int or real */
int json_get_bool(const json_t *o, const char *key, bool required, bool *out, struct err *err);

/* An error for any member not in the NULL-ended list, naming the nearest known one. */
int json_only_members(const json_t *o, const char *const *known, struct err *err);

#endif
