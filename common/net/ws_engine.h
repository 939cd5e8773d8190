/* ws_engine: what ws_server.c and ws_client.c need of ws.c. */
#ifndef NET_WS_ENGINE_H
#define NET_WS_ENGINE_H

#include <event2/bufferevent.h>
#include "base/buf.h"
#include "net/ws.h"

struct http_server;

/* A WebSocket that is not connected yet (bev NULL) or whose handshake is done. Takes bev. */
struct ws *ws_create(struct event_base *base, bool server, const struct ws_handlers *h, void *arg);
/* The handshake is done: frames flow on bev from now on. Calls on_open for a client. */
void ws_attach(struct ws *ws, struct bufferevent *bev);
/* Called once when the ws is freed, after on_close. */
void ws_set_owner(struct ws *ws, void (*gone)(void *arg), void *arg);
/* End at once, with on_close. */
void ws_cut(struct ws *ws, int code, const char *reason);
/* What a client's handshake hangs on the ws: freed before the ws is. */
void ws_set_handshake(struct ws *ws, void *state, void (*destroy)(void *state));
void *ws_handshake(const struct ws *ws);
/* Sec-WebSocket-Accept for a key; out has 29 bytes. */
void ws_accept_value(const char *key, char out[29]);

void server_adopt_ws(struct http_server *s, struct ws *ws); /* http_server.c */

#endif
