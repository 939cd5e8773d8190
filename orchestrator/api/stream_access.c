#include "orchestrator/api/stream_access.h"

#include "orchestrator/api/job_topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "orchestrator/api/auth.h"
#include "orchestrator/store/db.h"
#include "orchestrator/store/task.h"
#include "orchestrator/store/topic.h"
#include "orchestrator/store/user.h"
#include "orchestrator/stream/stream.h"
#include "orchestrator/stream/topic.h"

/* --- who may read what ---------------------------------------------------------------------------------- */

struct ask {
    void (*answer)(bool allowed, void *ticket);
    void *ticket;
};

static void on_rows(const struct db_results *r, const struct err *err, void *arg)
{
    struct ask *ask = arg;
    ask->answer(!err && db_rows(r, 0) > 0, ask->ticket);
    free(ask);
}

/* A database that is away for a moment ends nobody's stream. */
static void on_still_valid(const struct db_results *r, const struct err *err, void *arg)
{
    struct ask *ask = arg;
    ask->answer(err || db_rows(r, 0) > 0, ask->ticket);
    free(ask);
}

/* The rows that must be there for the topic to be readable. One row a pattern; everything else is refused. */
static const struct rule {
    const char *pattern;
    struct db_batch *(*batch)(struct db *db, int64_t owner, const char *id);
    bool everybody; /* the filter decides event by event */
} rules[] = {
    /* Security: users can only read topics of their own tasks and jobs; "queue" shows them their own jobs
       (filter below). */
    {"task/+", task_id, false},
    {"job/+/state", job_topic_access, false},
    {"job/+/metrics", job_topic_access, false},
    {"job/+/logs", job_topic_access, false},
    {"queue", NULL, true},
    {"nodes", NULL, true},
};

static void allow(const struct user *user, const char *topic, void (*answer)(bool allowed, void *ticket),
                  void *ticket, void *arg)
{
    struct orch *orch = arg;
    struct ask *ask = xcalloc(1, sizeof(*ask));
    *ask = (struct ask){answer, ticket};
    if (!*topic) {
        db_submit(user->by_cookie ? session_lookup(orch->db, user->credential)
                                  : token_lookup(orch->db, user->credential),
                  on_still_valid, ask);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (!topic_matches(rules[i].pattern, topic))
            continue;
        if (rules[i].everybody) {
            answer(true, ticket);
            free(ask);
            return;
        }
        const char *slash = strchr(topic, '/');
        size_t n = strcspn(slash + 1, "/");
        char *id = xstrndup(slash + 1, n);
        db_submit(rules[i].batch(orch->db, user_owner_filter(user), id), on_rows, ask);
        free(id);
        return;
    }
    answer(false, ticket);
    free(ask);
}

/* Security: in "queue" users see the events of their own jobs only. */
static bool filter(const struct user *user, const char *topic, const char *json_data, void *arg)
{
    (void)arg;
    if (strcmp(topic, "queue") != 0 || user_owner_filter(user) == 0)
        return true;
    json_t *job = json_loads(json_data, 0, NULL);
    const char *owner = json_string_value(json_object_get(job, "owner"));
    bool own = owner && !strcmp(owner, user->name);
    json_decref(job);
    return own;
}

/* --- topics that the database counts -------------------------------------------------------------------- */

struct page {
    struct stream_page *page;
    int limit;
};

static void on_page(const struct db_results *r, const struct err *err, void *arg)
{
    struct page *p = arg;
    int n = err ? 0 : db_rows(r, 0);
    if (p->limit == 0)
        stream_source_last(p->page, n ? db_int(r, 0, 0, 0) : 0);
    else
        for (int i = 0; i < n; i++)
            stream_source_event(p->page, db_int(r, 0, i, 0), db_str(r, 0, i, 1));
    stream_source_end(p->page, p->limit > 0 && n == p->limit, err != NULL);
    free(p);
}

static void source(struct stream_page *page, const char *topic, int64_t since, int limit, void *arg)
{
    struct orch *orch = arg;
    struct page *p = xcalloc(1, sizeof(*p));
    *p = (struct page){page, limit};
    db_submit(limit == 0 ? topic_last(orch->db, topic) : topic_event_page(orch->db, topic, since, limit),
              on_page, p);
}

struct stream *stream_access_create(struct orch *orch)
{
    struct stream *s = stream_create(orch->base, allow, orch);
    stream_set_filter(s, filter);
    static const char *const counted[] = {"task/+", "queue", "nodes"};
    for (size_t i = 0; i < ARRAY_LEN(counted); i++)
        stream_add_source(s, counted[i], source, orch);
    job_topics_add(orch, s);
    return s;
}
