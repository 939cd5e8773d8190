/* db: PostgreSQL through libpq without blocking, on the event loop, in pipeline mode.
 *
 * The unit of work is a batch: statements that commit together or not at all (one pipeline sync is one
 * implicit transaction). Write batches go down one connection in the order they were submitted, so what a
 * later batch sees includes every earlier one; read batches go to a small pool. The done callback runs after
 * the commit is durable. There are no interactive transactions: what needs a decision in the middle is one
 * SQL statement (CTE, ON CONFLICT). Only files in store/ contain SQL.
 *
 * A lost connection fails the batches in flight with ERR_UNAVAILABLE and is reopened with back-off. For job
 * events a failed commit ends the process (job/event.c), everywhere else it is a 503.
 */
#ifndef ORCHESTRATOR_STORE_DB_H
#define ORCHESTRATOR_STORE_DB_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct db;
struct db_batch;
struct db_results;

/* Connects (blocking, at start only), applies the migrations of schema/ that are missing, in order, under an
 * advisory lock. Returns NULL and sets err. */
struct db *db_create(struct event_base *base, const char *url, int read_connections, struct err *err);
void db_destroy(struct db *db);
bool db_ready(const struct db *db);
/* Run the loop until nothing is under way, or for so many seconds; at the end, before rooms are destroyed. */
void db_drain(struct db *db, double seconds);

/* Build a batch: db_add() starts a statement, db_bind_*() give its $1, $2, ... in order. Strings are copied.
 */
enum db_kind { DB_READ, DB_WRITE };
struct db_batch *db_batch_create(struct db *db, enum db_kind kind);
int db_add(struct db_batch *b, const char *sql);     /* index of the statement */
void db_bind_str(struct db_batch *b, const char *s); /* NULL binds SQL NULL */
void db_bind_strn(struct db_batch *b, const char *s, size_t n);
void db_bind_int(struct db_batch *b, int64_t v);
void db_bind_real(struct db_batch *b, double v);
void db_bind_bool(struct db_batch *b, bool v);
void db_bind_null(struct db_batch *b);

/* Exactly once. err NULL: committed. results live only during the call. A violated constraint gives
 * ERR_EXISTS (unique), ERR_NOT_FOUND (foreign key), ERR_INVALID (check), with the constraint's name in
 * db_error_constraint(results). */
typedef void (*db_done_f)(const struct db_results *results, const struct err *err, void *arg);
void db_submit(struct db_batch *b, db_done_f done, void *arg); /* takes b; done may be NULL */
void db_batch_discard(struct db_batch *b);

int db_rows(const struct db_results *r, int statement);
int64_t db_affected(const struct db_results *r, int statement);
const char *db_str(const struct db_results *r, int statement, int row, int col); /* NULL for SQL NULL */
int64_t db_int(const struct db_results *r, int statement, int row, int col);     /* 0 for NULL */
double db_real(const struct db_results *r, int statement, int row, int col);
bool db_bool(const struct db_results *r, int statement, int row, int col);
const char *db_error_constraint(const struct db_results *r); /* "" if none */

#endif
