#include "orchestrator/api/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/units.h"
#include "orchestrator/api/limiter.h"
#include "orchestrator/api/password.h"
#include "orchestrator/store/db.h"
#include "orchestrator/store/user.h"

struct auth {
    struct orch *orch;
    struct limiter *failures;
    struct passwords *passwords;
};

/* --- roles ---------------------------------------------------------------------------------------------- */

static const char *const role_names[] = {"none", "viewer", "user", "operator", "admin", "agent", "join"};

const char *role_name(enum role r)
{
    return role_names[r];
}

int role_parse(const char *name, enum role *out)
{
    for (int r = ROLE_VIEWER; r <= ROLE_ADMIN; r++)
        if (!strcmp(name, role_names[r])) {
            *out = (enum role)r;
            return 0;
        }
    return -1;
}

bool role_allows(enum role has, enum role needed)
{
    if (needed == ROLE_AGENT || needed == ROLE_JOIN)
        return has == needed;
    /* An agent's or join token opens nothing that is for people. */
    return has != ROLE_AGENT && has != ROLE_JOIN && has >= needed;
}

int64_t user_owner_filter(const struct user *u)
{
    /* Security: only operators and admins see what is others'. Ids begin at 1; -1 matches nobody. */
    if (u->role == ROLE_OPERATOR || u->role == ROLE_ADMIN)
        return 0;
    return u->id > 0 ? u->id : -1;
}

/* --- who is asking -------------------------------------------------------------------------------------- */

struct check {
    struct auth *auth;
    auth_done_f done;
    void *arg;
    bool by_cookie;
    char digest[SHA256_HEX];
};

static void copy_text(char *to, size_t n, const char *from)
{
    snprintf(to, n, "%s", from ? from : "");
}

static void on_lookup(const struct db_results *r, const struct err *err, void *arg)
{
    struct check *k = arg;
    struct user u = {.by_cookie = k->by_cookie};
    struct err wrong = {0};
    if (!err && db_rows(r, 0) == 0) {
        err_set(&wrong, ERR_UNAUTHENTICATED,
                k->by_cookie ? "this session has ended; sign in again"
                             : "this token is not valid (any more)");
        err = &wrong;
    } else if (!err) {
        const char *kind = db_str(r, 0, 0, 3);
        u.id = db_int(r, 0, 0, 0);
        copy_text(u.name, sizeof(u.name), db_str(r, 0, 0, 1));
        copy_text(u.node, sizeof(u.node), db_str(r, 0, 0, 4));
        copy_text(u.expires, sizeof(u.expires), db_str(r, 0, 0, 5));
        memcpy(u.credential, k->digest, sizeof(u.credential));
        if (!strcmp(kind, "agent")) {
            u.role = ROLE_AGENT;
            copy_text(u.name, sizeof(u.name), u.node);
        } else if (!strcmp(kind, "join")) {
            u.role = ROLE_JOIN;
        } else if (role_parse(db_str(r, 0, 0, 2), &u.role) < 0) {
            err_set(&wrong, ERR_INTERNAL, "user %s has an unknown role", u.name);
            err = &wrong;
        }
    }
    k->done(err ? NULL : &u, err, k->arg);
    free(k);
}

/* Security: a page of another site can make a browser send our cookie; it can't add this header, and it can't
 * lie about its origin. Upgrades are GETs that act, so they are held to the origin as well. */
static int check_cookie_request(struct auth *a, struct http_req *req, struct err *err)
{
    enum http_method m = http_req_method(req);
    bool upgrade = http_req_header(req, "Upgrade") != NULL;
    bool reads = m == HTTP_M_GET || m == HTTP_M_HEAD;
    if (reads && !upgrade)
        return 0;
    const char *mark = http_req_header(req, "X-Trainyard"), *origin = http_req_header(req, "Origin");
    if (!reads && (!mark || strcmp(mark, "1") != 0))
        return err_set(err, ERR_FORBIDDEN, "a change by cookie needs the header \"X-Trainyard: 1\"");
    if (!origin)
        return 0;
    const char *host = http_req_header(req, "Host"), *public_url = conf_str(a->orch->conf, "public-url");
    char *own = xasprintf("%s://%s", http_req_tls(req) ? "https" : "http", host ? host : "");
    size_t n = public_url ? strlen(public_url) : 0;
    while (n > 0 && public_url[n - 1] == '/')
        n--;
    bool same = !strcmp(origin, own) || (n > 0 && strlen(origin) == n && !strncmp(origin, public_url, n));
    free(own);
    return same ? 0 : err_set(err, ERR_FORBIDDEN, "this request comes from another site (%.200s)", origin);
}

