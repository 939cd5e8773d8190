/* Optimizer updates against the published algorithms, written out once more in float64 from the papers' pseudocode; and against PyTorch
 * in optim_peers_test.py. */
#include "kernels/optim/optimizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernels/optim/optimizer_loops.h"
#include "kernels/optim/random.h"
#include "kernels/optim/weight_average.h"

enum { ROWS = 12, COLUMNS = 23, TALL = 17, WIDE = 5, N = 1037, STEPS = 25 };

/* A decayed run, one number, a matrix, a decayed run, a tall matrix, the rest. */
static const struct optimizer_range ranges[] = {
    {.first = 0, .count = 100, .decay = true},
    {.first = 100, .count = 1},
    {.first = 101,
     .count = ROWS * COLUMNS + 3,
     .decay = true,
     .rows = ROWS,
     .columns = COLUMNS,
     .lengthen = 1},
    {.first = 380, .count = 357, .decay = true},
    {.first = 737, .count = TALL * WIDE, .rows = TALL, .columns = WIDE, .lengthen = 1.5f},
    {.first = 737 + TALL * WIDE, .count = N - 737 - TALL * WIDE},
};
enum { RANGES = sizeof(ranges) / sizeof(*ranges) };

struct reference {
    double w[N], m[N], v[N], mean[N];
};

static double gradient(double w, size_t i, int step)
{
    return w * (1 + (double)(i % 7)) + sin((double)i + step);
}

/* torch.optim.SGD: g += wd w; b = mu b + g (first: g); g = nesterov ? g + mu b : b; w -= lr g */
static void sgd_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd,
                          int step)
{
    double mu = a->optimizer.momentum;
    g += wd * r->w[i];
    if (mu > 0) {
        r->m[i] = step == 1 ? g : mu * r->m[i] + g;
        g = a->optimizer.nesterov ? g + mu * r->m[i] : r->m[i];
    }
    r->w[i] -= a->optimizer.learning_rate * g;
}

/* The step of Adam before the rate. */
static double adam_step(struct reference *r, const struct algorithm *a, size_t i, double g, int step)
{
    double b1 = a->optimizer.beta1, b2 = a->optimizer.beta2;
    r->m[i] = b1 * r->m[i] + (1 - b1) * g;
    r->v[i] = b2 * r->v[i] + (1 - b2) * g * g;
    return r->m[i] / (1 - pow(b1, step)) / (sqrt(r->v[i] / (1 - pow(b2, step))) + a->optimizer.epsilon);
}

/* Kingma & Ba, algorithm 1; Loshchilov & Hutter, algorithm 2 (eta = 1, as torch: decay times the rate). */
static void adam_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd,
                           int step, double lr)
{
    bool l2 = a->optimizer.type == OPTIMIZER_ADAM;
    if (!l2)
        r->w[i] -= lr * wd * r->w[i];
    r->w[i] -= lr * adam_step(r, a, i, l2 ? g + wd * r->w[i] : g, step);
}

/* torch.optim.RMSprop, from Hinton's lecture 6 and, centered, Graves 2013. */
static void rmsprop_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd)
{
    double al = a->optimizer.alpha;
    g += wd * r->w[i];
    r->v[i] = al * r->v[i] + (1 - al) * g * g;
    r->mean[i] = al * r->mean[i] + (1 - al) * g;
    double around = a->optimizer.centered ? r->v[i] - r->mean[i] * r->mean[i] : r->v[i];
    r->m[i] = a->optimizer.momentum * r->m[i] + g / (sqrt(around) + a->optimizer.epsilon);
    r->w[i] -= a->optimizer.learning_rate * r->m[i];
}

/* Duchi et al. 2011, diagonal; torch.optim.Adagrad's decay of the rate. */
static void adagrad_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd,
                              int step)
{
    double lr = a->optimizer.learning_rate / (1 + (step - 1) * a->optimizer.rate_decay);
    g += wd * r->w[i];
    if (step == 1)
        r->v[i] = a->optimizer.initial_accumulator;
    r->v[i] += g * g;
    r->w[i] -= lr * g / (sqrt(r->v[i]) + a->optimizer.epsilon);
}

