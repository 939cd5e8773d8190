/* call: one request being handled. The router makes it when the caller is known and allowed; the final reply
 * ends it.
 *
 * A handler is started with the headers only. It asks for the body in one of three ways (none;
 * call_read_json; streaming by http_req_stream_body), submits database batches with call_query, and gives
 * exactly one reply. After the reply the call is gone. Memory from call->arena lives until then.
 *
 *     static void on_row(struct call *c, const struct db_results *r) { call_reply_text(c, 200, db_str(r, 0,
 * 0, 0)); } void task_get(struct call *c) { call_query(c, task_select(c->orch->db, call_owner(c),
 * c->params[0]), on_row, NULL); }
 */
#ifndef ORCHESTRATOR_API_CALL_H
#define ORCHESTRATOR_API_CALL_H

#include <jansson.h>
#include "base/buf.h"
#include "net/http_server.h"
#include "orchestrator/api/arena.h"
#include "orchestrator/api/auth.h"
#include "orchestrator/orch.h"
#include "orchestrator/store/db.h"

#define CALL_PARAMS   4
#define CALL_JSON_MAX (1 << 20) /* body of a JSON request, where a route says nothing else */

struct call {
    struct http_req *req;
    struct orch *orch;
    const struct route *route;
    struct arena arena;
    struct user user;                /* role ROLE_NONE: not signed in */
    const char *params[CALL_PARAMS]; /* of the path, decoded, in order */
    const json_t *body;              /* after call_read_json */
    const char *body_text;           /* its text, NUL-terminated */
    size_t body_len;
    void *data; /* the handler's own */
    /* of the router */
    char *idempotency_key;
    bool answer_stored;
};

/* The owner condition for this caller: 0 sees all. Security: every query about tasks and what is in them
 * takes it. */
int64_t call_owner(const struct call *c);

/* A query parameter, decoded; NULL if absent. Lives in the arena. */
const char *call_query_param(struct call *c, const char *name);
/* ?name= as an integer in [min, max]; absent gives fallback. -1 and an err reply text when it is none. */
int call_query_int(struct call *c, const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *out,
                   struct err *err);

/* Lists: ?limit= (1..max 500, default 100) and ?cursor=. A cursor is opaque text: hex of the sort key. */
struct call_page {
    int64_t limit;
    const char *cursor; /* decoded, NULL: from the beginning */
};
int call_page(struct call *c, struct call_page *out, struct err *err);
char *call_cursor(struct call *c, const char *key); /* encode; in the arena */
/* Reply {"items":[...],"next_cursor":...} of rows that are JSON texts in column `json_col`, whose sort key is
 * column `key_col`. The query asked for limit + 1 rows; the surplus row only tells that there is more. */
void call_reply_list(struct call *c, const struct db_results *r, int statement, int json_col, int key_col,
                     int64_t limit);

/* Read the body as JSON (an object; at most max bytes, 0: CALL_JSON_MAX) and go on; what is wrong is answered
 * here. With an Idempotency-Key of a POST the stored answer is given instead, or the key is claimed first. An
 * empty body is {}. */
void call_read_json(struct call *c, size_t max, void (*then)(struct call *c));
/* The same claim for handlers that stream their body. */
void call_claim(struct call *c, void (*then)(struct call *c));
/* Store the answer in the batch that does the work, so that both are durable or neither. Does nothing without
 * a key. The reply that follows must have this status and body. */
void call_answer_with(struct call *c, struct db_batch *b, int status, const char *location, const char *body);

/* Submit a batch (takes it). Errors are answered here, in words that fit the client, unless on_error takes
 * them (it may be NULL). */
typedef void (*call_rows_f)(struct call *c, const struct db_results *r);
typedef void (*call_error_f)(struct call *c, const struct db_results *r, const struct err *err);
void call_query(struct call *c, struct db_batch *b, call_rows_f then, call_error_f on_error);

/* Replies: each ends the call. */
void call_reply_json(struct call *c, int status, json_t *value); /* takes a reference */
void call_reply_text(struct call *c, int status, const char *json);
void call_reply_created(struct call *c, const char *location, const char *json); /* 201 + Location */
void call_reply_empty(struct call *c);                                           /* 204 */
void call_reply_err(struct call *c, const struct err *err);
/* A status that no err code has. title NULL: no body; else a problem. Not kept for an idempotency key. */
void call_reply_status(struct call *c, int status, const char *title, const char *detail);
/* A file: takes fd; ranges and etag as http_reply_file does them. */
void call_reply_file(struct call *c, int fd, int64_t size, const char *type, const char *etag);
/* Any other reply (a file, a WebSocket) is given with http_reply_* on call->req. */
/* problem+json with further members; extra (may be NULL) is taken. */
void call_reply_problem(struct call *c, const struct err *err, json_t *extra);
void call_fail(struct call *c, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
