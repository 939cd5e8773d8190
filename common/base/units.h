/* units: sizes, durations and times as people write them. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

int units_parse_size(const char *text, int64_t *bytes,
                     struct err *err); /* 512, 64K, 1.5G, 2GiB: powers of 1024 */
int units_parse_duration(const char *text, int64_t *seconds, struct err *err); /* 90, 90s, 5m, 2h, 1d */
void units_format_size(int64_t bytes, char *out, size_t n);                    /* "1.5 GiB" */
void units_format_duration(double seconds, char *out, size_t n);               /* "1h 02m", "12.3s" */

double time_now(void);       /* wall clock, seconds since 1970, microsecond resolution */
int64_t time_now_us(void);   /* the same in microseconds */
double time_monotonic(void); /* for intervals */
void time_format_rfc3339(double t, char *out, size_t n); /* 2026-11-23T14:15:29.123Z; n >= 25 */

#endif
