/* bench_step: what a training step of a network takes, without data and files: forward, loss, backward, update on one rank.
 *
 *   bench_step MODEL [--threads N] [--steps N] [--profile] [--cpu-time]
 *
 * Prints "MODEL THREADS MILLISECONDS" with the median of the steps after three that are not counted; torch_step.py prints the same for
 * its twin, and scripts/benchmarks runs both in turn. --profile adds the median of each operation, largest first, with
 * the rate it computes at. --cpu-time takes processor time instead of wall time: for one thread on a busy machine.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "bench_models.h"
#include "kernels/optim/optimizer.h"
#include "kernels/optim/random.h"
#include "kernels/train/executor_private.h"

#define WARM 3

struct bench {
    const struct bench_model *model;
    int threads, steps;
    struct graph *graph;
    struct algorithm algorithm;
    struct executor *x;
    struct optimizer *optimizer;
    float *gradients;
    void *input;
    int32_t *classes;
};

static clockid_t clock_id = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void fail(const struct err *err)
{
    fprintf(stderr, "bench_step: %s\n", err->text);
    exit(1);
}

/* What the network reads, and a class for each position of its output. */
static void make_data(struct bench *b)
{
    const struct layer_node *first = &b->graph->nodes[0];
    size_t inputs = (size_t)(b->model->batch * shape_elements(&first->shape));
    size_t targets = (size_t)b->model->batch * (first->dtype == DTYPE_I32 ? (size_t)first->shape.dim[0] : 1);
    b->input = xreallocarray(NULL, inputs, 4);
    b->classes = xreallocarray(NULL, targets, sizeof(*b->classes));
    if (first->dtype == DTYPE_I32)
        for (size_t i = 0; i < inputs; i++)
            ((int32_t *)b->input)[i] = (int32_t)(i * 31 % (size_t)b->model->classes);
    else
        random_normal(b->input, inputs, 1, 2, 1);
    for (size_t i = 0; i < targets; i++)
        b->classes[i] = (int32_t)(i % (size_t)b->model->classes);
}

static void setup(struct bench *b)
{
    struct err err = {0};
    size_t count, range_count;
    int64_t rows = b->model->batch;
    b->graph = b->model->build();
    algorithm_default(&b->algorithm);
    b->model->algorithm(&b->algorithm);
    struct executor_options o = {.backend = "cpu", .threads = b->threads, .rows = rows, .seed = 1};
    if (!(b->x = executor_create(b->graph, &b->algorithm, &o, &err)))
        fail(&err);
    executor_weights(b->x, &count);
    b->gradients = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    if (!b->gradients)
        abort();
    memset(b->gradients, 0, count * sizeof(float));
    executor_set_gradients(b->x, b->gradients);
    struct optimizer_range *ranges = executor_ranges(b->x, &range_count);
    b->optimizer = optimizer_create(&b->algorithm, count, ranges, range_count);
    free(ranges);
    make_data(b);
}

static void drop(struct bench *b)
{
    optimizer_destroy(b->optimizer);
    executor_destroy(b->x);
    graph_destroy(b->graph);
    free(b->gradients);
    free(b->input);
    free(b->classes);
}

static void step(struct bench *b, int64_t index)
{
    struct err err = {0};
    const void *inputs[] = {b->input};
    const struct executor_batch batch = {.inputs = inputs, .rows = b->model->batch, .step = index};
    if (executor_forward(b->x, &batch, true, &err))
        fail(&err);
    executor_loss(b->x, b->classes, NULL, NULL);
    if (executor_backward(b->x, NULL, NULL, &err))
        fail(&err);
    executor_update(b->x, b->optimizer, b->algorithm.optimizer.learning_rate, 1 / (double)b->model->batch);
}

/* ---- one operation after the other ---- */

struct line {
    const char *name, *type;
    double forward, backward, flops;
};

static int by_time(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    return (x->forward + x->backward < y->forward + y->backward) -
           (x->forward + x->backward > y->forward + y->backward);
}

