/* The server's side of the handshake: RFC 6455 section 4.2. */
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include "net/http_conn.h"
#include "net/ws_engine.h"

/* Does a comma-separated field hold the word? */
static bool field_has(const char *value, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = value; p && *p;) {
        p += strspn(p, ", \t");
        size_t len = strcspn(p, ",");
        size_t trimmed = len;
        while (trimmed && (p[trimmed - 1] == ' ' || p[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed == n && strncasecmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static bool key_is_proper(const char *key)
{
    unsigned char raw[24];
    return key && strlen(key) == 24 && strcmp(key + 22, "==") == 0 &&
           EVP_DecodeBlock(raw, (const unsigned char *)key, 24) == 18;
}

/* Why this is no upgrade to WebSocket; NULL when it is one. */
static const char *objection(const struct http_req *r)
{
    if (r->method != HTTP_M_GET || r->http_1_0 || r->body != BODY_NONE)
        return "a WebSocket begins with GET, HTTP/1.1 and no body";
    if (!field_has(http_req_header(r, "Upgrade"), "websocket") ||
        !field_has(http_req_header(r, "Connection"), "upgrade"))
        return "this address speaks WebSocket: the request must carry \"Connection: Upgrade\" and \"Upgrade: "
               "websocket\"";
    if (!key_is_proper(http_req_header(r, "Sec-WebSocket-Key")))
        return "Sec-WebSocket-Key must be 16 random bytes in base64";
    return NULL;
}

static void write_switch(struct http_req *r, const char *subprotocol)
{
    char accept[29];
    ws_accept_value(http_req_header(r, "Sec-WebSocket-Key"), accept);
    struct evbuffer *out = bufferevent_get_output(r->conn->bev);
    evbuffer_add_printf(out,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n",
                        accept);
    if (subprotocol)
        evbuffer_add_printf(out, "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
    for (size_t i = 0; i < r->out.count; i++)
        evbuffer_add_printf(out, "%s: %s\r\n", r->out.items[i].name, r->out.items[i].value);
    evbuffer_add(out, "\r\n", 2);
}

struct ws *http_upgrade_ws(struct http_req *r, const char *subprotocol, const struct ws_handlers *h,
                           void *arg)
{
    struct err e;
    const char *why = objection(r);
    const char *version = http_req_header(r, "Sec-WebSocket-Version");
    if (!why && (!version || strcmp(version, "13") != 0)) {
        http_req_add_header(r, "Sec-WebSocket-Version", "13");
        http_reply(r, 426, "text/plain; charset=utf-8", "this server speaks WebSocket version 13\n", 40);
        return NULL;
    }
    if (why || !r->conn || r->server->stopping) {
        if (why)
            err_set(&e, ERR_INVALID, "%s", why);
        else
            err_set(&e, ERR_UNAVAILABLE, "the server is going down");
        http_reply_err(r, &e);
        return NULL;
    }
    struct http_server *s = r->server;
    write_switch(r, subprotocol);
    struct bufferevent *bev = conn_release(r->conn);
    req_free(r);
    struct ws *ws = ws_create(s->base, true, h, arg);
    server_adopt_ws(s, ws);
    ws_attach(ws, bev);
    return ws;
}
