/* api: calls of the HTTP API, with the server's refusals as errors. */
#ifndef CLI_API_H
#define CLI_API_H

#include <jansson.h>
#include "base/err.h"
#include "cli/cli.h"

/* Do a call below /api/v1; body is stolen, may be NULL. 2xx: 0 and *out (caller json_decref()s, may be NULL for none; out may
 * be NULL). Else -1, with cli->problem holding what the server said. */
int api_call(struct cli *cli, enum http_method m, const char *path, json_t *body, json_t **out,
             struct err *err);
int api_get(struct cli *cli, json_t **out, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The general form: the call as it is (path with /api/v1), any response. -1 only when there is none. */
int api_do(struct cli *cli, const struct http_call *call, struct http_response *out, struct err *err);
/* Turn a response that is no 2xx into err and cli->problem; returns -1. */
int api_refused(struct cli *cli, const struct http_response *r, struct err *err);
/* All pages of a list appended to one array. path has its ? or not. Caller json_decref()s. */
json_t *api_list(struct cli *cli, const char *path, struct err *err);
char *api_escape(const char *text); /* percent-encoded; caller frees */

/* Print a value as the API gave it, one line. */
void api_print(const json_t *value);
/* A member's text; "" when absent or null. Borrowed. */
const char *jstr(const json_t *o, const char *key);
int64_t jint(const json_t *o, const char *key);
double jreal(const json_t *o, const char *key);

#endif
