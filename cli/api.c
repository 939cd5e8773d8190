#include "cli/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "cli/server.h"

static enum err_code code_of(int status)
{
    switch (status) {
    case 401:
        return ERR_UNAUTHENTICATED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 413:
        return ERR_TOO_LARGE;
    case 415:
        return ERR_UNSUPPORTED;
    case 422:
        return ERR_UNPROCESSABLE;
    case 429:
        return ERR_LIMIT;
    case 503:
        return ERR_UNAVAILABLE;
    case 408:
    case 504:
        return ERR_TIMEOUT;
    default:
        return status >= 500 ? ERR_IO : ERR_INVALID;
    }
}

int api_refused(struct cli *cli, const struct http_response *r, struct err *err)
{
    json_decref(cli->problem);
    cli->problem = json_parse(buf_str(&r->body), r->body.len, NULL, NULL, NULL);
    const char *detail = jstr(cli->problem, "detail");
    if (r->status == 401 && !cli->token)
        return err_set(err, ERR_UNAUTHENTICATED,
                       "%s wants to know who you are: `trainyard login`, or --token TOKEN", cli->url);
    if (*detail)
        return err_set(err, code_of(r->status), "%s", detail);
    return err_set(err, code_of(r->status), "%s answered %d %s", cli->url, r->status,
                   http_status_text(r->status));
}

int api_do(struct cli *cli, const struct http_call *call, struct http_response *out, struct err *err)
{
    if (server_connect(cli, err))
        return -1;
    if (http_client_do(cli->client, call, out, err) == 0)
        return 0;
    if (err && err->code == ERR_UNAVAILABLE)
        return err_set(err, ERR_UNAVAILABLE, "no server answers at %s; is it running? (%s)", cli->url,
                       strrchr(err->text, ':') ? strrchr(err->text, ':') + 2 : err->text);
    return -1;
}

int api_call(struct cli *cli, enum http_method m, const char *path, json_t *body, json_t **out,
             struct err *err)
{
    char *text = body ? json_text(body) : NULL, *full = xasprintf("/api/v1%s", path);
    json_decref(body);
    struct http_call call = {.method = m,
                             .path = full,
                             .body = text,
                             .body_len = text ? strlen(text) : 0,
                             .content_type = text ? "application/json" : NULL,
                             .max_response = 256 << 20};
    struct http_response r;
    int rc = api_do(cli, &call, &r, err);
    free(full);
    free(text);
    if (out)
        *out = NULL;
    if (rc)
        return -1;
    if (r.status / 100 != 2) {
        rc = api_refused(cli, &r, err);
    } else if (out && r.body.len) {
        *out = json_parse(r.body.data, r.body.len, NULL, NULL, err);
        rc = *out ? 0 : err_prefix(err, "the answer of %s", cli->url);
    }
    http_response_free(&r);
    return rc;
}

int api_get(struct cli *cli, json_t **out, struct err *err, const char *fmt, ...)
{
    struct buf path = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&path, fmt, ap);
    va_end(ap);
    int rc = api_call(cli, HTTP_M_GET, path.data, NULL, out, err);
    buf_free(&path);
    return rc;
}

json_t *api_list(struct cli *cli, const char *path, struct err *err)
{
    json_t *all = json_array();
    char *next = xstrdup(path);
    while (next) {
        json_t *page = NULL;
        int rc = api_call(cli, HTTP_M_GET, next, NULL, &page, err);
        free(next);
        next = NULL;
        if (rc) {
            json_decref(all);
            return NULL;
        }
        json_array_extend(all, json_object_get(page, "items"));
        const char *cursor = jstr(page, "next_cursor");
        if (*cursor) {
            char *escaped = api_escape(cursor);
            next = xasprintf("%s%ccursor=%s", path, strchr(path, '?') ? '&' : '?', escaped);
            free(escaped);
        }
        json_decref(page);
    }
    return all;
}

char *api_escape(const char *text)
{
    struct buf b = {0};
    http_percent_encode(&b, text);
    return buf_steal(&b);
}

void api_print(const json_t *value)
{
    char *text = json_text(value);
    puts(text);
    free(text);
}

const char *jstr(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

int64_t jint(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)json_number_value(v);
}

double jreal(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}
