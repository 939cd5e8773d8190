#include "cli/records.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/api.h"
#include "cli/follow.h"
#include "cli/stream.h"

#define PAGE 500 /* the server's largest */

int records_page(struct cli *cli, int64_t job, const char *kind, int64_t *since, record_f on_record,
                 void *arg, struct err *err)
{
    for (;;) {
        json_t *page = NULL, *item;
        if (api_get(cli, &page, err, "/jobs/%lld/%s?since=%lld&limit=%d", (long long)job, kind,
                    (long long)*since, PAGE))
            return -1;
        size_t i, n = json_array_size(json_object_get(page, "items"));
        int64_t before = *since;
        json_array_foreach(json_object_get(page, "items"), i, item)
        {
            *since = jint(item, "seq");
            if (on_record(*since, item, arg)) {
                n = 0;
                break;
            }
        }
        json_decref(page);
        if (n == 0 || *since <= before)
            return 0;
    }
}

struct following {
    struct cli *cli;
    struct stream *stream;
    int64_t job, since;
    record_f on_record;
    void *arg;
};

static void check_state(struct following *f, const json_t *job)
{
    if (job_has_ended(job))
        stream_stop(f->stream);
}

static void on_event(const char *topic, int64_t seq, const json_t *data, void *arg)
{
    struct following *f = arg;
    if (strstr(topic, "/state")) {
        check_state(f, data);
    } else {
        f->since = seq;
        json_t *item = json_pack("{s:I, s:O*, s:O*}", "seq", (json_int_t)seq, "attempt",
                                 json_object_get(data, "attempt"), "record", json_object_get(data, "record"));
        if (f->on_record(seq, item, f->arg))
            stream_stop(f->stream);
        json_decref(item);
    }
}

static void on_ready(void *arg)
{
    struct following *f = arg;
    json_t *job = NULL;
    if (api_get(f->cli, &job, NULL, "/jobs/%lld", (long long)f->job) == 0)
        check_state(f, job);
    json_decref(job);
}

int records_follow(struct cli *cli, int64_t job, const char *kind, record_f on_record, void *arg,
                   struct err *err)
{
    struct following f = {.cli = cli, .job = job, .on_record = on_record, .arg = arg};
    char *records = xasprintf("job/%lld/%s", (long long)job, kind),
         *state = xasprintf("job/%lld/state", (long long)job);
    f.stream = stream_open(cli, on_event, on_ready, &f);
    stream_follow(f.stream, records, 0);
    stream_follow(f.stream, state, -1);
    int rc = stream_run(f.stream, err);
    stream_close(f.stream);
    free(records);
    free(state);
    /* The end may overtake the last lines: they are in the database before it. */
    return rc ? rc : records_page(cli, job, kind, &f.since, on_record, arg, err);
}
