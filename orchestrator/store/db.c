#include "orchestrator/store/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "orchestrator/store/db_conn.h"
#include "orchestrator/store/migrate.h"

/* How many batches may wait: beyond it the database can't keep up, and more waiting would only eat memory. */
#define DB_WAITING_MAX 20000
/* Batches sent ahead on the write connection. Readers get one at a time, so that a slow query holds up
 * nobody. */
#define DB_WRITE_AHEAD 256
#define DB_READERS_MAX 64

/* The first value is whether the session may be used. Only one orchestrator may write: its lock lasts as long
 * as its write connection. */
#define SETTINGS                                                                                             \
    "set_config('TimeZone','UTC',false) IS NOT NULL AND set_config('statement_timeout','60000',false) IS "   \
    "NOT NULL"
static const char write_settings[] = "SELECT " SETTINGS " AND pg_try_advisory_lock(7240117, 1)";
static const char read_settings[] =
    "SELECT " SETTINGS " AND set_config('default_transaction_read_only','on',false) IS NOT NULL";

struct db {
    struct event_base *base;
    char *url;
    struct db_conn writer, *readers;
    int reader_count, reader_next;
    struct db_queue write_waiting, read_waiting, refused;
    struct event *deliver; /* gives refusals from the loop, never from inside db_submit */
    bool closing;
};

struct db_results {
    const struct db_batch *batch;
};

/* --- building a batch ----------------------------------------------------------------------------------- */

struct db_batch *db_batch_create(struct db *db, enum db_kind kind)
{
    struct db_batch *b = xcalloc(1, sizeof(*b));
    b->db = db;
    b->kind = kind;
    return b;
}

int db_add(struct db_batch *b, const char *sql)
{
    b->statements = vec_grow(b->statements, &b->cap, b->count + 1, sizeof(*b->statements));
    b->statements[b->count] = (struct db_statement){.sql = xstrdup(sql), .first_bind = b->bind_count};
    return (int)b->count++;
}

void db_bind_strn(struct db_batch *b, const char *s, size_t n)
{
    b->binds = vec_grow(b->binds, &b->bind_cap, b->bind_count + 1, sizeof(*b->binds));
    b->binds[b->bind_count++] = (struct db_bind){.null = !s, .at = b->text.len};
    b->statements[b->count - 1].binds++;
    if (s) {
        buf_add(&b->text, s, n);
        buf_putc(&b->text, 0);
    }
}

void db_bind_str(struct db_batch *b, const char *s)
{
    db_bind_strn(b, s, s ? strlen(s) : 0);
}

void db_bind_int(struct db_batch *b, int64_t v)
{
    char text[24];
    db_bind_strn(b, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)v));
}

void db_bind_real(struct db_batch *b, double v)
{
    char text[40];
    db_bind_strn(b, text, (size_t)snprintf(text, sizeof(text), "%.17g", v));
}

void db_bind_bool(struct db_batch *b, bool v)
{
    db_bind_str(b, v ? "t" : "f");
}

void db_bind_null(struct db_batch *b)
{
    db_bind_str(b, NULL);
}

void db_batch_discard(struct db_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++) {
        free(b->statements[i].sql);
        if (b->results)
            PQclear(b->results[i]);
    }
    free(b->results);
    free(b->statements);
    free(b->binds);
    buf_free(&b->text);
    free(b);
}

void db_batch_finish(struct db_batch *b)
{
    const struct db_results results = {b};
    if (b->done)
        b->done(&results, b->error.code ? &b->error : NULL, b->arg);
    else if (b->error.code)
        log_error("db", "a write failed that nobody waits for", KV_E(&b->error));
    db_batch_discard(b);
}

/* --- handing out ---------------------------------------------------------------------------------------- */

static void refuse(struct db *db, struct db_batch *b, const char *why)
{
    err_set(&b->error, ERR_UNAVAILABLE, "%s", why);
    db_queue_push(&db->refused, b);
    event_active(db->deliver, EV_TIMEOUT, 0);
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct db *db = arg;
    for (struct db_batch *b; (b = db_queue_pop(&db->refused));)
        db_batch_finish(b);
}

static void pump_writes(struct db *db)
{
    while (db->write_waiting.first && db->writer.state == DB_CONN_UP &&
           db->writer.sent.count < DB_WRITE_AHEAD)
        db_conn_send(&db->writer, db_queue_pop(&db->write_waiting));
}

static void pump_reads(struct db *db)
{
    for (int i = 0; i < db->reader_count && db->read_waiting.first; i++) {
        struct db_conn *c = &db->readers[(db->reader_next + i) % db->reader_count];
        if (c->state == DB_CONN_UP && c->sent.count == 0)
            db_conn_send(c, db_queue_pop(&db->read_waiting));
    }
    db->reader_next = (db->reader_next + 1) % db->reader_count;
}

static bool any_reader(const struct db *db)
{
    for (int i = 0; i < db->reader_count; i++)
        if (db->readers[i].state == DB_CONN_UP)
            return true;
    return false;
}

static void refuse_all(struct db *db, struct db_queue *q)
{
    for (struct db_batch *b; (b = db_queue_pop(q));)
        refuse(db, b, "the connection to the database was lost; try again");
}

