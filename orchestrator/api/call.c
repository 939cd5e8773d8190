#include "orchestrator/api/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "orchestrator/api/api.h"
#include "orchestrator/api/routes.h"
#include "orchestrator/store/user.h"

#define KEY_MAX    200
#define ANSWER_MAX (4 << 20) /* a longer answer is not kept; its key is forgotten */

int64_t call_owner(const struct call *c)
{
    return user_owner_filter(&c->user);
}

/* --- replies -------------------------------------------------------------------------------------------- */

struct answer {
    struct call *call;
    int status;
    const char *type, *place, *body;
};

static void send_answer(struct call *c, int status, const char *type, const char *place, const char *body)
{
    struct api_counters *n = api_counters(c->orch->api);
    n->by_class[status / 100 % 6]++;
    if (place)
        http_req_add_header(c->req, "Location", place);
    http_req_add_header(c->req, "Cache-Control", "no-store");
    http_reply(c->req, status, type, body, body ? strlen(body) : 0);
}

static void on_answer_stored(const struct db_results *r, const struct err *err, void *arg)
{
    (void)r;
    struct answer *a = arg;
    if (err)
        log_warn("api", "an answer could not be kept for its idempotency key", KV_E(err));
    send_answer(a->call, a->status, a->type, a->place, a->body);
}

/* Every reply with a text body goes through here, so that an idempotency key gets its answer first. */
static void answer(struct call *c, int status, const char *type, const char *place, const char *body)
{
    if (!c->idempotency_key || c->answer_stored) {
        send_answer(c, status, type, place, body);
        return;
    }
    struct answer *a = arena_alloc(&c->arena, sizeof(*a));
    *a = (struct answer){c, status, type, arena_strdup(&c->arena, place), arena_strdup(&c->arena, body)};
    bool keep = status < 500 && status != 429 && (!body || strlen(body) <= ANSWER_MAX);
    struct db_batch *b = db_batch_create(c->orch->db, DB_WRITE);
    key_answer(b, c->user.id, c->idempotency_key, keep ? status : 0, type, place, body);
    db_submit(b, on_answer_stored, a);
}

void call_answer_with(struct call *c, struct db_batch *b, int status, const char *location, const char *body)
{
    if (!c->idempotency_key)
        return;
    key_answer(b, c->user.id, c->idempotency_key, status, "application/json", location, body);
    c->answer_stored = true;
}

void call_reply_text(struct call *c, int status, const char *json)
{
    answer(c, status, "application/json", NULL, json);
}

void call_reply_created(struct call *c, const char *location, const char *json)
{
    answer(c, 201, "application/json", location, json);
}

void call_reply_status(struct call *c, int status, const char *title, const char *detail)
{
    char *text = NULL;
    if (title) {
        json_t *p = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title, "status", status,
                              "detail", detail);
        text = json_text(p);
        json_decref(p);
        arena_keep(&c->arena, text, free);
    }
    send_answer(c, status, title ? "application/problem+json" : NULL, NULL, text);
}

void call_reply_file(struct call *c, int fd, int64_t size, const char *type, const char *etag)
{
    api_counters(c->orch->api)->by_class[2]++;
    http_reply_file(c->req, fd, size, type, etag);
}

void call_reply_json(struct call *c, int status, json_t *value)
{
    char *text = json_text(value);
    json_decref(value);
    arena_keep(&c->arena, text, free);
    answer(c, status, "application/json", NULL, text);
}

void call_reply_empty(struct call *c)
{
    answer(c, 204, NULL, NULL, NULL);
}

void call_reply_problem(struct call *c, const struct err *err, json_t *extra)
{
    int status = err_http_status(err->code);
    json_t *p =
        json_pack("{s:s, s:s, s:i}", "type", "about:blank", "title", err_title(err->code), "status", status);
    if (status == 500) {
        /* Security: what failed inside is for the log; the client gets a number to name it by. */
        char id[13];
        random_hex(id, 12);
        log_error("api", "request failed", KV_S("request", id), KV_S("path", http_req_path(c->req)),
                  KV_E(err), KV_S("at", err->file));
        char *detail = xasprintf("something failed inside the server; its log has the reason under %s", id);
        json_object_set_new(p, "detail", json_string(detail));
        free(detail);
    } else {
        json_t *detail = json_string(err->text);
        json_object_set_new(p, "detail", detail ? detail : json_string("not valid UTF-8"));
    }
    if (status == 429 || status == 503)
        http_req_add_header(c->req, "Retry-After", "2");
    if (extra) {
        json_object_update(p, extra);
        json_decref(extra);
    }
    char *text = json_text(p);
    json_decref(p);
    arena_keep(&c->arena, text, free);
    answer(c, status, "application/problem+json", NULL, text);
}

