/* http_client: HTTP/1.1 requests on a loop, with keep-alive per client, streaming in both directions.
 *
 * One client talks to one origin (http, https or unix:/path) and does one request at a time; further ones
 * queue.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"
#include "net/http.h"

struct http_client;

struct http_response {
    int status;
    struct http_headers headers;
    struct buf body; /* empty when the body was streamed to on_data or a file */
};

/* Exactly once a request. On failure response is NULL and error says why. */
typedef void (*http_response_f)(const struct http_response *response, const struct err *error, void *arg);

struct http_call {
    enum http_method method;
    const char *path;                   /* with query */
    const struct http_headers *headers; /* may be NULL; copied */
    const void *body;                   /* copied; NULL when none or from a file */
    size_t body_len;
    const char *content_type;
    int body_fd; /* >= 0 with body_from_fd: body is body_len_fd bytes from body_offset; not closed */
    bool body_from_fd;
    int64_t body_offset, body_len_fd;
    /* Or: the body is made on the fly, body_total bytes; fills up to n bytes and returns how many (at least
     * 1), or -1 with err. NULL when not used. */
    ssize_t (*body_read)(void *p, size_t n, void *arg, struct err *err);
    int64_t body_total;
    void (*on_progress)(int64_t sent, int64_t total, void *arg); /* upload progress, may be NULL */
    /* Response body to here instead of response->body, only for 2xx; non-zero return aborts. May be NULL. */
    int (*on_data)(const void *p, size_t n, int64_t total /* -1 unknown */, void *arg);
    size_t max_response; /* bound of response->body; 0: 16 MiB */
    int timeout_seconds; /* without any progress; 0: 60 */
    http_response_f done;
    void *arg;
};

struct http_client *http_client_create(struct event_base *base, const char *origin_url,
                                       const char *bearer_token, const char *ca_file, struct err *err);
void http_client_send(struct http_client *c, const struct http_call *call);
void http_client_destroy(struct http_client *c); /* pending calls are dropped without done; NULL is legal */

/* Blocking form for command-line programs: runs the loop until the one call ends. 0 and *out filled (caller
 * frees with http_response_free) or -1. call->done is not used. */
int http_client_do(struct http_client *c, const struct http_call *call, struct http_response *out,
                   struct err *err);
void http_response_free(struct http_response *r);

#endif