void auth_check(struct auth *a, struct http_req *req, auth_done_f done, void *arg)
{
    const char *header = http_req_header(req, "Authorization");
    const char *cookie = http_req_cookie(req, "trainyard_session");
    struct err err = {0};
    const char *secret = NULL;
    if (header) {
        if (strncasecmp(header, "Bearer ", 7) != 0 || strlen(header) > 200)
            err_set(&err, ERR_UNAUTHENTICATED, "the Authorization header must be \"Bearer TOKEN\"");
        else
            secret = header + 7 + strspn(header + 7, " ");
    } else if (cookie && *cookie && strlen(cookie) <= 200) {
        if (check_cookie_request(a, req, &err) == 0)
            secret = cookie;
    }
    if (!secret) {
        done(NULL, err.code ? &err : NULL, arg);
        return;
    }
    struct check *k = xcalloc(1, sizeof(*k));
    *k = (struct check){.auth = a, .done = done, .arg = arg, .by_cookie = !header};
    sha256_of(secret, strlen(secret), k->digest);
    struct db *db = a->orch->db;
    db_submit(header ? token_lookup(db, k->digest) : session_lookup(db, k->digest), on_lookup, k);
}

/* --- tokens --------------------------------------------------------------------------------------------- */

void auth_new_secret(char text[TOKEN_TEXT], char digest[65])
{
    memcpy(text, "ty_", 3);
    random_hex(text + 3, 64);
    sha256_of(text, strlen(text), digest);
}

struct issue {
    struct auth_token token;
    auth_token_f done;
    void *arg;
};

static void on_issued(const struct db_results *r, const struct err *err, void *arg)
{
    struct issue *i = arg;
    if (!err) {
        i->token.id = db_int(r, 0, 0, 0);
        copy_text(i->token.expires, sizeof(i->token.expires), db_str(r, 0, 0, 1));
    }
    i->done(err ? NULL : &i->token, err, i->arg);
    free(i);
}

void auth_issue_token(struct auth *a, const char *kind, const char *name, int64_t user_id, const char *node,
                      int64_t expires_in, auth_token_f done, void *arg)
{
    struct issue *i = xcalloc(1, sizeof(*i));
    char digest[65];
    i->done = done;
    i->arg = arg;
    auth_new_secret(i->token.text, digest);
    db_submit(token_insert(a->orch->db, kind, name, digest, user_id, node, expires_in), on_issued, i);
}

/* --- the first start ------------------------------------------------------------------------------------ */

/* A batch, waited for: only while the loop is not yet anybody's. */
struct wait {
    bool done;
    struct err err;
    int64_t value;
    bool found;
};

static void on_waited(const struct db_results *r, const struct err *err, void *arg)
{
    struct wait *w = arg;
    w->done = true;
    if (err)
        w->err = *err;
    /* The last statement with rows tells. */
    for (int s = 0; s < 2; s++)
        if (db_rows(r, s) > 0) {
            w->found = true;
            w->value = db_int(r, s, 0, 0);
        }
}

static int run_and_wait(struct auth *a, struct db_batch *b, struct wait *w, struct err *err)
{
    *w = (struct wait){0};
    db_submit(b, on_waited, w);
    while (!w->done)
        event_base_loop(a->orch->base, EVLOOP_ONCE);
    if (!w->err.code)
        return 0;
    if (err)
        *err = w->err;
    return -1;
}

