/* Evaluation: the test split in stored order, each batch divided over the ranks like a training batch; sums and counts are
 * added once at the end, so the result is exact whatever the number of ranks. */
#include "kernels/train/run.h"

#include <stdlib.h>

struct executor_batch run_batch(const struct run *r, const struct loader_batch *b)
{
    return (struct executor_batch){.inputs = (const void *const *)&b->features,
                                   .rows = b->count,
                                   .first_sample = b->global_count * r->dist->rank / r->dist->size,
                                   .step = r->progress.step};
}

int run_forward(struct run *r, const struct loader_batch *b, bool training, struct metrics *m,
                struct err *err)
{
    const struct executor_batch eb = run_batch(r, b);
    if (executor_forward(r->executor, &eb, training, err))
        return -1;
    metrics_add_loss(m, executor_loss(r->executor, b->classes, b->values));
    if (m->classes > 0)
        metrics_add_classes(m, executor_output(r->executor), b->classes, b->count);
    else
        metrics_add_values(m, executor_output(r->executor), b->values, b->count);
    return 0;
}

int run_evaluate(struct run *r, struct err *err)
{
    struct metrics *m = &r->eval_metrics;
    int64_t batches = loader_batches_per_epoch(r->test_loader);
    metrics_clear(m);
    loader_seek(r->test_loader, 0, 0);
    for (int64_t i = 0; i < batches; i++) {
        const struct loader_batch *b = loader_next(r->test_loader);
        if (!b)
            return err_set(err, ERR_INTERNAL, "the test loader ended at batch %lld", (long long)i);
        if (run_forward(r, b, false, m, err))
            return -1;
    }
    if (dist_sum(r->dist, m->counts, m->count_length, DIST_I64, err) ||
        dist_sum(r->dist, m->sums, m->sum_length, DIST_F64, err))
        return -1;
    r->evaluated = true;
    return 0;
}

int run_average_states(struct run *r, struct err *err)
{
    size_t count;
    float *states = executor_states(r->executor, &count);
    enum { BLOCK = 4096 };
    double block[BLOCK];
    if (r->dist->size == 1)
        return 0;
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t n = count - at < BLOCK ? count - at : BLOCK;
        for (size_t i = 0; i < n; i++)
            block[i] = (double)states[at + i];
        if (dist_sum(r->dist, block, n, DIST_F64, err))
            return -1;
        for (size_t i = 0; i < n; i++)
            states[at + i] = (float)(block[i] / r->dist->size);
    }
    if (count)
        executor_weights_changed(r->executor);
    return 0;
}
