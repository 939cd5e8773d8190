/* trainyard sim: the scheduler of the server under a trace, with a report. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/trace.h"
#include "cli/verb.h"

/* --- policies ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int reservations;
    bool in_order, shortest_first, age_only;
} policies[] = {
    {"default", -1, false, false, false},
    {"fifo", 0, true, false, true},
    {"first-fit", 0, false, false, true},
    {"easy", 1, false, false, true},
    {"conservative", SCHED_RESERVATIONS, false, false, true},
    {"sjf", 0, false, true, true},
};

/* SJF knows how long a job will take, as no scheduler can: a bound, not a policy. */
static int set_policy(const char *name, struct trace *t, struct sched_policy *p, struct err *err)
{
    *p = sched_policy_default();
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        if (strcmp(policies[i].name, name) != 0)
            continue;
        if (policies[i].reservations >= 0)
            p->reservations = policies[i].reservations;
        p->overtake = !policies[i].in_order;
        if (policies[i].age_only)
            p->share_weight = 0;
        if (policies[i].shortest_first) {
            p->age_weight = 0;
            for (size_t j = 0; j < t->job_count; j++)
                t->jobs[j].job.priority = -(int64_t)t->jobs[j].duration;
        }
        return 0;
    }
    return err_set(
        err, ERR_INVALID,
        "there is no policy \"%.40s\"; there are default, fifo, first-fit, easy, conservative, sjf", name);
}

/* --- what to simulate ----------------------------------------------------------------------------------- */

/* splitmix64: the same jobs for the same seed everywhere. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Jobs of 1 to 8 GPUs and a minute to about 36 hours, the short and small ones most, arriving at about what the cluster can do. */
static void generate(struct trace *t, size_t count, size_t nodes, uint64_t seed)
{
    double at = 0, gap = 4500.0 * 3 / ((double)nodes * 8);
    t->jobs = xcalloc(count, sizeof(*t->jobs));
    t->job_count = count;
    for (size_t i = 0; i < count; i++) {
        int64_t ranks = (int64_t)1 << (draw(&seed) % 8 < 4 ? 0 : draw(&seed) % 4);
        double seconds =
            60.0 * (double)((uint64_t)1 << draw(&seed) % 11) * (1 + (double)(draw(&seed) % 1000) / 1000);
        at += gap * 2 * (double)(draw(&seed) % 10000) / 10000;
        t->jobs[i] =
            (struct sim_job){.job = {.id = (int64_t)i + 1,
                                     .owner = 1 + (int64_t)(draw(&seed) % 50),
                                     .submitted = at,
                                     .time_limit = (int64_t)(seconds * (1 + (double)(draw(&seed) % 3))) + 1,
                                     .request = {ranks, 4, (int64_t)16 << 30, 1}},
                             .duration = seconds};
    }
}

static int make_nodes(const struct args *args, const struct trace *t, struct sim_node **nodes, size_t *count,
                      struct err *err)
{
    const char *given = args_str(args, "nodes");
    int64_t n = 16;
    if (given && given[strspn(given, "0123456789")])
        return trace_nodes(given, t->milli, nodes, count, err);
    if (args_int(args, "nodes", 1, 100000, &n, err))
        return -1;
    *count = (size_t)n;
    *nodes = xcalloc(*count, sizeof(**nodes));
    for (size_t i = 0; i < *count; i++) {
        (*nodes)[i] =
            (struct sim_node){.cores = t->milli ? 64000 : 64, .memory = (int64_t)512 << 30, .gpus = 8};
        snprintf((*nodes)[i].name, sizeof((*nodes)[i].name), "n%06zu", i + 1);
    }
    return 0;
}

static int make_jobs(const struct args *args, struct trace *t, struct err *err)
{
    int64_t count = 0, nodes = 16, seed = 1;
    const char *path = args_str(args, "trace"), *where = args_str(args, "nodes");
    if (args_int(args, "generate", 1, 2000000, &count, err) ||
        args_int(args, "seed", 0, INT64_MAX, &seed, err))
        return -1;
    if (!path == !count)
        return err_set(err, ERR_INVALID, "what to simulate? Add --trace FILE or --generate JOBS");
    if (path)
        return trace_read(path, t, err);
    if (where && args_int(args, "nodes", 1, 100000, &nodes, err))
        return -1;
    generate(t, (size_t)count, (size_t)nodes, (uint64_t)seed);
    return 0;
}

/* --- the report ----------------------------------------------------------------------------------------- */

static json_t *spread_json(const struct sim_spread *s)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "mean", s->mean, "median", s->median, "p90", s->p90, "p99",
                     s->p99, "max", s->most);
}

static void print_spread(const char *what, const struct sim_spread *s)
{
    char text[5][32];
    const double values[5] = {s->mean, s->median, s->p90, s->p99, s->most};
    for (int i = 0; i < 5; i++)
        units_format_duration(values[i], text[i], sizeof(text[i]));
    printf("%-16s %12s %12s %12s %12s %12s\n", what, text[0], text[1], text[2], text[3], text[4]);
}

static void print(struct cli *cli, const char *policy, const struct trace *t, const struct sim_report *r)
{
    char text[32];
    if (cli->json) {
        json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:f, s:f, s:f, s:I, s:I, s:f, s:f}", "policy",
                              policy, "jobs", (json_int_t)r->ended, "never", (json_int_t)r->never, "left_out",
                              (json_int_t)t->left_out, "completion_seconds", spread_json(&r->completion),
                              "delay_seconds", spread_json(&r->delay), "makespan_seconds", r->makespan,
                              "cores_used", r->cores_used, "gpus_used", r->gpus_used, "passes",
                              (json_int_t)r->passes, "most_waiting", (json_int_t)r->most_waiting,
                              "pass_seconds_sum", r->pass_seconds, "pass_seconds_max", r->pass_most);
        api_print(o);
        json_decref(o);
        return;
    }
    printf("%zu jobs under %s", r->ended, policy);
    if (r->never)
        printf("; %zu can never run here", r->never);
    if (t->left_out)
        printf("; %zu of the trace have no duration and were left out", t->left_out);
    printf("\n\n%-16s %12s %12s %12s %12s %12s\n", "", "mean", "median", "90 %", "99 %", "most");
    print_spread("completion", &r->completion);
    print_spread("queueing delay", &r->delay);
    units_format_duration(r->makespan, text, sizeof(text));
    printf("\nmakespan %s, cores used %.1f %%, GPUs used %.1f %%\n", text, 100 * r->cores_used,
           100 * r->gpus_used);
    printf("%zu passes, at most %zu jobs waiting, %.1f us a pass, the longest %.1f ms\n", r->passes,
           r->most_waiting, r->passes ? 1e6 * r->pass_seconds / (double)r->passes : 0, 1e3 * r->pass_most);
}

int sim_verb(struct cli *cli, const struct args *args, struct err *err)
{
    struct trace t = {0};
    struct sim_node *nodes = NULL;
    size_t count = 0;
    struct sched_policy policy;
    struct sim_report report;
    const char *name = args_str(args, "policy") ? args_str(args, "policy") : "default";
    int rc = make_jobs(args, &t, err);
    if (!rc)
        rc = set_policy(name, &t, &policy, err);
    if (!rc)
        rc = make_nodes(args, &t, &nodes, &count, err);
    if (!rc) {
        sim_run(&policy, nodes, count, t.jobs, t.job_count, time_monotonic, &report);
        print(cli, name, &t, &report);
    }
    trace_free(&t);
    free(nodes);
    return rc;
}
