#include "orchestrator/blob/collect.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "orchestrator/blob/store.h"
#include "orchestrator/store/blob_row.h"

#define EVERY_SECONDS 60
#define FOLDERS       256

struct collector {
    struct orch *orch;
    struct event *timer;
    int folder; /* next to look through for files without a row; FOLDERS: done */
    bool busy;
};

static void remove_files(struct collector *c, const struct db_results *r)
{
    struct err err = {0};
    for (int i = 0; i < db_rows(r, 0); i++) {
        const char *digest = db_str(r, 0, i, 0);
        /* Stored again while the statement ran: the file stays, its new row is on the way. */
        if (blob_pinned(c->orch->blobs, digest))
            continue;
        if (blob_remove(c->orch->blobs, digest, &err) < 0)
            log_error("blob", "a blob could not be removed", KV_E(&err));
        else
            log_debug("blob", "removed", KV_S("digest", digest));
    }
}

static void on_collected(const struct db_results *r, const struct err *err, void *arg)
{
    struct collector *c = arg;
    c->busy = false;
    if (err) {
        log_warn("blob", "blobs could not be collected", KV_E(err));
        return;
    }
    remove_files(c, r);
    if (db_rows(r, 0) > 0)
        event_active(c->timer, EV_TIMEOUT, 0);
}

static void add_digest(const char *digest, void *arg)
{
    struct buf *b = arg;
    buf_printf(b, "%s%s", b->len ? "," : "", digest);
}

static void on_unknown(const struct db_results *r, const struct err *err, void *arg)
{
    struct collector *c = arg;
    c->busy = false;
    if (err)
        return;
    remove_files(c, r);
    c->folder++;
    event_active(c->timer, EV_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct collector *c = arg;
    int64_t grace = conf_int(c->orch->conf, "blob-grace");
    struct buf digests = {0};
    if (c->busy || !db_ready(c->orch->db))
        return;
    while (c->folder < FOLDERS &&
           blob_list_folder(c->orch->blobs, c->folder, grace, add_digest, &digests) == 0)
        c->folder++;
    c->busy = true;
    if (c->folder < FOLDERS) {
        db_submit(blob_unknown(c->orch->db, buf_str(&digests)), on_unknown, c);
    } else {
        for (size_t i = 0; i < c->orch->blobs->pin_count; i++)
            add_digest(c->orch->blobs->pins[i].digest, &digests);
        db_submit(blob_collect(c->orch->db, buf_str(&digests), grace), on_collected, c);
    }
    buf_free(&digests);
}

struct collector *collector_create(struct orch *orch)
{
    struct collector *c = xcalloc(1, sizeof(*c));
    c->orch = orch;
    c->timer = event_new(orch->base, -1, EV_PERSIST, on_timer, c);
    event_add(c->timer, &(struct timeval){EVERY_SECONDS, 0});
    event_active(c->timer, EV_TIMEOUT, 0);
    return c;
}

void collector_destroy(struct collector *c)
{
    if (!c)
        return;
    event_free(c->timer);
    free(c);
}
