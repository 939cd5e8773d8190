/* What a job said and left: events, metrics, logs, artifacts. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/api/jobs.h"
#include "orchestrator/api/console.h"
#include "orchestrator/blob/blob.h"
#include "orchestrator/store/job.h"
#include "orchestrator/store/record.h"

/* A page by seq: ?since= or the cursor, which is a seq too. */
static int read_since(struct call *c, struct call_page *page, int64_t *since, struct err *err)
{
    if (call_query_int(c, "since", 0, 0, INT64_MAX, since, err) < 0 || call_page(c, page, err) < 0)
        return -1;
    char *end = NULL;
    if (page->cursor)
        *since = strtoll(page->cursor, &end, 10);
    return page->cursor && (*end || *since < 0)
               ? err_set(err, ERR_INVALID, "?cursor= is not one that this server gave")
               : 0;
}

struct paging {
    int64_t limit;
    int json_col, key_col;
};

static void on_page(struct call *c, const struct db_results *r)
{
    const struct paging *p = c->data;
    call_reply_list(c, r, 0, p->json_col, p->key_col, p->limit);
}

static void reply_page(struct call *c, struct db_batch *b, int64_t limit, int json_col, int key_col)
{
    struct paging *p = arena_alloc(&c->arena, sizeof(*p));
    *p = (struct paging){limit, json_col, key_col};
    c->data = p;
    call_query(c, b, on_page, NULL);
}

static void events(struct call *c, struct job *j)
{
    struct err err = {0};
    struct call_page page;
    int64_t since;
    if (read_since(c, &page, &since, &err) < 0)
        call_reply_err(c, &err);
    else
        reply_page(c, job_events(c->orch->db, j->id, since, page.limit + 1), page.limit, 0, 1);
}

static void metrics(struct call *c, struct job *j)
{
    struct err err = {0};
    struct call_page page;
    int64_t since;
    const char *all = call_query_param(c, "all");
    if (read_since(c, &page, &since, &err) < 0)
        call_reply_err(c, &err);
    else
        reply_page(c,
                   record_page(c->orch->db, RECORD_METRICS, j->id, since, page.limit + 1,
                               all && !strcmp(all, "true")),
                   page.limit, 2, 0);
}

static void logs(struct call *c, struct job *j)
{
    struct err err = {0};
    struct call_page page;
    int64_t since, tail = 0;
    if (read_since(c, &page, &since, &err) < 0 || call_query_int(c, "tail", 0, 0, 10000, &tail, &err) < 0)
        call_reply_err(c, &err);
    else if (tail > 0)
        reply_page(c, record_tail(c->orch->db, j->id, tail), tail, 2, 0);
    else
        reply_page(c, record_page(c->orch->db, RECORD_LOGS, j->id, since, page.limit + 1, true), page.limit,
                   2, 0);
}

static void artifacts(struct call *c, struct job *j)
{
    reply_page(c, artifact_list(c->orch->db, j->id), INT32_MAX, 0, 1);
}

static const char *content_type(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot && !strcmp(dot, ".json"))
        return "application/json";
    return dot && (!strcmp(dot, ".txt") || !strcmp(dot, ".log")) ? "text/plain; charset=utf-8"
                                                                 : "application/octet-stream";
}

static void on_artifact(struct call *c, const struct db_results *r)
{
    struct err err = {0};
    int64_t size;
    if (db_rows(r, 0) == 0) {
        call_fail(c, ERR_NOT_FOUND, "job %.20s left no artifact \"%.200s\"", c->params[0], c->params[1]);
        return;
    }
    const char *digest = db_str(r, 0, 0, 0);
    int fd = blob_open(c->orch->blobs, digest, &size, &err);
    if (fd < 0) {
        call_reply_err(c, &err);
        return;
    }
    const char *slash = strrchr(c->params[1], '/');
    http_req_add_headerf(c->req, "Content-Disposition", "attachment; filename=\"%s\"",
                         slash ? slash + 1 : c->params[1]);
    http_req_add_header(c->req, "X-Content-Type-Options", "nosniff");
    char *etag = arena_printf(&c->arena, "\"%s\"", digest);
    http_reply_file(c->req, fd, size, content_type(c->params[1]), etag);
}

static void artifact(struct call *c, struct job *j)
{
    call_query(c, artifact_select(c->orch->db, j->id, c->params[1]), on_artifact, NULL);
}

void job_events_get(struct call *c)
{
    job_find(c, events);
}

void job_metrics_get(struct call *c)
{
    job_find(c, metrics);
}

void job_logs_get(struct call *c)
{
    job_find(c, logs);
}

void job_artifacts_get(struct call *c)
{
    job_find(c, artifacts);
}

void job_artifact_get(struct call *c)
{
    job_find(c, artifact);
}
