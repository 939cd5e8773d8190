#include "kernels/optim/optimizer.h"

#include <math.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/optimizer_loops.h"
#include "kernels/optim/vector.h"

#define PIECE ((size_t)16384) /* floats: 64 KiB of each array */

/* ---- making ---- */

bool optimizer_needs_whole_weights(enum optimizer_type t)
{
    return t == OPTIMIZER_LAMB || t == OPTIMIZER_MUON;
}

static void name_states(struct optimizer *o)
{
    static const char *const adam[] = {"mean", "variance"};
    o->state_count = 2;
    o->state_name[0] = adam[0];
    o->state_name[1] = adam[1];
    switch (o->type) {
    case OPTIMIZER_SGD:
        o->state_count = o->momentum > 0 ? 1 : 0;
        o->state_name[0] = "momentum";
        break;
    case OPTIMIZER_RMSPROP:
        o->state_count = o->centered ? 3 : o->momentum > 0 ? 2 : 1;
        o->state_name[0] = "variance";
        o->state_name[1] = "momentum";
        o->state_name[2] = "mean";
        break;
    case OPTIMIZER_ADAGRAD:
        o->state_count = 1;
        o->state_name[0] = "squares";
        break;
    case OPTIMIZER_LION:
        o->state_count = 1;
        break;
    case OPTIMIZER_ADAM:
    case OPTIMIZER_ADAMW:
    case OPTIMIZER_LAMB:
    case OPTIMIZER_MUON: /* mean: of matrices the momentum */
    case OPTIMIZER_TYPE_COUNT:
        break;
    }
}

/* Cut the ranges of the part into pieces. */
static void make_pieces(struct optimizer *o)
{
    size_t to = o->part_first + o->part_count, most = o->part_count / PIECE + o->range_count + 1;
    o->pieces = xcalloc(most, sizeof(*o->pieces));
    for (size_t i = 0; i < o->range_count; i++) {
        const struct optimizer_range *r = &o->ranges[i];
        size_t at = r->first > o->part_first ? r->first : o->part_first,
               end = r->first + r->count < to ? r->first + r->count : to;
        for (; at < end; at += PIECE)
            o->pieces[o->piece_count++] = (struct optimizer_piece){
                .first = at, .count = end - at < PIECE ? end - at : PIECE, .range = (int)i};
    }
}

static void make_work(struct optimizer *o)
{
    if (o->type == OPTIMIZER_LAMB)
        o->sums = xcalloc(2 * o->piece_count + 2, sizeof(*o->sums));
    if (o->type != OPTIMIZER_MUON)
        return;
    for (size_t i = 0; i < o->piece_count; i++) {
        const struct optimizer_range *r = &o->ranges[o->pieces[i].range];
        size_t side = r->rows < r->columns ? r->rows : r->columns;
        o->largest = r->rows * r->columns > o->largest ? r->rows * r->columns : o->largest;
        o->shorter = side > o->shorter ? side : o->shorter;
    }
}

static size_t matrix_floats(const struct optimizer *o)
{
    return (2 * o->largest + 2 * o->shorter * o->shorter + 15) / 16 * 16 + 16;
}

/* Once, at the first step on so many threads. */
static void make_matrix_work(struct optimizer *o, int threads)
{
    if (threads <= o->matrix_threads)
        return;
    free(o->matrix);
    o->matrix = xcalloc((size_t)threads * matrix_floats(o), sizeof(float));
    o->matrix_threads = threads;
}

static void take_settings(struct optimizer *o, const struct algorithm *a)
{
    o->type = a->optimizer.type;
    o->weight_decay = a->optimizer.weight_decay;
    o->momentum = a->optimizer.momentum;
    o->nesterov = a->optimizer.nesterov;
    o->beta1 = a->optimizer.beta1;
    o->beta2 = a->optimizer.beta2;
    o->epsilon = a->optimizer.epsilon;
    o->alpha = a->optimizer.alpha;
    o->centered = a->optimizer.centered;
    o->rate_decay = a->optimizer.rate_decay;
    o->adamw_rate = a->optimizer.adamw_rate;
    o->newton_schulz_steps = (int)a->optimizer.newton_schulz_steps;
    o->clip_value = a->gradient_clip_value;
}

struct optimizer *optimizer_create_part(const struct algorithm *a, size_t count,
                                        const struct optimizer_range *ranges, size_t range_count,
                                        size_t first, size_t part_count)
{
    struct optimizer *o = xcalloc(1, sizeof(*o));
    take_settings(o, a);
    o->count = count;
    o->part_first = first;
    o->part_count = part_count;
    o->ranges = xcalloc(range_count ? range_count : 1, sizeof(*ranges));
    if (range_count)
        memcpy(o->ranges, ranges, range_count * sizeof(*ranges));
    o->range_count = range_count;
    name_states(o);
    for (int i = 0; i < o->state_count; i++)
        o->state[i] = xcalloc(part_count ? part_count : 1, sizeof(float));
    if (o->type == OPTIMIZER_ADAGRAD)
        for (size_t i = 0; i < part_count; i++)
            o->state[0][i] = (float)a->optimizer.initial_accumulator;
    make_pieces(o);
    make_work(o);
    return o;
}

