#include "net/connect.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/address.h"
#include "net/tls.h"

static int open_socket(const struct net_address *a, struct err *err)
{
    int one = 1;
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot make a socket: %s", strerror(errno));
    if (a->sa.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static struct bufferevent *new_bufferevent(struct event_base *base, int fd, const char *host, SSL_CTX *tls,
                                           struct err *err)
{
    if (!tls)
        return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    SSL *ssl = tls_client_connection(tls, host, err);
    if (!ssl)
        return NULL;
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    else
        SSL_free(ssl);
    return bev;
}

struct bufferevent *net_connect(struct event_base *base, const struct http_url *url, const char *unix_path,
                                SSL_CTX *tls, struct err *err)
{
    struct net_address a;
    char *text = unix_path ? xasprintf("unix:%s", unix_path) : NULL;
    int rc =
        text ? net_address_parse(text, false, &a, err) : net_address_resolve(url->host, url->port, &a, err);
    free(text);
    int fd = rc ? -1 : open_socket(&a, err);
    if (fd < 0)
        return NULL;
    struct bufferevent *bev = new_bufferevent(base, fd, url->host, tls, err);
    if (!bev) {
        close(fd);
        return NULL;
    }
    if (bufferevent_socket_connect(bev, (struct sockaddr *)&a.sa, (int)a.len)) {
        err_set(err, ERR_UNAVAILABLE, "cannot connect: %s", strerror(errno));
        bufferevent_free(bev);
        return NULL;
    }
    return bev;
}
