#include "net/http.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"

static const char *const METHOD_NAMES[] = {"GET",   "HEAD",   "POST",    "PUT",
                                           "PATCH", "DELETE", "OPTIONS", "OTHER"};

const char *http_method_name(enum http_method m)
{
    return (size_t)m < ARRAY_LEN(METHOD_NAMES) ? METHOD_NAMES[m] : "OTHER";
}

/* ---- header lists ---- */

/* A value that carries a line end would let its author write header fields of his own. */
static void blunt(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 && *s != '\t')
            *s = ' ';
}

void http_headers_add(struct http_headers *h, const char *name, const char *value)
{
    h->items = vec_grow(h->items, &h->cap, h->count + 1, sizeof *h->items);
    struct http_header *item = &h->items[h->count++];
    item->name = xstrdup(name);
    item->value = xstrdup(value ? value : "");
    blunt(item->name);
    blunt(item->value);
}

void http_headers_addf(struct http_headers *h, const char *name, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    http_headers_add(h, name, buf_str(&b));
    buf_free(&b);
}

const char *http_headers_get(const struct http_headers *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (strcasecmp(h->items[i].name, name) == 0)
            return h->items[i].value;
    return NULL;
}

void http_headers_free(struct http_headers *h)
{
    for (size_t i = 0; i < h->count; i++) {
        free(h->items[i].name);
        free(h->items[i].value);
    }
    free(h->items);
    *h = (struct http_headers){0};
}

/* ---- status texts ---- */

static const struct {
    int status;
    const char *text;
} STATUS_TEXTS[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {460, "Checksum Mismatch"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(STATUS_TEXTS); i++)
        if (STATUS_TEXTS[i].status == status)
            return STATUS_TEXTS[i].text;
    return "Unknown";
}

/* ---- percent coding and queries ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *http_percent_decode(const char *text, size_t n, bool plus_is_space)
{
    char *out = xmalloc(n + 1);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '%') {
            int hi = i + 2 < n ? hex_value(text[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(text[i + 2]) : -1;
            if (lo < 0)
                goto malformed;
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            goto malformed;
        out[len++] = c;
    }
    out[len] = '\0';
    return out;
malformed:
    free(out);
    return NULL;
}

void http_percent_encode(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p < 0x80 && isalnum(*p)) || strchr("-._~", *p);
        if (plain)
            buf_putc(out, (char)*p);
        else
            buf_printf(out, "%%%02X", *p);
    }
}

char *http_query_get(const char *query, const char *name)
{
    for (const char *p = query; p && *p;) {
        size_t len = strcspn(p, "&");
        const char *eq = memchr(p, '=', len);
        size_t key_len = eq ? (size_t)(eq - p) : len;
        char *key = http_percent_decode(p, key_len, true);
        bool match = key && strcmp(key, name) == 0;
        free(key);
        if (match)
            return eq ? http_percent_decode(eq + 1, len - key_len - 1, true) : xstrdup("");
        p += len + (p[len] == '&');
    }
    return NULL;
}

/* ---- URLs ---- */

static int parse_port(const char *text, size_t n, int *port)
{
    if (n == 0 || n > 5)
        return -1;
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        v = v * 10 + (text[i] - '0');
    }
    if (v < 1 || v > 65535)
        return -1;
    *port = v;
    return 0;
}

int http_url_parse(const char *text, struct http_url *out, struct err *err)
{
    static const struct {
        const char *scheme;
        bool tls;
    } SCHEMES[] = {{"http://", false}, {"https://", true}, {"ws://", false}, {"wss://", true}};

    *out = (struct http_url){0};
    const char *p = NULL;
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES) && !p; i++) {
        size_t n = strlen(SCHEMES[i].scheme);
        if (strncasecmp(text, SCHEMES[i].scheme, n) == 0) {
            p = text + n;
            out->tls = SCHEMES[i].tls;
        }
    }
    if (!p)
        return err_set(err, ERR_INVALID, "\"%.200s\" is no URL: it must begin with http:// or https://",
                       text);
    size_t len = strcspn(p, "/?#");
    if (memchr(p, '@', len))
        return err_set(err, ERR_INVALID, "a URL here must not hold a user or password");
    const char *host = p, *end = p + len, *colon;
    size_t host_len;
    if (*p == '[') {
        const char *close = memchr(p, ']', len);
        if (!close || (close + 1 < end && close[1] != ':'))
            return err_set(err, ERR_INVALID, "the address in \"%.200s\" lacks its ]", text);
        host = p + 1;
        host_len = (size_t)(close - host);
        colon = close + 1 < end ? close + 1 : NULL;
    } else {
        colon = memchr(p, ':', len);
        host_len = colon ? (size_t)(colon - p) : len;
    }
    if (host_len == 0 || host_len >= sizeof out->host)
        return err_set(err, ERR_INVALID, "the URL \"%.200s\" names no host", text);
    for (size_t i = 0; i < host_len; i++)
        if ((unsigned char)host[i] <= 0x20 || host[i] == 0x7f)
            return err_set(err, ERR_INVALID, "the host of \"%.200s\" holds a blank", text);
    memcpy(out->host, host, host_len);
    out->port = out->tls ? 443 : 80;
    if (colon && parse_port(colon + 1, (size_t)(end - colon - 1), &out->port))
        return err_set(err, ERR_INVALID, "the port of \"%.200s\" must be a number from 1 to 65535", text);
    size_t path_len = strcspn(end, "#");
    for (size_t i = 0; i < path_len; i++)
        if ((unsigned char)end[i] <= 0x20 || end[i] == 0x7f)
            return err_set(err, ERR_INVALID, "the path of \"%.200s\" holds a blank", text);
    char *path = xstrndup(end, path_len);
    out->path = *path == '/' ? xstrdup(path) : xasprintf("/%s", path);
    free(path);
    return 0;
}

void http_url_free(struct http_url *u)
{
    free(u->path);
    u->path = NULL;
}

/* ---- ranges ---- */

/* A run of digits; -1 when there is none, INT64_MAX when it would not fit. */
static int64_t range_number(const char **p)
{
    if (**p < '0' || **p > '9')
        return -1;
    int64_t v = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++)
        v = v > (INT64_MAX - 9) / 10 ? INT64_MAX : v * 10 + (**p - '0');
    return v;
}

int http_range_parse(const char *value, int64_t size, int64_t *first, int64_t *last)
{
    if (!value || strncasecmp(value, "bytes=", 6) != 0)
        return 0;
    const char *p = value + 6;
    while (*p == ' ' || *p == '\t')
        p++;
    int64_t a = range_number(&p);
    if (*p++ != '-')
        return 0;
    int64_t b = range_number(&p);
    while (*p == ' ' || *p == '\t')
        p++;
    if (*p || (a < 0 && b < 0) || (a >= 0 && b >= 0 && b < a))
        return 0; /* several ranges, or no range at all: both may be ignored */
    if (a < 0) {  /* the last b bytes */
        if (b == 0 || size == 0)
            return -1;
        *first = b >= size ? 0 : size - b;
        *last = size - 1;
        return 1;
    }
    if (a >= size)
        return -1;
    *first = a;
    *last = b < 0 || b >= size ? size - 1 : b;
    return 1;
}