struct optimizer *optimizer_create(const struct algorithm *a, size_t count,
                                   const struct optimizer_range *ranges, size_t range_count)
{
    return optimizer_create_part(a, count, ranges, range_count, 0, count);
}

void optimizer_destroy(struct optimizer *o)
{
    if (!o)
        return;
    for (int i = 0; i < OPTIMIZER_MAX_STATES; i++)
        free(o->state[i]);
    free(o->matrix);
    free(o->sums);
    free(o->pieces);
    free(o->ranges);
    free(o);
}

/* Where part number i begins: at a cache line, or at the weight that begins nearest. */
static size_t cut(const struct algorithm *a, size_t count, const struct optimizer_range *ranges,
                  size_t range_count, int ranks, int i)
{
    size_t lines = (count + 15) / 16, even = lines * (size_t)i / (size_t)ranks * 16, at = 0;
    even = i == ranks || even > count ? count : even;
    if (!optimizer_needs_whole_weights(a->optimizer.type) || even == count)
        return even;
    for (size_t r = 0; r < range_count; r++) {
        size_t to = ranges[r].first + ranges[r].count;
        if (to >= even)
            return even - at <= to - even ? at : to;
        at = to;
    }
    return count;
}

void optimizer_part(const struct algorithm *a, size_t count, const struct optimizer_range *ranges,
                    size_t range_count, int ranks, int rank, size_t *first, size_t *part_count)
{
    *first = cut(a, count, ranges, range_count, ranks, rank);
    *part_count = cut(a, count, ranges, range_count, ranks, rank + 1) - *first;
}

/* ---- a step ---- */

void optimizer_begin(struct optimizer *o, double rate, double gradient_scale)
{
    o->step++;
    o->rate = (float)rate;
    o->scale = (float)gradient_scale;
    o->mean_rate = (float)(rate / (1 - pow(o->beta1, (double)o->step)));
    o->variance_scale = (float)(1 / sqrt(1 - pow(o->beta2, (double)o->step)));
}

static struct run_args args_of(const struct optimizer *o, const struct optimizer_range *range, float *w,
                               const float *g, size_t first, size_t n)
{
    struct run_args r = {.w = w + first,
                         .g = g + first,
                         .n = n,
                         .decay = range->decay ? (float)o->weight_decay : 0,
                         .clip = o->clip_value > 0 ? (float)o->clip_value : INFINITY};
    for (int i = 0; i < o->state_count; i++)
        r.s[i] = o->state[i] + (first - o->part_first);
    return r;
}

/* Weights whose update looks at nothing but themselves. */
static void update_run(const struct optimizer *o, const struct run_args *r)
{
    switch (o->type) {
    case OPTIMIZER_SGD:
        run_sgd(o, r);
        break;
    case OPTIMIZER_ADAM:
        run_adam(o, r);
        break;
    case OPTIMIZER_ADAMW:
        run_adamw(o, r, 1);
        break;
    case OPTIMIZER_RMSPROP:
        run_rmsprop(o, r);
        break;
    case OPTIMIZER_ADAGRAD:
        run_adagrad(o, r);
        break;
    case OPTIMIZER_LION:
        run_lion(o, r);
        break;
    case OPTIMIZER_MUON:
        run_adamw(o, r, (float)o->adamw_rate);
        break;
    case OPTIMIZER_LAMB:
    case OPTIMIZER_TYPE_COUNT:
        break;
    }
}

static struct run_args args_of_piece(const struct optimizer *o, const struct optimizer_piece *p, float *w,
                                     const float *g)
{
    return args_of(o, &o->ranges[p->range], w, g, p->first, p->count);
}

/* How much longer than its step a weight is; 1 where either is 0. */
static float lamb_ratio(const struct optimizer *o, size_t from, size_t to)
{
    double weight = 0, step = 0;
    for (size_t i = from; i < to; i++) {
        weight += o->sums[2 * i];
        step += o->sums[2 * i + 1];
    }
    return weight > 0 && step > 0 ? (float)sqrt(weight / step) : 1;
}

static void lamb(struct optimizer *o, float *w, const float *g, size_t from, size_t to, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = from; i < to; i++) {
        struct run_args r = args_of_piece(o, &o->pieces[i], w, g);
        run_lamb_states(o, &r, o->sums + 2 * i);
    }
    for (size_t i = from, end; i < to; i = end) { /* the ratio of a weight in place of its first sum */
        for (end = i; end < to && o->pieces[end].range == o->pieces[i].range;)
            end++;
        float ratio = lamb_ratio(o, i, end);
        for (size_t k = i; k < end; k++)
            o->sums[2 * k] = (double)ratio;
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = from; i < to; i++) {
        struct run_args r = args_of_piece(o, &o->pieces[i], w, g);
        run_lamb_weights(o, &r, (float)o->sums[2 * i]);
    }
}

