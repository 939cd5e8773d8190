#include "orchestrator/scheduler/sim.h"

#include <stdlib.h>

#include "base/mem.h"

struct sim {
    struct scheduler *scheduler;
    struct sim_job *jobs;
    size_t *by_id;   /* jobs in order of id */
    size_t *arrival; /* jobs in order of arrival */
    size_t *ends;    /* a heap: the next to end first */
    size_t count, running, waiting;
    double now;
    double core_seconds, gpu_seconds;
};

/* --- orders --------------------------------------------------------------------------------------------- */

struct keyed {
    double at;
    int64_t id;
    size_t job;
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Caller frees. */
static size_t *ordered(const struct sim_job *jobs, size_t n, bool by_arrival)
{
    struct keyed *keys = xcalloc(n + 1, sizeof(*keys));
    size_t *order = xcalloc(n + 1, sizeof(*order));
    for (size_t i = 0; i < n; i++)
        keys[i] = (struct keyed){by_arrival ? jobs[i].job.submitted : 0, jobs[i].job.id, i};
    qsort(keys, n, sizeof(*keys), by_key);
    for (size_t i = 0; i < n; i++)
        order[i] = keys[i].job;
    free(keys);
    return order;
}

static bool ends_before(const struct sim *s, size_t a, size_t b)
{
    const struct sim_job *x = &s->jobs[a], *y = &s->jobs[b];
    return x->ended != y->ended ? x->ended < y->ended : x->job.id < y->job.id;
}

static void push_end(struct sim *s, size_t job)
{
    size_t i = s->running++;
    for (; i > 0 && ends_before(s, job, s->ends[(i - 1) / 2]); i = (i - 1) / 2)
        s->ends[i] = s->ends[(i - 1) / 2];
    s->ends[i] = job;
}

static size_t pop_end(struct sim *s)
{
    size_t first = s->ends[0], last = s->ends[--s->running], i = 0;
    for (size_t child; (child = 2 * i + 1) < s->running; i = child) {
        if (child + 1 < s->running && ends_before(s, s->ends[child + 1], s->ends[child]))
            child++;
        if (!ends_before(s, s->ends[child], last))
            break;
        s->ends[i] = s->ends[child];
    }
    if (s->running)
        s->ends[i] = last;
    return first;
}

/* --- running -------------------------------------------------------------------------------------------- */

static size_t find(const struct sim *s, int64_t id)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->jobs[s->by_id[mid]].job.id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return s->by_id[low];
}

static void on_place(int64_t id, const struct sched_share *shares, int count, void *arg)
{
    struct sim *s = arg;
    size_t at = find(s, id);
    struct sim_job *j = &s->jobs[at];
    const struct sched_request *r = &j->job.request;
    double length = j->duration;
    (void)shares;
    (void)count;
    if (j->job.time_limit > 0 && length > (double)j->job.time_limit)
        length = (double)j->job.time_limit;
    j->started = s->now;
    j->ended = s->now + length;
    s->core_seconds += length * (double)(r->ranks * r->cores_per_rank);
    s->gpu_seconds += length * (double)(r->ranks * r->gpus_per_rank);
    s->waiting--;
    push_end(s, at);
}

static void pass(struct sim *s, double (*clock)(void), struct sim_report *out)
{
    double before = clock ? clock() : 0;
    if (s->waiting > out->most_waiting)
        out->most_waiting = s->waiting;
    scheduler_pass(s->scheduler, s->now, on_place, s);
    out->passes++;
    if (!clock)
        return;
    double took = clock() - before;
    out->pass_seconds += took;
    out->pass_most = took > out->pass_most ? took : out->pass_most;
}

/* --- the report ----------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static struct sim_spread spread(double *values, size_t n)
{
    double sum = 0;
    if (n == 0)
        return (struct sim_spread){0};
    qsort(values, n, sizeof(*values), by_value);
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return (struct sim_spread){sum / (double)n, values[(n - 1) / 2], values[(n - 1) * 9 / 10],
                               values[(n - 1) * 99 / 100], values[n - 1]};
}

static void report(const struct sim *s, const struct sim_node *nodes, size_t node_count,
                   struct sim_report *out)
{
    double *completion = xcalloc(s->count + 1, sizeof(double)),
           *delay = xcalloc(s->count + 1, sizeof(double));
    double first = s->count ? s->jobs[s->arrival[0]].job.submitted : 0, last = first, cores = 0, gpus = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct sim_job *j = &s->jobs[i];
        if (j->started < 0) {
            out->never++;
            continue;
        }
        completion[out->ended] = j->ended - j->job.submitted;
        delay[out->ended++] = j->started - j->job.submitted;
        last = j->ended > last ? j->ended : last;
    }
    for (size_t i = 0; i < node_count; i++) {
        cores += (double)nodes[i].cores;
        gpus += (double)nodes[i].gpus;
    }
    out->makespan = last - first;
    out->cores_used = out->makespan > 0 && cores > 0 ? s->core_seconds / cores / out->makespan : 0;
    out->gpus_used = out->makespan > 0 && gpus > 0 ? s->gpu_seconds / gpus / out->makespan : 0;
    out->completion = spread(completion, out->ended);
    out->delay = spread(delay, out->ended);
    free(completion);
    free(delay);
}

void sim_run(const struct sched_policy *policy, const struct sim_node *nodes, size_t node_count,
             struct sim_job *jobs, size_t job_count, double (*clock)(void), struct sim_report *out)
{
    struct sim s = {.scheduler = scheduler_create(policy), .jobs = jobs, .count = job_count};
    size_t next = 0;
    *out = (struct sim_report){0};
    s.by_id = ordered(jobs, job_count, false);
    s.arrival = ordered(jobs, job_count, true);
    s.ends = xcalloc(job_count + 1, sizeof(*s.ends));
    for (size_t i = 0; i < node_count; i++)
        scheduler_node(s.scheduler, nodes[i].name, nodes[i].cores, nodes[i].memory, nodes[i].gpus, true);
    for (size_t i = 0; i < job_count; i++) {
        jobs[i].started = -1;
        jobs[i].ended = 0;
    }
    while (next < job_count || s.running > 0) {
        double arrives = next < job_count ? jobs[s.arrival[next]].job.submitted : 0;
        bool arrival = next < job_count && (s.running == 0 || arrives < jobs[s.ends[0]].ended);
        s.now = arrival ? arrives : jobs[s.ends[0]].ended;
        /* All that happens at one time is one event. */
        while (s.running > 0 && jobs[s.ends[0]].ended <= s.now)
            scheduler_remove(s.scheduler, jobs[pop_end(&s)].job.id, s.now);
        for (; next < job_count && jobs[s.arrival[next]].job.submitted <= s.now; next++, s.waiting++)
            scheduler_add(s.scheduler, &jobs[s.arrival[next]].job);
        pass(&s, clock, out);
    }
    report(&s, nodes, node_count, out);
    scheduler_destroy(s.scheduler);
    free(s.by_id);
    free(s.arrival);
    free(s.ends);
}
