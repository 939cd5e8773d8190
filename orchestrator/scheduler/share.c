/* Fair share: what each owner used, losing half of it every half-life. With a rate of R cores in use, usage
 * follows dU/dt = R - U ln2/h, whose closed form makes it exact however seldom it is looked at. */
#include <math.h>

#include "base/mem.h"
#include "orchestrator/scheduler/internal.h"

struct owner *share_owner(struct scheduler *s, int64_t id)
{
    for (size_t i = 0; i < s->owner_count; i++)
        if (s->owners[i]->id == id)
            return s->owners[i];
    s->owners = vec_grow(s->owners, &s->owner_cap, s->owner_count + 1, sizeof(struct owner *));
    struct owner *o = s->owners[s->owner_count++] = xcalloc(1, sizeof(*o));
    o->id = id;
    return o;
}

double share_cores(const struct sched_request *r)
{
    return (double)r->ranks * ((double)r->cores_per_rank + SCHED_GPU_CORES * (double)r->gpus_per_rank);
}

void share_settle(const struct sched_policy *p, struct owner *o, double now)
{
    if (now <= o->at)
        return;
    double k = log(2) / p->half_life, left = exp(-k * (now - o->at));
    o->usage = o->usage * left + o->rate / k * (1 - left);
    o->at = now;
}

/* Slurm's classic formula: 2^-(part of all use / fair part). Who used his part has half the points. */
void share_points(struct scheduler *s, double now)
{
    double all = 0, active = 0;
    for (size_t i = 0; i < s->owner_count; i++) {
        share_settle(&s->policy, s->owners[i], now);
        all += s->owners[i]->usage;
        active += s->owners[i]->usage > 0 || s->owners[i]->count > 0;
    }
    for (size_t i = 0; i < s->owner_count; i++) {
        struct owner *o = s->owners[i];
        o->share = s->policy.share_weight * (all > 0 ? exp2(-o->usage / all * active) : 1);
    }
}

double scheduler_usage(const struct scheduler *s, int64_t owner, double now)
{
    for (size_t i = 0; i < s->owner_count; i++) {
        if (s->owners[i]->id != owner)
            continue;
        struct owner copy = *s->owners[i];
        share_settle(&s->policy, &copy, now);
        return copy.usage;
    }
    return 0;
}
