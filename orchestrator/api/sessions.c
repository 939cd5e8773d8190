#include "orchestrator/api/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/sha256.h"
#include "orchestrator/api/password.h"
#include "orchestrator/store/user.h"

#define SIGNIN_SECONDS (15 * 60)

/* --- signing in ----------------------------------------------------------------------------------------- */

struct signin {
    const char *name, *password;
    int64_t user_id;
};

static void set_cookie(struct call *c, const char *value, int64_t seconds)
{
    http_req_add_headerf(c->req, "Set-Cookie",
                         "trainyard_session=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict%s", value,
                         (long long)seconds, http_req_tls(c->req) ? "; Secure" : "");
}

static void on_session(struct call *c, const struct db_results *r)
{
    set_cookie(c, c->data, conf_int(c->orch->conf, "session-seconds"));
    call_reply_created(c, "/api/v1/sessions/current", db_str(r, 0, 0, 0));
}

static void open_session(struct call *c, int64_t user_id)
{
    char id[65], digest[65];
    random_hex(id, 64);
    sha256_of(id, 64, digest);
    c->data = arena_strdup(&c->arena, id);
    call_query(c, session_insert(c->orch->db, digest, user_id, conf_int(c->orch->conf, "session-seconds")),
               on_session, NULL);
}

static void refuse(struct call *c, const char *name)
{
    /* Security: the same words for an unknown name and a wrong password. */
    auth_attempt_failed(c->orch->auth, http_req_peer(c->req), name);
    call_fail(c, ERR_UNAUTHENTICATED, "name or password, or the token, is not right");
}

static void on_password(bool right, const struct err *err, void *arg)
{
    struct call *c = arg;
    const struct signin *s = c->data;
    if (err)
        call_reply_err(c, err);
    else if (!right)
        refuse(c, s->name);
    else
        open_session(c, s->user_id);
}

static void on_user(struct call *c, const struct db_results *r)
{
    struct signin *s = c->data;
    s->user_id = db_int(r, 0, 0, 0);
    auth_password_check(c->orch->auth, s->password, db_str(r, 0, 0, 1), on_password, c);
}

static void on_token(struct call *c, const struct db_results *r)
{
    if (db_rows(r, 0) == 0)
        refuse(c, "(token)");
    else
        open_session(c, db_int(r, 0, 0, 0));
}

