/* user: users, tokens, sessions, and answers to idempotency keys. Each function gives a batch to submit. */
#ifndef ORCHESTRATOR_STORE_USER_H
#define ORCHESTRATOR_STORE_USER_H

#include "orchestrator/store/db.h"

/* One row: user id, user name, role, kind, node, expires as text; none when there is no such valid token. Not
 * signin ones. */
struct db_batch *token_lookup(struct db *db, const char *digest);
/* The same columns; kind is "session". */
struct db_batch *session_lookup(struct db *db, const char *digest);

/* One row: id, expires. For agents it replaces the node's former token. user_id and expires_in 0, node NULL:
 * none. */
struct db_batch *token_insert(struct db *db, const char *kind, const char *name, const char *digest,
                              int64_t user_id, const char *node, int64_t expires_in);
/* Rows: JSON, id as text. Of one user, or of all (owner 0). */
struct db_batch *token_list(struct db *db, int64_t owner, const char *after, int64_t limit);
/* Affected: 1 or 0. */
struct db_batch *token_delete(struct db *db, int64_t owner, int64_t id);
/* Use up a signin token, or take a bearer token as it is: one row with user id and name, or none. */
struct db_batch *token_sign_in(struct db *db, const char *digest);

/* One row: {"user":{...},"expires":...} as JSON. */
struct db_batch *session_insert(struct db *db, const char *digest, int64_t user_id, int64_t seconds);
struct db_batch *session_delete(struct db *db, const char *digest);

/* One row: user id, password hash (NULL: none). */
struct db_batch *user_password(struct db *db, const char *name);
/* One row: JSON. ERR_EXISTS when the name is taken. */
struct db_batch *user_insert(struct db *db, const char *name, const char *role, const char *password_hash);
struct db_batch *user_list(struct db *db, const char *after, int64_t limit); /* JSON, name */

/* For the first start. Statement 0 makes user "admin" if there is no user at all; statement 1 has the admin's
 * id. */
struct db_batch *user_first(struct db *db);
/* Tokens of a kind and name that are not this digest are removed: the file that held them is lost. */
struct db_batch *token_keep_only(struct db *db, const char *kind, const char *name, const char *digest);

/* Statement 0 affects one row when the key is now ours. Statement 1: same request (bool), status (NULL: under
 * way), type, place, body. */
struct db_batch *key_claim(struct db *db, int64_t user_id, const char *key, const char *request,
                           const char *boot);
/* Add the answer to a batch, or forget the claim (status 0). */
void key_answer(struct db_batch *b, int64_t user_id, const char *key, int status, const char *type,
                const char *place, const char *body);

/* Remove what has expired: sessions, tokens, keys older than a day, events older than 30 days. */
struct db_batch *expire_old(struct db *db);

#endif