/* Chen et al. 2023, algorithm 2. */
static void lion_reference(struct reference *r, const struct algorithm *a, size_t i, double g, double wd)
{
    double u = a->optimizer.beta1 * r->m[i] + (1 - a->optimizer.beta1) * g;
    r->w[i] -= a->optimizer.learning_rate * ((u > 0) - (u < 0) + wd * r->w[i]);
    r->m[i] = a->optimizer.beta2 * r->m[i] + (1 - a->optimizer.beta2) * g;
}

/* You et al. 2020, algorithm 2, one weight: the step as long as the weight. */
static void lamb_reference(struct reference *r, const struct algorithm *a,
                           const struct optimizer_range *range, const double *g, int step)
{
    double u[N], weight = 0, length = 0, wd = range->decay ? a->optimizer.weight_decay : 0;
    for (size_t i = range->first; i < range->first + range->count; i++) {
        u[i] = adam_step(r, a, i, g[i], step) + wd * r->w[i];
        weight += r->w[i] * r->w[i];
        length += u[i] * u[i];
    }
    double ratio = weight > 0 && length > 0 ? sqrt(weight / length) : 1;
    for (size_t i = range->first; i < range->first + range->count; i++)
        r->w[i] -= a->optimizer.learning_rate * ratio * u[i];
}

/* x (rows, columns) by Jordan's zeropower_via_newtonschulz5, plain loops. */
static void orthogonal_reference(double *x, size_t rows, size_t columns, int steps)
{
    static double A[32 * 32], B[32 * 32], y[32 * 32];
    double norm = 0;
    for (size_t i = 0; i < rows * columns; i++)
        norm += x[i] * x[i];
    for (size_t i = 0; i < rows * columns; i++)
        x[i] /= fmax(sqrt(norm), 1e-7);
    for (int s = 0; s < steps; s++) {
        memset(A, 0, sizeof(A));
        memset(B, 0, sizeof(B));
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < rows; j++)
                for (size_t k = 0; k < columns; k++)
                    A[i * rows + j] += x[i * columns + k] * x[j * columns + k];
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < rows; j++) {
                B[i * rows + j] = -4.7750 * A[i * rows + j];
                for (size_t k = 0; k < rows; k++)
                    B[i * rows + j] += 2.0315 * A[i * rows + k] * A[k * rows + j];
            }
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++) {
                y[i * columns + j] = 3.4445 * x[i * columns + j];
                for (size_t k = 0; k < rows; k++)
                    y[i * columns + j] += B[i * rows + k] * x[k * columns + j];
            }
        memcpy(x, y, rows * columns * sizeof(*x));
    }
}

/* Jordan et al. 2024: momentum, orthogonal step; the rest is AdamW at a share of the rate. */
static void muon_reference(struct reference *r, const struct algorithm *a,
                           const struct optimizer_range *range, const double *g, int step)
{
    double lr = a->optimizer.learning_rate, wd = range->decay ? a->optimizer.weight_decay : 0, u[N],
           turned[N], mu = a->optimizer.momentum;
    size_t rows = range->rows, columns = range->columns, n = rows * columns;
    for (size_t i = range->first; rows == 0 && i < range->first + range->count; i++)
        adam_reference(r, a, i, g[i], wd, step, lr * a->optimizer.adamw_rate);
    for (size_t k = 0; k < n; k++) {
        size_t i = range->first + k;
        r->m[i] += (1 - mu) * (g[i] - r->m[i]);
        u[k] = a->optimizer.nesterov ? (1 - mu) * g[i] + mu * r->m[i] : r->m[i];
        turned[k % columns * rows + k / columns] = u[k];
    }
    bool tall = rows > columns; /* the iteration works on the short side */
    orthogonal_reference(tall ? turned : u, tall ? columns : rows, tall ? rows : columns,
                         (int)a->optimizer.newton_schulz_steps);
    for (size_t k = 0; k < n; k++) {
        size_t i = range->first + k;
        double step_k = tall ? turned[k % columns * rows + k / columns] : u[k];
        r->w[i] -= lr * (wd * r->w[i] + (double)range->lengthen * step_k);
    }
}

