#include "kernels/train/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/units.h"
#include "kernels/train/start_weights.h"

/* A thread has to have this much arithmetic in a step before its waiting for others pays. */
#define FLOPS_A_THREAD 5e7

/* The rank's share of the host's cores, fewer when a step is small: tiny models are slower on many threads than on one. */
static int default_threads(const struct run *r, int64_t rows)
{
    struct graph_cost cost;
    graph_cost(r->graph, &cost);
    double useful = (cost.forward_flops + cost.backward_flops) * (double)rows / FLOPS_A_THREAD;
    long cores = sysconf(_SC_NPROCESSORS_ONLN) / (r->dist->local_size > 0 ? r->dist->local_size : 1);
    long threads = useful < (double)cores ? (long)useful : cores;
    return threads > 1 ? (int)threads : 1;
}

/* The weights of the foreign file that the model came from. Their shapes were compared when it was translated. */
static void take_imported(struct run *r)
{
    size_t n, count;
    const struct executor_weight *list = executor_weight_list(r->executor, &n);
    float *weights = executor_weights(r->executor, &count), *states = executor_states(r->executor, &count);
    for (size_t k = 0; k < r->imported.weight_count; k++)
        for (size_t i = 0; i < n; i++) {
            const struct tensor_entry *t = &r->imported.weights[k];
            if (!strcmp(list[i].name, t->name) && t->bytes == list[i].count * sizeof(float))
                memcpy((list[i].def->trainable ? weights : states) + list[i].first, t->data, t->bytes);
        }
    if (r->imported.weight_count)
        executor_weights_changed(r->executor);
}

static int plan_executor(struct run *r, struct err *err)
{
    const struct train_options *o = r->options;
    int64_t rows = loader_capacity(r->train_loader),
            test_rows = r->test_loader ? loader_capacity(r->test_loader) : 0;
    struct executor_options eo = {.backend = o->backend,
                                  .threads = o->threads ? o->threads : default_threads(r, rows),
                                  .rows = rows > test_rows ? rows : test_rows,
                                  .seed = r->algorithm.seed};
    r->executor = executor_create(r->graph, &r->algorithm, &eo, err);
    if (!r->executor)
        return -1;
    take_imported(r);
    if (o->weights && start_weights_load(r->executor, o->weights, false, &r->note, err))
        return -1;
    executor_weights(r->executor, &r->weight_count);
    size_t range_count;
    struct optimizer_range *ranges = executor_ranges(r->executor, &range_count);
    r->optimizer =
        shard_create(&r->shard, o->shard, &r->algorithm, r->weight_count, ranges, range_count, r->dist);
    free(ranges);
    r->average = weight_average_create(&r->algorithm, executor_weights(r->executor, &r->weight_count),
                                       r->weight_count);
    return 0;
}

static void plan_metrics(struct run *r)
{
    const struct dataset_info *d = &r->data->info;
    const struct layer_node *out = &r->graph->nodes[r->graph->outputs[0]];
    int width = (int)loss_width(r->algorithm.loss.type, &out->shape);
    struct metrics *all[] = {&r->step_metrics, &r->epoch_metrics, &r->window_metrics, &r->eval_metrics};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        metrics_init(all[i], &r->algorithm, width, all[i] == &r->eval_metrics);
        if (d->target == TARGET_VALUE)
            metrics_set_shift(all[i], r->data->targets[SPLIT_TRAIN]);
    }
    r->tail_count = run_tail_count(&r->step_metrics);
}

static struct loader *make_loader(struct run *r, int split, struct err *err)
{
    const struct layer_node *in = &r->graph->nodes[0];
    struct loader_options lo = {.split = split,
                                .rank = r->dist->rank,
                                .ranks = r->dist->size,
                                .batch = r->algorithm.batch_size,
                                .seed = r->algorithm.seed,
                                .shuffle = split == SPLIT_TRAIN,
                                .as_float = in->dtype == DTYPE_F32};
    const struct algorithm *a = &r->algorithm;
    if (split == SPLIT_TRAIN && a->augment.on)
        lo.augment = (struct augment){.on = true,
                                      .crop_padding = a->augment.crop_padding,
                                      .flip = a->augment.flip,
                                      .brightness = a->augment.brightness,
                                      .contrast = a->augment.contrast,
                                      .saturation = a->augment.saturation,
                                      .cutout = a->augment.cutout};
    return loader_create(r->data, &lo, err);
}

static int plan_loaders(struct run *r, struct err *err)
{
    r->train_loader = make_loader(r, SPLIT_TRAIN, err);
    if (!r->train_loader)
        return -1;
    if (r->data->info.samples[SPLIT_TEST] > 0 && !(r->test_loader = make_loader(r, SPLIT_TEST, err)))
        return -1;
    r->per_epoch = loader_batches_per_epoch(r->train_loader);
    int64_t batches = r->algorithm.gradient_accumulation;
    r->updates_per_epoch = (r->per_epoch + batches - 1) / batches;
    r->steps = r->updates_per_epoch * r->algorithm.epochs;
    return 0;
}

