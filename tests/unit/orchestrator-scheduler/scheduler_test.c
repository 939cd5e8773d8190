/* The scheduler: what it decides on small clusters drawn by hand, and what must hold on random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "orchestrator/scheduler/scheduler.h"

/* ---- a book of our own, to check the scheduler's against ---- */

enum { NODES = 12, JOBS = 400, SHARES = 16 };

struct node {
    char name[16];
    int64_t cores, memory, gpus, cores_used, memory_used, gpus_used;
    bool usable;
};

struct job {
    struct sched_request r;
    int64_t priority;
    double submitted;
    enum { ABSENT, WAITING, RUNNING, DONE } state;
    bool never;
    char why[200];
    int count;
    struct {
        int node;
        int64_t ranks;
    } shares[SHARES];
};

struct world {
    struct scheduler *s;
    struct node nodes[NODES];
    int node_count;
    struct job jobs[JOBS];
    int64_t order[JOBS]; /* jobs in the order in which they were placed */
    int placed;
};

static int node_index(const struct world *w, const char *name)
{
    for (int i = 0; i < w->node_count; i++)
        if (!strcmp(w->nodes[i].name, name))
            return i;
    fail_msg("a share on a node that is not there: %s", name);
    return -1;
}

static void charge(struct world *w, struct job *j, int sign)
{
    for (int i = 0; i < j->count; i++) {
        struct node *n = &w->nodes[j->shares[i].node];
        n->cores_used += sign * j->shares[i].ranks * j->r.cores_per_rank;
        n->memory_used += sign * j->shares[i].ranks * j->r.memory_per_rank;
        n->gpus_used += sign * j->shares[i].ranks * j->r.gpus_per_rank;
    }
}

static void on_place(int64_t id, const struct sched_share *shares, int count, void *arg)
{
    struct world *w = arg;
    struct job *j = &w->jobs[id];
    int64_t ranks = 0;
    assert_int_equal(j->state, WAITING);
    assert_true(count >= 1 && count <= SHARES);
    j->count = count;
    for (int i = 0; i < count; i++) {
        j->shares[i].node = node_index(w, shares[i].node);
        j->shares[i].ranks = shares[i].ranks;
        assert_true(shares[i].ranks >= 1);
        assert_true(w->nodes[j->shares[i].node].usable);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(j->shares[k].node, j->shares[i].node);
        ranks += shares[i].ranks;
    }
    assert_int_equal(ranks, j->r.ranks); /* all or nothing */
    charge(w, j, 1);
    for (int i = 0; i < count; i++) { /* nothing given twice, nothing that is not there */
        const struct node *n = &w->nodes[j->shares[i].node];
        assert_true(n->cores_used <= n->cores && n->memory_used <= n->memory && n->gpus_used <= n->gpus);
    }
    j->state = RUNNING;
    w->order[w->placed++ % JOBS] = id;
}

static void on_wait(int64_t id, const char *why, bool never, void *arg)
{
    struct world *w = arg;
    assert_int_equal(w->jobs[id].state, WAITING);
    assert_true(strlen(why) > 5);
    w->jobs[id].never = never;
    snprintf(w->jobs[id].why, sizeof(w->jobs[id].why), "%s", why);
}

static struct world *world_create(void)
{
    struct world *w = xcalloc(1, sizeof(*w));
    w->s = scheduler_create();
    return w;
}

static void world_destroy(struct world *w)
{
    scheduler_destroy(w->s);
    free(w);
}

static void add_node(struct world *w, int64_t cores, int64_t memory, int64_t gpus)
{
    struct node *n = &w->nodes[w->node_count];
    *n = (struct node){.cores = cores, .memory = memory, .gpus = gpus, .usable = true};
    snprintf(n->name, sizeof(n->name), "n%d", ++w->node_count);
    scheduler_node(w->s, n->name, cores, memory, gpus, true);
}

static void usable(struct world *w, int node, bool yes)
{
    struct node *n = &w->nodes[node];
    n->usable = yes;
    scheduler_node(w->s, n->name, n->cores, n->memory, n->gpus, yes);
}

static void submit(struct world *w, int64_t id, int64_t priority, double when, struct sched_request r)
{
    w->jobs[id] = (struct job){.r = r, .priority = priority, .submitted = when, .state = WAITING};
    scheduler_add(w->s, id, priority, when, &r);
}

static void finish(struct world *w, int64_t id)
{
    scheduler_remove(w->s, id);
    if (w->jobs[id].state == RUNNING)
        charge(w, &w->jobs[id], -1);
    w->jobs[id].state = DONE;
}