static void reference_step(struct reference *r, const struct algorithm *a, const double *g, int step)
{
    for (size_t k = 0; k < RANGES; k++) {
        const struct optimizer_range *range = &ranges[k];
        double wd = range->decay ? a->optimizer.weight_decay : 0;
        if (a->optimizer.type == OPTIMIZER_LAMB)
            lamb_reference(r, a, range, g, step);
        if (a->optimizer.type == OPTIMIZER_MUON)
            muon_reference(r, a, range, g, step);
        for (size_t i = range->first; i < range->first + range->count; i++) {
            switch (a->optimizer.type) {
            case OPTIMIZER_SGD:
                sgd_reference(r, a, i, g[i], wd, step);
                break;
            case OPTIMIZER_ADAM:
            case OPTIMIZER_ADAMW:
                adam_reference(r, a, i, g[i], wd, step, a->optimizer.learning_rate);
                break;
            case OPTIMIZER_RMSPROP:
                rmsprop_reference(r, a, i, g[i], wd);
                break;
            case OPTIMIZER_ADAGRAD:
                adagrad_reference(r, a, i, g[i], wd, step);
                break;
            case OPTIMIZER_LION:
                lion_reference(r, a, i, g[i], wd);
                break;
            default:
                break;
            }
        }
    }
}

static double clip(double g, double limit)
{
    return limit > 0 ? fmax(-limit, fmin(limit, g)) : g;
}

static void compare(const struct algorithm *a)
{
    static struct reference r;
    struct optimizer *o = optimizer_create(a, N, ranges, RANGES);
    float *w = malloc(N * sizeof(float)), *g = malloc(N * sizeof(float));
    double exact[N];
    assert_true(w && g);
    memset(&r, 0, sizeof(r));
    random_normal(w, N, 5, 1, 1);
    for (size_t i = 0; i < N; i++)
        r.w[i] = (double)w[i];
    for (int step = 1; step <= STEPS; step++) {
        for (size_t i = 0; i < N; i++) {
            double of = gradient(r.w[i], i, step);
            g[i] = (float)(of * 8); /* scaled back by 1/8 in the update */
            exact[i] = clip(of, a->gradient_clip_value);
        }
        reference_step(&r, a, exact, step);
        if (step % 2) {
            optimizer_step(o, w, g, a->optimizer.learning_rate, 0.125);
        } else { /* in pieces */
            optimizer_begin(o, a->optimizer.learning_rate, 0.125);
            optimizer_update(o, w, g, 0, 380);
            optimizer_update(o, w, g, 380, N - 380);
        }
    }
    assert_int_equal(o->step, STEPS);
    for (size_t i = 0; i < N; i++)
        if (!(fabs((double)w[i] - r.w[i]) < 5e-5 * (1 + fabs(r.w[i]))))
            fail_msg("%s: weight %zu is %.9g, the float64 reference has %.9g",
                     optimizer_name(a->optimizer.type), i, (double)w[i], r.w[i]);
    optimizer_destroy(o);
    free(w);
    free(g);
}

static void sgd_is_the_published_one(void **state)
{
    (void)state;
    struct algorithm a;
    algorithm_default(&a);
    algorithm_set_optimizer(&a, OPTIMIZER_SGD);
    for (int k = 0; k < 6; k++) {
        a.optimizer.momentum = k < 2 ? 0 : 0.9;
        a.optimizer.nesterov = k >= 4;
        a.optimizer.weight_decay = k % 2 ? 0.05 : 0;
        a.gradient_clip_value = k % 3 == 2 ? 0.5 : 0;
        compare(&a);
    }
}

