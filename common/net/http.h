/* http: what server and client share: methods, headers, status texts, URL splitting. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum http_method {
    HTTP_M_GET,
    HTTP_M_HEAD,
    HTTP_M_POST,
    HTTP_M_PUT,
    HTTP_M_PATCH,
    HTTP_M_DELETE,
    HTTP_M_OPTIONS,
    HTTP_M_OTHER
};
const char *http_method_name(enum http_method m);

/* A list of header fields; names compare without case. */
struct http_headers {
    struct http_header {
        char *name, *value;
    } * items;
    size_t count, cap;
};
void http_headers_add(struct http_headers *h, const char *name, const char *value);
void http_headers_addf(struct http_headers *h, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const char *http_headers_get(const struct http_headers *h, const char *name); /* first; NULL if absent */
void http_headers_free(struct http_headers *h);

const char *http_status_text(int status);

/* "a=1&b=x%20y": the decoded value of one parameter, NULL if absent. Caller frees. */
char *http_query_get(const char *query, const char *name);
/* Percent-decode; NULL when malformed or when the result holds a NUL. Caller frees. */
char *http_percent_decode(const char *text, size_t n, bool plus_is_space);
void http_percent_encode(struct buf *out, const char *text); /* all but unreserved characters */

/* Split http://host:port/path or https://... */
struct http_url {
    bool tls;
    char host[256];
    int port;
    char *path; /* with query, at least "/"; owned */
};
int http_url_parse(const char *text, struct http_url *out, struct err *err);
void http_url_free(struct http_url *u);

/* Parse a Range header against a size (RFC 9110 section 14): 1 = one range in *first..*last, 0 = none or
 * ignorable, -1 = not satisfiable. Multiple ranges are ignored (the whole is sent). */
int http_range_parse(const char *value, int64_t size, int64_t *first, int64_t *last);

#endif
