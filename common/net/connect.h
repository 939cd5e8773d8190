/* connect: an outgoing connection as a bufferevent. */
#ifndef NET_CONNECT_H
#define NET_CONNECT_H

#include <event2/bufferevent.h>
#include <openssl/ssl.h>
#include "base/err.h"
#include "net/http.h"

/* Begin to connect: to unix_path, or to the URL's host and port, with TLS when tls is not NULL.
 * BEV_EVENT_CONNECTED comes later through the callbacks the caller sets. Caller owns it. */
struct bufferevent *net_connect(struct event_base *base, const struct http_url *url, const char *unix_path,
                                SSL_CTX *tls, struct err *err);

#endif
