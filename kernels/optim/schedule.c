#include "kernels/optim/schedule.h"

#include <math.h>

static double cosine(const struct algorithm *a, int64_t step, int64_t total_steps)
{
    int64_t span = total_steps - a->schedule.warmup_steps;
    double t = span > 0 ? (double)(step - a->schedule.warmup_steps) / (double)span : 1;
    if (t > 1)
        t = 1;
    return a->schedule.minimum +
           (a->optimizer.learning_rate - a->schedule.minimum) * 0.5 * (1 + cos(M_PI * t));
}

double schedule_rate(const struct algorithm *a, int64_t step, int64_t steps_per_epoch, int64_t total_steps)
{
    double rate = a->optimizer.learning_rate;
    int64_t epoch = step / (steps_per_epoch > 0 ? steps_per_epoch : 1);
    if (step < a->schedule.warmup_steps)
        return rate * (double)(step + 1) / (double)a->schedule.warmup_steps;
    switch (a->schedule.type) {
    case SCHEDULE_STEP:
        return rate * pow(a->schedule.gamma,
                          (double)(epoch / (a->schedule.every_epochs > 0 ? a->schedule.every_epochs : 1)));
    case SCHEDULE_MULTISTEP: {
        int passed = 0;
        for (int i = 0; i < a->schedule.milestone_count; i++)
            passed += epoch >= a->schedule.milestones[i];
        return rate * pow(a->schedule.gamma, passed);
    }
    case SCHEDULE_EXPONENTIAL:
        return rate * pow(a->schedule.gamma, (double)epoch);
    case SCHEDULE_COSINE:
        return cosine(a, step, total_steps);
    case SCHEDULE_CONSTANT:
    case SCHEDULE_TYPE_COUNT:
        break;
    }
    return rate;
}
