#include "orchestrator/api/job_topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "orchestrator/store/job.h"
#include "orchestrator/store/record.h"
#include "orchestrator/stream/stream.h"

struct page {
    struct stream_page *page;
    int limit;
};

static void on_rows(const struct db_results *r, const struct err *err, void *arg)
{
    struct page *p = arg;
    int n = err ? 0 : db_rows(r, 0);
    if (p->limit == 0)
        stream_source_last(p->page, n ? db_int(r, 0, n - 1, 0) : 0);
    for (int i = 0; p->limit > 0 && i < n; i++)
        stream_source_event(p->page, db_int(r, 0, i, 0), db_str(r, 0, i, 1));
    stream_source_end(p->page, p->limit > 0 && n == p->limit, err != NULL);
    free(p);
}

static void source(struct stream_page *page, const char *topic, int64_t since, int limit, void *arg)
{
    struct orch *orch = arg;
    struct page *p = xcalloc(1, sizeof(*p));
    char *end;
    int64_t job = strtoll(topic + strlen("job/"), &end, 10);
    *p = (struct page){page, limit};
    struct db_batch *b;
    if (!strcmp(end, "/state"))
        b = limit ? job_states(orch->db, job, since, limit) : job_state_last(orch->db, job);
    else if (!strcmp(end, "/metrics"))
        b = limit ? record_page(orch->db, RECORD_METRICS, job, since, limit, true)
                  : record_last(orch->db, RECORD_METRICS, job);
    else
        b = limit ? record_page(orch->db, RECORD_LOGS, job, since, limit, true)
                  : record_last(orch->db, RECORD_LOGS, job);
    db_submit(b, on_rows, p);
}

struct db_batch *job_topic_access(struct db *db, int64_t owner, const char *id)
{
    char *end;
    long long job = strtoll(id, &end, 10);
    return job_select(db, owner, *end || job < 1 ? 0 : job);
}

void job_topics_add(struct orch *orch, struct stream *s)
{
    static const char *const patterns[] = {"job/+/state", "job/+/metrics", "job/+/logs"};
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        stream_add_source(s, patterns[i], source, orch);
}
