#include "orchestrator/scheduler/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct node {
    char *name;
    int64_t cores, memory, gpus;
    int64_t cores_used, memory_used, gpus_used;
    bool usable, known; /* known: the node itself was told of, not only a job on it */
};

struct waiting {
    int64_t id, priority;
    double submitted;
    struct sched_request request;
};

struct running {
    int64_t id;
    struct sched_request request;
    struct sched_share *shares;
    int count;
};

struct scheduler {
    struct node **nodes; /* sorted by name; each at a fixed place, so that names stay valid */
    size_t node_count, node_cap;
    struct waiting *waiting; /* in the order of the policy */
    size_t waiting_count, waiting_cap;
    struct running *running;
    size_t running_count, running_cap;
};

struct scheduler *scheduler_create(void)
{
    return xcalloc(1, sizeof(struct scheduler));
}

void scheduler_destroy(struct scheduler *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->node_count; i++) {
        free(s->nodes[i]->name);
        free(s->nodes[i]);
    }
    for (size_t i = 0; i < s->running_count; i++)
        free(s->running[i].shares);
    free(s->nodes);
    free(s->waiting);
    free(s->running);
    free(s);
}

static struct node *find_node(const struct scheduler *s, const char *name, size_t *place)
{
    size_t low = 0, high = s->node_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(s->nodes[mid]->name, name);
        if (order == 0)
            return s->nodes[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (place)
        *place = low;
    return NULL;
}

static struct node *get_node(struct scheduler *s, const char *name)
{
    size_t place = 0;
    struct node *n = find_node(s, name, &place);
    if (n)
        return n;
    s->nodes = vec_grow(s->nodes, &s->node_cap, s->node_count + 1, sizeof(struct node *));
    memmove(s->nodes + place + 1, s->nodes + place, (s->node_count - place) * sizeof(struct node *));
    s->node_count++;
    n = s->nodes[place] = xcalloc(1, sizeof(*n));
    n->name = xstrdup(name);
    return n;
}

void scheduler_node(struct scheduler *s, const char *name, int64_t cores, int64_t memory, int64_t gpus,
                    bool usable)
{
    struct node *n = get_node(s, name);
    n->cores = cores;
    n->memory = memory;
    n->gpus = gpus;
    n->usable = usable;
    n->known = true;
}

/* sign 1 takes, -1 gives back. */
static void charge(struct scheduler *s, const struct sched_request *r, const struct sched_share *shares,
                   int count, int sign)
{
    for (int i = 0; i < count; i++) {
        struct node *n = get_node(s, shares[i].node);
        n->cores_used += sign * shares[i].ranks * r->cores_per_rank;
        n->memory_used += sign * shares[i].ranks * r->memory_per_rank;
        n->gpus_used += sign * shares[i].ranks * r->gpus_per_rank;
    }
}

static bool before(const struct waiting *a, const struct waiting *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->submitted != b->submitted)
        return a->submitted < b->submitted;
    return a->id < b->id;
}

void scheduler_add(struct scheduler *s, int64_t job, int64_t priority, double submitted,
                   const struct sched_request *r)
{
    struct waiting w = {job, priority, submitted, *r};
    size_t low = 0, high = s->waiting_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (before(&s->waiting[mid], &w))
            low = mid + 1;
        else
            high = mid;
    }
    s->waiting = vec_grow(s->waiting, &s->waiting_cap, s->waiting_count + 1, sizeof(w));
    memmove(s->waiting + low + 1, s->waiting + low, (s->waiting_count - low) * sizeof(w));
    s->waiting[low] = w;
    s->waiting_count++;
}

void scheduler_add_running(struct scheduler *s, int64_t job, const struct sched_request *r,
                           const struct sched_share *shares, int count)
{
    s->running = vec_grow(s->running, &s->running_cap, s->running_count + 1, sizeof(*s->running));
    struct running *run = &s->running[s->running_count++];
    *run = (struct running){job, *r, xcalloc((size_t)count, sizeof(*shares)), count};
    for (int i = 0; i < count; i++)
        run->shares[i] = (struct sched_share){get_node(s, shares[i].node)->name, shares[i].ranks};
    charge(s, r, run->shares, count, 1);
}

void scheduler_remove(struct scheduler *s, int64_t job)
{
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (s->waiting[i].id != job)
            continue;
        memmove(s->waiting + i, s->waiting + i + 1, (s->waiting_count - i - 1) * sizeof(*s->waiting));
        s->waiting_count--;
        return;
    }
    for (size_t i = 0; i < s->running_count; i++) {
        struct running *r = &s->running[i];
        if (r->id != job)
            continue;
        charge(s, &r->request, r->shares, r->count, -1);
        free(r->shares);
        *r = s->running[--s->running_count];
        return;
    }
}

/* How many ranks fit. empty: as if nothing ran there. */
static int64_t room(const struct node *n, const struct sched_request *r, bool empty)
{
    if (!n->known || !n->usable)
        return 0;
    int64_t fits = r->ranks;
    const int64_t have[3] = {n->cores - (empty ? 0 : n->cores_used), n->memory - (empty ? 0 : n->memory_used),
                             n->gpus - (empty ? 0 : n->gpus_used)};
    const int64_t need[3] = {r->cores_per_rank, r->memory_per_rank, r->gpus_per_rank};
    for (int i = 0; i < 3; i++) {
        int64_t k = need[i] > 0 ? (have[i] > 0 ? have[i] / need[i] : 0) : fits;
        fits = k < fits ? k : fits;
    }
    return fits;
}