/* One matrix on one thread, whose products would give other bits on several. */
static void muon_matrix(const struct optimizer *o, const struct optimizer_range *range, float *w,
                        const float *g, float *step)
{
    size_t n = range->rows * range->columns;
    float *square = step + 2 * o->largest;
    struct run_args r = args_of(o, range, w, g, range->first, n);
    run_muon_momentum(o, &r, step);
    newton_schulz(step, range->rows, range->columns, o->newton_schulz_steps, step + o->largest, square,
                  square + o->shorter * o->shorter);
    run_muon_weights(o, &r, step, range->lengthen > 0 ? range->lengthen : 1);
}

/* Of the thread in its parallel region; what it calls from there has that thread alone. */
static int thread_number(void)
{
#ifdef _OPENMP
    omp_set_num_threads(1); /* for this region's part of this thread only */
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static void muon(struct optimizer *o, float *w, const float *g, size_t from, size_t to, int threads)
{
    make_matrix_work(o, threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (size_t i = from; i < to; i++) {
        const struct optimizer_range *r = &o->ranges[o->pieces[i].range];
        if (r->rows > 0 && r->first == o->pieces[i].first)
            muon_matrix(o, r, w, g, o->matrix + (size_t)thread_number() * matrix_floats(o));
    }
}

/* Pieces [from, to): of lamb and muon whole weights. */
static void update_pieces(struct optimizer *o, float *w, const float *g, size_t from, size_t to, int threads)
{
    if (o->type == OPTIMIZER_LAMB) {
        lamb(o, w, g, from, to, threads);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = from; i < to; i++) {
        if (o->type == OPTIMIZER_MUON && o->ranges[o->pieces[i].range].rows > 0)
            continue;
        struct run_args r = args_of_piece(o, &o->pieces[i], w, g);
        update_run(o, &r);
    }
    if (o->type == OPTIMIZER_MUON)
        muon(o, w, g, from, to, threads);
}

void optimizer_apply(struct optimizer *o, float *weights, const float *gradients, int threads)
{
    update_pieces(o, weights, gradients, 0, o->piece_count, threads > 0 ? threads : 1);
}

void optimizer_update(struct optimizer *o, float *weights, const float *gradients, size_t first, size_t count)
{
    size_t to = first + count, from = 0, end;
    if (optimizer_needs_whole_weights(o->type)) {
        while (from < o->piece_count && o->pieces[from].first < first)
            from++;
        for (end = from; end < o->piece_count && o->pieces[end].first < to;)
            end++;
        update_pieces(o, weights, gradients, from, end, 1);
        return;
    }
    for (size_t i = 0; i < o->piece_count; i++) {
        const struct optimizer_piece *p = &o->pieces[i];
        size_t at = p->first > first ? p->first : first,
               stop = p->first + p->count < to ? p->first + p->count : to;
        if (at >= stop)
            continue;
        struct run_args r = args_of(o, &o->ranges[p->range], weights, gradients, at, stop - at);
        update_run(o, &r);
    }
}

void optimizer_step(struct optimizer *o, float *weights, const float *gradients, double rate,
                    double gradient_scale)
{
    optimizer_begin(o, rate, gradient_scale);
    optimizer_apply(o, weights, gradients, 1);
}

/* ---- norms ---- */

enum { LANES = 16, SEGMENTS = 64 };

/* 16 sums side by side, so that the order does not depend on the instruction set. */
VECTOR_CLONES static void add_squares(double *restrict acc, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            acc[j] += (double)x[i + j] * (double)x[i + j];
}

double optimizer_sum_of_squares(const float *x, size_t count)
{
    double acc[LANES] = {0}, sum = 0;
    size_t whole = count / LANES * LANES;
    add_squares(acc, x, whole);
    for (size_t i = whole; i < count; i++)
        acc[i - whole] += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < LANES; j++)
        sum += acc[j];
    return sum;
}

double optimizer_sum_of_squares_threads(const float *x, size_t count, int threads)
{
    double part[SEGMENTS], sum = 0;
    size_t lines = (count + LANES - 1) / LANES;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t s = 0; s < SEGMENTS; s++) {
        size_t from = lines * s / SEGMENTS * LANES, to = lines * (s + 1) / SEGMENTS * LANES;
        part[s] = optimizer_sum_of_squares(x + from, (to < count ? to : count) - from);
    }
    for (size_t s = 0; s < SEGMENTS; s++)
        sum += part[s];
    return sum;
}
