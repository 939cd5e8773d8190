/* Really running tiny things, for verification: a model on two random samples, an optimizer on a small convex problem. */
#include "kernels/verify/probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/optimizer.h"
#include "kernels/optim/random.h"
#include "kernels/optim/schedule.h"
#include "kernels/train/executor.h"

double trainer_learning_rate(const struct algorithm *a, int64_t step, int64_t steps_per_epoch,
                             int64_t total_steps)
{
    return schedule_rate(a, step, steps_per_epoch, total_steps);
}

double trainer_memory_bytes(const struct graph *g, const struct algorithm *a, int64_t local_batch)
{
    return executor_memory_bytes(g, a, local_batch);
}

/* ---- a model ---- */

enum { PROBE_ROWS = 2, PROBE_SEED = 1 };

/* Two samples of one input: bytes, or normal numbers. Caller frees. */
static void *random_input(const struct layer_node *in, uint64_t stream)
{
    size_t n = PROBE_ROWS * (size_t)shape_elements(&in->shape);
    float *x = xcalloc(n + 16, sizeof(float));
    if (in->dtype == DTYPE_F32) {
        random_normal(x, n, PROBE_SEED, stream, 1);
        return x;
    }
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)x)[i] = (uint8_t)(random_philox(PROBE_SEED, i / 16, stream).v[i / 4 % 4] >> (i % 4 * 8));
    return x;
}

struct probe {
    const struct graph *graph;
    struct executor *executor;
    void **inputs;
    int input_count;
    float *gradients, *values;
    int32_t classes[PROBE_ROWS];
};

static void probe_free(struct probe *p)
{
    executor_destroy(p->executor);
    for (int i = 0; p->inputs && i < p->input_count; i++)
        free(p->inputs[i]);
    free(p->inputs);
    free(p->gradients);
    free(p->values);
}

static int probe_make(struct probe *p, const struct graph *g, const struct algorithm *a, struct err *err)
{
    size_t weights;
    struct executor_options o = {.backend = "cpu", .threads = 1, .rows = PROBE_ROWS, .seed = PROBE_SEED};
    p->graph = g;
    p->executor = executor_create(g, a, &o, err);
    if (!p->executor)
        return -1;
    executor_weights(p->executor, &weights);
    p->gradients = aligned_alloc(64, (weights * sizeof(float) + 127) / 64 * 64);
    if (!p->gradients)
        return err_set(err, ERR_TOO_LARGE, "no memory for %zu gradients", weights);
    memset(p->gradients, 0, weights * sizeof(float));
    executor_set_gradients(p->executor, p->gradients);
    p->input_count = g->input_count;
    p->inputs = xcalloc((size_t)g->input_count + 1, sizeof(*p->inputs));
    for (int i = 0; i < g->input_count; i++)
        p->inputs[i] = random_input(&g->nodes[i], (uint64_t)i + 100);
    int64_t out = shape_elements(&g->nodes[g->outputs[0]].shape);
    p->values = xcalloc(PROBE_ROWS * (size_t)out,
                        sizeof(float)); /* zeros: the loss is the mean of the outputs' squares */
    for (int i = 0; i < PROBE_ROWS; i++)
        p->classes[i] = (int32_t)((i + 1) % out);
    return 0;
}

static void fail_at(const struct graph *g, int node, const char *what, struct findings *f)
{
    struct finding *it;
    if (node >= 0) {
        const struct layer_node *n = &g->nodes[node];
        it = findings_add(f, FINDING_FAILED, "model.run", n->pointer,
                          "%s: layer %s gives a value that is not finite", what, n->name);
        it->hint = xstrdup("look at its parameters and those of the layers before it");
    } else {
        it = findings_add(f, FINDING_FAILED, "model.run", NULL, "%s: the loss is not finite", what);
    }
    it->expected = xstrdup("finite values");
}

static void check_gradients(struct probe *p, struct findings *f)
{
    size_t n, unreached = 0;
    struct buf names = {0};
    const char *pointer = NULL;
    const struct executor_weight *list = executor_weight_list(p->executor, &n);
    for (size_t i = n; i-- > 0;) { /* from the first layer on */
        bool reached = !list[i].def->trainable;
        for (size_t k = 0; k < list[i].count && !reached; k++)
            reached = p->gradients[list[i].first + k] != 0;
        if (reached)
            continue;
        if (unreached < 5)
            buf_printf(&names, "%s%s", unreached ? ", " : "", list[i].name);
        if (!pointer)
            pointer = p->graph->nodes[list[i].node].pointer;
        unreached++;
    }
    if (unreached) {
        struct finding *it = findings_add(
            f, FINDING_WARNED, "model.gradients", pointer, "no gradient reaches %zu weight%s: %s%s",
            unreached, unreached == 1 ? "" : "s", buf_str(&names), unreached > 5 ? ", ..." : "");
        it->hint =
            xstrdup("connect the layer to the output, or look for an activation before it that is always 0");
    } else {
        findings_add(f, FINDING_PASSED, "model.gradients", NULL, "a gradient reaches every weight");
    }
    buf_free(&names);
}

