/* Bytes to a request. The header block is found first and looked at as a whole, so that what http_parser
 * tolerates and others read differently (bare line feeds, folded lines, blanks in names) is refused before it
 * is parsed. */
#include "net/http_conn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"

struct head {
    struct buf url, name, value;
    struct http_headers *headers;
    bool in_value;
    uint64_t content_length;
    bool chunked, has_length, keep_alive;
};

static void head_flush(struct head *h)
{
    while (h->value.len &&
           (h->value.data[h->value.len - 1] == ' ' || h->value.data[h->value.len - 1] == '\t'))
        h->value.data[--h->value.len] = '\0'; /* http_parser leaves blanks at the end */
    if (h->in_value)
        http_headers_add(h->headers, buf_str(&h->name), buf_str(&h->value));
    buf_clear(&h->name);
    buf_clear(&h->value);
    h->in_value = false;
}

static int on_url(http_parser *p, const char *at, size_t n)
{
    buf_add(&((struct head *)p->data)->url, at, n);
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct head *h = p->data;
    if (h->in_value)
        head_flush(h);
    buf_add(&h->name, at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct head *h = p->data;
    h->in_value = true;
    buf_add(&h->value, at, n);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct head *h = p->data;
    head_flush(h);
    h->chunked = p->flags & F_CHUNKED;
    h->has_length = p->flags & F_CONTENTLENGTH;
    h->content_length = p->content_length;
    h->keep_alive = http_should_keep_alive(p);
    return 0;
}

static const http_parser_settings HEAD_SETTINGS = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
};

static int refuse(char *detail, size_t n, int status, const char *text)
{
    snprintf(detail, n, "%s", text);
    return status;
}

/* ---- finding the block ---- */

/* Length of the header block with its empty line; 0: not there yet, -1: the first line ends in a bare line
 * feed. */
static ssize_t find_head(struct http_conn *c, struct evbuffer *in)
{
    struct evbuffer_ptr at, found;
    size_t len = evbuffer_get_length(in);
    evbuffer_ptr_set(in, &at, c->scanned > 3 ? c->scanned - 3 : 0, EVBUFFER_PTR_SET);
    found = evbuffer_search(in, "\r\n\r\n", 4, &at);
    if (found.pos >= 0)
        return found.pos + 4;
    struct evbuffer_ptr lf = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF);
    if (lf.pos >= 0) {
        struct evbuffer_ptr crlf = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_CRLF_STRICT);
        if (crlf.pos < 0 || crlf.pos > lf.pos)
            return -1;
    }
    c->scanned = len;
    return 0;
}

static bool is_token_char(unsigned char ch)
{
    return isalnum(ch) || (ch && strchr("!#$%&'*+-.^_`|~", ch));
}

/* Line discipline of RFC 9112: CRLF only, no folding, a token directly before each colon, no control
 * characters. */
static const char *check_lines(const char *p, size_t n)
{
    bool first = true;
    for (size_t i = 0; i < n;) {
        const char *cr = memchr(p + i, '\r', n - i);
        size_t end = (size_t)(cr - p); /* the block ends in CRLF, so there is one */
        if (p[end + 1] != '\n')
            return "a carriage return stands alone in the header";
        for (size_t k = i; k < end; k++)
            if (((unsigned char)p[k] < 0x20 && p[k] != '\t') || p[k] == 0x7f)
                return "the header holds a control character; lines must end in CR LF";
        if (!first && end > i) {
            size_t k = i;
            while (k < end && is_token_char((unsigned char)p[k]))
                k++;
            if (k == i && (p[i] == ' ' || p[i] == '\t'))
                return "a header field is folded over two lines";
            if (k == i || k == end || p[k] != ':')
                return "a header line is not of the form \"Name: value\"";
        }
        first = false;
        i = end + 2;
    }
    return NULL;
}

/* ---- from head to request ---- */

static enum http_method method_of(unsigned m)
{
    switch (m) {
    case HTTP_GET:
        return HTTP_M_GET;
    case HTTP_HEAD:
        return HTTP_M_HEAD;
    case HTTP_POST:
        return HTTP_M_POST;
    case HTTP_PUT:
        return HTTP_M_PUT;
    case HTTP_PATCH:
        return HTTP_M_PATCH;
    case HTTP_DELETE:
        return HTTP_M_DELETE;
    case HTTP_OPTIONS:
        return HTTP_M_OPTIONS;
    default:
        return HTTP_M_OTHER;
    }
}

/* The request target to path and query. Absolute form loses its origin. */
static bool split_target(struct http_req *r, const char *target)
{
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        target = strstr(target, "//") + 2;
        target += strcspn(target, "/?#");
        if (*target != '/')
            return false;
    }
    if (*target != '/' && strcmp(target, "*") != 0)
        return false;
    size_t path_len = strcspn(target, "?#");
    r->path = xstrndup(target, path_len);
    const char *q = target + path_len;
    r->query = *q == '?' ? xstrndup(q + 1, strcspn(q + 1, "#")) : xstrdup("");
    return true;
}

static size_t count_fields(const struct http_headers *h, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++)
        count += strcasecmp(h->items[i].name, name) == 0;
    return count;
}

