/* A run's state as checkpoint parts, and back. Rank 0 writes and reads files; the others get the file's bytes by broadcast, so
 * that a run over several hosts needs no shared folder. */
#include "kernels/train/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"

enum { MAX_PARTS = 9 + OPTIMIZER_MAX_STATES };

/* The same list serves writing and reading: where each part lives. The optimizer's state is apart: it may be divided over the
 * ranks, the file holds it whole. */
static size_t list_parts(struct run *r, struct checkpoint_part *parts)
{
    size_t n = 0, count;
    float *weights = executor_weights(r->executor, &count);
    parts[n++] = (struct checkpoint_part){"weights", weights, count * sizeof(float)};
    float *states = executor_states(r->executor, &count);
    parts[n++] = (struct checkpoint_part){"states", states, count * sizeof(float)};
    if (r->average)
        parts[n++] =
            (struct checkpoint_part){"average", r->average->average, r->average->count * sizeof(float)};
    parts[n++] = (struct checkpoint_part){"epoch.counts", r->epoch_metrics.counts,
                                          r->epoch_metrics.count_length * sizeof(int64_t)};
    parts[n++] = (struct checkpoint_part){"epoch.sums", r->epoch_metrics.sums,
                                          r->epoch_metrics.sum_length * sizeof(double)};
    return n;
}

static void state_part(const struct run *r, int i, const float *whole, struct checkpoint_part *out)
{
    *out = (struct checkpoint_part){"", whole, r->optimizer->count * sizeof(float)};
    snprintf(out->name, sizeof(out->name), "optimizer.%s", r->optimizer->state_name[i]);
}

/* Whole states on rank 0, to be free()d there; the arrays themselves when they are not divided. */
static int collect_states(struct run *r, struct checkpoint_part *parts, float **owned, struct err *err)
{
    struct optimizer *o = r->optimizer;
    for (int i = 0; i < o->state_count; i++) {
        float *whole = o->state[i];
        if (r->shard.bounds) {
            whole = owned[i] = r->dist->rank == 0 ? xmalloc((o->count ? o->count : 1) * sizeof(float)) : NULL;
            if (shard_collect_state(&r->shard, o, i, whole, r->dist, err))
                return -1;
        }
        state_part(r, i, whole, &parts[i]);
    }
    return 0;
}

/* Say what became durable. What failed is kept until all ranks can hear of it. */
static void heard(struct run *r, int rc, const struct checkpoint_done *done)
{
    char name[96];
    if (rc <= 0)
        return;
    snprintf(name, sizeof(name), "checkpoints/%s", done->file);
    report_checkpoint(r->report, done->step, done->epoch, name);
}

void run_checkpoint_poll(struct run *r)
{
    struct checkpoint_done done;
    if (r->writer)
        heard(r, checkpoint_writer_poll(r->writer, &done, &r->checkpoint_err), &done);
}

/* Rank 0: wait for the one before; -1 when one has failed. */
static int wait_durable(struct run *r)
{
    struct checkpoint_done done;
    heard(r, checkpoint_writer_wait(r->writer, &done, &r->checkpoint_err), &done);
    return r->checkpoint_err.code ? -1 : 0;
}

/* All ranks learn whether it failed on rank 0. */
static int agree(struct run *r, int64_t failed, struct err *err)
{
    if (dist_sum(r->dist, &failed, 1, DIST_I64, err))
        return -1;
    return failed ? err_set(err, ERR_IO, "%s",
                            r->checkpoint_err.code ? r->checkpoint_err.text
                                                   : "rank 0 could not write the checkpoint")
                  : 0;
}

int run_checkpoint_wait(struct run *r, struct err *err)
{
    return agree(r, r->dist->rank == 0 && wait_durable(r) ? 1 : 0, err);
}

