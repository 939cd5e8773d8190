#include "orchestrator/store/upload.h"

#define HTTP_DATE "to_char(expires AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS \"GMT\"')"

struct db_batch *upload_insert(struct db *db, const char *id, int64_t user_id, int64_t size,
                               const char *metadata, int64_t lifetime_seconds)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "INSERT INTO upload (id, user_id, size, metadata, expires) SELECT $1, $2::bigint, $3::bigint, "
              "$4, now() + $5::bigint * interval '1 second' "
              "WHERE (SELECT count(*) FROM upload WHERE user_id = $2) < $6 RETURNING " HTTP_DATE);
    db_bind_str(b, id);
    db_bind_int(b, user_id);
    db_bind_int(b, size);
    db_bind_str(b, metadata);
    db_bind_int(b, lifetime_seconds);
    db_bind_int(b, UPLOADS_PER_USER);
    return b;
}

struct db_batch *upload_select(struct db *db, int64_t owner, const char *id)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT size, metadata, " HTTP_DATE
              " FROM upload WHERE id = $1 AND ($2::bigint = 0 OR user_id = $2) AND expires > now()");
    db_bind_str(b, id);
    db_bind_int(b, owner);
    return b;
}

struct db_batch *upload_delete(struct db *db, int64_t owner, const char *id)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "DELETE FROM upload WHERE id = $1 AND ($2::bigint = 0 OR user_id = $2)");
    db_bind_str(b, id);
    db_bind_int(b, owner);
    return b;
}

struct db_batch *upload_expire(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_WRITE);
    db_add(b, "DELETE FROM upload WHERE expires < now() RETURNING id");
    return b;
}

struct db_batch *upload_ids(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT id FROM upload");
    return b;
}