void call_reply_err(struct call *c, const struct err *err)
{
    call_reply_problem(c, err, NULL);
}

void call_fail(struct call *c, enum err_code code, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct err err;
    err_set(&err, code, "%s", text);
    call_reply_err(c, &err);
}

/* --- query parameters and lists ------------------------------------------------------------------------- */

const char *call_query_param(struct call *c, const char *name)
{
    char *text = http_query_get(http_req_query(c->req), name);
    if (text)
        arena_keep(&c->arena, text, free);
    return text;
}

int call_query_int(struct call *c, const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *out,
                   struct err *err)
{
    const char *text = call_query_param(c, name);
    *out = fallback;
    if (!text)
        return 0;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max)
        return err_set(err, ERR_INVALID, "?%s= must be an integer from %lld to %lld, not \"%.40s\"", name,
                       (long long)min, (long long)max, text);
    *out = v;
    return 0;
}

static int unhex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int call_page(struct call *c, struct call_page *out, struct err *err)
{
    *out = (struct call_page){0};
    if (call_query_int(c, "limit", 100, 1, 500, &out->limit, err) < 0)
        return -1;
    const char *text = call_query_param(c, "cursor");
    if (!text || !*text)
        return 0;
    size_t n = strlen(text);
    char *plain = arena_alloc(&c->arena, n / 2 + 1);
    bool good = n % 2 == 0 && n <= 512;
    for (size_t i = 0; good && i < n; i += 2) {
        int high = unhex(text[i]), low = unhex(text[i + 1]);
        /* Our keys are numbers, names and times: anything else was not made here. */
        good = high >= 2 && low >= 0 && high < 8;
        plain[i / 2] = (char)(good ? high << 4 | low : 0);
    }
    if (!good)
        return err_set(err, ERR_INVALID, "?cursor= is not one that this server gave; begin without it");
    out->cursor = plain;
    return 0;
}

char *call_cursor(struct call *c, const char *key)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(key);
    char *hex = arena_alloc(&c->arena, 2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[(unsigned char)key[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)key[i] & 15];
    }
    return hex;
}

void call_reply_list(struct call *c, const struct db_results *r, int statement, int json_col, int key_col,
                     int64_t limit)
{
    struct buf out = {0};
    int rows = db_rows(r, statement), shown = rows > limit ? (int)limit : rows;
    buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < shown; i++)
        buf_printf(&out, "%s%s", i ? "," : "", db_str(r, statement, i, json_col));
    if (rows > shown && shown > 0)
        buf_printf(&out, "],\"next_cursor\":\"%s\"}",
                   call_cursor(c, db_str(r, statement, shown - 1, key_col)));
    else
        buf_puts(&out, "],\"next_cursor\":null}");
    char *text = buf_steal(&out);
    arena_keep(&c->arena, text, free);
    call_reply_text(c, 200, text);
}

/* --- database ------------------------------------------------------------------------------------------- */

struct query {
    struct call *call;
    call_rows_f then;
    call_error_f on_error;
};

static void on_query(const struct db_results *r, const struct err *err, void *arg)
{
    struct query *q = arg;
    if (!err)
        q->then(q->call, r);
    else if (q->on_error)
        q->on_error(q->call, r, err);
    else
        call_reply_err(q->call, err);
}

void call_query(struct call *c, struct db_batch *b, call_rows_f then, call_error_f on_error)
{
    struct query *q = arena_alloc(&c->arena, sizeof(*q));
    *q = (struct query){c, then, on_error};
    db_submit(b, on_query, q);
}

/* --- idempotency ---------------------------------------------------------------------------------------- */

struct claim {
    struct call *call;
    void (*then)(struct call *c);
    char *key;
};

