/* Evaluation: the test split in stored order, each batch divided over the ranks like a training batch; sums and counts are
 * added once at the end, so the result is exact whatever the number of ranks. */
#include "kernels/train/run.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

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
    struct loss_batch batch;
    struct loss_sums loss = executor_loss(r->executor, b->classes, b->values, &batch);
    metrics_add(m, &batch, &loss);
    return 0;
}

/* The scores that each rank kept, on all of them in the order of the ranks: blocks in which every other rank has zeros are summed. */
static int gather_kept(struct run *r, struct metrics *m, struct err *err)
{
    enum { BLOCK = 4096 };
    int size = r->dist->size, rank = r->dist->rank;
    size_t width = metrics_kept_width(m), own = m->kept_rows, before = 0, all = 0;
    if (!m->keeps || size == 1)
        return 0;
    int64_t *rows = xcalloc((size_t)size, sizeof(*rows));
    rows[rank] = (int64_t)own;
    int rc = dist_sum(r->dist, rows, (size_t)size, DIST_I64, err);
    for (int i = 0; i < size; i++) {
        before += i < rank ? (size_t)rows[i] : 0;
        all += (size_t)rows[i];
    }
    free(rows);
    if (rc)
        return -1;
    double block[BLOCK];
    float *mine = m->kept;
    m->kept = NULL;
    m->kept_rows = m->kept_room = 0;
    float *sums = xcalloc(BLOCK + width, sizeof(*sums)); /* whole rows are appended, the rest waits */
    size_t waiting = 0, from = before * width, to = from + own * width;
    for (size_t at = 0; at < all * width && !rc; at += BLOCK) {
        size_t n = all * width - at < BLOCK ? all * width - at : BLOCK;
        for (size_t i = 0; i < n; i++)
            block[i] = at + i >= from && at + i < to ? (double)mine[at + i - from] : 0;
        rc = dist_sum(r->dist, block, n, DIST_F64, err);
        for (size_t i = 0; i < n && !rc; i++)
            sums[waiting++] = (float)block[i];
        metrics_append_kept(m, sums, waiting / width);
        memmove(sums, sums + waiting / width * width, waiting % width * sizeof(*sums));
        waiting %= width;
    }
    free(sums);
    free(mine);
    return rc;
}

static int evaluate(struct run *r, struct err *err)
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
        dist_sum(r->dist, m->sums, m->sum_length, DIST_F64, err) || gather_kept(r, m, err))
        return -1;
    r->evaluated = true;
    return 0;
}

void run_swap_average(struct run *r)
{
    size_t count;
    if (!r->average)
        return;
    weight_average_swap(r->average, executor_weights(r->executor, &count), executor_threads(r->executor));
    executor_weights_changed(r->executor);
}

int run_evaluate(struct run *r, struct err *err)
{
    run_swap_average(r);
    int rc = evaluate(r, err);
    run_swap_average(r);
    return rc;
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