static void on_change(struct db_conn *c, void *arg)
{
    struct db *db = arg;
    if (c == &db->writer) {
        if (c->state == DB_CONN_UP)
            pump_writes(db);
        else
            refuse_all(db, &db->write_waiting);
    } else {
        if (any_reader(db))
            pump_reads(db);
        else
            refuse_all(db, &db->read_waiting);
    }
}

void db_submit(struct db_batch *b, db_done_f done, void *arg)
{
    struct db *db = b->db;
    b->done = done;
    b->arg = arg;
    struct db_queue *q = b->kind == DB_WRITE ? &db->write_waiting : &db->read_waiting;
    bool up = b->kind == DB_WRITE ? db->writer.state == DB_CONN_UP : any_reader(db);
    if (db->closing || !up)
        refuse(db, b, "the database is not reachable at the moment; try again");
    else if (q->count >= DB_WAITING_MAX)
        refuse(db, b, "the database can't keep up at the moment; try again");
    else {
        db_queue_push(q, b);
        if (b->kind == DB_WRITE)
            pump_writes(db);
        else
            pump_reads(db);
    }
}

/* --- life ----------------------------------------------------------------------------------------------- */

/* A server that is just starting, or the lock of an orchestrator that was killed a moment ago, is worth some
 * waiting. */
static int open_patiently(struct db_conn *c, struct db *db, const char *settings, struct err *err)
{
    for (int i = 0;; i++) {
        if (db_conn_open(c, db->base, db->url, settings, on_change, db, err) == 0)
            return 0;
        if (i >= 40)
            return -1;
        nanosleep(&(struct timespec){0, 250000000}, NULL);
    }
}

struct db *db_create(struct event_base *base, const char *url, int read_connections, struct err *err)
{
    struct db *db = xcalloc(1, sizeof(*db));
    db->base = base;
    db->url = xstrdup(url);
    db_queue_init(&db->write_waiting);
    db_queue_init(&db->read_waiting);
    db_queue_init(&db->refused);
    db_queue_init(&db->writer.sent);
    db->deliver = event_new(base, -1, 0, on_deliver, db);
    int want = read_connections < 1                ? 1
               : read_connections > DB_READERS_MAX ? DB_READERS_MAX
                                                   : read_connections;
    db->readers = xcalloc((size_t)want, sizeof(*db->readers));
    /* The write connection first: its lock keeps a second orchestrator from migrating under the first. */
    if (open_patiently(&db->writer, db, write_settings, err) < 0 || migrate(url, err) < 0)
        goto fail;
    for (; db->reader_count < want; db->reader_count++)
        if (db_conn_open(&db->readers[db->reader_count], base, db->url, read_settings, on_change, db, err) <
            0)
            goto fail;
    return db;
fail:
    db_destroy(db);
    return NULL;
}

void db_destroy(struct db *db)
{
    if (!db)
        return;
    db->closing = true;
    db_conn_close(&db->writer);
    for (int i = 0; i < db->reader_count; i++)
        db_conn_close(&db->readers[i]);
    struct db_queue *queues[] = {&db->write_waiting, &db->read_waiting, &db->refused};
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        for (struct db_batch *b; (b = db_queue_pop(queues[i]));)
            db_batch_discard(b);
    event_free(db->deliver);
    free(db->readers);
    free(db->url);
    free(db);
}

static bool idle(const struct db *db)
{
    size_t n = db->writer.sent.count + db->write_waiting.count + db->read_waiting.count + db->refused.count;
    for (int i = 0; i < db->reader_count; i++)
        n += db->readers[i].sent.count;
    return n == 0;
}

void db_drain(struct db *db, double seconds)
{
    double end = time_monotonic() + seconds;
    while (!idle(db) && time_monotonic() < end) {
        event_base_loopexit(db->base, &(struct timeval){0, 20000});
        event_base_dispatch(db->base);
    }
}

bool db_ready(const struct db *db)
{
    return db->writer.state == DB_CONN_UP && any_reader(db);
}

/* --- results -------------------------------------------------------------------------------------------- */

static const PGresult *result(const struct db_results *r, int statement)
{
    return (size_t)statement < r->batch->count && r->batch->results ? r->batch->results[statement] : NULL;
}

int db_rows(const struct db_results *r, int statement)
{
    const PGresult *res = result(r, statement);
    return res ? PQntuples(res) : 0;
}

int64_t db_affected(const struct db_results *r, int statement)
{
    const PGresult *res = result(r, statement);
    return res ? strtoll(PQcmdTuples((PGresult *)(uintptr_t)res), NULL, 10) : 0;
}

const char *db_str(const struct db_results *r, int statement, int row, int col)
{
    const PGresult *res = result(r, statement);
    if (!res || row >= PQntuples(res) || col >= PQnfields(res) || PQgetisnull(res, row, col))
        return NULL;
    return PQgetvalue(res, row, col);
}

int64_t db_int(const struct db_results *r, int statement, int row, int col)
{
    const char *s = db_str(r, statement, row, col);
    return s ? strtoll(s, NULL, 10) : 0;
}

double db_real(const struct db_results *r, int statement, int row, int col)
{
    const char *s = db_str(r, statement, row, col);
    return s ? strtod(s, NULL) : 0;
}

bool db_bool(const struct db_results *r, int statement, int row, int col)
{
    const char *s = db_str(r, statement, row, col);
    return s && s[0] == 't';
}

const char *db_error_constraint(const struct db_results *r)
{
    return r->batch->constraint;
}
