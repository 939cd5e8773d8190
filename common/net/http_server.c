#include "net/http_conn.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "net/address.h"
#include "net/ws_engine.h"

/* ---- clock ---- */

const char *server_date(struct http_server *s)
{
    time_t now = time(NULL);
    if (now != s->date_at) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        s->date_at = now;
    }
    return s->date;
}

static bool sleeping_listeners(const struct http_server *s)
{
    struct http_listener *l;
    TAILQ_FOREACH(l, &s->listeners, link)
    if (l->sleeping)
        return true;
    return false;
}

void server_keep_ticking(struct http_server *s)
{
    if (!event_pending(s->tick, EV_TIMEOUT, NULL))
        event_add(s->tick, &(struct timeval){.tv_sec = 1});
}

/* The only place that ends connections in bulk, so that no loop over them is pulled from under another. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    double now = time_monotonic();
    for (struct http_conn *c = TAILQ_FIRST(&s->conns), *next; c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (s->stopping && (c->state == CONN_IDLE || c->state == CONN_HEADERS))
            conn_drop(c);
        else
            conn_check_clock(c, now);
    }
    struct http_listener *l;
    TAILQ_FOREACH(l, &s->listeners, link)
    if (l->sleeping) {
        l->sleeping = false;
        evconnlistener_enable(l->evl);
    }
    if (!TAILQ_EMPTY(&s->conns) || sleeping_listeners(s))
        server_keep_ticking(s);
    server_stopped_check(s);
}

/* ---- listening ---- */

static void refuse_full(evutil_socket_t fd, bool tls)
{
    static const char FULL[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Retry-After: 5\r\nConnection: close\r\n\r\n"
        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
        "\"detail\":\"too many connections are open; try again in a moment\"}";
    if (!tls && send(fd, FULL, sizeof FULL - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("http", "could not tell a peer that the server is full");
    evutil_closesocket(fd);
}

static void on_accept(struct evconnlistener *evl, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
    (void)evl;
    (void)len;
    struct http_listener *l = arg;
    struct http_server *s = l->server;
    if (s->count >= s->limits.max_connections) {
        refuse_full(fd, l->tls != NULL);
        return;
    }
    int one = 1;
    if (sa->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct bufferevent *bev = NULL;
    SSL *ssl = l->tls ? SSL_new(l->tls) : NULL;
    if (ssl)
        bev = bufferevent_openssl_socket_new(s->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE);
    else if (!l->tls)
        bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        evutil_closesocket(fd);
        return;
    }
    if (ssl)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1); /* HTTP has its own framing */
    char peer[64];
    net_address_format(sa, peer, sizeof peer);
    conn_create(s, bev, ssl != NULL, peer);
}

static void on_accept_error(struct evconnlistener *evl, void *arg)
{
    struct http_listener *l = arg;
    log_warn("http", "cannot accept connections for a second", KV_S("reason", strerror(errno)));
    evconnlistener_disable(evl); /* out of descriptors: trying at once would spin */
    l->sleeping = true;
    server_keep_ticking(l->server);
}

/* A socket file whose server is dead may be taken over, a live one's not. */
static void remove_dead_socket(const struct net_address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)&a->sa, a->len) && errno == ECONNREFUSED)
        unlink(((const struct sockaddr_un *)&a->sa)->sun_path);
    close(fd);
}

static int bind_socket(const char *address, const struct net_address *a, struct err *err)
{
    int family = a->sa.ss_family, one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot make a socket for %s: %s", address, strerror(errno));
    if (family == AF_UNIX)
        remove_dead_socket(a);
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    mode_t mask = umask(0077); /* a socket file is for its owner */
    int rc = bind(fd, (const struct sockaddr *)&a->sa, a->len);
    umask(mask);
    if (rc == 0 && listen(fd, 1024) == 0)
        return fd;
    int e = errno;
    close(fd);
    if (e == EADDRINUSE)
        return err_set(err, ERR_CONFLICT, "another program listens on %s; stop it or choose another address",
                       address);
    return err_set(err, ERR_IO, "cannot listen on %s: %s", address, strerror(e));
}

static void note_port(struct http_server *s, int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (s->port || getsockname(fd, (struct sockaddr *)&sa, &len))
        return;
    if (sa.ss_family == AF_INET)
        s->port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
    else if (sa.ss_family == AF_INET6)
        s->port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
}

int http_server_listen(struct http_server *s, const char *address, struct ssl_ctx_st *tls, struct err *err)
{
    struct net_address a;
    if (net_address_parse(address, true, &a, err))
        return -1;
    int fd = bind_socket(address, &a, err);
    if (fd < 0)
        return -1;
    struct http_listener *l = xcalloc(1, sizeof *l);
    l->server = s;
    l->evl = evconnlistener_new(s->base, on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!l->evl) {
        close(fd);
        free(l);
        return err_set(err, ERR_IO, "cannot wait for connections on %s", address);
    }
    evconnlistener_set_error_cb(l->evl, on_accept_error);
    if (tls) {
        SSL_CTX_up_ref(tls);
        l->tls = tls;
    }
    if (a.sa.ss_family == AF_UNIX)
        l->unix_path = xstrdup(((const struct sockaddr_un *)&a.sa)->sun_path);
    note_port(s, fd);
    TAILQ_INSERT_TAIL(&s->listeners, l, link);
    return 0;
}

