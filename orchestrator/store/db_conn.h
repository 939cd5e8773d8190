/* db_conn: one connection in pipeline mode on the loop. Private to store/db.c.
 *
 * A batch is sent whole (its statements and one sync) and its results are gathered until the sync comes back;
 * then its callback is called. When the connection breaks, every batch that was sent fails, and the
 * connection is opened again with a growing delay. */
#ifndef ORCHESTRATOR_STORE_DB_CONN_H
#define ORCHESTRATOR_STORE_DB_CONN_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "orchestrator/store/db.h"

struct db_statement {
    char *sql;
    size_t first_bind, binds; /* into the batch's binds */
};

struct db_batch {
    struct db *db;
    enum db_kind kind;
    struct db_statement *statements;
    size_t count, cap;
    struct db_bind {
        bool null;
        size_t at; /* of the NUL-terminated text in `text` */
    } * binds;
    size_t bind_count, bind_cap;
    struct buf text;
    db_done_f done;
    void *arg;
    PGresult **results; /* one a statement */
    size_t current;     /* the statement whose results are coming */
    struct err error;   /* the first that failed */
    char constraint[64];
    struct db_batch *next;
};

struct db_queue {
    struct db_batch *first, **last;
    size_t count;
};
void db_queue_init(struct db_queue *q);
void db_queue_push(struct db_queue *q, struct db_batch *b);
struct db_batch *db_queue_pop(struct db_queue *q); /* NULL when empty */
void db_batch_finish(struct db_batch *b);          /* calls done, frees */

struct db_conn {
    struct event_base *base;
    const char *url;
    const char *settings; /* SQL run on every new connection; must give one row with one true */
    PGconn *pg;
    struct event *io, *retry;
    enum { DB_CONN_DOWN, DB_CONN_CONNECTING, DB_CONN_SETTING, DB_CONN_UP } state;
    struct db_queue sent;
    double delay;
    void (*on_change)(struct db_conn *c, void *arg); /* up and may take more, or just lost */
    void *arg;
};

/* Connect at once, blocking; afterwards it reconnects by itself on the loop. */
int db_conn_open(struct db_conn *c, struct event_base *base, const char *url, const char *settings,
                 void (*on_change)(struct db_conn *c, void *arg), void *arg, struct err *err);
void db_conn_close(struct db_conn *c); /* batches that were sent are dropped */
/* Send a batch down a connection that is up. Takes it. */
void db_conn_send(struct db_conn *c, struct db_batch *b);

#endif