static void every_optimizer_is_the_published_one(void **state)
{
    (void)state;
    for (int t = OPTIMIZER_ADAM; t < OPTIMIZER_TYPE_COUNT; t++)
        for (int k = 0; k < 8; k++) {
            struct algorithm a;
            algorithm_default(&a);
            algorithm_set_optimizer(&a, (enum optimizer_type)t);
            a.optimizer.weight_decay = k % 2 ? 0.1 : 0;
            a.optimizer.learning_rate = 0.003;
            a.optimizer.momentum = k & 2 ? 0.8 : t == OPTIMIZER_MUON ? 0.95 : 0;
            a.optimizer.nesterov = k & 4;
            a.optimizer.centered = k & 4;
            a.optimizer.rate_decay = k & 2 ? 0.01 : 0;
            a.optimizer.initial_accumulator = k & 4 ? 0.5 : 0;
            a.optimizer.epsilon = 1e-6;
            a.gradient_clip_value = k == 7 ? 0.7 : 0;
            compare(&a);
        }
}

static void muon_makes_singular_values_nearly_one(void **state)
{
    enum { M = 20, K = 31 };
    float x[M * K], turned[M * K], square[M * M], work[M * M];
    (void)state;
    random_normal(x, M * K, 9, 9, 1);
    newton_schulz(x, M, K, 5, turned, square, work);
    for (int i = 0; i < M; i++) { /* rows of length about 1, about at right angles */
        double own = 0, most = 0;
        for (int j = 0; j < M; j++) {
            double dot = 0;
            for (int k = 0; k < K; k++)
                dot += (double)x[i * K + k] * (double)x[j * K + k];
            own = i == j ? dot : own;
            most = i == j ? most : fmax(most, fabs(dot));
        }
        assert_true(own > 0.4 && own < 1.45 && most < 0.5);
    }
}

/* ---- threads and ranks ---- */

static float *train(const struct algorithm *a, int threads, int ranks)
{
    enum { MANY = 100000, WEIGHTS = 4 };
    const struct optimizer_range list[WEIGHTS] = {
        {.first = 0, .count = 40000, .decay = true, .rows = 200, .columns = 200},
        {.first = 40000, .count = 16},
        {.first = 40016, .count = 30000, .decay = true, .rows = 100, .columns = 300},
        {.first = 70016, .count = MANY - 70016, .decay = true}};
    float *w = malloc(MANY * sizeof(float)), *g = malloc(MANY * sizeof(float));
    struct optimizer *part[8];
    size_t covered = 0;
    assert_true(w && g);
    random_normal(w, MANY, 1, 1, 1);
    for (int r = 0; r < ranks; r++) {
        size_t first, count;
        optimizer_part(a, MANY, list, WEIGHTS, ranks, r, &first, &count);
        assert_int_equal(first, covered);
        covered += count;
        part[r] = optimizer_create_part(a, MANY, list, WEIGHTS, first, count);
    }
    assert_int_equal(covered, MANY);
    for (int step = 0; step < 3; step++) {
        random_normal(g, MANY, 2, (uint64_t)step, 1);
        for (int r = 0; r < ranks; r++) {
            optimizer_begin(part[r], 0.01, 0.5);
            optimizer_apply(part[r], w, g, threads);
        }
    }
    for (int r = 0; r < ranks; r++)
        optimizer_destroy(part[r]);
    free(g);
    return w;
}

static void threads_and_parts_change_no_bit(void **state)
{
    (void)state;
    for (int t = 0; t < OPTIMIZER_TYPE_COUNT; t++) {
        struct algorithm a;
        algorithm_default(&a);
        algorithm_set_optimizer(&a, (enum optimizer_type)t);
        float *one = train(&a, 1, 1);
        for (int k = 0; k < 3; k++) {
            float *other = train(&a, k == 1 ? 1 : 3, k == 0 ? 1 : k == 1 ? 3 : 7);
            if (memcmp(one, other, 100000 * sizeof(float)))
                fail_msg("%s differs", optimizer_name(a.optimizer.type));
            free(other);
        }
        free(one);
    }
}