int http_server_port(const struct http_server *s)
{
    return s->port;
}

static void close_listeners(struct http_server *s)
{
    struct http_listener *l;
    while ((l = TAILQ_FIRST(&s->listeners))) {
        TAILQ_REMOVE(&s->listeners, l, link);
        evconnlistener_free(l->evl);
        if (l->unix_path)
            unlink(l->unix_path);
        free(l->unix_path);
        SSL_CTX_free(l->tls);
        free(l);
    }
}

/* ---- WebSockets of this server ---- */

static void on_ws_gone(void *arg)
{
    struct http_ws_ref *ref = arg;
    struct http_server *s = ref->server;
    TAILQ_REMOVE(&s->sockets, ref, link);
    free(ref);
    s->count--;
    server_stopped_check(s);
}

void server_adopt_ws(struct http_server *s, struct ws *ws)
{
    struct http_ws_ref *ref = xcalloc(1, sizeof *ref);
    ref->server = s;
    ref->ws = ws;
    TAILQ_INSERT_TAIL(&s->sockets, ref, link);
    s->count++;
    ws_set_owner(ws, on_ws_gone, ref);
}

/* ---- beginning and end ---- */

struct http_server *http_server_create(struct event_base *base, const struct http_server_limits *limits,
                                       http_request_f on_request, void *arg)
{
    struct http_server *s = xcalloc(1, sizeof *s);
    s->base = base;
    s->on_request = on_request;
    s->arg = arg;
    if (limits)
        s->limits = *limits;
    struct http_server_limits *l = &s->limits;
    l->max_header_bytes = l->max_header_bytes ? l->max_header_bytes : 32768;
    if (l->max_header_bytes > 65536)
        l->max_header_bytes = 65536; /* http_parser's own bound is 80 KiB */
    l->max_connections = l->max_connections ? l->max_connections : 20000;
    l->header_seconds = l->header_seconds ? l->header_seconds : 10;
    l->idle_seconds = l->idle_seconds ? l->idle_seconds : 75;
    l->body_min_rate = l->body_min_rate ? l->body_min_rate : 100;
    l->body_window_seconds = l->body_window_seconds ? l->body_window_seconds : 30;
    TAILQ_INIT(&s->listeners);
    TAILQ_INIT(&s->conns);
    TAILQ_INIT(&s->reqs);
    TAILQ_INIT(&s->sockets);
    s->tick = event_new(base, -1, 0, on_tick, s);
    return s;
}

void server_stopped_check(struct http_server *s)
{
    if (!s->stopping || !s->on_stopped || !TAILQ_EMPTY(&s->conns) || !TAILQ_EMPTY(&s->sockets))
        return;
    event_add(s->grace,
              &(struct timeval){0}); /* from the loop: the caller may stand in the middle of a connection */
}

static void cut_all(struct http_server *s)
{
    struct http_ws_ref *ref;
    while ((ref = TAILQ_FIRST(&s->sockets)))
        ws_cut(ref->ws, 1001, "the server stops");
    for (struct http_conn *c = TAILQ_FIRST(&s->conns), *next; c; c = next) {
        next = TAILQ_NEXT(c, link);
        conn_drop(c);
    }
}

static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_server *s = arg;
    void (*done)(void *) = s->on_stopped;
    s->on_stopped = NULL;
    cut_all(s);
    if (done)
        done(s->stopped_arg);
}

void http_server_shutdown(struct http_server *s, int grace_seconds, void (*done)(void *arg), void *arg)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->on_stopped = done;
    s->stopped_arg = arg;
    close_listeners(s);
    s->grace = event_new(s->base, -1, 0, on_grace_over, s);
    event_add(s->grace, &(struct timeval){.tv_sec = grace_seconds});
    struct http_ws_ref *ref;
    TAILQ_FOREACH(ref, &s->sockets, link)
    ws_close(ref->ws, 1001, "the server stops");
    event_active(s->tick, EV_TIMEOUT, 0); /* drops the idle ones */
}

void http_server_destroy(struct http_server *s)
{
    if (!s)
        return;
    s->stopping = true;
    s->on_stopped = NULL;
    close_listeners(s);
    cut_all(s);
    /* Streams still open hear of it now: the loop may not run again. */
    for (struct http_req *r = TAILQ_FIRST(&s->reqs), *next; r; r = next) {
        next = TAILQ_NEXT(r, link);
        if (event_pending(r->later, EV_TIMEOUT, NULL)) {
            event_del(r->later);
            body_later(r);
        }
    }
    struct http_req *r;
    while ((r = TAILQ_FIRST(&s->reqs))) { /* their handlers still owe the reply that frees them */
        TAILQ_REMOVE(&s->reqs, r, link);
        r->server = NULL;
    }
    event_free(s->tick);
    if (s->grace)
        event_free(s->grace);
    free(s);
}
