/* address: "127.0.0.1:7878", "[::1]:0", "localhost:80" and "unix:/path" as socket addresses. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include "base/err.h"

struct net_address {
    struct sockaddr_storage sa;
    socklen_t len;
};

int net_address_parse(const char *text, bool allow_port_0, struct net_address *out, struct err *err);
/* Resolve host and port (blocks in the resolver for a name). */
int net_address_resolve(const char *host, int port, struct net_address *out, struct err *err);
/* "127.0.0.1:51234", "[::1]:80" or "unix". */
void net_address_format(const struct sockaddr *sa, char *out, size_t n);

#endif
