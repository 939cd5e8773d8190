#include "orchestrator/store/topic.h"

int topic_event_add(struct db_batch *b, const char *topic, const char *json_data)
{
    int s = db_add(b, "SELECT topic_event($1, $2::json)");
    db_bind_str(b, topic);
    db_bind_str(b, json_data);
    return s;
}

struct db_batch *topic_event_page(struct db *db, const char *topic, int64_t since, int64_t limit)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT seq, data FROM event WHERE topic = $1 AND seq > $2 ORDER BY seq LIMIT $3");
    db_bind_str(b, topic);
    db_bind_int(b, since);
    db_bind_int(b, limit);
    return b;
}

struct db_batch *topic_last(struct db *db, const char *topic)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT seq FROM topic WHERE name = $1");
    db_bind_str(b, topic);
    return b;
}
