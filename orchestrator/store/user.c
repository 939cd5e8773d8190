#include "orchestrator/store/user.h"

#include <stdlib.h>
#include <string.h>

struct db_batch *token_lookup(struct db *db, const char *digest)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT u.id, u.name, u.role, t.kind, t.node, rfc3339(t.expires) FROM token t LEFT JOIN "
              "app_user u ON u.id = t.user_id "
              "WHERE t.digest = $1 AND t.kind <> 'signin' AND (t.expires IS NULL OR t.expires > now())");
    db_bind_str(b, digest);
    return b;
}

struct db_batch *session_lookup(struct db *db, const char *digest)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT u.id, u.name, u.role, 'session', NULL, rfc3339(s.expires) FROM session s JOIN app_user "
              "u ON u.id = s.user_id "
              "WHERE s.digest = $1 AND s.expires > now()");
    db_bind_str(b, digest);
    return b;
}

struct db_batch *token_insert(struct db *db, const char *kind, const char *name, const char *digest,
                              int64_t user_id, const char *node, int64_t expires_in)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "INSERT INTO token (kind, name, digest, user_id, node, expires) VALUES ($1, $2, $3, "
              "nullif($4::bigint, 0), $5, "
              "now() + nullif($6::bigint, 0) * interval '1 second') "
              "ON CONFLICT (node) WHERE kind = 'agent' DO UPDATE SET digest = EXCLUDED.digest, created = "
              "now(), expires = EXCLUDED.expires "
              "RETURNING id, rfc3339(expires)");
    db_bind_str(b, kind);
    db_bind_str(b, name);
    db_bind_str(b, digest);
    db_bind_int(b, user_id);
    db_bind_str(b, node);
    db_bind_int(b, expires_in);
    return b;
}

struct db_batch *token_list(struct db *db, int64_t owner, const char *after, int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT json_build_object('id', t.id, 'name', t.name, 'kind', t.kind, 'user', u.name, 'node', "
              "t.node, "
              "'created', rfc3339(t.created), 'expires', rfc3339(t.expires)), t.id FROM token t LEFT JOIN "
              "app_user u ON u.id = t.user_id "
              "WHERE ($1::bigint = 0 OR t.user_id = $1) AND ($2::bigint IS NULL OR t.id > $2) ORDER BY t.id "
              "LIMIT $3");
    db_bind_int(b, owner);
    db_bind_str(b, after);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *token_delete(struct db *db, int64_t owner, int64_t id)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "DELETE FROM token WHERE id = $1 AND ($2::bigint = 0 OR user_id = $2)");
    db_bind_int(b, id);
    db_bind_int(b, owner);
    return b;
}

struct db_batch *token_sign_in(struct db *db, const char *digest)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    /* One statement, so that two who come at the same time with a signin token can't both have it. */
    db_add(
        b,
        "WITH used AS (DELETE FROM token WHERE digest = $1 AND kind = 'signin' RETURNING user_id, expires), "
        "who AS (SELECT user_id FROM used WHERE expires > now() UNION ALL SELECT user_id FROM token "
        "WHERE digest = $1 AND kind = 'bearer' AND (expires IS NULL OR expires > now())) "
        "SELECT u.id, u.name FROM who JOIN app_user u ON u.id = who.user_id");
    db_bind_str(b, digest);
    return b;
}

struct db_batch *session_insert(struct db *db, const char *digest, int64_t user_id, int64_t seconds)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "WITH s AS (INSERT INTO session (digest, user_id, expires) VALUES ($1, $2, now() + $3::bigint "
              "* interval '1 second') RETURNING *) "
              "SELECT json_build_object('user', json_build_object('name', u.name, 'role', u.role), "
              "'expires', rfc3339(s.expires)) "
              "FROM s JOIN app_user u ON u.id = s.user_id");
    db_bind_str(b, digest);
    db_bind_int(b, user_id);
    db_bind_int(b, seconds);
    return b;
}

struct db_batch *session_delete(struct db *db, const char *digest)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "DELETE FROM session WHERE digest = $1");
    db_bind_str(b, digest);
    return b;
}

struct db_batch *user_password(struct db *db, const char *name)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT id, password FROM app_user WHERE name = $1");
    db_bind_str(b, name);
    return b;
}

#define USER_JSON "json_build_object('name', name, 'role', role, 'created', rfc3339(created))"

struct db_batch *user_insert(struct db *db, const char *name, const char *role, const char *password_hash)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "INSERT INTO app_user (name, role, password) VALUES ($1, $2, $3) RETURNING " USER_JSON);
    db_bind_str(b, name);
    db_bind_str(b, role);
    db_bind_str(b, password_hash);
    return b;
}

struct db_batch *user_list(struct db *db, const char *after, int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT " USER_JSON
              ", name FROM app_user WHERE ($1::text IS NULL OR name > $1) ORDER BY name LIMIT $2");
    db_bind_str(b, after);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *user_first(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "INSERT INTO app_user (name, role) SELECT 'admin', 'admin' WHERE NOT EXISTS (SELECT 1 FROM "
              "app_user)");
    db_add(b, "SELECT id FROM app_user WHERE name = 'admin' AND role = 'admin'");
    return b;
}

struct db_batch *token_keep_only(struct db *db, const char *kind, const char *name, const char *digest)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "DELETE FROM token WHERE kind = $1 AND name = $2 AND digest <> $3");
    db_bind_str(b, kind);
    db_bind_str(b, name);
    db_bind_str(b, digest);
    return b;
}

struct db_batch *key_claim(struct db *db, int64_t user_id, const char *key, const char *request,
                           const char *boot)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    /* A claim without an answer from a process that is gone did not commit its work: it may be taken over. */
    db_add(b, "INSERT INTO idempotency_key (user_id, key, request, boot) VALUES ($1, $2, $3, $4) ON CONFLICT "
              "(user_id, key) DO UPDATE "
              "SET boot = EXCLUDED.boot WHERE idempotency_key.status IS NULL AND idempotency_key.boot <> "
              "EXCLUDED.boot "
              "AND idempotency_key.request = EXCLUDED.request");
    db_bind_int(b, user_id);
    db_bind_str(b, key);
    db_bind_str(b, request);
    db_bind_str(b, boot);
    db_add(b, "SELECT request = $3, status, type, place, body FROM idempotency_key WHERE user_id = $1 AND "
              "key = $2");
    db_bind_int(b, user_id);
    db_bind_str(b, key);
    db_bind_str(b, request);
    return b;
}

void key_answer(struct db_batch *b, int64_t user_id, const char *key, int status, const char *type,
                const char *place, const char *body)
{
    if (status == 0) {
        db_add(b, "DELETE FROM idempotency_key WHERE user_id = $1 AND key = $2 AND status IS NULL");
        db_bind_int(b, user_id);
        db_bind_str(b, key);
        return;
    }
    db_add(b, "UPDATE idempotency_key SET status = $3, type = $4, place = $5, body = $6 WHERE user_id = $1 "
              "AND key = $2");
    db_bind_int(b, user_id);
    db_bind_str(b, key);
    db_bind_int(b, status);
    db_bind_str(b, type);
    db_bind_str(b, place);
    db_bind_str(b, body);
}

struct db_batch *expire_old(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "DELETE FROM session WHERE expires < now()");
    db_add(b, "DELETE FROM token WHERE expires < now()");
    db_add(b, "DELETE FROM idempotency_key WHERE created < now() - interval '1 day'");
    db_add(b, "DELETE FROM event WHERE at < now() - interval '30 days'");
    db_add(b, "DELETE FROM verification WHERE created < now() - interval '30 days'");
    return b;
}