static bool gradients_finite(struct probe *p, int *node)
{
    size_t n;
    const struct executor_weight *list = executor_weight_list(p->executor, &n);
    for (size_t i = n; i-- > 0;)
        for (size_t k = 0; list[i].def->trainable && k < list[i].count; k++)
            if (!isfinite(p->gradients[list[i].first + k])) {
                *node = list[i].node;
                return false;
            }
    return true;
}

static void probe_run(struct probe *p, struct findings *f)
{
    struct err err = {0};
    const struct executor_batch b = {.inputs = (const void *const *)p->inputs, .rows = PROBE_ROWS};
    int node = -1;
    if (executor_forward(p->executor, &b, true, &err)) {
        findings_add(f, FINDING_FAILED, "model.run", NULL, "the forward pass failed: %s", err.text);
        return;
    }
    struct loss_sums sums = executor_loss(p->executor, p->classes, p->values, NULL);
    double loss = sums.loss / sums.weight;
    if (!isfinite(loss)) {
        fail_at(p->graph, executor_find_not_finite(p->executor, &b), "forward pass", f);
        return;
    }
    if (executor_backward(p->executor, NULL, NULL, &err)) {
        findings_add(f, FINDING_FAILED, "model.run", NULL, "the backward pass failed: %s", err.text);
        return;
    }
    if (!gradients_finite(p, &node)) {
        struct finding *it =
            findings_add(f, FINDING_FAILED, "model.run", p->graph->nodes[node].pointer,
                         "backward pass: the gradient of layer %s is not finite", p->graph->nodes[node].name);
        it->expected = xstrdup("finite gradients");
        return;
    }
    findings_add(f, FINDING_PASSED, "model.run", NULL,
                 "one forward and one backward pass on %d random samples, loss %.4g", PROBE_ROWS, loss);
    check_gradients(p, f);
}

void trainer_probe_model(const struct graph *g, const struct algorithm *a, struct findings *f)
{
    struct algorithm squares;
    struct probe p = {0};
    struct err err = {0};
    algorithm_default(&squares);
    squares.loss.type = LOSS_MEAN_SQUARED_ERROR;
    if (probe_make(&p, g, a ? a : &squares, &err))
        findings_add(f, FINDING_FAILED, "model.run", NULL, "the model cannot run: %s", err.text);
    else
        probe_run(&p, f);
    probe_free(&p);
}

/* ---- an algorithm ----
 * Softmax regression of 3 classes, logistic regression of 3 labels or linear regression of 3 values, on 96
 * samples of 8 normal features, all in one batch. Convex, and scaled like standardised data, so a sane learning rate brings the loss
 * down. */

enum { SAMPLES = 96, FEATURES = 8, OUTPUTS = 3, WEIGHTS = OUTPUTS * (FEATURES + 1), EPOCH_STEPS = 10 };

struct problem {
    float x[SAMPLES][FEATURES + 1]; /* the last is 1: the bias */
    float target[SAMPLES][OUTPUTS]; /* values, or labels of 0 and 1 */
    int32_t classes[SAMPLES];
};

static void make_problem(struct problem *p, enum loss_type loss)
{
    float truth[OUTPUTS][FEATURES + 1], noise[SAMPLES][OUTPUTS];
    random_normal(&p->x[0][0], SAMPLES * (FEATURES + 1), PROBE_SEED, 1, 1);
    random_normal(&truth[0][0], WEIGHTS, PROBE_SEED, 2, 1);
    random_normal(&noise[0][0], SAMPLES * OUTPUTS, PROBE_SEED, 3, 0.3);
    for (int s = 0; s < SAMPLES; s++) {
        int best = 0;
        p->x[s][FEATURES] = 1;
        for (int o = 0; o < OUTPUTS; o++) {
            p->target[s][o] = noise[s][o];
            for (int i = 0; i <= FEATURES; i++)
                p->target[s][o] += truth[o][i] * p->x[s][i];
            best = p->target[s][o] > p->target[s][best] ? o : best;
        }
        p->classes[s] = best;
        for (int o = 0; loss == LOSS_BINARY_CROSS_ENTROPY && o < OUTPUTS; o++)
            p->target[s][o] = p->target[s][o] > 0;
    }
}

