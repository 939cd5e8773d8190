/* Learning rates against closed forms worked out here. */
#include "kernels/optim/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct algorithm of(enum schedule_type type)
{
    struct algorithm a;
    algorithm_default(&a);
    a.optimizer.learning_rate = 0.1;
    a.schedule.type = type;
    a.schedule.gamma = 0.5;
    a.schedule.every_epochs = 2;
    a.schedule.warmup_steps = 0;
    a.schedule.minimum = 0.01;
    return a;
}

static void near(double a, double b)
{
    assert_true(fabs(a - b) <= 1e-12 * (1 + fabs(b)));
}

static void constant_is_constant(void **state)
{
    (void)state;
    struct algorithm a = of(SCHEDULE_CONSTANT);
    for (int64_t s = 0; s < 100; s++)
        near(schedule_rate(&a, s, 10, 100), 0.1);
}

static void warm_up_rises_linearly_then_gives_way(void **state)
{
    (void)state;
    for (int t = 0; t < SCHEDULE_TYPE_COUNT; t++) {
        struct algorithm a = of((enum schedule_type)t);
        if (t == SCHEDULE_ONE_CYCLE) /* has its own rise */
            continue;
        a.schedule.warmup_steps = 4;
        near(schedule_rate(&a, 0, 100, 1000), 0.025);
        near(schedule_rate(&a, 1, 100, 1000), 0.05);
        near(schedule_rate(&a, 3, 100, 1000), 0.1);
        near(schedule_rate(&a, 4, 100, 1000), 0.1);
    }
}

static void step_halves_every_two_epochs(void **state)
{
    (void)state;
    struct algorithm a = of(SCHEDULE_STEP);
    const double want[] = {0.1, 0.1, 0.05, 0.05, 0.025};
    for (int e = 0; e < 5; e++) {
        near(schedule_rate(&a, e * 10, 10, 50), want[e]);
        near(schedule_rate(&a, e * 10 + 9, 10, 50), want[e]);
    }
}

static void multistep_changes_at_its_milestones(void **state)
{
    (void)state;
    struct algorithm a = of(SCHEDULE_MULTISTEP);
    a.schedule.milestones[0] = 1;
    a.schedule.milestones[1] = 3;
    a.schedule.milestone_count = 2;
    const double want[] = {0.1, 0.05, 0.05, 0.025, 0.025};
    for (int e = 0; e < 5; e++)
        near(schedule_rate(&a, e * 7 + 3, 7, 35), want[e]);
}

static void exponential_falls_each_epoch(void **state)
{
    (void)state;
    struct algorithm a = of(SCHEDULE_EXPONENTIAL);
    double want = 0.1;
    for (int e = 0; e < 20; e++, want *= 0.5)
        near(schedule_rate(&a, e * 3 + 2, 3, 60), want);
}

static void cosine_goes_from_rate_to_minimum(void **state)
{
    (void)state;
    struct algorithm a = of(SCHEDULE_COSINE);
    near(schedule_rate(&a, 0, 10, 100), 0.1);
    near(schedule_rate(&a, 50, 10, 100), 0.055);
    near(schedule_rate(&a, 25, 10, 100), 0.01 + 0.09 * (1 + sqrt(0.5)) / 2);
    near(schedule_rate(&a, 100, 10, 100), 0.01);
    near(schedule_rate(&a, 1000, 10, 100), 0.01);
    a.schedule.warmup_steps = 20;
    near(schedule_rate(&a, 60, 10, 100), 0.055);
    a.schedule.warmup_steps = 100; /* all of it warm-up */
    near(schedule_rate(&a, 99, 10, 100), 0.1);
    near(schedule_rate(&a, 100, 10, 100), 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_is_constant),
        cmocka_unit_test(warm_up_rises_linearly_then_gives_way),
        cmocka_unit_test(step_halves_every_two_epochs),
        cmocka_unit_test(multistep_changes_at_its_milestones),
        cmocka_unit_test(exponential_falls_each_epoch),
        cmocka_unit_test(cosine_goes_from_rate_to_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