/* What a checkpoint must agree with: names, shapes and order of weights and states, and the optimizer. */
static void layout_digest(const struct run *r, char out[SHA256_HEX])
{
    struct sha256 s;
    char line[256], shape[96];
    size_t n;
    const struct executor_weight *list = executor_weight_list(r->executor, &n);
    sha256_init(&s);
    for (size_t i = 0; i < n; i++) {
        shape_format(&list[i].def->shape, shape, sizeof(shape));
        int len = snprintf(line, sizeof(line), "%s %s %d\n", list[i].name, shape, list[i].def->trainable);
        sha256_update(&s, line, (size_t)(len < (int)sizeof(line) ? len : (int)sizeof(line) - 1));
    }
    const char *optimizer = optimizer_name(r->algorithm.optimizer.type);
    sha256_update(&s, optimizer, strlen(optimizer));
    sha256_hex(&s, out);
}

static void plan_progress(struct run *r)
{
    struct progress *p = &r->progress;
    memset(p, 0, sizeof(*p));
    p->best = p->best_checkpoint = NAN;
    plateau_init(&p->plateau);
    p->seed = r->algorithm.seed;
    p->batch_size = r->algorithm.batch_size;
    memcpy(p->data_digest, r->data->info.digest, sizeof(p->data_digest));
    layout_digest(r, p->layout_digest);
    r->rows = xcalloc((size_t)r->algorithm.epochs, sizeof(*r->rows));
    r->started = time_monotonic();
}

static int64_t parameter_count(const struct graph *g)
{
    struct graph_cost cost;
    graph_cost(g, &cost);
    return cost.parameters;
}

/* Rank 0: the folder and the report. */
static int plan_output(struct run *r, struct err *err)
{
    const struct train_options *o = r->options;
    struct report_run rr = {.algorithm = &r->algorithm,
                            .data = &r->data->info,
                            .model_name = r->graph->name,
                            .backend = executor_backend(r->executor),
                            .collectives = r->dist->name,
                            .ranks = r->dist->size,
                            .threads = executor_threads(r->executor),
                            .steps = r->steps,
                            .epochs = r->algorithm.epochs,
                            .steps_per_epoch = r->updates_per_epoch,
                            .parameters = parameter_count(r->graph)};
    if (r->dist->rank != 0)
        return 0;
    if (dir_make(o->out, 0755, err) || run_write_inputs(r, err))
        return -1;
    r->report = report_open(&rr, o->metrics, o->progress || isatty(STDERR_FILENO), err);
    r->writer =
        r->report ? checkpoint_writer_create(r->checkpoint_dir, r->algorithm.checkpoint.keep, err) : NULL;
    if (!r->writer)
        return -1;
    report_start(r->report);
    if (r->note.len)
        report_note(r->report, "%s", buf_str(&r->note));
    return 0;
}

int run_plan(struct run *r, struct err *err)
{
    struct err local = {0};
    r->checkpoint_dir = path_join(r->options->out, "checkpoints");
    int rc = plan_loaders(r, &local) || plan_executor(r, &local);
    if (!rc) {
        plan_metrics(r);
        plan_progress(r);
        rc = plan_output(r, &local);
    }
    int64_t failed = rc ? 1 : 0;
    if (dist_sum(r->dist, &failed, 1, DIST_I64, err))
        return -1;
    if (failed)
        return err_set(err, local.code ? local.code : ERR_IO, "%s",
                       local.code ? local.text : "another rank could not start");
    r->gradients = dist_buffer(r->dist, r->weight_count + r->tail_count, err);
    if (!r->gradients)
        return -1;
    executor_set_gradients(r->executor, r->gradients);
    if (r->algorithm.gradient_accumulation > 1)
        r->accumulated = xcalloc(r->weight_count ? r->weight_count : 1, sizeof(*r->accumulated));
    return 0;
}

void run_destroy(struct run *r)
{
    loader_destroy(r->train_loader);
    loader_destroy(r->test_loader);
    checkpoint_writer_destroy(r->writer);
    report_close(r->report);
    optimizer_destroy(r->optimizer);
    shard_free(&r->shard);
    weight_average_destroy(r->average);
    free(r->accumulated);
    executor_destroy(r->executor);
    metrics_free(&r->step_metrics);
    metrics_free(&r->epoch_metrics);
    metrics_free(&r->window_metrics);
    metrics_free(&r->eval_metrics);
    if (r->data)
        dataset_close(r->data);
    translation_free(&r->imported);
    graph_destroy(r->graph);
    model_spec_destroy(r->model);
    layer_library_destroy(r->library);
    free(r->rows);
    free(r->checkpoint_dir);
    buf_free(&r->note);
}