/* Sums of the loss; the gradient of the loss sum into g. */
static struct loss_sums problem_loss(const struct problem *p, const struct algorithm *a, const float *w,
                                     float *g)
{
    float score[SAMPLES][OUTPUTS] = {0}, slope[SAMPLES][OUTPUTS];
    const struct loss_batch b = {&score[0][0],     SAMPLES,      OUTPUTS, p->classes,
                                 &p->target[0][0], &slope[0][0], 1};
    struct algorithm labels = *a;
    for (int s = 0; s < SAMPLES; s++)
        for (int o = 0; o < OUTPUTS; o++)
            for (int i = 0; i <= FEATURES; i++)
                score[s][o] += w[o * (FEATURES + 1) + i] * p->x[s][i];
    struct loss_batch of = b;
    if (a->loss.type == LOSS_BINARY_CROSS_ENTROPY)
        of.classes = NULL;
    labels.loss.class_weight_count = 0; /* of other classes than these three */
    labels.loss.ignore_index = -1;
    struct loss_sums sums = loss_compute(&labels, &of);
    memset(g, 0, WEIGHTS * sizeof(*g));
    for (int s = 0; s < SAMPLES; s++)
        for (int o = 0; o < OUTPUTS; o++)
            for (int i = 0; i <= FEATURES; i++)
                g[o * (FEATURES + 1) + i] += slope[s][o] * p->x[s][i];
    return sums;
}

/* Train it; the losses before and after. The step at which a value was not finite, or -1. */
static int64_t solve(const struct algorithm *a, int64_t steps, double *first, double *last)
{
    struct problem p;
    float w[WEIGHTS], g[WEIGHTS];
    const struct optimizer_range all = {
        .count = WEIGHTS, .decay = true, .rows = OUTPUTS, .columns = FEATURES + 1, .lengthen = 1};
    struct plateau plateau;
    int64_t bad = -1;
    make_problem(&p, a->loss.type);
    random_normal(w, WEIGHTS, PROBE_SEED, 4, 0.1);
    plateau_init(&plateau);
    struct optimizer *o = optimizer_create(a, WEIGHTS, &all, 1);
    struct loss_sums sums = problem_loss(&p, a, w, g);
    *first = *last = sums.loss / sums.weight;
    for (int64_t s = 0; s < steps && bad < 0; s++) {
        double scale = 1 / sums.weight, norm = scale * sqrt(optimizer_sum_of_squares(g, WEIGHTS));
        if (a->gradient_clip_norm > 0 && norm > a->gradient_clip_norm)
            scale *= a->gradient_clip_norm / norm;
        optimizer_step(o, w, g, schedule_rate_after(a, &plateau, s, EPOCH_STEPS, steps), scale);
        sums = problem_loss(&p, a, w, g);
        *last = sums.loss / sums.weight;
        if ((s + 1) % EPOCH_STEPS == 0 && a->schedule.watch.by_loss)
            plateau_watch(&plateau, a, *last);
        if (!isfinite(*last))
            bad = s + 1;
    }
    optimizer_destroy(o);
    return bad;
}

void trainer_probe_algorithm(const struct algorithm *a, struct findings *f)
{
    int64_t steps = a->epochs > 40 ? 400 : a->epochs < 10 ? 100 : a->epochs * EPOCH_STEPS;
    double first, last;
    int64_t bad = solve(a, steps, &first, &last);
    struct finding *it;
    if (bad >= 0) {
        it = findings_add(f, FINDING_FAILED, "algorithm.run", "/optimizer/learning_rate",
                          "on a small built-in problem the loss is not finite after step %lld",
                          (long long)bad);
        it->hint = xstrdup("try a smaller learning rate, a warm-up, or gradient_clip_norm");
        return;
    }
    findings_add(f, FINDING_PASSED, "algorithm.run", NULL, "%lld steps of %s on a small built-in problem",
                 (long long)steps, optimizer_name(a->optimizer.type));
    if (last < first) {
        it = findings_add(f, FINDING_PASSED, "algorithm.converges", NULL, "the loss fell from %.4g to %.4g",
                          first, last);
    } else {
        it = findings_add(
            f, FINDING_WARNED, "algorithm.converges", "/optimizer/learning_rate",
            "on a small built-in problem the loss did not fall: %.4g before, %.4g after %lld steps", first,
            last, (long long)steps);
        it->hint = xstrdup("the learning rate is probably too large");
    }
    it->expected = xasprintf("below %.4g", first);
    it->actual = xasprintf("%.4g", last);
}