/* Rank 0: hand everything to the writer. */
static int begin_writing(struct run *r, struct checkpoint_part *parts, size_t n, bool best)
{
    struct progress p = r->progress;
    double now = time_monotonic();
    p.optimizer_step = r->optimizer->step;
    p.average_additions = r->average ? r->average->additions : 0;
    p.seconds += now - r->started;
    p.epoch_seconds += now - r->epoch_started;
    n += list_parts(r, parts + n);
    parts[n++] = (struct checkpoint_part){"progress", &p, sizeof(p)};
    parts[n++] = (struct checkpoint_part){"rows", r->rows, (size_t)p.rows * sizeof(*r->rows)};
    return wait_durable(r) ||
                   checkpoint_writer_begin(r->writer, p.step, p.epoch, parts, n, best, &r->checkpoint_err)
               ? -1
               : 0;
}

int run_checkpoint(struct run *r, bool best, struct err *err)
{
    struct checkpoint_part parts[MAX_PARTS];
    float *owned[OPTIMIZER_MAX_STATES] = {NULL};
    int64_t failed = 0;
    int rc = run_average_states(r, err) || collect_states(r, parts, owned, err) ? -1 : 0;
    if (!rc && r->dist->rank == 0)
        failed = begin_writing(r, parts, (size_t)r->optimizer->state_count, best) ? 1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free(owned[i]);
    return rc ? -1 : agree(r, failed, err);
}

/* ---- resuming ---- */

static int check_same(const struct run *r, const struct progress *p, struct err *err)
{
    const struct progress *own = &r->progress;
    if (memcmp(p->layout_digest, own->layout_digest, 64) != 0)
        return err_set(
            err, ERR_CONFLICT,
            "the checkpoint is of another model or optimizer: weights, shapes or optimizer differ");
    if (memcmp(p->data_digest, own->data_digest, 64) != 0)
        return err_set(err, ERR_CONFLICT,
                       "the checkpoint was trained on another dataset (%.12s..., this is %.12s...)",
                       p->data_digest, own->data_digest);
    if (p->batch_size != own->batch_size || p->seed != own->seed)
        return err_set(
            err, ERR_CONFLICT,
            "the checkpoint was trained with batch_size %lld and seed %llu, this run has %lld and %llu",
            (long long)p->batch_size, (unsigned long long)p->seed, (long long)own->batch_size,
            (unsigned long long)own->seed);
    if (p->step < 0 || p->epoch < 0 || p->batch < 0 || p->batch > r->per_epoch || p->rows < 0 ||
        p->rows != p->epoch)
        return err_set(err, ERR_UNPROCESSABLE,
                       "the checkpoint's position (step %lld, epoch %lld, batch %lld) is not possible",
                       (long long)p->step, (long long)p->epoch, (long long)p->batch);
    if (p->best_row < 0 || p->best_row > p->rows || p->average_additions < 0)
        return err_set(err, ERR_UNPROCESSABLE, "the checkpoint's best epoch (%lld) is not possible",
                       (long long)p->best_row);
    if (p->epoch > r->algorithm.epochs)
        return err_set(err, ERR_CONFLICT,
                       "the checkpoint has %lld epochs behind it, more than the %lld of the algorithm",
                       (long long)p->epoch, (long long)r->algorithm.epochs);
    return 0;
}

static int take_over(struct run *r, const struct checkpoint *c, struct err *err)
{
    struct checkpoint_part parts[MAX_PARTS];
    const struct checkpoint_part *from[MAX_PARTS], *states[OPTIMIZER_MAX_STATES];
    size_t n = list_parts(r, parts);
    const struct checkpoint_part *progress = checkpoint_find(c, "progress", sizeof(r->progress), err);
    if (!progress)
        return -1;
    struct progress p;
    memcpy(&p, progress->data, sizeof(p));
    if (check_same(r, &p, err))
        return -1;
    const struct checkpoint_part *rows = checkpoint_find(c, "rows", (size_t)p.rows * sizeof(*r->rows), err);
    if (!rows)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!(from[i] = checkpoint_find(c, parts[i].name, parts[i].bytes, err)))
            return -1;
    for (int i = 0; i < r->optimizer->state_count; i++) {
        struct checkpoint_part whole;
        state_part(r, i, NULL, &whole);
        if (!(states[i] = checkpoint_find(c, whole.name, whole.bytes, err)))
            return -1;
    }
    for (size_t i = 0; i < n;
         i++) /* all is there: now nothing can fail half-way. The parts listed are our own arrays */
        if (parts[i].bytes)
            memcpy((void *)(uintptr_t)parts[i].data, from[i]->data, parts[i].bytes);
    for (int i = 0; i < r->optimizer->state_count; i++)
        shard_take_state(&r->shard, r->optimizer, i, states[i]->data);
    if (rows->bytes)
        memcpy(r->rows, rows->data, rows->bytes);
    r->progress = p;
    r->optimizer->step = p.optimizer_step;
    if (r->average)
        r->average->additions = p.average_additions;
    executor_weights_changed(r->executor);
    return 0;
}

