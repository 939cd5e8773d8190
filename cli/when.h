/* when: times of the API for people. */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include <stddef.h>

double when_parse(const char *rfc3339); /* seconds since 1970; negative when it is no time */
const char *when_ago(const char *rfc3339, char *out, size_t n); /* "3m 05s ago"; "-" for NULL */
/* The time between two, or until now when `to` is NULL; "-" when from is NULL. */
const char *when_took(const char *from, const char *to, char *out, size_t n);

#endif
