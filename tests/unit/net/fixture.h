/* fixture: a real server in a child process, and blocking sockets to talk to it byte by byte. */
#ifndef TESTS_NET_FIXTURE_H
#define TESTS_NET_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/err.h"
#include "net/http_server.h"

struct fixture {
    pid_t pid;
    int port;
    char origin[64];
    char dir[64]; /* temporary folder; file.bin (3 MiB of fixture_byte()) and, with TLS, cert.pem and key.pem
                   */
    char socket[80]; /* unix socket of the same server */
};

#define FIXTURE_FILE_SIZE (3 << 20)
unsigned char fixture_byte(int64_t at);

/* limits may be NULL. Fails the test when the server does not come up. */
void fixture_start(struct fixture *f, const struct http_server_limits *limits, bool tls);
/* Ask it to shut down; fails the test unless it ends with 0 (sanitizers included). */
void fixture_stop(struct fixture *f);
long fixture_rss_kib(const struct fixture *f);
void fixture_make_certificate(const char *dir);

/* fixture_routes.c: what the server answers; see there. */
struct routes;
struct routes *routes_create(struct event_base *base, const char *dir);
void routes_destroy(struct routes *r);
void routes_on_request(struct http_req *r, void *arg);

/* Blocking socket; 10 s time-outs. */
int dial(const struct fixture *f);
void send_text(int fd, const char *text);
/* Everything until the peer closes (appended, at most 64 MiB). -1 on reset or time-out. */
int read_all(int fd, struct buf *out);
/* One whole response with Content-Length or chunked body; status is returned, body is appended to *body (may
 * be NULL), the head to *head (may be NULL). 0 when the connection ended. */
int read_response(int fd, bool head_only, struct buf *head, struct buf *body);
/* Send text, read one response, return its status. */
int ask(const struct fixture *f, const char *text, struct buf *body);
int64_t stat_of(const struct fixture *f, const char *name); /* a counter of /stats */
void wait_for_stat(const struct fixture *f, const char *name, int64_t value);

#endif