static void pass(struct world *w)
{
    w->placed = 0;
    scheduler_pass(w->s, 0, on_place, on_wait, w);
    for (int i = 0; i < w->node_count; i++) {
        int64_t cores, memory, gpus;
        scheduler_used(w->s, w->nodes[i].name, &cores, &memory, &gpus);
        assert_int_equal(cores, w->nodes[i].cores_used);
        assert_int_equal(memory, w->nodes[i].memory_used);
        assert_int_equal(gpus, w->nodes[i].gpus_used);
    }
}

/* ---- by hand ---- */

static void priority_then_age_then_number(void **state)
{
    (void)state;
    struct world *w = world_create();
    add_node(w, 1, 100, 0);
    struct sched_request one = {1, 1, 0, 0};
    submit(w, 4, 0, 20, one);
    submit(w, 3, 0, 10, one);
    submit(w, 2, 0, 10, one);
    submit(w, 1, 5, 30, one);
    static const int64_t expected[] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++) {
        pass(w);
        assert_int_equal(w->placed, 1);
        assert_int_equal(w->order[0], expected[i]);
        finish(w, expected[i]);
    }
    world_destroy(w);
}

static void one_node_before_two_and_the_fullest_first(void **state)
{
    (void)state;
    struct world *w = world_create();
    add_node(w, 8, 1000, 0);
    add_node(w, 4, 1000, 0);
    submit(w, 1, 0, 0, (struct sched_request){3, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[1].count, 1);
    assert_int_equal(w->jobs[1].shares[0].node, 1); /* so that the large hole stays */
    submit(w, 2, 0, 1, (struct sched_request){9, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[2].count, 2);
    assert_int_equal(w->jobs[2].shares[0].node, 0);
    assert_int_equal(w->jobs[2].shares[0].ranks, 8);
    world_destroy(w);
}

static void who_waits_knows_why(void **state)
{
    (void)state;
    struct world *w = world_create();
    submit(w, 1, 0, 0, (struct sched_request){1, 1, 0, 0});
    pass(w);
    assert_string_equal(w->jobs[1].why, "no node is up");
    add_node(w, 4, 1 << 30, 2);
    submit(w, 2, 0, 1, (struct sched_request){4, 1, 0, 0});
    submit(w, 3, 0, 2, (struct sched_request){1, 1, 0, 3});
    submit(w, 4, 0, 3, (struct sched_request){9, 1, 0, 0});
    submit(w, 5, 0, 4, (struct sched_request){1, 1, (int64_t)2 << 30, 0});
    pass(w);
    assert_int_equal(w->jobs[1].state, RUNNING);
    assert_string_equal(w->jobs[2].why, "waits for 4 cores; 3 free");
    assert_false(w->jobs[2].never);
    assert_string_equal(w->jobs[3].why, "asks for 3 GPUs; the cluster has 2");
    assert_true(w->jobs[3].never);
    assert_string_equal(w->jobs[4].why, "asks for 9 cores; the cluster has 4");
    assert_true(w->jobs[4].never);
    assert_true(w->jobs[5].never);
    world_destroy(w);
}

static void a_drained_node_keeps_what_runs_and_takes_nothing(void **state)
{
    (void)state;
    struct world *w = world_create();
    add_node(w, 4, 100, 0);
    submit(w, 1, 0, 0, (struct sched_request){2, 1, 0, 0});
    pass(w);
    usable(w, 0, false);
    submit(w, 2, 0, 0, (struct sched_request){1, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[1].state, RUNNING);
    assert_int_equal(w->jobs[2].state, WAITING);
    usable(w, 0, true);
    pass(w);
    assert_int_equal(w->jobs[2].state, RUNNING);
    world_destroy(w);
}

static void what_ran_before_a_restart_holds_its_place(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct sched_request r = {3, 1, 10, 0};
    /* The job is told of before its node. */
    w->node_count = 0;
    scheduler_add_running(w->s, 1, &r, &(struct sched_share){"n1", 3}, 1);
    add_node(w, 4, 100, 0);
    w->jobs[1] = (struct job){.r = r, .state = RUNNING, .count = 1, .shares = {{0, 3}}};
    charge(w, &w->jobs[1], 1);
    submit(w, 2, 0, 0, (struct sched_request){2, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[2].state, WAITING);
    finish(w, 1);
    pass(w);
    assert_int_equal(w->jobs[2].state, RUNNING);
    scheduler_remove(w->s, 77); /* unknown is fine */
    world_destroy(w);
}

/* ---- at random ---- */

static unsigned long long random_state;

static int64_t pick(int64_t most)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (int64_t)((random_state >> 33) % (unsigned long long)(most + 1));
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many ranks would fit by our own book. */
static int64_t room(const struct world *w, const struct sched_request *r)
{
    int64_t ranks = 0;
    for (int i = 0; i < w->node_count; i++) {
        const struct node *n = &w->nodes[i];
        int64_t fits = r->ranks;
        if (!n->usable)
            continue;
        fits = least(fits, (n->cores - n->cores_used) / r->cores_per_rank);
        if (r->memory_per_rank)
            fits = least(fits, (n->memory - n->memory_used) / r->memory_per_rank);
        if (r->gpus_per_rank)
            fits = least(fits, (n->gpus - n->gpus_used) / r->gpus_per_rank);
        ranks += fits > 0 ? fits : 0;
    }
    return ranks;
}

static void nobody_waits_who_would_fit(const struct world *w)
{
    for (int i = 0; i < JOBS; i++)
        if (w->jobs[i].state == WAITING && room(w, &w->jobs[i].r) >= w->jobs[i].r.ranks)
            fail_msg("job %d waits (%s), but there is room for it", i, w->jobs[i].why);
}

/* Of two that ask for the same, the one that is first by the policy is never placed later. */
static void equals_keep_their_order(const struct world *w)
{
    for (int a = 0; a < w->placed; a++)
        for (int b = a + 1; b < w->placed; b++) {
            const struct job *x = &w->jobs[w->order[a]], *y = &w->jobs[w->order[b]];
            if (memcmp(&x->r, &y->r, sizeof(x->r)) == 0)
                assert_true(x->priority > y->priority ||
                            (x->priority == y->priority && x->submitted <= y->submitted));
        }
    for (int i = 0; i < JOBS; i++)
        for (int a = 0; a < w->placed && w->jobs[i].state == WAITING; a++) {
            const struct job *x = &w->jobs[w->order[a]];
            if (memcmp(&x->r, &w->jobs[i].r, sizeof(x->r)) == 0)
                assert_true(x->priority >= w->jobs[i].priority);
        }
}

static void random_step(struct world *w, int step)
{
    int64_t id = pick(JOBS - 1);
    if (w->jobs[id].state == ABSENT)
        submit(
            w, id, pick(3) - 1, step,
            (struct sched_request){1 + pick(5), 1 + pick(3), pick(2) * 10, pick(4) == 0 ? 1 + pick(1) : 0});
    else if (w->jobs[id].state == RUNNING || (w->jobs[id].state == WAITING && pick(9) == 0))
        finish(w, id);
    if (pick(20) == 0)
        usable(w, (int)pick(w->node_count - 1), pick(2) > 0);
    pass(w);
    nobody_waits_who_would_fit(w);
    equals_keep_their_order(w);
}

static void what_must_hold_holds_on_random_clusters(void **state)
{
    (void)state;
    for (int seed = 1; seed <= 20; seed++) {
        struct world *w = world_create();
        random_state = (unsigned long long)seed * 7919;
        for (int n = 2 + (int)pick(NODES - 3); n > 0; n--)
            add_node(w, 1 + pick(15), 20 + pick(100), pick(4));
        for (int step = 0; step < 600; step++)
            random_step(w, step);
        /* All nodes back and no more arrivals: everything that can run does, and ends. */
        for (int i = 0; i < w->node_count; i++)
            usable(w, i, true);
        for (int round = 0; round < JOBS; round++) {
            pass(w);
            for (int i = 0; i < JOBS; i++)
                if (w->jobs[i].state == RUNNING)
                    finish(w, i);
        }
        for (int i = 0; i < JOBS; i++)
            if (w->jobs[i].state == WAITING)
                assert_true(w->jobs[i].never);
        world_destroy(w);
    }
}

static void the_same_events_give_the_same_decisions(void **state)
{
    (void)state;
    int64_t first[JOBS], n = 0;
    for (int again = 0; again < 2; again++) {
        struct world *w = world_create();
        random_state = 5;
        for (int i = 0; i < 6; i++)
            add_node(w, 8, 100, 2);
        for (int i = 0; i < 60; i++)
            submit(w, i, pick(2), (double)pick(10),
                   (struct sched_request){1 + pick(4), 1 + pick(2), pick(20), pick(1)});
        pass(w);
        if (!again) {
            n = w->placed;
            memcpy(first, w->order, sizeof(first));
        }
        assert_int_equal(w->placed, n);
        assert_memory_equal(first, w->order, (size_t)n * sizeof(*first));
        world_destroy(w);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_then_age_then_number),
        cmocka_unit_test(one_node_before_two_and_the_fullest_first),
        cmocka_unit_test(who_waits_knows_why),
        cmocka_unit_test(a_drained_node_keeps_what_runs_and_takes_nothing),
        cmocka_unit_test(what_ran_before_a_restart_holds_its_place),
        cmocka_unit_test(what_must_hold_holds_on_random_clusters),
        cmocka_unit_test(the_same_events_give_the_same_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
