/* The plan: for the first few that wait, the earliest time at which they can start if everything that runs takes
 * its whole time limit, and the nodes they will have. Whatever starts before them must leave that room (backfill
 * with reservations). It is made anew in every pass, so that what ends early moves everything forward. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "orchestrator/scheduler/internal.h"

void plan_clear(struct scheduler *s)
{
    for (int i = 0; i < s->planned; i++) {
        free(s->plan[i].parts);
        free(s->plan[i].used);
    }
    s->planned = 0;
}

double plan_length(const struct scheduler *s, const struct sched_job *j)
{
    return j->time_limit > 0 ? (double)j->time_limit : s->policy.assumed_limit;
}

void plan_note_start(struct scheduler *s, const struct entry *e, double ends)
{
    for (int i = 0; i < s->planned; i++)
        if (s->plan[i].starts < ends)
            place_charge(s->plan[i].used, &e->job.request, e->parts, e->count, 1);
}

/* The ends of what runs and of what is reserved, in order of time. */
struct endings {
    const struct scheduler *s;
    double now;
    size_t running;                      /* the next of scheduler.running */
    int order[SCHED_RESERVATIONS], next; /* the plan by its ends */
};

struct ending {
    double at;
    const struct entry *entry; /* NULL: a reservation's */
    int64_t id;
};

static struct endings endings_of(const struct scheduler *s, double now)
{
    struct endings e = {.s = s, .now = now};
    for (int i = 0; i < s->planned; i++) {
        int k = i;
        for (; k > 0 && s->plan[e.order[k - 1]].ends > s->plan[i].ends; k--)
            e.order[k] = e.order[k - 1];
        e.order[k] = i;
    }
    return e;
}

static bool peek(const struct endings *e, struct ending *out)
{
    const struct entry *runs = e->running < e->s->running_count ? e->s->running[e->running] : NULL;
    const struct reservation *kept = e->next < e->s->planned ? &e->s->plan[e->order[e->next]] : NULL;
    /* Past its limit: its end is on the way. */
    double at = runs && runs->ends > e->now ? runs->ends : e->now + 1;
    if (runs && (!kept || at <= kept->ends))
        *out = (struct ending){at, runs, runs->job.id};
    else if (kept)
        *out = (struct ending){kept->ends, NULL, kept->entry->job.id};
    return runs || kept;
}

static void step(struct endings *e, const struct ending *seen)
{
    if (seen->entry)
        e->running++;
    else
        e->next++;
}

/* used at time t: what runs then, and what is reserved. */
static void add_reserved(const struct scheduler *s, double t, struct amount *used)
{
    for (int i = 0; i < s->planned; i++) {
        const struct reservation *v = &s->plan[i];
        if (v->starts <= t && t < v->ends)
            place_charge(used, &v->entry->job.request, v->parts, v->count, 1);
    }
}

static void note(struct scheduler *s, const struct entry *e, const struct ending *why, bool sure,
                 struct amount *used, const struct part *parts, int count)
{
    double starts = why->at, ends = starts + plan_length(s, &e->job);
    for (int i = 0; i < s->planned; i++)
        if (s->plan[i].starts >= starts && s->plan[i].starts < ends)
            place_charge(s->plan[i].used, &e->job.request, parts, count, 1);
    struct reservation *v = &s->plan[s->planned++];
    *v = (struct reservation){.entry = e,
                              .starts = starts,
                              .ends = ends,
                              .sure = sure,
                              .behind = why->id,
                              .parts = xcalloc((size_t)count, sizeof(*parts)),
                              .count = count,
                              .used = used};
    memcpy(v->parts, parts, (size_t)count * sizeof(*parts));
    place_charge(used, &e->job.request, parts, count, 1);
}

/* Takes what e holds out of used; answers how many more ranks of r then fit. */
static int64_t end_one(const struct scheduler *s, const struct entry *e, const struct sched_request *r,
                       struct amount *used)
{
    int64_t more = 0;
    for (int i = 0; i < e->count; i++) {
        int n = e->parts[i].node;
        more -= place_room(&s->nodes[n], &used[n], r);
        place_charge(used, &e->job.request, &e->parts[i], 1, -1);
        more += place_room(&s->nodes[n], &used[n], r);
    }
    return more;
}

/* Give e the earliest start that delays nobody in the plan. false: it does not fit even when nothing runs, or the
 * plan is full. */
bool plan_reserve(struct scheduler *s, const struct entry *e, double now)
{
    if (s->planned >= s->policy.reservations || s->planned >= SCHED_RESERVATIONS)
        return false;
    const struct sched_request *r = &e->job.request;
    size_t bytes = (s->node_count + 1) * sizeof(struct amount);
    struct endings list = endings_of(s, now);
    struct ending why, more;
    struct amount *used = xmalloc(bytes), *then = xmalloc(bytes);
    struct part *parts = xcalloc(s->node_count + 1, sizeof(*parts));
    int64_t room = 0;
    bool found = false, sure = true;
    place_used(s, used);
    for (size_t n = 0; n < s->node_count; n++)
        room += place_room(&s->nodes[n], &used[n], r);
    while (!found && peek(&list, &why)) {
        for (double at = why.at; peek(&list, &more) && more.at == at; step(&list, &more)) {
            if (!more.entry)
                continue;
            why = more;
            sure &= why.entry->job.time_limit > 0;
            room += end_one(s, why.entry, r, used);
        }
        if (room < r->ranks)
            continue; /* without looking at each node */
        memcpy(then, used, bytes);
        add_reserved(s, why.at, then);
        int n = place_fit(s, r, then, why.at, why.at + plan_length(s, &e->job), parts);
        found = n > 0;
        if (found)
            note(s, e, &why, sure, then, parts, n);
    }
    if (!found)
        free(then);
    free(parts);
    free(used);
    return found;
}