/* Is the token in the file one that the database knows? */
static bool file_is_good(struct auth *a, const char *path)
{
    struct buf text = {0};
    struct err ignored;
    struct wait w = {0};
    if (file_read(path, 1000, &text, &ignored) == 0) {
        while (text.len > 0 && strchr(" \r\n", text.data[text.len - 1]))
            text.len--;
        char digest[65];
        sha256_of(text.data, text.len, digest);
        run_and_wait(a, token_lookup(a->orch->db, digest), &w, &ignored);
    }
    buf_free(&text);
    return w.found;
}

static int ensure_token_file(struct auth *a, const char *file, const char *kind, int64_t user_id,
                             struct err *err)
{
    char *path = path_join(a->orch->state_dir, file);
    int rc = 0;
    if (!file_is_good(a, path)) {
        char text[TOKEN_TEXT + 1], digest[65];
        struct wait w;
        auth_new_secret(text, digest);
        strcat(text, "\n");
        /* Into the database first: a file that names a token nobody knows would be worse than none. */
        if (run_and_wait(a, token_insert(a->orch->db, kind, file, digest, user_id, NULL, 0), &w, err) < 0 ||
            file_write_atomic(path, text, strlen(text), 0600, err) < 0 ||
            run_and_wait(a, token_keep_only(a->orch->db, kind, file, digest), &w, err) < 0)
            rc = -1;
        else
            log_info("auth", "token written", KV_S("file", path));
    }
    free(path);
    return rc;
}

int auth_first_start(struct auth *a, struct err *err)
{
    struct wait w;
    if (run_and_wait(a, user_first(a->orch->db), &w, err) < 0)
        return err_prefix(err, "making the first user");
    if (!w.found)
        log_warn("auth", "there is no user admin with the role admin: admin.token is not written");
    if (w.found && ensure_token_file(a, "admin.token", "bearer", w.value, err) < 0)
        return -1;
    return ensure_token_file(a, "join.token", "join", 0, err);
}

/* --- passwords and failures ----------------------------------------------------------------------------- */

void auth_password_hash(struct auth *a, const char *password, auth_hash_f done, void *arg)
{
    passwords_hash(a->passwords, password, done, arg);
}

void auth_password_check(struct auth *a, const char *password, const char *hash, auth_password_f done,
                         void *arg)
{
    passwords_check(a->passwords, password, hash, done, arg);
}

static char *peer_key(const char *peer)
{
    const char *colon = strrchr(peer, ':'); /* without the port */
    return xasprintf("peer %.*s", colon ? (int)(colon - peer) : (int)strlen(peer), peer);
}

int auth_attempt_allowed(struct auth *a, const char *peer, const char *name, struct err *err)
{
    char *by_peer = peer_key(peer), *by_name = xasprintf("name %s", name);
    double now = time_monotonic();
    bool ok = limiter_count(a->failures, by_peer, now) < AUTH_FAILURES_PEER &&
              limiter_count(a->failures, by_name, now) < AUTH_FAILURES_NAME;
    free(by_peer);
    free(by_name);
    return ok ? 0 : err_set(err, ERR_LIMIT, "too many failed sign-ins; wait a few minutes");
}

void auth_attempt_failed(struct auth *a, const char *peer, const char *name)
{
    char *by_peer = peer_key(peer), *by_name = xasprintf("name %s", name);
    double now = time_monotonic();
    limiter_add(a->failures, by_peer, now);
    limiter_add(a->failures, by_name, now);
    free(by_peer);
    free(by_name);
    log_warn("auth", "sign-in failed", KV_S("name", name), KV_S("peer", peer));
}

/* --- life ----------------------------------------------------------------------------------------------- */

struct auth *auth_create(struct orch *orch, struct err *err)
{
    (void)err;
    struct auth *a = xcalloc(1, sizeof(*a));
    a->orch = orch;
    a->failures = limiter_create(300);
    a->passwords = passwords_create(orch->children);
    return a;
}

void auth_destroy(struct auth *a)
{
    if (!a)
        return;
    passwords_destroy(a->passwords);
    limiter_destroy(a->failures);
    free(a);
}
