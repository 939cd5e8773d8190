#include "orchestrator/store/db_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static void on_io(evutil_socket_t fd, short what, void *arg);
static void on_retry(evutil_socket_t fd, short what, void *arg);

void db_queue_init(struct db_queue *q)
{
    *q = (struct db_queue){.last = &q->first};
}

void db_queue_push(struct db_queue *q, struct db_batch *b)
{
    b->next = NULL;
    *q->last = b;
    q->last = &b->next;
    q->count++;
}

struct db_batch *db_queue_pop(struct db_queue *q)
{
    struct db_batch *b = q->first;
    if (!b)
        return NULL;
    q->first = b->next;
    if (!q->first)
        q->last = &q->first;
    q->count--;
    return b;
}

/* --- errors --------------------------------------------------------------------------------------------- */

/* SQLSTATE to our codes: what a statement did wrong, never what the server told us in words. */
static enum err_code code_of(const char *state)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } table[] = {
        {"23505", ERR_EXISTS},   {"23503", ERR_NOT_FOUND}, {"23", ERR_INVALID},      {"22", ERR_INVALID},
        {"57014", ERR_TIMEOUT},  {"08", ERR_UNAVAILABLE},  {"57P", ERR_UNAVAILABLE}, {"53", ERR_UNAVAILABLE},
        {"40", ERR_UNAVAILABLE}, {"25006", ERR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (!strncmp(state, table[i].prefix, strlen(table[i].prefix)))
            return table[i].code;
    return ERR_INTERNAL;
}

static void batch_fail(struct db_batch *b, const PGresult *res)
{
    if (b->error.code)
        return; /* the first one counts; what follows was skipped because of it */
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    enum err_code code = code_of(state ? state : "XX000");
    if (constraint) {
        strncpy(b->constraint, constraint, sizeof(b->constraint) - 1);
        err_set(&b->error, code, "the database refused: constraint %s", constraint);
    } else if (code == ERR_INVALID) {
        err_set(&b->error, code, "the database refused a value: %s", message ? message : "no reason given");
    } else {
        err_set(&b->error, code, "the database could not do this (code %s)", state ? state : "unknown");
    }
    if (code == ERR_INTERNAL || code == ERR_UNAVAILABLE || code == ERR_TIMEOUT) {
        char sql[200]; /* enough to know it by */
        snprintf(sql, sizeof(sql), "%s", b->current < b->count ? b->statements[b->current].sql : "commit");
        log_error("db", "statement failed", KV_S("code", state), KV_S("message", message), KV_S("sql", sql));
    }
}

static void connection_lost(struct db_conn *c, const char *why)
{
    log_error("db", "connection lost", KV_S("error", why));
    event_free(c->io);
    c->io = NULL;
    PQfinish(c->pg);
    c->pg = NULL;
    c->state = DB_CONN_DOWN;
    /* Taken aside first: a callback may submit again, and that must not be mixed up with what is lost. */
    struct db_queue lost = c->sent;
    if (!lost.first)
        lost.last = &lost.first;
    db_queue_init(&c->sent);
    struct timeval tv = {(time_t)c->delay, (suseconds_t)((c->delay - (double)(time_t)c->delay) * 1e6)};
    c->delay = c->delay * 2 > 5 ? 5 : c->delay * 2;
    event_add(c->retry, &tv);
    for (struct db_batch *b; (b = db_queue_pop(&lost));) {
        err_set(&b->error, ERR_UNAVAILABLE, "the connection to the database was lost; try again");
        db_batch_finish(b);
    }
    c->on_change(c, c->arg);
}

/* --- sending -------------------------------------------------------------------------------------------- */

static void watch(struct db_conn *c, bool write)
{
    short want = (short)(EV_READ | EV_PERSIST | (write ? EV_WRITE : 0));
    if (c->io && event_get_fd(c->io) == PQsocket(c->pg) && event_get_events(c->io) == want)
        return;
    if (c->io)
        event_free(c->io);
    c->io = event_new(c->base, PQsocket(c->pg), want, on_io, c);
    event_add(c->io, NULL);
}

/* 0, or -1 when the connection is lost. */
static int flush(struct db_conn *c)
{
    int rc = PQflush(c->pg);
    if (rc < 0)
        return -1;
    watch(c, rc > 0);
    return 0;
}

static int send_statement(PGconn *pg, const struct db_batch *b, const struct db_statement *s)
{
    const char **values = xcalloc(s->binds + 1, sizeof(*values));
    for (size_t i = 0; i < s->binds; i++) {
        const struct db_bind *bind = &b->binds[s->first_bind + i];
        values[i] = bind->null ? NULL : b->text.data + bind->at;
    }
    int ok = PQsendQueryParams(pg, s->sql, (int)s->binds, NULL, values, NULL, NULL, 0);
    free(values);
    return ok ? 0 : -1;
}

void db_conn_send(struct db_conn *c, struct db_batch *b)
{
    b->results = xcalloc(b->count + 1, sizeof(*b->results));
    db_queue_push(&c->sent, b);
    int rc = 0;
    for (size_t i = 0; i < b->count && rc == 0; i++)
        rc = send_statement(c->pg, b, &b->statements[i]);
    if (rc < 0 || !PQpipelineSync(c->pg) || flush(c) < 0) {
        /* Not from inside the caller: let the loop find the broken connection. */
        log_error("db", "sending failed", KV_S("error", PQerrorMessage(c->pg)));
        watch(c, true);
        event_active(c->io, EV_TIMEOUT, 0);
    }
}

/* --- receiving ------------------------------------------------------------------------------------------ */

/* Put one result where it belongs; true when the batch at the head is complete. */
static bool take_result(struct db_batch *b, PGresult *res)
{
    switch (PQresultStatus(res)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(res);
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (b->current < b->count && !b->results[b->current])
            b->results[b->current] = res;
        else
            PQclear(res);
        return false;
    case PGRES_PIPELINE_ABORTED:
        PQclear(res);
        return false;
    default:
        batch_fail(b, res);
        PQclear(res);
        return false;
    }
}

static void receive(struct db_conn *c)
{
    while (c->pg && c->sent.first && !PQisBusy(c->pg)) {
        PGresult *res = PQgetResult(c->pg);
        struct db_batch *b = c->sent.first;
        if (!res) {
            b->current++;
            continue;
        }
        bool lost = PQstatus(c->pg) == CONNECTION_BAD;
        if (take_result(b, res)) {
            db_queue_pop(&c->sent);
            db_batch_finish(b);
        }
        if (lost)
            return;
    }
}

/* --- connecting ----------------------------------------------------------------------------------------- */

static void on_settings(const struct db_results *results, const struct err *err, void *arg)
{
    struct db_conn *c = arg;
    if (err || !db_rows(results, 0) || !db_bool(results, 0, 0, 0)) {
        if (!err)
            log_error("db", "another orchestrator uses this database; waiting for it to end");
        if (c->pg)
            event_active(c->io, EV_TIMEOUT, 0); /* seen by on_io, which closes: not from inside receive() */
        return;
    }
    c->state = DB_CONN_UP;
    c->delay = 0.1;
    log_info("db", "connected again");
    c->on_change(c, c->arg);
}

static void connected(struct db_conn *c)
{
    if (PQsetnonblocking(c->pg, 1) < 0 || !PQenterPipelineMode(c->pg)) {
        connection_lost(c, PQerrorMessage(c->pg));
        return;
    }
    c->state = DB_CONN_SETTING;
    struct db_batch *b = db_batch_create(NULL, DB_READ);
    db_add(b, c->settings);
    b->done = on_settings;
    b->arg = c;
    watch(c, false);
    db_conn_send(c, b);
}

static void connecting(struct db_conn *c)
{
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_OK:
        connected(c);
        return;
    case PGRES_POLLING_FAILED:
        connection_lost(c, PQerrorMessage(c->pg));
        return;
    case PGRES_POLLING_WRITING:
        /* The socket may have changed under the same number, so the event is made anew each time. */
        event_free(c->io);
        c->io = event_new(c->base, PQsocket(c->pg), EV_WRITE | EV_PERSIST, on_io, c);
        break;
    default:
        event_free(c->io);
        c->io = event_new(c->base, PQsocket(c->pg), EV_READ | EV_PERSIST, on_io, c);
        break;
    }
    event_add(c->io, NULL);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct db_conn *c = arg;
    if (c->state == DB_CONN_CONNECTING) {
        connecting(c);
        return;
    }
    if (what & EV_TIMEOUT) { /* our own sign that it can't go on */
        connection_lost(c, "given up");
        return;
    }
    if (!PQconsumeInput(c->pg)) {
        /* What came before the end is still good: answer it. */
        receive(c);
        connection_lost(c, PQerrorMessage(c->pg));
        return;
    }
    receive(c);
    if (c->pg && PQstatus(c->pg) == CONNECTION_BAD)
        connection_lost(c, PQerrorMessage(c->pg));
    else if (c->pg && flush(c) < 0)
        connection_lost(c, PQerrorMessage(c->pg));
    else if (c->state == DB_CONN_UP)
        c->on_change(c, c->arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct db_conn *c = arg;
    c->pg = PQconnectStart(c->url);
    c->io = NULL;
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD || PQsocket(c->pg) < 0) {
        log_warn("db", "cannot connect", KV_S("error", c->pg ? PQerrorMessage(c->pg) : "out of memory"));
        PQfinish(c->pg);
        c->pg = NULL;
        c->delay = c->delay * 2 > 5 ? 5 : c->delay * 2;
        event_add(c->retry, &(struct timeval){(time_t)c->delay, 200000});
        return;
    }
    c->state = DB_CONN_CONNECTING;
    c->io = event_new(c->base, PQsocket(c->pg), EV_WRITE | EV_PERSIST, on_io, c);
    event_add(c->io, NULL);
}

