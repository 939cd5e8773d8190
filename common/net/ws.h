/* ws: WebSocket (RFC 6455) by wslay, server and client, on libevent. One type for both ends.
 *
 * A ws owns its connection. Callbacks run on the loop. After on_close the ws is gone: drop the pointer there.
 * Sending never blocks: it queues; ws_queued() tells how much waits, on_drain when it is empty. A slow reader
 * is the owner's to handle: look at ws_queued() before sending. Messages over max_message close with 1009;
 * pings are answered; a ping is sent every 20 s (ping_seconds) and the peer is given up after 3 unanswered.
 */
#ifndef NET_WS_H
#define NET_WS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "net/http.h"

struct ws;
struct http_req;

struct ws_handlers {
    void (*on_open)(struct ws *ws, void *arg);                             /* client: handshake done */
    void (*on_text)(struct ws *ws, const char *text, size_t n, void *arg); /* whole message, valid UTF-8 */
    void (*on_binary)(struct ws *ws, const void *p, size_t n, void *arg);  /* NULL: closed with 1003 */
    void (*on_drain)(struct ws *ws, void *arg);                            /* may be NULL */
    void (*on_close)(struct ws *ws, int code, const char *reason,
                     void *arg); /* exactly once; 1006: no close frame */
    size_t max_message;          /* 0: 1 MiB */
    int ping_seconds;            /* 0: 20 */
};

/* Server: answer an upgrade request with 101 and hand over the connection; this is the request's final reply.
 * subprotocol is echoed, or NULL. NULL and a 4xx reply when the request is no proper upgrade. */
struct ws *http_upgrade_ws(struct http_req *r, const char *subprotocol, const struct ws_handlers *h,
                           void *arg);

/* Client: connect to ws:// or wss:// (http:// and https:// are taken too). Fails later through
 * on_close(1006). extra may be NULL (copied). ca_file: PEM to trust for TLS, NULL: the system's. */
struct ws *ws_connect(struct event_base *base, const char *url, const char *subprotocol,
                      const struct http_headers *extra, const char *ca_file, const struct ws_handlers *h,
                      void *arg, struct err *err);

void ws_send_text(struct ws *ws, const char *text, size_t n);
void ws_send_binary(struct ws *ws, const void *p, size_t n);
size_t ws_queued(const struct ws *ws);
void *ws_arg(const struct ws *ws);
void ws_set_arg(struct ws *ws, void *arg);
void ws_close(struct ws *ws, int code,
              const char *reason); /* sends what is queued, then closes; on_close follows */
void ws_abort(struct ws *ws);      /* drop at once, without on_close */

#endif
