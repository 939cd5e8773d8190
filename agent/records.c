#include "agent/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/agent.h"
#include "agent/session.h"
#include "agent/spool.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define WINDOW       (4 * MSG_RECORDS_LINES) /* lines sent but not acknowledged, of one stream */
#define SAVE_SECONDS 2.0

enum { METRICS, LOGS, STREAMS };
static const char *const names[STREAMS] = {"metrics", "logs"};

struct stream {
    struct spool spool;
    uint64_t acked; /* next line that the orchestrator wants */
    bool broken;    /* cannot be read; given up, said once */
};

struct records {
    struct agent *agent;
    int64_t job, fence;
    char *dir;
    void (*on_metric)(const json_t *record, void *arg);
    void *arg;
    struct stream streams[STREAMS];
    bool active; /* welcome has said where to start */
    double saved_at;
};

/* ---- acked.json: only a shortcut. Losing it costs a scan of the files. ---- */

static void acked_load(struct records *r)
{
    char *path = path_join(r->dir, "acked.json");
    json_t *doc = json_parse_file(path, 4096, NULL);
    for (int i = 0; i < STREAMS; i++) {
        int64_t next = 0, offset = -1;
        const json_t *o = json_object_get(doc, names[i]);
        if (json_get_int(o, "next", true, &next, NULL) == 0 &&
            json_get_int(o, "offset", true, &offset, NULL) == 0 && next >= 1 && offset >= 0)
            spool_resume(&r->streams[i].spool, (uint64_t)next, offset);
    }
    json_decref(doc);
    free(path);
}

static void acked_save(struct records *r)
{
    double now = time_monotonic();
    char text[256];
    if (now < r->saved_at + SAVE_SECONDS)
        return;
    r->saved_at = now;
    const struct spool *m = &r->streams[METRICS].spool, *l = &r->streams[LOGS].spool;
    int n =
        snprintf(text, sizeof(text),
                 "{\"metrics\":{\"next\":%llu,\"offset\":%lld},\"logs\":{\"next\":%llu,\"offset\":%lld}}\n",
                 (unsigned long long)m->kept, (long long)m->kept_at, (unsigned long long)l->kept,
                 (long long)l->kept_at);
    char *path = path_join(r->dir, "acked.json");
    (void)file_write_atomic(path, text, (size_t)n, 0644, NULL);
    free(path);
}

struct records *records_create(struct agent *agent, int64_t job, int64_t fence, const char *dir,
                               void (*on_metric)(const json_t *record, void *arg), void *arg)
{
    struct records *r = xcalloc(1, sizeof(*r));
    r->agent = agent;
    r->job = job;
    r->fence = fence;
    r->dir = xstrdup(dir);
    r->on_metric = on_metric;
    r->arg = arg;
    for (int i = 0; i < STREAMS; i++) {
        char *path = xasprintf("%s/%s.jsonl", dir, names[i]);
        spool_init(&r->streams[i].spool, path);
        r->streams[i].acked = 1;
        free(path);
    }
    acked_load(r);
    return r;
}

void records_destroy(struct records *r)
{
    if (!r)
        return;
    for (int i = 0; i < STREAMS; i++)
        spool_close(&r->streams[i].spool);
    free(r->dir);
    free(r);
}

/* A stream that cannot be read must not keep its job from ending. */
static void give_up(struct records *r, int i, const struct err *err)
{
    if (!r->streams[i].broken)
        log_error("records", "stream given up", KV_I("job", r->job), KV_S("stream", names[i]), KV_E(err));
    r->streams[i].broken = true;
}

void records_suspend(struct records *r)
{
    r->active = false;
}

void records_resume(struct records *r, uint64_t next_metrics, uint64_t next_logs)
{
    const uint64_t next[STREAMS] = {next_metrics, next_logs};
    struct err err = {0};
    for (int i = 0; i < STREAMS; i++) {
        r->streams[i].acked = next[i] ? next[i] : 1;
        if (spool_seek(&r->streams[i].spool, r->streams[i].acked, &err) < 0)
            give_up(r, i, &err);
    }
    r->active = true;
    records_pump(r);
}

