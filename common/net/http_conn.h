/* http_conn: the server's private shape: server, connection, request, and who calls whom among
 * http_server.c (listeners, shutdown), http_conn.c (the life of a connection), http_parse.c (bytes to a
 * request), http_body.c (request bodies), http_req.c (accessors, lifetime) and http_reply.c (answers).
 *
 * A connection is in one state. Input is looked at by conn_process() only; it is never re-entered: code that
 * runs inside a handler changes state and the outer loop goes on (conn->busy). A connection that ends cuts
 * its request loose (req->conn = NULL); the request lives until its reply. Nothing here calls a handler for a
 * peer that has gone except through req->later, from the event loop.
 */
#ifndef NET_HTTP_CONN_H
#define NET_HTTP_CONN_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <sys/queue.h>
#include "net/http_server.h"
#include "net/parser.h"
#include "net/ws.h"

#define HTTP_MAX_REQUEST_LINE 8192
#define HTTP_MAX_FIELDS       200
#define HTTP_STALL_SECONDS    60.0 /* a peer that takes nothing of a reply for so long is dropped */
#define HTTP_LINGER_SECONDS   5.0  /* how long a refused upload is read away so that its reply arrives */
#define HTTP_OUTPUT_HIGH      (256 * 1024)

enum conn_state {
    CONN_IDLE,    /* no byte of a request yet */
    CONN_HEADERS, /* some bytes */
    CONN_REQUEST, /* the handler has it; its body may be coming */
    CONN_FLUSH,   /* final reply given, going out */
    CONN_LINGER,  /* write side closed, reading away what the peer still sends */
};

struct http_conn {
    TAILQ_ENTRY(http_conn) link;
    struct http_server *server;
    struct bufferevent *bev;
    enum conn_state state;
    bool busy, dead, eof, tls, close_after;
    http_parser parser;
    struct http_req *req; /* the one being parsed or answered; NULL between requests */
    size_t scanned;       /* bytes of the input that hold no end of headers */
    double since;         /* when the state began */
    double moved;         /* when output last went out */
    double window;        /* start of the body's rate window */
    int64_t window_bytes;
    int file_fd; /* reply file still to be copied into the output (TLS only); -1 none */
    int64_t file_at, file_left;
    char peer[64];
};

enum body_state {
    BODY_NONE,    /* none was announced */
    BODY_WAITING, /* announced, nobody asked for it */
    BODY_READING,
    BODY_DONE,
    BODY_BROKEN, /* stopped by handler, limit, framing or peer: the connection cannot be reused */
};

struct http_req {
    TAILQ_ENTRY(http_req) link;
    struct http_server *server; /* NULL when it was destroyed */
    struct http_conn *conn;     /* NULL: the peer has gone */
    struct event_base *base;
    enum http_method method;
    char *path, *query;
    char peer[64];
    struct http_headers headers, out, cookies;
    bool tls, http_1_0, keep_alive, expect_continue, cookies_parsed;
    int64_t content_length;

    enum body_state body;
    bool message_complete, paused, asked;
    http_body_f on_whole;
    http_data_f on_data;
    http_end_f on_end;
    void *body_arg;
    struct buf whole;
    int64_t max, got;
    struct err body_err; /* why the body ended early */

    bool started, chunked; /* a streamed reply */
    void (*on_drain)(struct http_req *r, void *arg);
    void *drain_arg;

    struct event *later; /* tells the handler of a peer that has gone */
    void *data;
    void (*data_destroy)(void *data);
};

struct http_ws_ref {
    TAILQ_ENTRY(http_ws_ref) link;
    struct http_server *server;
    struct ws *ws;
};

struct http_listener {
    TAILQ_ENTRY(http_listener) link;
    struct http_server *server;
    struct evconnlistener *evl;
    struct ssl_ctx_st *tls;
    char *unix_path; /* removed in the end */
    bool sleeping;   /* out of descriptors: accepts again at the next tick */
};

struct http_server {
    struct event_base *base;
    struct http_server_limits limits;
    http_request_f on_request;
    void *arg;
    TAILQ_HEAD(, http_listener) listeners;
    TAILQ_HEAD(, http_conn) conns;
    TAILQ_HEAD(, http_req) reqs;
    TAILQ_HEAD(, http_ws_ref) sockets;
    int count; /* connections and WebSockets */
    int port;
    struct event *tick; /* every second while there are connections: the one place that looks at clocks */
    bool stopping;
    struct event *grace;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
    char date[40];
    time_t date_at;
};

/* http_server.c */
void server_stopped_check(struct http_server *s);
const char *server_date(struct http_server *s);
void server_keep_ticking(struct http_server *s);

/* http_conn.c */
void conn_create(struct http_server *s, struct bufferevent *bev, bool tls, const char *peer);
void conn_process(struct http_conn *c); /* look at the input */
void conn_wake(struct http_conn *c);    /* the same, from the event loop */
void conn_drop(struct http_conn *c);    /* close at once */
void conn_set_state(struct http_conn *c, enum conn_state state);
void conn_replied(struct http_conn *c); /* the final reply is in the output */
void conn_check_clock(struct http_conn *c, double now);
struct bufferevent *conn_release(struct http_conn *c); /* give the bufferevent away (WebSocket) and go */

/* http_parse.c: 1 = conn->req is ready, 0 = more bytes wanted, else the status to refuse with and a detail.
 */
int conn_parse_head(struct http_conn *c, char *detail, size_t n);
const http_parser_settings *parse_body_settings(void);

/* http_body.c */
bool body_step(struct http_conn *c);                                      /* true: go on */
void body_fail(struct http_req *r, enum err_code code, const char *text); /* end it early, tell the handler */
void body_on_data(struct http_req *r, const void *p, size_t n);
void body_later(struct http_req *r);

/* http_req.c */
struct http_req *req_create(struct http_conn *c);
void req_orphan(struct http_req *r); /* the peer has gone */
void req_free(struct http_req *r);

/* http_reply.c */
void reply_refuse(struct http_conn *c, int status, const char *detail); /* before there is a request */

#endif
