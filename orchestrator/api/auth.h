/* auth: who is asking. Bearer tokens, browser sessions, agents' and join tokens; passwords.
 *
 * A token is "ty_" and 256 random bits in hex; only its SHA-256 is in the database. Every request looks it up
 * there, so a token or session that was deleted is dead at once. Passwords are argon2id, hashed and checked
 * in a short-lived child of our own binary, since that takes long and much memory.
 */
#ifndef ORCHESTRATOR_API_AUTH_H
#define ORCHESTRATOR_API_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "net/http_server.h"
#include "orchestrator/orch.h"

/* Roles of people rise; an agent and a joining machine are each their own kind. */
enum role { ROLE_NONE, ROLE_VIEWER, ROLE_USER, ROLE_OPERATOR, ROLE_ADMIN, ROLE_AGENT, ROLE_JOIN };
const char *role_name(enum role r); /* "user" */
int role_parse(const char *name, enum role *out);
/* May someone of this role call a route for `needed`? */
bool role_allows(enum role has, enum role needed);

struct user {
    int64_t id; /* app_user.id; 0 for agents */
    char name[65];
    enum role role;
    bool by_cookie;
    char credential[65]; /* SHA-256 of the token or session id, in hex */
    char expires[32];    /* RFC 3339, "" if never */
    char node[65];       /* ROLE_AGENT: the one node it may speak for */
};

/* The owner condition of queries: 0 for those who see everything, else the user's id. */
int64_t user_owner_filter(const struct user *u);

struct auth;
struct auth *auth_create(struct orch *orch, struct err *err);
void auth_destroy(struct auth *a);

/* On an empty database make user "admin"; make sure that STATE/admin.token and STATE/join.token hold valid
 * tokens. Blocks; before the loop runs. */
int auth_first_start(struct auth *a, struct err *err);

/* Who is this? Exactly once, maybe before returning. No credentials at all gives user NULL and err NULL;
 * wrong ones an err. The check of cookie writes (X-Trainyard, Origin) is in here. */
typedef void (*auth_done_f)(const struct user *user, const struct err *err, void *arg);
void auth_check(struct auth *a, struct http_req *req, auth_done_f done, void *arg);

/* New random text ("ty_" + 64 hex digits) and its digest. */
#define TOKEN_TEXT 68
void auth_new_secret(char text[TOKEN_TEXT], char digest[65]);

/* A token in the database. For kind "agent" it replaces the node's former one. expires_in 0: never. The text
 * is given once. */
struct auth_token {
    int64_t id;
    char text[TOKEN_TEXT];
    char expires[32];
};
typedef void (*auth_token_f)(const struct auth_token *token, const struct err *err, void *arg);
void auth_issue_token(struct auth *a, const char *kind, const char *name, int64_t user_id, const char *node,
                      int64_t expires_in, auth_token_f done, void *arg);

/* Passwords, in a child. hash NULL in check: an unknown user, takes as long and is wrong. */
typedef void (*auth_hash_f)(const char *hash, const struct err *err, void *arg);
void auth_password_hash(struct auth *a, const char *password, auth_hash_f done, void *arg);
typedef void (*auth_password_f)(bool right, const struct err *err, void *arg);
void auth_password_check(struct auth *a, const char *password, const char *hash, auth_password_f done,
                         void *arg);

/* Sign-in attempts: so many failures in 5 minutes, of one address and of one name, and further ones are
 * refused. */
#define AUTH_FAILURES_PEER 20
#define AUTH_FAILURES_NAME 10
int auth_attempt_allowed(struct auth *a, const char *peer, const char *name, struct err *err);
void auth_attempt_failed(struct auth *a, const char *peer, const char *name);

#endif
