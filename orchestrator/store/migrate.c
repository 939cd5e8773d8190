#include "orchestrator/store/migrate.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sha256.h"
#include "orchestrator/embed.h"

/* Run SQL without parameters; the result is checked. */
static int run(PGconn *pg, const char *sql, struct err *err)
{
    PGresult *res = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(res);
    int rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
                 ? 0
                 : err_set(err, ERR_INTERNAL, "%s", PQresultErrorMessage(res));
    PQclear(res);
    return rc;
}

/* 1: applied as it is, 0: not applied, -1: applied in another form, or the query failed. */
static int is_applied(PGconn *pg, const char *number, const char *digest, const char *name, struct err *err)
{
    const char *values[] = {number};
    PGresult *res = PQexecParams(pg, "SELECT digest FROM schema_migration WHERE number = $1::int", 1, NULL,
                                 values, NULL, NULL, 0);
    int rc = 0;
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        rc = err_set(err, ERR_INTERNAL, "%s", PQresultErrorMessage(res));
    else if (PQntuples(res) > 0)
        rc = strcmp(PQgetvalue(res, 0, 0), digest) == 0
                 ? 1
                 : err_set(err, ERR_CONFLICT,
                           "the database was made with another %s than this program has; use the program "
                           "that made it, "
                           "or a new database",
                           name);
    PQclear(res);
    return rc;
}

static int apply(PGconn *pg, const struct embedded_file *f, const char *number, const char *digest,
                 struct err *err)
{
    const char *values[] = {number, f->name, digest};
    if (run(pg, "BEGIN", err) < 0 || run(pg, f->data, err) < 0)
        return err_prefix(err, "applying %s", f->name);
    PGresult *res =
        PQexecParams(pg, "INSERT INTO schema_migration (number, name, digest) VALUES ($1::int, $2, $3)", 3,
                     NULL, values, NULL, NULL, 0);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
    if (!ok)
        err_set(err, ERR_INTERNAL, "recording %s: %s", f->name, PQresultErrorMessage(res));
    PQclear(res);
    if (!ok || run(pg, "COMMIT", err) < 0)
        return -1;
    log_info("db", "schema applied", KV_S("file", f->name));
    return 0;
}

static int refuse_newer(PGconn *pg, const char *last, struct err *err)
{
    const char *values[] = {last};
    PGresult *res = PQexecParams(pg, "SELECT name FROM schema_migration WHERE number > $1::int LIMIT 1", 1,
                                 NULL, values, NULL, NULL, 0);
    int rc = 0;
    if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0)
        rc = err_set(err, ERR_CONFLICT,
                     "the database belongs to a newer Trainyard (it has %s); use that program",
                     PQgetvalue(res, 0, 0));
    PQclear(res);
    return rc;
}

static int migrate_locked(PGconn *pg, struct err *err)
{
    if (run(pg,
            "CREATE TABLE IF NOT EXISTS schema_migration (number int PRIMARY KEY, name text NOT NULL, "
            "digest text NOT NULL, applied timestamptz NOT NULL DEFAULT now())",
            err) < 0)
        return -1;
    char number[5] = "0";
    for (const struct embedded_file *f = embedded_schema; f->name; f++) {
        char digest[SHA256_HEX];
        sha256_of(f->data, f->size, digest);
        memcpy(number, f->name, 4); /* NNNN.sql or NNNN-title.sql */
        int there = is_applied(pg, number, digest, f->name, err);
        if (there < 0 || (there == 0 && apply(pg, f, number, digest, err) < 0))
            return -1;
    }
    return refuse_newer(pg, number, err);
}

int migrate(const char *url, struct err *err)
{
    PGconn *pg = PQconnectdb(url);
    int rc;
    if (PQstatus(pg) != CONNECTION_OK)
        rc = err_set(err, ERR_UNAVAILABLE, "cannot connect to the database: %s", PQerrorMessage(pg));
    else if ((rc = run(pg, "SET client_min_messages = warning; SELECT pg_advisory_lock(7240117, 2)", err)) ==
             0)
        rc = migrate_locked(pg, err);
    PQfinish(pg); /* rolls back what is open and gives the lock back */
    return rc;
}