static void on_claim(const struct db_results *r, const struct err *err, void *arg)
{
    struct claim *claim = arg;
    struct call *c = claim->call;
    if (err) {
        call_reply_err(c, err);
    } else if (db_affected(r, 0) == 1) {
        c->idempotency_key = claim->key;
        claim->then(c);
    } else if (!db_bool(r, 1, 0, 0)) {
        call_fail(c, ERR_CONFLICT, "this Idempotency-Key was used for another request; use a new one");
    } else if (!db_str(r, 1, 0, 1)) {
        http_req_add_header(c->req, "Retry-After", "1");
        call_fail(c, ERR_CONFLICT, "the first request with this Idempotency-Key is still being worked on");
    } else {
        http_req_add_header(c->req, "Idempotent-Replay", "true");
        send_answer(c, (int)db_int(r, 1, 0, 1), db_str(r, 1, 0, 2), db_str(r, 1, 0, 3), db_str(r, 1, 0, 4));
    }
}

void call_claim(struct call *c, void (*then)(struct call *c))
{
    const char *key = http_req_header(c->req, "Idempotency-Key");
    if (!key || http_req_method(c->req) != HTTP_M_POST || c->user.id == 0) {
        then(c);
        return;
    }
    size_t n = strlen(key);
    bool good = n >= 1 && n <= KEY_MAX;
    for (size_t i = 0; i < n; i++)
        good = good && (unsigned char)key[i] >= 0x20 && (unsigned char)key[i] < 0x7f;
    if (!good) {
        call_fail(c, ERR_INVALID, "Idempotency-Key must be 1 to %d printable ASCII characters", KEY_MAX);
        return;
    }
    struct sha256 hash;
    char request[SHA256_HEX];
    sha256_init(&hash);
    const char *parts[] = {http_req_path(c->req), "?", http_req_query(c->req), "\n"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        sha256_update(&hash, parts[i], strlen(parts[i]));
    sha256_update(&hash, c->body_text ? c->body_text : "", c->body_len);
    sha256_hex(&hash, request);
    struct claim *claim = arena_alloc(&c->arena, sizeof(*claim));
    *claim = (struct claim){c, then, arena_strdup(&c->arena, key)};
    db_submit(key_claim(c->orch->db, c->user.id, key, request, api_boot(c->orch->api)), on_claim, claim);
}

/* --- JSON bodies ---------------------------------------------------------------------------------------- */

struct body {
    struct call *call;
    void (*then)(struct call *c);
};

static void free_json(void *p)
{
    json_decref(p);
}

/* Findings about the request itself have the same form as those about a file. */
static void reply_bad_json(struct call *c, const struct err *err, int line, int column)
{
    json_t *finding = json_pack("{s:s, s:i, s:i, s:s, s:n}", "pointer", "", "line", line, "column", column,
                                "message", err->text, "hint");
    call_reply_problem(c, err, json_pack("{s:[o]}", "errors", finding));
}

static void on_body(struct http_req *req, const char *text, size_t n, void *arg)
{
    (void)req;
    struct body *b = arg;
    struct call *c = b->call;
    struct err err = {0};
    int line = 0, column = 0;
    json_t *v = n == 0 ? json_object() : json_parse(text, n, &line, &column, &err);
    if (!v) {
        reply_bad_json(c, &err, line, column);
        return;
    }
    arena_keep(&c->arena, v, free_json);
    if (!json_is_object(v)) {
        call_fail(c, ERR_INVALID, "the body must be a JSON object");
        return;
    }
    c->body = v;
    c->body_text = arena_strndup(&c->arena, text ? text : "", n);
    c->body_len = n;
    call_claim(c, b->then);
}

void call_read_json(struct call *c, size_t max, void (*then)(struct call *c))
{
    const char *type = http_req_header(c->req, "Content-Type");
    size_t n = type ? strcspn(type, "; \t") : 0;
    if (n && !(n == 16 && !strncasecmp(type, "application/json", n))) {
        call_fail(c, ERR_UNSUPPORTED, "Content-Type must be application/json here, not %.60s", type);
        return;
    }
    struct body *b = arena_alloc(&c->arena, sizeof(*b));
    *b = (struct body){c, then};
    http_req_read_body(c->req, max ? max : CALL_JSON_MAX, on_body, b);
}
