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
    double starts;
    int64_t behind, limit;
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
    double now;
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

/* Everyone who waits, and nobody else, is told why. */
static void ask_why(struct world *w)
{
    for (int64_t id = 0; id < JOBS; id++) {
        struct job *j = &w->jobs[id];
        struct sched_wait wait;
        assert_int_equal(scheduler_why(w->s, id, j->why, sizeof(j->why), &wait), j->state == WAITING);
        if (j->state == WAITING)
            assert_true(strlen(j->why) > 5);
        j->never = wait.never;
        j->starts = wait.starts;
        j->behind = wait.behind;
    }
}

/* Points of its own count, then age; reservations as said. */
static struct world *world_with(int reservations)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct sched_policy p = sched_policy_default();
    p.reservations = reservations;
    p.age_weight = 1e-3;
    p.share_weight = 0;
    w->s = scheduler_create(&p);
    return w;
}

static struct world *world_create(void)
{
    return world_with(0);
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
    struct sched_job asked = {.id = id, .owner = 1, .priority = priority, .submitted = when, .request = r};
    scheduler_add(w->s, &asked);
}

static void finish(struct world *w, int64_t id)
{
    scheduler_remove(w->s, id, w->now);
    if (w->jobs[id].state == RUNNING)
        charge(w, &w->jobs[id], -1);
    w->jobs[id].state = DONE;
}

