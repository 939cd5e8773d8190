#include "kernels/optim/schedule.h"

#include <math.h>

/* From a (t = 0) to b (t = 1) along half a cosine. */
static double half_cosine(double a, double b, double t)
{
    return b + (a - b) * 0.5 * (1 + cos(M_PI * t));
}

static double share(int64_t step, int64_t span)
{
    double t = span > 0 ? (double)step / (double)span : 1;
    return t < 0 ? 0 : t > 1 ? 1 : t;
}

/* Where a step lies in cycles that each are `multiply` times as long as the one before. */
static double cycle_share(double step, double length, double multiply, double *cycle)
{
    if (multiply < 1 + 1e-9) {
        *cycle = floor(step / length);
        return step / length - *cycle;
    }
    double i = floor(log1p(step / length * (multiply - 1)) / log(multiply)), start;
    for (i = i > 0 ? i - 1 : 0;; i++) { /* the logarithm may be one off */
        start = length * (pow(multiply, i) - 1) / (multiply - 1);
        if (step < start + length * pow(multiply, i))
            break;
    }
    *cycle = i;
    return (step - start) / (length * pow(multiply, i));
}

static double cosine(const struct algorithm *a, int64_t step, int64_t steps_per_epoch, int64_t total_steps)
{
    double rate = a->optimizer.learning_rate, minimum = a->schedule.minimum, cycle = 0, t;
    int64_t at = step - a->schedule.warmup_steps;
    if (a->schedule.restart_epochs == 0)
        return half_cosine(rate, minimum, share(at, total_steps - a->schedule.warmup_steps));
    t = cycle_share((double)at, (double)(a->schedule.restart_epochs * steps_per_epoch),
                    a->schedule.restart_multiply, &cycle);
    rate *= pow(a->schedule.restart_decay, cycle);
    return half_cosine(rate > minimum ? rate : minimum, minimum, t);
}

static double one_cycle(const struct algorithm *a, int64_t step, int64_t total_steps)
{
    double top = a->optimizer.learning_rate, first = top / a->schedule.start_divisor,
           last = first / a->schedule.end_divisor, turn = a->schedule.rise_share * (double)total_steps - 1,
           end = (double)(total_steps - 1), at = (double)step;
    double from = first, to = top, t = turn > 0 ? at / turn : 1;
    if (at > turn) {
        from = top;
        to = last;
        t = end > turn ? (at - turn) / (end - turn) : 1;
    }
    t = t > 1 ? 1 : t;
    return a->schedule.linear ? from + (to - from) * t : half_cosine(from, to, t);
}

static double multistep(const struct algorithm *a, int64_t epoch)
{
    int passed = 0;
    for (int i = 0; i < a->schedule.milestone_count; i++)
        passed += epoch >= a->schedule.milestones[i];
    return a->optimizer.learning_rate * pow(a->schedule.gamma, passed);
}

double schedule_rate(const struct algorithm *a, int64_t step, int64_t steps_per_epoch, int64_t total_steps)
{
    double rate = a->optimizer.learning_rate, minimum = a->schedule.minimum;
    int64_t an_epoch = steps_per_epoch > 0 ? steps_per_epoch : 1, epoch = step / an_epoch,
            warmup = a->schedule.type == SCHEDULE_ONE_CYCLE ? 0 : a->schedule.warmup_steps;
    if (step < warmup)
        return rate * (double)(step + 1) / (double)warmup;
    switch (a->schedule.type) {
    case SCHEDULE_STEP:
        return rate * pow(a->schedule.gamma,
                          (double)(epoch / (a->schedule.every_epochs > 0 ? a->schedule.every_epochs : 1)));
    case SCHEDULE_MULTISTEP:
        return multistep(a, epoch);
    case SCHEDULE_EXPONENTIAL:
        return rate * pow(a->schedule.gamma, (double)epoch);
    case SCHEDULE_COSINE:
        return cosine(a, step, an_epoch, total_steps);
    case SCHEDULE_ONE_CYCLE:
        return one_cycle(a, step, total_steps);
    case SCHEDULE_POLYNOMIAL:
        return minimum +
               (rate - minimum) * pow(1 - share(step - warmup, total_steps - warmup), a->schedule.power);
    case SCHEDULE_CONSTANT:
    case SCHEDULE_REDUCE_ON_PLATEAU:
    case SCHEDULE_TYPE_COUNT:
        break;
    }
    return rate;
}

void plateau_init(struct plateau *p)
{
    *p = (struct plateau){.best = NAN, .factor = 1};
}

void plateau_watch(struct plateau *p, const struct algorithm *a, double value)
{
    if (a->schedule.type != SCHEDULE_REDUCE_ON_PLATEAU)
        return;
    if (watch_is_better(&a->schedule.watch, value, p->best, a->schedule.min_delta)) {
        p->best = value;
        p->bad_epochs = 0;
    } else {
        p->bad_epochs++;
    }
    if (p->cooldown > 0) {
        p->cooldown--;
        p->bad_epochs = 0;
    }
    if (p->bad_epochs > a->schedule.patience_epochs) {
        p->factor *= a->schedule.factor;
        p->cooldown = a->schedule.cooldown_epochs;
        p->bad_epochs = 0;
    }
}

double schedule_rate_after(const struct algorithm *a, const struct plateau *p, int64_t step,
                           int64_t steps_per_epoch, int64_t total_steps)
{
    double rate = schedule_rate(a, step, steps_per_epoch, total_steps);
    if (a->schedule.type != SCHEDULE_REDUCE_ON_PLATEAU || step < a->schedule.warmup_steps)
        return rate;
    rate *= p->factor;
    return rate > a->schedule.minimum ? rate : a->schedule.minimum;
}