static void the_average_follows_the_weights(void **state)
{
    float w[40];
    double mean[40];
    struct algorithm a;
    (void)state;
    algorithm_default(&a);
    for (int i = 0; i < 40; i++)
        mean[i] = (double)(w[i] = (float)i);
    assert_null(weight_average_create(&a, w, 40));
    a.weight_average.on = true;
    a.weight_average.decay = 0.75;
    a.weight_average.every_steps = 2;
    struct weight_average *e = weight_average_create(&a, w, 40);
    for (int step = 1; step <= 40; step++) {
        for (int i = 0; i < 40; i++)
            w[i] += (float)((i + step) % 3) - 1;
        weight_average_add(e, w, step, 1);
        int n = step / 2 - 1;
        double decay = fmin(0.75, (1.0 + n) / (10.0 + n));
        for (int i = 0; i < 40 && step % 2 == 0; i++)
            mean[i] = decay * mean[i] + (1 - decay) * (double)w[i];
    }
    float was = w[7];
    weight_average_swap(e, w, 2);
    for (int i = 0; i < 40; i++)
        assert_true(fabs((double)w[i] - mean[i]) < 1e-4);
    weight_average_swap(e, w, 2);
    assert_true(w[7] == was && !e->swapped);
    weight_average_destroy(e);
}

static void sum_of_squares_counts_every_number(void **state)
{
    float x[100];
    (void)state;
    for (size_t n = 0; n < 100; n++) {
        double want = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)i - 40;
            want += (double)x[i] * x[i];
        }
        assert_true(optimizer_sum_of_squares(x, n) == want);
        assert_true(optimizer_sum_of_squares_threads(x, n, 3) == want);
    }
}

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_gives_the_published_numbers(void **state)
{
    (void)state;
    struct random_block z = random_philox(0, 0, 0);
    assert_int_equal(z.v[0], 0x6627e8d5u);
    assert_int_equal(z.v[1], 0xe169c58du);
    assert_int_equal(z.v[2], 0xbc57ac4cu);
    assert_int_equal(z.v[3], 0x9b00dbd8u);
    struct random_block f = random_philox(UINT64_MAX, UINT64_MAX, UINT64_MAX);
    assert_int_equal(f.v[0], 0x408f276du);
    assert_int_equal(f.v[1], 0x41c83b0eu);
    assert_int_equal(f.v[2], 0xa20bc7c6u);
    assert_int_equal(f.v[3], 0x6d5451fdu);
    /* of the digits of pi */
    struct random_block p = random_philox(0x299f31d0a4093822u, 0x85a308d3243f6a88u, 0x0370734413198a2eu);
    assert_int_equal(p.v[0], 0xd16cfe09u);
    assert_int_equal(p.v[1], 0x94fdccebu);
    assert_int_equal(p.v[2], 0x5001e420u);
    assert_int_equal(p.v[3], 0x24126ea1u);
}

static void random_numbers_have_their_moments(void **state)
{
    enum { M = 200001 };
    float *x = malloc(M * sizeof(float));
    (void)state;
    assert_non_null(x);
    for (int normal = 0; normal < 2; normal++) {
        double mean = 0, square = 0;
        if (normal)
            random_normal(x, M, 3, random_stream("a.kernel"), 2);
        else
            random_uniform(x, M, 3, random_stream("a.kernel"), -3, 3);
        for (size_t i = 0; i < M; i++) {
            mean += x[i];
            square += (double)x[i] * x[i];
            assert_true(normal || (x[i] >= -3 && x[i] < 3));
        }
        mean /= M;
        assert_true(fabs(mean) < 5 * 2 / sqrt(M));
        assert_true(fabs(square / M - (normal ? 4 : 3)) < 0.06);
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_the_published_one),
        cmocka_unit_test(every_optimizer_is_the_published_one),
        cmocka_unit_test(muon_makes_singular_values_nearly_one),
        cmocka_unit_test(threads_and_parts_change_no_bit),
        cmocka_unit_test(the_average_follows_the_weights),
        cmocka_unit_test(sum_of_squares_counts_every_number),
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(random_numbers_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
