#include "net/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int parse_unix(const char *path, struct net_address *out, struct err *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->sa;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof un->sun_path)
        return err_set(err, ERR_INVALID, "the socket path \"%.120s\" must have 1 to %zu bytes, it has %zu",
                       path, sizeof un->sun_path - 1, n);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n + 1);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return 0;
}

int net_address_resolve(const char *host, int port, struct net_address *out, struct err *err)
{
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc)
        return err_set(err, ERR_UNAVAILABLE, "cannot find the host \"%s\": %s", host, gai_strerror(rc));
    *out = (struct net_address){.len = list->ai_addrlen};
    memcpy(&out->sa, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

int net_address_parse(const char *text, bool allow_port_0, struct net_address *out, struct err *err)
{
    *out = (struct net_address){0};
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out, err);
    const char *colon = strrchr(text, ':');
    char host[256];
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : -1;
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (!colon || n == 0 || n >= sizeof host || end == colon + 1 || *end || port < (allow_port_0 ? 0 : 1) ||
        port > 65535 || colon[1] == '-' || colon[1] == '+' || colon[1] == ' ')
        return err_set(err, ERR_INVALID,
                       "\"%.200s\" is no address: expected HOST:PORT such as 127.0.0.1:7878, or unix:/path",
                       text);
    memcpy(host, text, n);
    host[n] = '\0';
    if (host[0] == '[' && host[n - 1] == ']') {
        memmove(host, host + 1, n - 2);
        host[n - 2] = '\0';
    }
    return net_address_resolve(host, (int)port, out, err);
}

void net_address_format(const struct sockaddr *sa, char *out, size_t n)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, n, "%s:%d", host, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(out, n, "[%s]:%d", host, ntohs(in6->sin6_port));
    } else {
        snprintf(out, n, "unix");
    }
}
