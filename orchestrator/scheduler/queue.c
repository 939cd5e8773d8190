/* The queue: one list an owner, in an order that time does not change. Ageing is linear and the same for all, so
 * it is an offset that cancels out; fair share moves an owner's jobs all together. A pass therefore merges the
 * lists and sorts nothing. */
#include <string.h>

#include "base/mem.h"
#include "orchestrator/scheduler/internal.h"

static bool before(const struct entry *a, const struct entry *b, double ahead)
{
    double x = a->rank + ahead, y = b->rank;
    if (x != y)
        return x > y;
    if (a->job.submitted != b->job.submitted)
        return a->job.submitted < b->job.submitted;
    return a->job.id < b->job.id;
}

static size_t place_of(const struct owner *o, const struct entry *e)
{
    size_t low = 0, high = o->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (before(o->waiting[mid], e, 0))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Points for the part of the cluster that it asks for. */
static double size_points(const struct scheduler *s, const struct sched_request *r)
{
    double all = 0;
    for (size_t i = 0; i < s->node_count; i++)
        all += (double)s->nodes[i].all.of[CORES] + SCHED_GPU_CORES * (double)s->nodes[i].all.of[GPUS];
    double part = all > 0 ? share_cores(r) / all : 0;
    return s->policy.size_weight * (part < 1 ? part : 1);
}

void queue_add(struct scheduler *s, struct entry *e)
{
    struct owner *o = e->owner;
    e->rank = (double)e->job.priority - s->policy.age_weight * e->job.submitted / 3600;
    if (s->policy.size_weight != 0)
        e->rank += size_points(s, &e->job.request);
    size_t at = place_of(o, e);
    o->waiting = vec_grow(o->waiting, &o->cap, o->count + 1, sizeof(struct entry *));
    memmove(o->waiting + at + 1, o->waiting + at, (o->count - at) * sizeof(struct entry *));
    o->waiting[at] = e;
    o->count++;
}

void queue_remove(struct entry *e)
{
    struct owner *o = e->owner;
    size_t at = place_of(o, e);
    memmove(o->waiting + at, o->waiting + at + 1, (o->count - at - 1) * sizeof(struct entry *));
    o->count--;
}

void queue_begin(struct scheduler *s)
{
    for (size_t i = 0; i < s->owner_count; i++)
        s->owners[i]->next = s->owners[i]->kept = 0;
}

struct entry *queue_next(struct scheduler *s)
{
    struct owner *best = NULL;
    for (size_t i = 0; i < s->owner_count; i++) {
        struct owner *o = s->owners[i];
        if (o->next < o->count &&
            (!best || before(o->waiting[o->next], best->waiting[best->next], o->share - best->share)))
            best = o;
    }
    return best ? best->waiting[best->next++] : NULL;
}

void queue_keep(struct entry *e)
{
    e->owner->waiting[e->owner->kept++] = e;
}

void queue_end(struct scheduler *s)
{
    for (size_t i = 0; i < s->owner_count; i++) {
        struct owner *o = s->owners[i];
        if (o->kept < o->next)
            memmove(o->waiting + o->kept, o->waiting + o->next,
                    (o->count - o->next) * sizeof(struct entry *));
        o->count -= o->next - o->kept;
    }
}