/* What a request must have beyond its grammar. 0 or a status. */
static int check_request(struct http_conn *c, struct http_req *r, const struct head *h, char *detail,
                         size_t n)
{
    if (c->parser.http_major != 1)
        return refuse(detail, n, 505, "this server speaks HTTP/1.1 and HTTP/1.0");
    if (c->parser.method == HTTP_CONNECT)
        return refuse(detail, n, 501, "this server is no proxy");
    if (r->headers.count > HTTP_MAX_FIELDS)
        return refuse(detail, n, 431, "the request has too many header fields (at most 200)");
    size_t hosts = count_fields(&r->headers, "Host");
    if (hosts > 1 || (hosts == 0 && !r->http_1_0))
        return refuse(detail, n, 400, "the request must carry exactly one Host field");
    size_t codings = count_fields(&r->headers, "Transfer-Encoding");
    if (codings && (h->has_length || count_fields(&r->headers, "Content-Length")))
        return refuse(detail, n, 400, "a request must not carry both Content-Length and Transfer-Encoding");
    if (codings > 1 || (codings && r->http_1_0))
        return refuse(detail, n, 400, "Transfer-Encoding must stand once, and in HTTP/1.1 only");
    if (codings && strcasecmp(http_headers_get(&r->headers, "Transfer-Encoding"), "chunked") != 0)
        return refuse(detail, n, 501, "the only Transfer-Encoding understood here is \"chunked\"");
    if (count_fields(&r->headers, "Content-Length") > 1)
        return refuse(detail, n, 400, "a request must not carry Content-Length twice");
    if (h->has_length && h->content_length > (uint64_t)INT64_MAX)
        return refuse(detail, n, 413, "the announced body is larger than any file can be");
    const char *expect = http_headers_get(&r->headers, "Expect");
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return refuse(detail, n, 417, "the only expectation that can be met is 100-continue");
    r->expect_continue = expect && !r->http_1_0;
    return 0;
}

static int parse_error(struct http_conn *c, char *detail, size_t n)
{
    enum http_errno e = HTTP_PARSER_ERRNO(&c->parser);
    int status = e == HPE_INVALID_METHOD    ? 501
                 : e == HPE_INVALID_VERSION ? 505
                 : e == HPE_HEADER_OVERFLOW ? 431
                                            : 400;
    snprintf(detail, n, "the request is malformed: %s", http_errno_description(e));
    return status;
}

static int parse_block(struct http_conn *c, const char *text, size_t len, char *detail, size_t n)
{
    const char *wrong = check_lines(text, len);
    if (wrong)
        return refuse(detail, n, 400, wrong);
    struct http_req *r = req_create(c);
    struct head h = {.headers = &r->headers};
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = &h;
    size_t used = http_parser_execute(&c->parser, &HEAD_SETTINGS, text, len);
    c->parser.data = c;
    r->http_1_0 = c->parser.http_major == 1 && c->parser.http_minor == 0;
    int status = 0;
    if (used != len || HTTP_PARSER_ERRNO(&c->parser) != HPE_OK)
        status = parse_error(c, detail, n);
    else
        status = check_request(c, r, &h, detail, n);
    if (!status && !split_target(r, buf_str(&h.url)))
        status = refuse(detail, n, 400, "the request target must begin with /");
    buf_free(&h.url);
    buf_free(&h.name);
    buf_free(&h.value);
    if (status) {
        req_free(r);
        return status;
    }
    r->method = method_of(c->parser.method);
    r->keep_alive = h.keep_alive;
    r->content_length = h.has_length ? (int64_t)h.content_length : -1;
    bool body = h.chunked || (h.has_length && h.content_length > 0);
    r->body = body ? BODY_WAITING : BODY_NONE;
    r->message_complete = !body;
    c->req = r;
    return 1;
}

int conn_parse_head(struct http_conn *c, char *detail, size_t n)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    unsigned char start;
    if (evbuffer_copyout(in, &start, 1) == 1 && !is_token_char(start))
        return refuse(detail, n, 400,
                      start == 0x16 ? "this port speaks plain http, not https" : "this is no HTTP request");
    ssize_t len = find_head(c, in);
    if (len < 0)
        return refuse(detail, n, 400, "lines must end in CR LF");
    size_t seen = len ? (size_t)len : evbuffer_get_length(in);
    struct evbuffer_ptr eol = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_CRLF_STRICT);
    if (eol.pos > HTTP_MAX_REQUEST_LINE || (eol.pos < 0 && seen > HTTP_MAX_REQUEST_LINE))
        return refuse(detail, n, 414, "the request line is longer than 8 KiB");
    if (seen > c->server->limits.max_header_bytes)
        return refuse(detail, n, 431, "the request header is larger than this server takes");
    if (len == 0)
        return 0;
    const char *text = (const char *)evbuffer_pullup(in, len);
    int status = parse_block(c, text, (size_t)len, detail, n);
    c->scanned = 0;
    if (status == 1)
        evbuffer_drain(in, (size_t)len);
    return status;
}

/* ---- bodies: framing by http_parser, content to http_body.c ---- */

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    if (c->req)
        body_on_data(c->req, at, n);
    /* Whatever the handler did, look at the state again before the next piece. */
    http_parser_pause(p, 1);
    return 0;
}

static int on_message_complete(http_parser *p)
{
    struct http_conn *c = p->data;
    if (c->req)
        c->req->message_complete = true;
    http_parser_pause(p, 1);
    return 0;
}

static const http_parser_settings BODY_SETTINGS = {.on_body = on_body,
                                                   .on_message_complete = on_message_complete};

const http_parser_settings *parse_body_settings(void)
{
    return &BODY_SETTINGS;
}
