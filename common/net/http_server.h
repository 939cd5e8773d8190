/* http_server: HTTP/1.1 on libevent bufferevents with http_parser; bodies stream to their handler.
 *
 * Runs on one event_base, one thread. A connection is: read headers -> on_request(req) -> the handler chooses
 * what becomes of the body -> exactly one reply -> keep-alive or close. Pipelined requests are answered in
 * order, one at a time.
 *
 * Lifetime rule: a request stays valid from on_request until the handler has given exactly one final reply
 * (http_reply*, http_reply_end, http_upgrade_ws), even when the peer has gone meanwhile: then the reply is
 * dropped silently, but it must still be given, and it frees the request. http_req_gone() tells whether
 * anyone still listens.
 *
 * Enforced here, before any handler runs: header size, request-line size, idle time, slow headers, slow
 * bodies (bytes per second), a body both chunked and with Content-Length, bad framing (RFC 9112):
 * 400/408/413/431/501 as problem+json.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "net/http.h"

struct http_server;
struct http_req;
struct ssl_ctx_st; /* SSL_CTX */

struct http_server_limits {
    size_t max_header_bytes; /* 0: 32 KiB */
    int max_connections;     /* 0: 20000; beyond, new connections get 503 and close */
    int header_seconds;      /* 0: 10; from first byte to end of headers */
    int idle_seconds;        /* 0: 75; keep-alive */
    int body_min_rate;       /* 0: 100 bytes/s averaged over body_window_seconds, below it 408 */
    int body_window_seconds; /* 0: 30 */
};

/* Called when the headers are complete; the body has not been read. */
typedef void (*http_request_f)(struct http_req *req, void *arg);

struct http_server *http_server_create(struct event_base *base, const struct http_server_limits *limits,
                                       http_request_f on_request, void *arg);
/* Listen on "127.0.0.1:7878", "[::1]:0" or "unix:/path". tls may be NULL. May be called several times. */
int http_server_listen(struct http_server *s, const char *address, struct ssl_ctx_st *tls, struct err *err);
int http_server_port(const struct http_server *s); /* of the first TCP listener: what port 0 became */
/* Stop accepting, close idle connections, let requests in flight end; then call done. WebSockets get close
 * 1001. */
void http_server_shutdown(struct http_server *s, int grace_seconds, void (*done)(void *arg), void *arg);
void http_server_destroy(struct http_server *s); /* drops what is open; NULL is legal */

/* Read a certificate chain and key (PEM) into an SSL_CTX with modern defaults. Caller SSL_CTX_free()s. */
struct ssl_ctx_st *http_tls_load(const char *cert_file, const char *key_file, struct err *err);

/* The request. Strings live as long as the request. */
enum http_method http_req_method(const struct http_req *r);
const char *
http_req_path(const struct http_req *r); /* decoded per segment is the router's job; raw, without query */
const char *http_req_query(const struct http_req *r); /* raw, "" if none */
const char *http_req_header(const struct http_req *r, const char *name);
const char *http_req_cookie(struct http_req *r, const char *name); /* NULL if absent */
const char *http_req_peer(const struct http_req *r);               /* "127.0.0.1:51234" or "unix" */
bool http_req_tls(const struct http_req *r);
bool http_req_gone(const struct http_req *r);
int64_t http_req_content_length(const struct http_req *r); /* -1: chunked or none */
void *http_req_data(const struct http_req *r);             /* one pointer for the application */
void http_req_set_data(struct http_req *r, void *data, void (*destroy)(void *data));

/* Choose ONE of these in or after on_request; until then the connection does not read. "Expect: 100-continue"
 * is answered when a body is asked for. Replying without asking for the body closes the connection after the
 * reply if a body was announced. */

/* Hold the whole body, at most max bytes (else 413 is replied and done is never called). */
typedef void (*http_body_f)(struct http_req *r, const char *body, size_t n, void *arg);
void http_req_read_body(struct http_req *r, size_t max, http_body_f done, void *arg);

/* Stream: on_data for each piece as it arrives (never kept), then on_end with error NULL, or with a reason
 * when the peer went away or broke the framing or max was passed; after on_end the handler must reply.
 * on_data may call http_req_pause() to stop reading (back-pressure) and http_req_resume() later. A non-zero
 * return of on_data stops the stream: on_end is not called and the handler must reply itself. */
typedef int (*http_data_f)(struct http_req *r, const void *p, size_t n, void *arg);
typedef void (*http_end_f)(struct http_req *r, const struct err *error, void *arg);
void http_req_stream_body(struct http_req *r, int64_t max, http_data_f on_data, http_end_f on_end, void *arg);
void http_req_pause(struct http_req *r);
void http_req_resume(struct http_req *r);

/* Reply headers are collected here before the reply. */
void http_req_add_header(struct http_req *r, const char *name, const char *value);
void http_req_add_headerf(struct http_req *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Final replies. HEAD sends the same headers without the body. */
void http_reply(struct http_req *r, int status, const char *content_type, const void *body, size_t n);
void http_reply_err(struct http_req *r, const struct err *err); /* problem+json from code and text */
/* A file by sendfile: takes fd and closes it. Answers Range and If-None-Match (etag: quoted, may be NULL). */
void http_reply_file(struct http_req *r, int fd, int64_t size, const char *content_type, const char *etag);
/* Streaming: start, any number of chunks, end. on_drain is called when the send buffer is empty again (write
 * more). */
void http_reply_start(struct http_req *r, int status, const char *content_type,
                      void (*on_drain)(struct http_req *r, void *arg), void *arg);
void http_reply_chunk(struct http_req *r, const void *p, size_t n);
void http_reply_end(struct http_req *r);

#endif