static void pass(struct world *w)
{
    w->placed = 0;
    scheduler_pass(w->s, w->now, on_place, w);
    ask_why(w);
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
    scheduler_add_running(w->s, &(struct sched_job){.id = 1, .request = r}, 0, &(struct sched_share){"n1", 3},
                          1);
    add_node(w, 4, 100, 0);
    w->jobs[1] = (struct job){.r = r, .state = RUNNING, .count = 1, .shares = {{0, 3}}};
    charge(w, &w->jobs[1], 1);
    submit(w, 2, 0, 0, (struct sched_request){2, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[2].state, WAITING);
    finish(w, 1);
    pass(w);
    assert_int_equal(w->jobs[2].state, RUNNING);
    scheduler_remove(w->s, 77, 0); /* unknown is fine */
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

/* ---- reservations, fair share ---- */

static void submit_for(struct world *w, int64_t id, int64_t owner, double when, int64_t limit,
                       struct sched_request r)
{
    w->jobs[id] = (struct job){.r = r, .submitted = when, .limit = limit, .state = WAITING};
    scheduler_add(w->s, &(struct sched_job){
                            .id = id, .owner = owner, .submitted = when, .time_limit = limit, .request = r});
}

static void only_who_delays_nobody_goes_first(void **state)
{
    (void)state;
    struct world *w = world_with(1);
    add_node(w, 4, 100, 0);
    submit_for(w, 1, 1, 0, 1000, (struct sched_request){2, 1, 0, 0});
    submit_for(w, 2, 1, 1, 500, (struct sched_request){4, 1, 0, 0});  /* starts at 1000 */
    submit_for(w, 3, 1, 2, 1001, (struct sched_request){1, 1, 0, 0}); /* would end too late */
    submit_for(w, 4, 1, 3, 1000, (struct sched_request){1, 1, 0, 0}); /* ends just in time */
    submit_for(w, 5, 1, 4, 0, (struct sched_request){1, 1, 0, 0});    /* nobody knows when it ends */
    pass(w);
    assert_int_equal(w->jobs[1].state, RUNNING);
    assert_int_equal(w->jobs[2].state, WAITING);
    assert_int_equal(w->jobs[3].state, WAITING);
    assert_int_equal(w->jobs[4].state, RUNNING);
    assert_int_equal(w->jobs[5].state, WAITING);
    assert_true(w->jobs[2].starts == 1000);
    assert_string_equal(w->jobs[2].why,
                        "waits for 4 cores; 1 free; starts about 1970-01-01 00:16 UTC, when job 1 has ended");
    assert_int_equal(w->jobs[3].behind, 2);
    assert_string_equal(w->jobs[3].why, "there is room, but it would delay job 2");
    assert_string_equal(w->jobs[5].why,
                        "there is room, but it would delay job 2; a time limit could let it go first");
    world_destroy(w);
}

static void beside_a_reservation_there_may_be_room_for_ever(void **state)
{
    (void)state;
    struct world *w = world_with(1);
    add_node(w, 4, 100, 0);
    submit_for(w, 1, 1, 0, 1000, (struct sched_request){2, 1, 0, 0});
    submit_for(w, 2, 1, 1, 500, (struct sched_request){3, 1, 0, 0});
    submit_for(w, 3, 1, 2, 0, (struct sched_request){1, 1, 0, 0}); /* the fourth core is not asked for */
    submit_for(w, 4, 1, 3, 0, (struct sched_request){1, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[3].state, RUNNING);
    assert_int_equal(w->jobs[4].state, WAITING);
    world_destroy(w);
}

static void conservative_delays_nobody_in_the_plan(void **state)
{
    (void)state;
    struct world *w = world_with(SCHED_RESERVATIONS);
    add_node(w, 4, 100, 0);
    submit_for(w, 1, 1, 0, 100, (struct sched_request){3, 1, 0, 0});
    submit_for(w, 2, 1, 1, 100, (struct sched_request){4, 1, 0, 0}); /* 100 to 200 */
    submit_for(w, 3, 1, 2, 100, (struct sched_request){2, 1, 0, 0}); /* 200 to 300 */
    submit_for(w, 4, 1, 3, 500, (struct sched_request){3, 1, 0, 0}); /* not at 200 beside 3: at 300 */
    submit_for(w, 5, 1, 4, 100, (struct sched_request){1, 1, 0, 0}); /* now */
    pass(w);
    assert_true(w->jobs[2].starts == 100 && w->jobs[3].starts == 200 && w->jobs[4].starts == 300);
    assert_int_equal(w->jobs[5].state, RUNNING);
    world_destroy(w);
}

static void who_used_less_goes_first(void **state)
{
    (void)state;
    struct world *w = world_create();
    scheduler_destroy(w->s);
    w->s = scheduler_create(NULL);
    add_node(w, 2, 100, 0);
    submit_for(w, 1, 1, 0, 0, (struct sched_request){2, 1, 0, 0});
    pass(w);
    w->now = 1000;
    submit_for(w, 2, 1, 10, 0, (struct sched_request){2, 1, 0, 0});
    submit_for(w, 3, 2, 20, 0, (struct sched_request){2, 1, 0, 0});
    finish(w, 1);
    pass(w);
    assert_int_equal(w->jobs[3].state, RUNNING);
    assert_int_equal(w->jobs[2].state, WAITING);
    double used = scheduler_usage(w->s, 1, 1000);
    assert_true(used > 1990 && used <= 2000);
    double later = scheduler_usage(w->s, 1, 1000 + 7 * 86400.0);
    assert_true(later > used / 2 - 1e-6 && later < used / 2 + 1e-6);
    /* Age wins in the end: more than share_weight points of it. */
    finish(w, 3);
    w->now = 20 * 3600;
    submit_for(w, 4, 2, w->now, 0, (struct sched_request){2, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[2].state, RUNNING);
    world_destroy(w);
}

static void in_strict_order_nothing_overtakes(void **state)
{
    (void)state;
    struct world *w = world_create();
    struct sched_policy p = sched_policy_default();
    p.overtake = false;
    scheduler_destroy(w->s);
    w->s = scheduler_create(&p);
    add_node(w, 4, 100, 0);
    submit_for(w, 1, 1, 0, 0, (struct sched_request){3, 1, 0, 0});
    submit_for(w, 2, 1, 1, 0, (struct sched_request){2, 1, 0, 0});
    submit_for(w, 3, 1, 2, 0, (struct sched_request){1, 1, 0, 0});
    pass(w);
    assert_int_equal(w->jobs[2].state, WAITING);
    assert_int_equal(w->jobs[3].state, WAITING);
    world_destroy(w);
}

/* The first that waits: the lowest id, as all have the same points. */
static int64_t head(const struct world *w)
{
    for (int64_t i = 1; i < JOBS; i++)
        if (w->jobs[i].state == WAITING && !w->jobs[i].never)
            return i;
    return 0;
}

/* Jobs end at or before their limits and nobody comes who goes first: then the first that waits starts no later
 * than it was ever promised, whatever is filled in around it. This bounds everyone's wait. */
static void a_promise_is_kept(int seed, int reservations)
{
    struct world *w = world_with(reservations);
    double ends[JOBS] = {0}, promised = 0;
    int64_t first = 0;
    int filled_in = 0;
    random_state = (unsigned long long)seed * 104729;
    for (int n = 2 + (int)pick(6); n > 0; n--)
        add_node(w, 1 + pick(7), 50, pick(2));
    for (int64_t id = 1; id < 200; id++)
        submit_for(w, id, 1, (double)id, 10 + pick(500),
                   (struct sched_request){1 + pick(7), 1 + pick(2), pick(20), pick(4) == 0});
    for (;;) {
        pass(w);
        for (int i = 0; i < w->placed; i++) {
            int64_t id = w->order[i];
            ends[id] = w->now + (double)(1 + pick(w->jobs[id].limit - 1));
            filled_in += first && id > first;
            if (id == first && promised > 0)
                assert_true(w->now <= promised);
        }
        int64_t now_first = head(w);
        if (now_first) {
            assert_true(w->jobs[now_first].starts > w->now);
            if (now_first == first)
                assert_true(w->jobs[now_first].starts <= promised);
            promised = w->jobs[now_first].starts;
        }
        first = now_first;
        int64_t next = 0;
        for (int64_t id = 1; id < 200; id++)
            if (w->jobs[id].state == RUNNING && (!next || ends[id] < ends[next]))
                next = id;
        if (!next)
            break;
        w->now = ends[next];
        finish(w, next);
    }
    assert_int_equal(head(w), 0); /* all that can run have run */
    assert_true(filled_in > 0);
    world_destroy(w);
}

static void the_first_starts_no_later_than_promised(void **state)
{
    (void)state;
    for (int seed = 1; seed <= 40; seed++) {
        a_promise_is_kept(seed, 1);
        a_promise_is_kept(seed, 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_delays_nobody_goes_first),
        cmocka_unit_test(beside_a_reservation_there_may_be_room_for_ever),
        cmocka_unit_test(conservative_delays_nobody_in_the_plan),
        cmocka_unit_test(who_used_less_goes_first),
        cmocka_unit_test(in_strict_order_nothing_overtakes),
        cmocka_unit_test(the_first_starts_no_later_than_promised),
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
