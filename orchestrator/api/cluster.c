#include "orchestrator/api/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "orchestrator/api/api.h"
#include "orchestrator/embed.h"
#include "orchestrator/stream/stream.h"
#include "orchestrator/verify/verifier.h"

/* --- health --------------------------------------------------------------------------------------------- */

void health_get(struct call *c)
{
    call_reply_text(c, 200, "{\"status\":\"ok\"}");
}

void ready_get(struct call *c)
{
    if (db_ready(c->orch->db))
        call_reply_text(c, 200, "{\"status\":\"ready\"}");
    else
        call_fail(c, ERR_UNAVAILABLE, "the database is not reachable");
}

void version_get(struct call *c)
{
    call_reply_text(c, 200, "{\"name\":\"trainyard\",\"version\":\"" TRAINYARD_VERSION "\",\"api\":\"v1\"}");
}

/* --- metrics -------------------------------------------------------------------------------------------- */

static void metric(struct buf *b, const char *name, const char *type, const char *help, double value)
{
    buf_printf(b, "# HELP trainyard_%s %s\n# TYPE trainyard_%s %s\ntrainyard_%s %.17g\n", name, help, name,
               type, name, value);
}

/* Security: operators only (the table's role): numbers tell what others do. */
void metrics_get(struct call *c)
{
    struct buf b = {0};
    const struct api_counters *n = api_counters(c->orch->api);
    const struct verifier_counters *v = verifier_counters(c->orch->verifier);
    metric(&b, "up", "gauge", "1", 1);
    metric(&b, "database_ready", "gauge", "Whether the database is reachable", db_ready(c->orch->db));
    buf_puts(&b, "# HELP trainyard_http_responses_total Replies by class of status\n# TYPE "
                 "trainyard_http_responses_total counter\n");
    for (int i = 1; i <= 5; i++)
        buf_printf(&b, "trainyard_http_responses_total{class=\"%dxx\"} %llu\n", i,
                   (unsigned long long)n->by_class[i]);
    metric(&b, "http_requests_total", "counter", "Requests received", (double)n->requests);
    metric(&b, "stream_connections", "gauge", "Open event streams", stream_connections(c->orch->stream));
    metric(&b, "verifications_running", "gauge", "Verification children", v->running);
    metric(&b, "verifications_waiting", "gauge", "Verifications that wait for a child", v->waiting);
    metric(&b, "verifications_passed_total", "counter", "Verifications that passed", (double)v->passed);
    metric(&b, "verifications_failed_total", "counter", "Verifications that found something wrong",
           (double)v->failed);
    metric(&b, "verifications_remembered_total", "counter", "Verifications answered from memory",
           (double)v->remembered);
    metric(&b, "verifications_broken_total", "counter", "Verifications that could not be done",
           (double)v->broken);
    api_more_metrics(c->orch, &b);
    http_req_add_header(c->req, "Cache-Control", "no-store");
    api_counters(c->orch->api)->by_class[2]++;
    http_reply(c->req, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    buf_free(&b);
}

/* --- what describes this server ------------------------------------------------------------------------- */

void openapi_get(struct call *c)
{
    for (const struct embedded_file *f = embedded_docs; f->name; f++)
        if (!strcmp(f->name, "openapi.json")) {
            call_reply_text(c, 200, f->data);
            return;
        }
    call_fail(c, ERR_NOT_FOUND, "this program carries no openapi.json");
}

static void on_layer_types(const char *json, const struct err *err, void *arg)
{
    if (err)
        call_reply_err(arg, err);
    else
        call_reply_text(arg, 200, json);
}

void layer_types_get(struct call *c)
{
    verifier_layer_types(c->orch->verifier, on_layer_types, c);
}

void stream_get(struct call *c)
{
    if (http_req_header(c->req, "Upgrade"))
        stream_accept(c->orch->stream, c->req, &c->user);
    else
        call_reply_status(c, 426, "Upgrade required", "this is a WebSocket; connect with ws:// or wss://");
}