static void sign_in(struct call *c)
{
    static const char *const members[] = {"name", "password", "token", NULL};
    struct err err = {0};
    const char *name = NULL, *password = NULL, *token = NULL;
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "name", false, &name, &err) < 0 ||
        json_get_str(c->body, "password", false, &password, &err) < 0 ||
        json_get_str(c->body, "token", false, &token, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    if ((token != NULL) == (name && password)) {
        call_fail(c, ERR_INVALID, "send either \"name\" and \"password\", or \"token\"");
        return;
    }
    const char *who = token ? "(token)" : name;
    if (auth_attempt_allowed(c->orch->auth, http_req_peer(c->req), who, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    if (token) {
        char digest[65];
        sha256_of(token, strlen(token), digest);
        call_query(c, token_sign_in(c->orch->db, digest), on_token, NULL);
        return;
    }
    if (strlen(password) > PASSWORD_MAX || strlen(password) == 0 || name_check("a user", name, NULL) < 0) {
        refuse(c, who);
        return;
    }
    struct signin *s = arena_alloc(&c->arena, sizeof(*s));
    *s = (struct signin){name, password, 0};
    c->data = s;
    call_query(c, user_password(c->orch->db, name), on_user, NULL);
}

/* Security: a page of another site could sign its visitor in as somebody else; it can't send JSON without
 * asking first, and its origin is not ours. The body must say that it is JSON. */
void session_create(struct call *c)
{
    const char *type = http_req_header(c->req, "Content-Type");
    if (!type || strncasecmp(type, "application/json", 16) != 0) {
        call_fail(c, ERR_UNSUPPORTED, "Content-Type must be application/json here");
        return;
    }
    call_read_json(c, 16384, sign_in);
}

void session_get(struct call *c)
{
    json_t *user = json_pack("{s:s, s:s}", "name", c->user.name, "role", role_name(c->user.role));
    json_t *expires = c->user.expires[0] ? json_string(c->user.expires) : json_null();
    call_reply_json(c, 200, json_pack("{s:o, s:o}", "user", user, "expires", expires));
}

static void on_ended(struct call *c, const struct db_results *r)
{
    (void)r;
    set_cookie(c, "", 0);
    call_reply_empty(c);
}

void session_end(struct call *c)
{
    if (!c->user.by_cookie) {
        call_fail(c, ERR_CONFLICT,
                  "this request came with a token, not with a session; revoke a token with DELETE "
                  "/api/v1/tokens/{id}");
        return;
    }
    call_query(c, session_delete(c->orch->db, c->user.credential), on_ended, NULL);
}

/* --- users ---------------------------------------------------------------------------------------------- */

static void on_user_made(struct call *c, const struct db_results *r)
{
    call_reply_created(c, "/api/v1/users", db_str(r, 0, 0, 0));
}

static void on_user_refused(struct call *c, const struct db_results *r, const struct err *err)
{
    (void)r;
    if (err->code == ERR_EXISTS)
        call_fail(c, ERR_EXISTS, "there is a user \"%s\" already", (const char *)c->data);
    else
        call_reply_err(c, err);
}

struct new_user {
    struct call *call;
    const char *name, *role;
};

static void on_hash(const char *hash, const struct err *err, void *arg)
{
    struct new_user *n = arg;
    struct call *c = n->call;
    if (err) {
        call_reply_err(c, err);
        return;
    }
    c->data = (void *)(uintptr_t)n->name;
    call_query(c, user_insert(c->orch->db, n->name, n->role, hash), on_user_made, on_user_refused);
}

static void make_user(struct call *c)
{
    static const char *const members[] = {"name", "password", "role", NULL};
    struct err err = {0};
    const char *name = NULL, *password = NULL, *role = "user";
    enum role r;
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "name", true, &name, &err) < 0 ||
        json_get_str(c->body, "password", false, &password, &err) < 0 ||
        json_get_str(c->body, "role", false, &role, &err) < 0 || name_check("a user", name, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    if (role_parse(role, &r) < 0) {
        call_fail(c, ERR_INVALID, "\"role\" must be viewer, user, operator or admin, not \"%.40s\"", role);
        return;
    }
    if (password && (strlen(password) < PASSWORD_MIN || strlen(password) > PASSWORD_MAX)) {
        call_fail(c, ERR_INVALID, "\"password\" must have %d to %d characters", PASSWORD_MIN, PASSWORD_MAX);
        return;
    }
    struct new_user *n = arena_alloc(&c->arena, sizeof(*n));
    *n = (struct new_user){c, name, role};
    if (password)
        auth_password_hash(c->orch->auth, password, on_hash, n);
    else
        on_hash(NULL, NULL, n); /* signs in with tokens only */
}

void user_create(struct call *c)
{
    call_read_json(c, 16384, make_user);
}

static void on_list(struct call *c, const struct db_results *r)
{
    const struct call_page *page = c->data;
    call_reply_list(c, r, 0, 0, 1, page->limit);
}

static struct call_page *take_page(struct call *c)
{
    struct call_page *page = arena_alloc(&c->arena, sizeof(*page));
    struct err err = {0};
    if (call_page(c, page, &err) < 0) {
        call_reply_err(c, &err);
        return NULL;
    }
    c->data = page;
    return page;
}

void users_get(struct call *c)
{
    const struct call_page *page = take_page(c);
    if (page)
        call_query(c, user_list(c->orch->db, page->cursor, page->limit + 1), on_list, NULL);
}

/* --- tokens --------------------------------------------------------------------------------------------- */

struct new_token {
    struct call *call;
    const char *name, *kind;
};

static void on_token_made(const struct auth_token *t, const struct err *err, void *arg)
{
    struct new_token *n = arg;
    if (err) {
        call_reply_err(n->call, err);
        return;
    }
    json_t *expires = t->expires[0] ? json_string(t->expires) : json_null();
    json_t *v = json_pack("{s:I, s:s, s:s, s:s, s:o}", "id", (json_int_t)t->id, "name", n->name, "kind",
                          n->kind, "token", t->text, "expires", expires);
    call_reply_json(n->call, 201, v);
}

static void make_token(struct call *c)
{
    static const char *const members[] = {"name", "kind", "expires_in_seconds", NULL};
    struct err err = {0};
    const char *name = "", *kind = "bearer";
    int64_t seconds = 0;
    if (json_only_members(c->body, members, &err) < 0 ||
        json_get_str(c->body, "name", false, &name, &err) < 0 ||
        json_get_str(c->body, "kind", false, &kind, &err) < 0 ||
        json_get_int(c->body, "expires_in_seconds", false, &seconds, &err) < 0) {
        call_reply_err(c, &err);
        return;
    }
    bool signin = !strcmp(kind, "signin");
    if (!signin && strcmp(kind, "bearer") != 0) {
        call_fail(c, ERR_INVALID, "\"kind\" must be \"bearer\" or \"signin\", not \"%.40s\"", kind);
        return;
    }
    if (strlen(name) > 200 || seconds < 0 || seconds > 10ll * 366 * 86400 ||
        (signin && seconds > SIGNIN_SECONDS)) {
        call_fail(c, ERR_INVALID,
                  "\"name\" may have 200 characters, \"expires_in_seconds\" may be 0 (never) to ten years, "
                  "for a signin token at most %d",
                  SIGNIN_SECONDS);
        return;
    }
    struct new_token *n = arena_alloc(&c->arena, sizeof(*n));
    *n = (struct new_token){c, name, kind};
    auth_issue_token(c->orch->auth, kind, name, c->user.id, NULL,
                     signin && seconds == 0 ? SIGNIN_SECONDS : seconds, on_token_made, n);
}

/* Security: a token is made for its maker, with the maker's role; never for another. Not kept for an
 * idempotency key: its text is shown once and stored nowhere. */
void token_create(struct call *c)
{
    if (http_req_header(c->req, "Idempotency-Key")) {
        call_fail(c, ERR_INVALID,
                  "a token is shown once and kept nowhere, so Idempotency-Key is not possible here");
        return;
    }
    call_read_json(c, 16384, make_token);
}

void tokens_get(struct call *c)
{
    const struct call_page *page = take_page(c);
    if (!page)
        return;
    /* Security: one's own; only an admin sees all. */
    int64_t owner = c->user.role == ROLE_ADMIN ? 0 : c->user.id;
    if (page->cursor && strspn(page->cursor, "0123456789") != strlen(page->cursor)) {
        call_fail(c, ERR_INVALID, "?cursor= is not one that this server gave; begin without it");
        return;
    }
    call_query(c, token_list(c->orch->db, owner, page->cursor, page->limit + 1), on_list, NULL);
}

static void on_token_gone(struct call *c, const struct db_results *r)
{
    if (db_affected(r, 0) > 0)
        call_reply_empty(c);
    else
        call_fail(c, ERR_NOT_FOUND, "there is no token %.20s of yours", c->params[0]);
}

void token_remove(struct call *c)
{
    char *end;
    long long id = strtoll(c->params[0], &end, 10);
    if (*end || id <= 0) {
        call_fail(c, ERR_NOT_FOUND, "there is no token \"%.40s\"; tokens have numbers", c->params[0]);
        return;
    }
    /* Security: users can only revoke their own tokens; an admin any. */
    call_query(c, token_delete(c->orch->db, c->user.role == ROLE_ADMIN ? 0 : c->user.id, id), on_token_gone,
               NULL);
}