void records_ack(struct records *r, const char *stream, uint64_t next)
{
    struct err err = {0};
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &r->streams[i];
        if (strcmp(stream, names[i]) != 0 || next <= s->acked)
            continue;
        s->acked = next;
        if (spool_release(&s->spool, next, &err) < 0)
            give_up(r, i, &err);
        acked_save(r);
    }
    records_pump(r);
}

void records_final(struct records *r)
{
    for (int i = 0; i < STREAMS; i++)
        r->streams[i].spool.final = true;
}

/* ---- sending ---- */

struct batch {
    struct records *r;
    int stream;
    json_t *lines;
};

/* The record of a line that is not what it should be. Of the logs too: then the shepherd died while writing
 * it. */
static json_t *record_of_rubbish(int stream, const struct spool_line *line)
{
    struct buf b = {0};
    char *text = xstrndup(line->text, line->n);
    buf_printf(&b,
               stream == METRICS ? "{\"t\":%.6f,\"kind\":\"invalid\",\"text\":"
                                 : "{\"t\":%.6f,\"stream\":\"stderr\",\"text\":",
               time_now());
    for (size_t i = 0; i < line->n; i++) /* NUL fits neither JSON text here nor the database */
        text[i] = text[i] ? text[i] : (char)0xff;
    buf_json_strn(&b, text, line->n);
    buf_putc(&b, '}');
    json_t *record = json_parse(b.data, b.len, NULL, NULL, NULL);
    buf_free(&b);
    free(text);
    return record ? record : json_object();
}

static void on_line(const struct spool_line *line, void *arg)
{
    struct batch *b = arg;
    json_t *record = json_parse(line->text, line->n, NULL, NULL, NULL);
    if (!json_is_object(record)) {
        json_decref(record);
        record = record_of_rubbish(b->stream, line);
    }
    if (b->stream == METRICS)
        b->r->on_metric(record, b->r->arg);
    json_array_append_new(b->lines, record);
}

/* One message. False: nothing more to send now. */
static bool send_batch(struct records *r, int i)
{
    struct err err = {0};
    struct stream *s = &r->streams[i];
    if (s->broken || s->spool.next < s->acked || s->spool.next - s->acked >= WINDOW ||
        !session_ready(r->agent->session))
        return false;
    struct batch b = {r, i, json_array()};
    uint64_t first = s->spool.next;
    int n = spool_read(&s->spool, MSG_RECORDS_LINES, MSG_RECORDS_BYTES, on_line, &b, &err);
    if (n <= 0) {
        json_decref(b.lines);
        if (n < 0)
            give_up(r, i, &err);
        return false;
    }
    json_t *body =
        json_pack("{s:I,s:I,s:s,s:I,s:o}", "job", (json_int_t)r->job, "fence", (json_int_t)r->fence, "stream",
                  names[i], "first", (json_int_t)first, "lines", b.lines);
    return session_send(r->agent->session, MSG_RECORDS, body) == 0;
}

void records_pump(struct records *r)
{
    if (!r->active)
        return;
    for (int i = 0; i < STREAMS; i++) {
        while (send_batch(r, i))
            continue;
    }
}

bool records_done(const struct records *r)
{
    bool done = r->active;
    for (int i = 0; i < STREAMS; i++) {
        const struct stream *s = &r->streams[i];
        /* The orchestrator may have more lines than are left here: a machine that crashed loses the end of a
         * file. */
        done = done && (s->broken || (s->spool.final && s->acked > s->spool.next) ||
                        (s->spool.ended && s->acked == s->spool.next));
    }
    return done;
}

bool records_metrics_begun(const struct records *r)
{
    struct stat st;
    return r->streams[METRICS].spool.next > 1 ||
           (stat(r->streams[METRICS].spool.path, &st) == 0 && st.st_size > 0);
}
