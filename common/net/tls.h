/* tls: OpenSSL contexts and errors, for server and clients. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <event2/bufferevent.h>
#include <openssl/ssl.h>
#include "base/buf.h"
#include "base/err.h"

/* A client's context that verifies the peer: against ca_file (PEM), or the system's store when NULL. Caller
 * SSL_CTX_free()s. */
SSL_CTX *tls_client_context(const char *ca_file, struct err *err);
/* A connection to host on the context, with SNI and host name check. Caller owns it. */
SSL *tls_client_connection(SSL_CTX *ctx, const char *host, struct err *err);
/* Why a TLS bufferevent failed; "" when OpenSSL has nothing to say. */
void tls_describe(struct bufferevent *bev, struct buf *out);

#endif