/* One node for all ranks: the one that is left with the fewest free cores. */
static int one_node(const struct scheduler *s, const struct sched_request *r, bool empty,
                    struct sched_share *out)
{
    const struct node *best = NULL;
    for (size_t i = 0; i < s->node_count; i++) {
        const struct node *n = s->nodes[i];
        if (room(n, r, empty) >= r->ranks &&
            (!best || n->cores - n->cores_used < best->cores - best->cores_used))
            best = n;
    }
    if (!best)
        return 0;
    out[0] = (struct sched_share){best->name, r->ranks};
    return 1;
}

struct roomy {
    const struct node *node;
    int64_t room;
};

static int by_room(const void *a, const void *b)
{
    const struct roomy *x = a, *y = b;
    if (x->room != y->room)
        return x->room > y->room ? -1 : 1;
    return strcmp(x->node->name, y->node->name);
}

/* Over the fewest nodes: those with the most room first. 0: they do not fit. */
static int fit(const struct scheduler *s, const struct sched_request *r, bool empty, struct sched_share *out)
{
    int count = one_node(s, r, empty, out);
    if (count || r->ranks == 1)
        return count;
    struct roomy *list = xcalloc(s->node_count, sizeof(*list));
    for (size_t i = 0; i < s->node_count; i++)
        list[i] = (struct roomy){s->nodes[i], room(s->nodes[i], r, empty)};
    qsort(list, s->node_count, sizeof(*list), by_room);
    int64_t left = r->ranks;
    for (size_t i = 0; i < s->node_count && left > 0 && list[i].room > 0; i++) {
        int64_t take = list[i].room < left ? list[i].room : left;
        out[count++] = (struct sched_share){list[i].node->name, take};
        left -= take;
    }
    free(list);
    return left > 0 ? 0 : count;
}

/* The sentence for a job that waits: what of it is missing most. */
static void explain(const struct scheduler *s, const struct sched_request *r, bool never, char *out, size_t n)
{
    int64_t free_cores = 0, free_gpus = 0, all_cores = 0, all_gpus = 0, usable = 0;
    for (size_t i = 0; i < s->node_count; i++) {
        const struct node *node = s->nodes[i];
        if (!node->known || !node->usable)
            continue;
        usable++;
        all_cores += node->cores;
        all_gpus += node->gpus;
        free_cores += node->cores > node->cores_used ? node->cores - node->cores_used : 0;
        free_gpus += node->gpus > node->gpus_used ? node->gpus - node->gpus_used : 0;
    }
    int64_t cores = r->ranks * r->cores_per_rank, gpus = r->ranks * r->gpus_per_rank;
    if (usable == 0)
        snprintf(out, n, "no node is up");
    else if (never && gpus > all_gpus)
        snprintf(out, n, "asks for %lld GPUs; the cluster has %lld", (long long)gpus, (long long)all_gpus);
    else if (never && cores > all_cores)
        snprintf(out, n, "asks for %lld cores; the cluster has %lld", (long long)cores, (long long)all_cores);
    else if (never)
        snprintf(out, n, "no set of nodes has %lld ranks of %lld cores, %lld MiB and %lld GPUs each",
                 (long long)r->ranks, (long long)r->cores_per_rank, (long long)(r->memory_per_rank >> 20),
                 (long long)r->gpus_per_rank);
    else if (gpus > free_gpus)
        snprintf(out, n, "waits for %lld GPUs; %lld free", (long long)gpus, (long long)free_gpus);
    else if (cores > free_cores)
        snprintf(out, n, "waits for %lld cores; %lld free", (long long)cores, (long long)free_cores);
    else
        snprintf(out, n,
                 "waits for memory or for room on fewer nodes: %lld ranks of %lld cores and %lld MiB each",
                 (long long)r->ranks, (long long)r->cores_per_rank, (long long)(r->memory_per_rank >> 20));
}

void scheduler_pass(struct scheduler *s, double now, sched_place_f place, sched_wait_f wait, void *arg)
{
    (void)now;
    struct sched_share *shares = xcalloc(s->node_count + 1, sizeof(*shares));
    size_t kept = 0;
    for (size_t i = 0; i < s->waiting_count; i++) {
        struct waiting w = s->waiting[i];
        int count = fit(s, &w.request, false, shares);
        if (count) {
            scheduler_add_running(s, w.id, &w.request, shares, count);
            place(w.id, s->running[s->running_count - 1].shares, count, arg);
            continue;
        }
        char why[160];
        bool never = fit(s, &w.request, true, shares) == 0;
        explain(s, &w.request, never, why, sizeof(why));
        wait(w.id, why, never, arg);
        s->waiting[kept++] = w;
    }
    s->waiting_count = kept;
    free(shares);
}

void scheduler_used(const struct scheduler *s, const char *node, int64_t *cores, int64_t *memory,
                    int64_t *gpus)
{
    const struct node *n = find_node(s, node, NULL);
    *cores = n ? n->cores_used : 0;
    *memory = n ? n->memory_used : 0;
    *gpus = n ? n->gpus_used : 0;
}