static double timed(const struct bench *b, struct step *s, bool back)
{
    double start = now();
    if (s->node < 0) {
        struct value *from = &b->x->values[back ? s->out : s->in[0]],
                     *to = &b->x->values[back ? s->in[0] : s->out];
        b->x->backend->convert(b->x->backend, &from->t, back ? from->grad : from->data, &to->t,
                               back ? to->grad : to->data, b->x->rows, back && s->accumulate_in);
    } else {
        (back ? s->op.impl->backward : s->op.impl->forward)(&s->op, &s->call);
    }
    return now() - start;
}

/* Medians over `steps` passes after a whole step has filled everything. */
static void profile(struct bench *b)
{
    size_t n = b->x->step_count;
    double *times = xcalloc(2 * n * (size_t)b->steps, sizeof(*times)), all = 0;
    struct line *lines = xcalloc(n, sizeof(*lines));
    for (int k = 0; k < b->steps; k++) {
        for (size_t i = 0; i < n; i++)
            times[i * (size_t)b->steps + (size_t)k] = timed(b, &b->x->steps[i], false);
        for (size_t i = n; i-- > 0;)
            if (b->x->steps[i].backward)
                times[(n + i) * (size_t)b->steps + (size_t)k] = timed(b, &b->x->steps[i], true);
    }
    for (size_t i = 0; i < n; i++) {
        const struct step *s = &b->x->steps[i];
        struct layer_cost cost = {0};
        lines[i] = (struct line){.name = "(plain layout)", .type = ""};
        if (s->node >= 0) {
            s->op.node->type->cost(s->op.node, &cost);
            lines[i] = (struct line){.name = s->op.node->name, .type = s->op.node->type->name};
        }
        lines[i].flops = (cost.forward_flops + (s->op.wants_input_grad[0] ? 1 : 0.5) * cost.backward_flops) *
                         (double)b->x->rows;
        lines[i].forward = median(times + i * (size_t)b->steps, b->steps);
        lines[i].backward = median(times + (n + i) * (size_t)b->steps, b->steps);
        all += lines[i].forward + lines[i].backward;
    }
    qsort(lines, n, sizeof(*lines), by_time);
    printf("all operations: %.2f ms\n", all * 1e3);
    for (size_t i = 0; i < n; i++)
        printf("%-14s %-16s forward %8.3f  backward %8.3f ms  %6.1f GFLOP/s\n", lines[i].name, lines[i].type,
               lines[i].forward * 1e3, lines[i].backward * 1e3,
               lines[i].flops / (lines[i].forward + lines[i].backward) / 1e9);
    free(times);
    free(lines);
}

static void usage(void)
{
    fprintf(stderr, "usage: bench_step MODEL [--threads N] [--steps N] [--profile] [--cpu-time]\nmodels:\n");
    for (int i = 0; i < bench_model_count; i++)
        fprintf(stderr, "  %-10s %s, batch %lld\n", bench_models[i].name, bench_models[i].what,
                (long long)bench_models[i].batch);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'},
                                            {"steps", required_argument, NULL, 's'},
                                            {"profile", no_argument, NULL, 'p'},
                                            {"cpu-time", no_argument, NULL, 'c'},
                                            {0}};
    struct bench b = {.threads = 1, .steps = 20};
    bool profiled = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            b.threads = atoi(optarg);
        else if (c == 's')
            b.steps = atoi(optarg);
        else if (c == 'p')
            profiled = true;
        else if (c == 'c')
            clock_id = CLOCK_PROCESS_CPUTIME_ID;
        else
            usage();
    }
    for (int i = 0; i < bench_model_count && optind + 1 == argc; i++)
        if (!strcmp(bench_models[i].name, argv[optind]))
            b.model = &bench_models[i];
    if (!b.model || b.threads < 1 || b.steps < 1)
        usage();
    setup(&b);
    double *times = xcalloc((size_t)b.steps, sizeof(*times));
    for (int i = 0; i < b.steps + WARM; i++) {
        double start = now();
        step(&b, i);
        if (i >= WARM)
            times[i - WARM] = now() - start;
    }
    printf("%s %d %.2f\n", b.model->name, b.threads, median(times, b.steps) * 1e3);
    if (profiled)
        profile(&b);
    free(times);
    drop(&b);
    return 0;
}