int run_load_best(struct run *r, struct err *err)
{
    static const char *const names[] = {"weights", "states", "average"};
    struct checkpoint_part parts[MAX_PARTS];
    size_t n = list_parts(r, parts);
    char *path = path_join(r->checkpoint_dir, CHECKPOINT_BEST);
    struct checkpoint *c = checkpoint_open(path, err);
    free(path);
    int rc = c ? 0 : -1;
    for (size_t i = 0; i < n && !rc; i++) {
        bool wanted = false;
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            wanted |= strcmp(parts[i].name, names[k]) == 0;
        const struct checkpoint_part *from =
            wanted ? checkpoint_find(c, parts[i].name, parts[i].bytes, err) : NULL;
        rc = wanted && !from ? -1 : 0;
        if (from && from->bytes)
            memcpy((void *)(uintptr_t)parts[i].data, from->data, from->bytes);
    }
    checkpoint_close(c);
    executor_weights_changed(r->executor);
    return rc ? err_prefix(err, "the best checkpoint: ") : 0;
}

/* Rank 0: the file to go on from into out; empty when there is none and that is fine. */
static int read_file(struct run *r, struct buf *out, struct err *err)
{
    const char *wanted = r->options->resume;
    char skipped[480], *path = xstrdup(wanted);
    if (strcmp(wanted, "auto") == 0) {
        struct err none = {0};
        free(path);
        path = checkpoint_newest(r->checkpoint_dir, skipped, sizeof(skipped), &none);
        if (skipped[0])
            report_note(r->report, "passed over: %s", skipped);
        if (!path)
            return none.code ? err_set(err, none.code, "%s", none.text) : 0;
    }
    int rc = file_read(path, (size_t)1 << 40, out, err);
    free(path);
    return rc;
}

int run_resume(struct run *r, struct err *err)
{
    struct buf file = {0};
    struct err local = {0};
    if (!r->options->resume)
        return 0;
    int64_t head[2] = {0, 0}; /* failed, bytes */
    if (r->dist->rank == 0) {
        head[0] = read_file(r, &file, &local) != 0;
        head[1] = (int64_t)file.len;
    }
    int rc = dist_broadcast(r->dist, head, sizeof(head), 0, err);
    if (!rc && head[0])
        rc = err_set(err, local.code ? local.code : ERR_IO, "%s",
                     local.code ? local.text : "rank 0 could not read the checkpoint");
    if (rc || head[1] == 0) {
        buf_free(&file);
        return rc;
    }
    if (r->dist->rank != 0) {
        buf_reserve(&file, (size_t)head[1]);
        file.len = (size_t)head[1];
    }
    rc = dist_broadcast(r->dist, file.data, (size_t)head[1], 0, err);
    struct checkpoint *c = rc ? NULL : checkpoint_read(file.data, (size_t)head[1], r->options->resume, err);
    rc = c ? take_over(r, c, err) : -1;
    checkpoint_close(c);
    buf_free(&file);
    if (!rc)
        report_resume(r->report, r->progress.step);
    return rc ? err_prefix(err, "cannot resume: ") : 0;
}