static int run_settings(PGconn *pg, const char *settings, struct err *err)
{
    PGresult *res = PQexec(pg, settings);
    int rc = 0;
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        rc = err_set(err, ERR_UNAVAILABLE, "cannot set up the database session: %s", PQerrorMessage(pg));
    else if (strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        rc = err_set(err, ERR_CONFLICT,
                     "another orchestrator uses this database; one database belongs to one orchestrator");
    PQclear(res);
    return rc;
}

int db_conn_open(struct db_conn *c, struct event_base *base, const char *url, const char *settings,
                 void (*on_change)(struct db_conn *c, void *arg), void *arg, struct err *err)
{
    *c = (struct db_conn){
        .base = base, .url = url, .settings = settings, .on_change = on_change, .arg = arg, .delay = 0.1};
    db_queue_init(&c->sent);
    c->retry = evtimer_new(base, on_retry, c);
    c->pg = PQconnectdb(url);
    if (!c->pg || PQstatus(c->pg) != CONNECTION_OK) {
        err_set(err, ERR_UNAVAILABLE, "cannot connect to the database: %s",
                c->pg ? PQerrorMessage(c->pg) : "out of memory");
    } else if (run_settings(c->pg, settings, err) == 0) {
        if (PQsetnonblocking(c->pg, 1) == 0 && PQenterPipelineMode(c->pg)) {
            c->state = DB_CONN_UP;
            watch(c, false);
            return 0;
        }
        err_set(err, ERR_UNAVAILABLE, "cannot use the database connection: %s", PQerrorMessage(c->pg));
    }
    db_conn_close(c);
    return -1;
}

void db_conn_close(struct db_conn *c)
{
    if (c->io)
        event_free(c->io);
    if (c->retry)
        event_free(c->retry);
    if (c->pg)
        PQfinish(c->pg);
    c->io = c->retry = NULL;
    c->pg = NULL;
    for (struct db_batch *b; (b = db_queue_pop(&c->sent));)
        db_batch_discard(b);
}
