#include "orchestrator/scheduler/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "orchestrator/scheduler/internal.h"

struct sched_policy sched_policy_default(void)
{
    return (struct sched_policy){.age_weight = 10,
                                 .share_weight = 100,
                                 .size_weight = 0,
                                 .half_life = 7 * 86400.0,
                                 .reservations = 8,
                                 .overtake = true,
                                 .assumed_limit = 86400};
}

struct scheduler *scheduler_create(const struct sched_policy *policy)
{
    struct scheduler *s = xcalloc(1, sizeof(*s));
    s->policy = policy ? *policy : sched_policy_default();
    s->bucket_count = 1024;
    s->buckets = xcalloc(s->bucket_count, sizeof(struct entry *));
    return s;
}

static void free_entry(struct entry *e)
{
    free(e->parts);
    free(e);
}

void scheduler_destroy(struct scheduler *s)
{
    if (!s)
        return;
    plan_clear(s);
    for (size_t i = 0; i < s->bucket_count; i++) {
        for (struct entry *e = s->buckets[i], *next; e; e = next) {
            next = e->next;
            free_entry(e);
        }
    }
    for (size_t i = 0; i < s->owner_count; i++) {
        free(s->owners[i]->waiting);
        free(s->owners[i]);
    }
    for (size_t i = 0; i < s->node_count; i++)
        free(s->nodes[i].name);
    free(s->owners);
    free(s->running);
    free(s->buckets);
    free(s->nodes);
    free(s->by_name);
    free(s);
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

/* Index of a node; -1, and where its name belongs, when it is unknown. */
static int find_node(const struct scheduler *s, const char *name, size_t *place)
{
    size_t low = 0, high = s->node_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(s->nodes[s->by_name[mid]].name, name);
        if (order == 0)
            return s->by_name[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *place = low;
    return -1;
}

static int get_node(struct scheduler *s, const char *name)
{
    size_t place = 0, n = s->node_count;
    int found = find_node(s, name, &place);
    if (found >= 0)
        return found;
    plan_clear(s); /* its arrays are a node short */
    s->nodes = vec_grow(s->nodes, &s->node_cap, n + 1, sizeof(*s->nodes));
    s->by_name = vec_grow(s->by_name, &s->name_cap, n + 1, sizeof(*s->by_name));
    memmove(s->by_name + place + 1, s->by_name + place, (n - place) * sizeof(*s->by_name));
    s->by_name[place] = (int)n;
    s->nodes[n] = (struct node){.name = xstrdup(name)};
    s->node_count++;
    return (int)n;
}

void scheduler_node(struct scheduler *s, const char *name, int64_t cores, int64_t memory, int64_t gpus,
                    bool usable)
{
    int i = get_node(s, name); /* may move s->nodes */
    struct node *n = &s->nodes[i];
    n->all = (struct amount){{cores, memory, gpus}};
    n->usable = usable;
    n->known = true;
}

void scheduler_used(const struct scheduler *s, const char *node, int64_t *cores, int64_t *memory,
                    int64_t *gpus)
{
    size_t place;
    int i = find_node(s, node, &place);
    const struct amount none = {{0}}, *used = i >= 0 ? &s->nodes[i].used : &none;
    *cores = used->of[CORES];
    *memory = used->of[MEMORY];
    *gpus = used->of[GPUS];
}

/* --- jobs by id ----------------------------------------------------------------------------------------- */

static struct entry **bucket_of(const struct scheduler *s, int64_t id)
{
    return &s->buckets[((uint64_t)id * 0x9E3779B97F4A7C15u >> 20) & (s->bucket_count - 1)];
}

static struct entry *find(const struct scheduler *s, int64_t id)
{
    struct entry *e = *bucket_of(s, id);
    while (e && e->job.id != id)
        e = e->next;
    return e;
}

static void grow(struct scheduler *s)
{
    struct entry **old = s->buckets;
    size_t n = s->bucket_count;
    s->bucket_count *= 4;
    s->buckets = xcalloc(s->bucket_count, sizeof(struct entry *));
    for (size_t i = 0; i < n; i++) {
        for (struct entry *e = old[i], *next; e; e = next) {
            struct entry **to = bucket_of(s, e->job.id);
            next = e->next;
            e->next = *to;
            *to = e;
        }
    }
    free(old);
}

static struct entry *insert(struct scheduler *s, const struct sched_job *job)
{
    if (s->entry_count >= s->bucket_count)
        grow(s);
    struct entry *e = xcalloc(1, sizeof(*e)), **to = bucket_of(s, job->id);
    e->job = *job;
    e->owner = share_owner(s, job->owner);
    e->next = *to;
    *to = e;
    s->entry_count++;
    return e;
}

void scheduler_add(struct scheduler *s, const struct sched_job *job)
{
    queue_add(s, insert(s, job));
}

/* --- running -------------------------------------------------------------------------------------------- */

static void charge(struct scheduler *s, const struct entry *e, int sign)
{
    for (int i = 0; i < e->count; i++) {
        struct node *n = &s->nodes[e->parts[i].node];
        struct part here = {0, e->parts[i].ranks};
        place_charge(&n->used, &e->job.request, &here, 1, sign);
    }
}

/* Where e stands, or belongs, among the running, which are in order of their end. */
static size_t running_place(const struct scheduler *s, const struct entry *e)
{
    size_t low = 0, high = s->running_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct entry *x = s->running[mid];
        if (x->ends < e->ends || (x->ends == e->ends && x->job.id < e->job.id))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* e has its parts. */
static void start(struct scheduler *s, struct entry *e, double now)
{
    share_settle(&s->policy, e->owner, now);
    e->owner->rate += share_cores(&e->job.request);
    charge(s, e, 1);
    s->running = vec_grow(s->running, &s->running_cap, s->running_count + 1, sizeof(struct entry *));
    e->ends = now + plan_length(s, &e->job);
    size_t at = running_place(s, e);
    memmove(s->running + at + 1, s->running + at, (s->running_count - at) * sizeof(struct entry *));
    s->running[at] = e;
    s->running_count++;
}

void scheduler_add_running(struct scheduler *s, const struct sched_job *job, double started,
                           const struct sched_share *shares, int count)
{
    struct entry *e = insert(s, job);
    e->parts = xcalloc((size_t)count + 1, sizeof(*e->parts));
    e->count = count;
    for (int i = 0; i < count; i++)
        e->parts[i] = (struct part){get_node(s, shares[i].node), shares[i].ranks};
    start(s, e, started);
}

void scheduler_remove(struct scheduler *s, int64_t job, double now)
{
    struct entry **at = bucket_of(s, job);
    while (*at && (*at)->job.id != job)
        at = &(*at)->next;
    struct entry *e = *at;
    if (!e)
        return;
    *at = e->next;
    s->entry_count--;
    plan_clear(s); /* it names entries */
    if (e->parts) {
        share_settle(&s->policy, e->owner, now);
        e->owner->rate -= share_cores(&e->job.request);
        charge(s, e, -1);
        size_t i = running_place(s, e);
        memmove(s->running + i, s->running + i + 1, (s->running_count - i - 1) * sizeof(struct entry *));
        s->running_count--;
    } else {
        queue_remove(e);
    }
    free_entry(e);
}

/* --- the pass ------------------------------------------------------------------------------------------- */

/* What did not fit in this pass. A pass only takes room, so whatever asks for at least as much need not be tried. */
struct refused {
    struct sched_request request;
    double length;
};

enum { REFUSED = 64 };

struct passing {
    struct scheduler *s;
    double now;
    sched_place_f place;
    void *arg;
    struct refused refused[REFUSED];
    int refused_count, refused_next;
    struct amount *used;
    struct part *parts;
    struct sched_share *shares;
};

static bool asks_as_much(const struct sched_request *a, double a_length, const struct refused *b)
{
    return a->ranks >= b->request.ranks && a->cores_per_rank >= b->request.cores_per_rank &&
           a->memory_per_rank >= b->request.memory_per_rank && a->gpus_per_rank >= b->request.gpus_per_rank &&
           a_length >= b->length;
}

static bool hopeless(const struct passing *p, const struct sched_request *r, double length)
{
    for (int i = 0; i < p->refused_count; i++)
        if (asks_as_much(r, length, &p->refused[i]))
            return true;
    return false;
}

static void remember(struct passing *p, const struct sched_request *r, double length)
{
    struct refused new = {*r, length};
    for (int i = 0; i < p->refused_count; i++) {
        if (asks_as_much(&p->refused[i].request, p->refused[i].length, &new)) {
            p->refused[i] = new; /* says more than that one did */
            return;
        }
    }
    p->refused[p->refused_next] = new;
    p->refused_next = (p->refused_next + 1) % REFUSED;
    if (p->refused_count < REFUSED)
        p->refused_count++;
}

static bool try_one(struct passing *p, struct entry *e)
{
    struct scheduler *s = p->s;
    const struct sched_request *r = &e->job.request;
    double length = plan_length(s, &e->job);
    if (hopeless(p, r, length))
        return false;
    int count = place_fit(s, r, p->used, p->now, p->now + length, p->parts);
    if (!count) {
        /* Without the room even now, however short it were? */
        remember(p, r, place_fit(s, r, p->used, p->now, p->now, p->parts) ? length : 0);
        return false;
    }
    e->parts = xcalloc((size_t)count, sizeof(*e->parts));
    memcpy(e->parts, p->parts, (size_t)count * sizeof(*e->parts));
    e->count = count;
    start(s, e, p->now);
    place_charge(p->used, r, e->parts, count, 1);
    plan_note_start(s, e, p->now + length);
    for (int i = 0; i < count; i++)
        p->shares[i] = (struct sched_share){s->nodes[e->parts[i].node].name, e->parts[i].ranks};
    p->place(e->job.id, p->shares, count, p->arg);
    return true;
}

static bool fits_empty(const struct scheduler *s, const struct sched_request *r)
{
    const struct amount nothing = {{0}};
    int64_t room = 0;
    for (size_t i = 0; i < s->node_count && room < r->ranks; i++)
        room += place_room(&s->nodes[i], &nothing, r);
    return room >= r->ranks;
}

void scheduler_pass(struct scheduler *s, double now, sched_place_f place, void *arg)
{
    struct passing p = {.s = s, .now = now, .place = place, .arg = arg};
    p.used = xcalloc(s->node_count + 1, sizeof(*p.used));
    p.parts = xcalloc(s->node_count + 1, sizeof(*p.parts));
    p.shares = xcalloc(s->node_count + 1, sizeof(*p.shares));
    plan_clear(s);
    place_used(s, p.used);
    share_points(s, now);
    queue_begin(s);
    bool open = true;
    for (struct entry *e; open && (e = queue_next(s));) {
        if (try_one(&p, e))
            continue;
        queue_keep(e);
        plan_reserve(s, e, now);
        /* In strict order, too, one that can never start keeps nobody. */
        open = s->policy.overtake || !fits_empty(s, &e->job.request);
    }
    queue_end(s);
    free(p.used);
    free(p.parts);
    free(p.shares);
}

/* --- why ------------------------------------------------------------------------------------------------ */

struct totals {
    int64_t usable;
    struct amount all, left;
};

static struct totals totals_of(const struct scheduler *s)
{
    struct totals t = {0};
    for (size_t i = 0; i < s->node_count; i++) {
        const struct node *n = &s->nodes[i];
        if (!n->known || !n->usable)
            continue;
        t.usable++;
        for (int k = 0; k < KINDS; k++) {
            int64_t left = n->all.of[k] - n->used.of[k];
            t.all.of[k] += n->all.of[k];
            t.left.of[k] += left > 0 ? left : 0;
        }
    }
    return t;
}

static bool fits_now(const struct scheduler *s, const struct sched_request *r)
{
    int64_t room = 0;
    for (size_t i = 0; i < s->node_count && room < r->ranks; i++)
        room += place_room(&s->nodes[i], &s->nodes[i].used, r);
    return room >= r->ranks;
}

static void say_never(const struct sched_request *r, const struct totals *t, char *out, size_t n)
{
    int64_t cores = r->ranks * r->cores_per_rank, gpus = r->ranks * r->gpus_per_rank;
    if (gpus > t->all.of[GPUS])
        snprintf(out, n, "asks for %lld GPUs; the cluster has %lld", (long long)gpus,
                 (long long)t->all.of[GPUS]);
    else if (cores > t->all.of[CORES])
        snprintf(out, n, "asks for %lld cores; the cluster has %lld", (long long)cores,
                 (long long)t->all.of[CORES]);
    else
        snprintf(out, n, "no set of nodes has %lld ranks of %lld cores, %lld MiB and %lld GPUs each",
                 (long long)r->ranks, (long long)r->cores_per_rank, (long long)(r->memory_per_rank >> 20),
                 (long long)r->gpus_per_rank);
}

static void say_short(const struct sched_request *r, const struct totals *t, char *out, size_t n)
{
    int64_t cores = r->ranks * r->cores_per_rank, gpus = r->ranks * r->gpus_per_rank;
    if (gpus > t->left.of[GPUS])
        snprintf(out, n, "waits for %lld GPUs; %lld free", (long long)gpus, (long long)t->left.of[GPUS]);
    else if (cores > t->left.of[CORES])
        snprintf(out, n, "waits for %lld cores; %lld free", (long long)cores, (long long)t->left.of[CORES]);
    else
        snprintf(out, n,
                 "waits for memory or for room on fewer nodes: %lld ranks of %lld cores and %lld MiB each",
                 (long long)r->ranks, (long long)r->cores_per_rank, (long long)(r->memory_per_rank >> 20));
}

/* The first of the plan whose room it would take. */
static int64_t delays(const struct scheduler *s, const struct sched_request *r)
{
    for (int i = 0; i < s->planned; i++) {
        int64_t room = 0;
        for (size_t n = 0; n < s->node_count && room < r->ranks; n++)
            room += place_room(&s->nodes[n], &s->plan[i].used[n], r);
        if (room < r->ranks)
            return s->plan[i].entry->job.id;
    }
    return s->plan[0].entry->job.id;
}

static void add_start(const struct reservation *v, char *out, size_t n)
{
    time_t at = (time_t)v->starts;
    struct tm tm;
    char when[32];
    size_t len = strlen(out);
    if (!v->sure || !gmtime_r(&at, &tm) || !strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm))
        snprintf(out + len, n - len, "; starts when job %lld has ended", (long long)v->behind);
    else
        snprintf(out + len, n - len, "; starts about %s, when job %lld has ended", when,
                 (long long)v->behind);
}

bool scheduler_why(const struct scheduler *s, int64_t job, char *out, size_t n, struct sched_wait *wait)
{
    const struct entry *e = find(s, job);
    const struct reservation *mine = NULL;
    *wait = (struct sched_wait){0};
    if (!e || e->parts)
        return false;
    const struct sched_request *r = &e->job.request;
    struct totals t = totals_of(s);
    for (int i = 0; i < s->planned; i++)
        if (s->plan[i].entry == e)
            mine = &s->plan[i];
    wait->never = !fits_empty(s, r);
    if (t.usable == 0)
        snprintf(out, n, "no node is up");
    else if (wait->never)
        say_never(r, &t, out, n);
    else if (!fits_now(s, r))
        say_short(r, &t, out, n);
    else if (s->planned > 0 && !mine) {
        wait->behind = delays(s, r);
        snprintf(out, n, "there is room, but it would delay job %lld%s", (long long)wait->behind,
                 e->job.time_limit > 0 ? "" : "; a time limit could let it go first");
    } else
        snprintf(out, n, "waits for the next pass");
    if (mine) {
        wait->behind = mine->behind;
        wait->starts = mine->sure ? mine->starts : 0;
        add_start(mine, out, n);
    }
    return true;
}
