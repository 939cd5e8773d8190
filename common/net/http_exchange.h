/* http_exchange: the client's private shape. http_client.c holds the queue and the blocking form,
 * http_client_io.c the connection and one exchange on it. */
#ifndef NET_HTTP_EXCHANGE_H
#define NET_HTTP_EXCHANGE_H

#include <event2/bufferevent.h>

#include <openssl/ssl.h>
#include <sys/queue.h>
#include "net/http_client.h"
#include "net/parser.h"

struct exchange {
    TAILQ_ENTRY(exchange) link;
    struct http_call call; /* own copies of path, headers, body and content type */
    char *path, *content_type, *body;
    struct http_headers headers;
    int64_t body_total, body_queued;

    struct http_response response;
    struct buf name, value; /* a header field that is arriving */
    int64_t received, expected;
    bool head_sent, any_byte, retried, complete;
    struct err failure; /* found inside the parser */

    struct http_response *keep; /* the blocking form moves the response here */
    struct err *keep_err;
    int *keep_rc; /* set to 0 or -1 in the end */
};

struct http_client {
    struct event_base *base;
    struct http_url url;
    char *origin, *unix_path, *token;
    SSL_CTX *tls;
    TAILQ_HEAD(, exchange) queue;
    struct exchange *now;
    struct bufferevent *bev;
    bool connected, reused, busy, dead;
    http_parser parser;
    struct event *kick, *timer;
    int64_t reported;
};

/* http_client_io.c */
void exchange_begin(struct http_client *c); /* c->now goes out */
void client_disconnect(struct http_client *c);
void exchange_timed_out(struct http_client *c);

/* http_client.c: c->now is over; err NULL: its response is complete. May free c. */
void exchange_over(struct http_client *c, const struct err *err);

#endif
