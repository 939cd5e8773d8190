#include "orchestrator/store/node.h"

void node_seen_add(struct db_batch *b, const char *name, int64_t cores, int64_t memory, const char *gpus_json,
                   const char *hostname, const char *version)
{
    db_add(b, "INSERT INTO node (name, cores, memory_bytes, gpus, hostname, version) VALUES ($1, $2, $3, "
              "$4::json, $5, $6) "
              "ON CONFLICT (name) DO UPDATE SET cores = excluded.cores, memory_bytes = "
              "excluded.memory_bytes, gpus = excluded.gpus, "
              "hostname = excluded.hostname, version = excluded.version, last_seen = now()");
    db_bind_str(b, name);
    db_bind_int(b, cores);
    db_bind_int(b, memory);
    db_bind_str(b, gpus_json);
    db_bind_str(b, hostname);
    db_bind_str(b, version);
}

void node_drain_add(struct db_batch *b, const char *name, bool drained, const char *reason)
{
    db_add(b, "UPDATE node SET drained = $2, reason = $3 WHERE name = $1");
    db_bind_str(b, name);
    db_bind_bool(b, drained);
    db_bind_str(b, reason);
}

struct db_batch *node_all(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(b, "SELECT name, cores, memory_bytes, gpus, hostname, version, drained, reason, extract(epoch "
              "FROM last_seen)::double precision FROM node ORDER BY name");
    return b;
}

struct db_batch *partition_all(struct db *db)
{
    struct db_batch *b = db_batch_create(db, DB_READ);
    db_add(
        b,
        "SELECT json_build_object('name', name, 'default', is_default, 'max_time_seconds', max_time_seconds, "
        "'nodes', (SELECT coalesce(json_agg(n.name ORDER BY n.name), '[]') FROM node n)), name FROM "
        "partition ORDER BY name");
    return b;
}
