#include "kernels/ops/channel_norm.h"

#include <string.h>

#include "kernels/optim/vector.h"

#define WIDE  32  /* floats done together: 4 AVX2 or 2 AVX-512 registers */
#define STEPS 128 /* of WIDE floats, 16 KiB: read twice, the second time from the first-level cache */

struct channel_norm channel_norm_of(const struct op *op, int64_t rows, bool flat)
{
    struct channel_norm k = {.b = blocked_must(&op->in[0]), .rows = rows, .relu = op->relu};
    k.threads = rows * k.b.sample < 16384 ? 1 : op->backend->threads;
    if (flat && k.b.plane == 1 && k.b.block == 1) {
        k.b = (struct blocked){.channels = k.b.channels,
                               .blocks = 1,
                               .block = k.b.channels,
                               .plane = rows,
                               .sample = rows * k.b.channels};
        k.rows = 1;
    }
    return k;
}

/* A piece of one (row, block): `steps` times `width` floats, `stride` apart. Float i of a step belongs to
 * channel lane + i % period. */
struct strip {
    int64_t at, steps, stride, lane, period;
    int width;
};

/* Cut a block into strips; returns how many strips it has, and fills the index-th. A block of 1, 2, 4 .. 32
 * channels is one run of memory, with an end that is no multiple of WIDE; others are cut by channels. */
static int64_t strip_of(const struct blocked *b, int64_t index, struct strip *s)
{
    if (WIDE % b->block == 0) {
        int64_t all = b->plane * b->block, whole = all / WIDE, pieces = (whole + STEPS - 1) / STEPS;
        int64_t first = index * STEPS;
        *s = (struct strip){.stride = WIDE, .period = b->block};
        if (index < pieces) {
            s->at = first * WIDE;
            s->steps = whole - first < STEPS ? whole - first : STEPS;
            s->width = WIDE;
        } else {
            s->at = whole * WIDE;
            s->steps = 1;
            s->width = (int)(all % WIDE);
        }
        return pieces + (all % WIDE != 0);
    }
    int64_t tiles = (b->block + WIDE - 1) / WIDE, pieces = (b->plane + STEPS - 1) / STEPS;
    int64_t tile = index / pieces, first = index % pieces * STEPS;
    *s = (struct strip){
        .at = first * b->block + tile * WIDE, .stride = b->block, .lane = tile * WIDE, .period = WIDE};
    s->steps = b->plane - first < STEPS ? b->plane - first : STEPS;
    s->width = (int)(b->block - tile * WIDE < WIDE ? b->block - tile * WIDE : WIDE);
    return tiles * pieces;
}

/* What a loop body needs for each of its WIDE floats. */
struct wide {
    float mean[WIDE], scale[WIDE], shift[WIDE], g_scale[WIDE], x_scale[WIDE], constant[WIDE];
};

static void widen(const struct strip *s, const struct channel_affine *a, const struct channel_back *d,
                  struct wide *w)
{
    for (int i = 0; i < s->width; i++) {
        int64_t lane = s->lane + i % s->period;
        w->mean[i] = a[lane].mean;
        w->scale[i] = a[lane].scale;
        w->shift[i] = a[lane].shift;
        if (d) {
            w->g_scale[i] = d[lane].g_scale;
            w->x_scale[i] = d[lane].x_scale;
            w->constant[i] = d[lane].constant;
        }
    }
}

/* A full step is four vectors, spelled out so that sums and factors stay in registers; a narrower one is a plain
 * loop. Eight floats are one AVX2 register, half an AVX-512 one, two of plain x86-64. */
typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef int32_t v8i __attribute__((vector_size(32), aligned(4)));
#define VECTORS (WIDE / 8)
#define V(p)    (*(const v8 *)(const void *)(p))
#define VW(p)   (*(v8 *)(void *)(p))
#define FOUR    _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)

#define WHERE(mask, v) ((v8)((v8i)(v) & (mask)))

VECTOR_CLONES static void sum_strip(const struct strip *s, const float *restrict x, float *restrict sum)
{
    float narrow[WIDE] = {0};
    v8 acc[VECTORS] = {0};
    if (s->width == WIDE)
        for (int64_t t = 0, stride = s->stride; t < s->steps; t++, x += stride)
            FOUR acc[j] += V(x + 8 * j);
    else
        for (int64_t t = 0; t < s->steps; t++, x += s->stride)
            for (int i = 0; i < s->width; i++)
                narrow[i] += x[i];
    memcpy(sum, s->width == WIDE ? (const float *)(const void *)acc : narrow, sizeof(narrow));
}

VECTOR_CLONES static void square_strip(const struct strip *s, const float *restrict x,
                                       const float *restrict centre, float *restrict sum)
{
    float narrow[WIDE] = {0};
    v8 acc[VECTORS] = {0}, mean[VECTORS];
    FOUR mean[j] = V(centre + 8 * j);
    if (s->width == WIDE)
        for (int64_t t = 0, stride = s->stride; t < s->steps; t++, x += stride)
            FOUR
            {
                v8 d = V(x + 8 * j) - mean[j];
                acc[j] += d * d;
            }
    else
        for (int64_t t = 0; t < s->steps; t++, x += s->stride)
            for (int i = 0; i < s->width; i++)
                narrow[i] += (x[i] - centre[i]) * (x[i] - centre[i]);
    memcpy(sum, s->width == WIDE ? (const float *)(const void *)acc : narrow, sizeof(narrow));
}

/* Every step of a strip twice in the source: RELU as a constant. */
#define BOTH(RELU, ...)                                                                                      \
    if (RELU) {                                                                                              \
        const bool relu_ = true;                                                                             \
        __VA_ARGS__                                                                                          \
    } else {                                                                                                 \
        const bool relu_ = false;                                                                            \
        __VA_ARGS__                                                                                          \
    }

VECTOR_CLONES static void apply_strip(const struct strip *s, const float *restrict x, const struct wide *w,
                                      bool relu, float *restrict y)
{
    v8 mean[VECTORS], scale[VECTORS], shift[VECTORS];
    FOUR mean[j] = V(w->mean + 8 * j), scale[j] = V(w->scale + 8 * j), shift[j] = V(w->shift + 8 * j);
    if (s->width == WIDE) {
        BOTH(
            relu, for (int64_t t = 0, stride = s->stride; t < s->steps; t++, x += stride, y += stride) FOUR {
                v8 v = (V(x + 8 * j) - mean[j]) * scale[j] + shift[j];
                VW(y + 8 * j) = relu_ ? WHERE(v > 0, v) : v;
            })
    } else {
        for (int64_t t = 0; t < s->steps; t++, x += s->stride, y += s->stride)
            for (int i = 0; i < s->width; i++) {
                float v = (x[i] - w->mean[i]) * w->scale[i] + w->shift[i];
                y[i] = relu && v < 0 ? 0 : v;
            }
    }
}

VECTOR_CLONES static void sums_strip(const struct strip *s, const float *restrict x, const float *restrict g,
                                     const struct wide *w, bool relu, float *restrict sum,
                                     float *restrict dot)
{
    memset(sum, 0, WIDE * sizeof(float));
    memset(dot, 0, WIDE * sizeof(float));
    if (s->width == WIDE) {
        v8 a[VECTORS] = {0}, b[VECTORS] = {0};
        BOTH(
            relu, for (int64_t t = 0, stride = s->stride; t < s->steps; t++, x += stride, g += stride) FOUR {
                v8 c = V(x + 8 * j) - V(w->mean + 8 * j), m = V(g + 8 * j);
                if (relu_)
                    m = WHERE(c * V(w->scale + 8 * j) + V(w->shift + 8 * j) > 0, m);
                a[j] += m;
                b[j] += m * c;
            })
        FOUR VW(sum + 8 * j) = a[j], VW(dot + 8 * j) = b[j];
    } else {
        for (int64_t t = 0; t < s->steps; t++, x += s->stride, g += s->stride)
            for (int i = 0; i < s->width; i++) {
                float c = x[i] - w->mean[i], m = !relu || c * w->scale[i] + w->shift[i] > 0 ? g[i] : 0;
                sum[i] += m;
                dot[i] += m * c;
            }
    }
}

VECTOR_CLONES static void back_strip(const struct strip *s, const float *restrict x, const float *restrict g,
                                     const struct wide *w, bool relu, bool add, float *restrict gx)
{
    if (s->width == WIDE) {
        BOTH(
            relu, for (int64_t t = 0, stride = s->stride; t < s->steps;
                       t++, x += stride, g += stride, gx += stride) FOUR {
                v8 c = V(x + 8 * j) - V(w->mean + 8 * j), m = V(g + 8 * j);
                if (relu_)
                    m = WHERE(c * V(w->scale + 8 * j) + V(w->shift + 8 * j) > 0, m);
                v8 d = V(w->g_scale + 8 * j) * m + V(w->x_scale + 8 * j) * c + V(w->constant + 8 * j);
                if (add)
                    d += V(gx + 8 * j);
                VW(gx + 8 * j) = d;
            })
    } else {
        for (int64_t t = 0; t < s->steps; t++, x += s->stride, g += s->stride, gx += s->stride)
            for (int i = 0; i < s->width; i++) {
                float c = x[i] - w->mean[i], m = !relu || c * w->scale[i] + w->shift[i] > 0 ? g[i] : 0;
                float d = w->g_scale[i] * m + w->x_scale[i] * c + w->constant[i];
                gx[i] = add ? gx[i] + d : d;
            }
    }
}

/* Runs over all strips of all (row, block), blocks over threads. */
#define EACH_BLOCK(K, R, B, BASE)                                                                            \
    for (int threads_ = (K)->threads; threads_ > 0; threads_ = 0)                                            \
    _Pragma("omp parallel for num_threads(threads_) if (threads_ > 1) schedule(static)") for (               \
        int64_t task_ = 0; task_ < (K)->rows * (K)->b.blocks;                                                \
        task_++) for (int64_t R = task_ / (K)->b.blocks, B = task_ % (K)->b.blocks,                          \
                      BASE = R * (K)->b.sample + B * (K)->b.plane * (K)->b.block, once_ = 1;                 \
                      once_; once_ = 0)

/* Adds up the floats of a strip's step that belong to one channel; returns how many channels there are. */
static int fold(const struct strip *s, float *v)
{
    int distinct = s->width < s->period ? s->width : (int)s->period;
    for (int i = distinct; i < s->width; i++)
        v[i % distinct] += v[i];
    return distinct;
}

/* Joins a strip's moments with its channels' so far, of `seen` values (Chan, Golub, LeVeque 1983). */
static void join_moments(const struct strip *s, const float *x, struct channel_moments *m, int64_t *seen)
{
    float mean[WIDE], squares[WIDE];
    sum_strip(s, x, mean);
    int distinct = fold(s, mean);
    int64_t count = s->steps * s->width / distinct;
    for (int i = 0; i < WIDE; i++)
        mean[i] = i < distinct ? mean[i] / (float)count : mean[i - distinct];
    square_strip(s, x, mean, squares);
    fold(s, squares);
    double n = (double)count, before = (double)*seen, share = n / (before + n);
    for (int i = 0; i < distinct; i++) {
        struct channel_moments *to = &m[s->lane + i];
        double d = (double)mean[i] - to->mean;
        to->mean += d * share;
        to->squares += (double)squares[i] + d * d * before * share;
    }
    *seen += count;
}

void channel_norm_moments(const struct channel_norm *k, const float *x, struct channel_moments *out)
{
    memset(out, 0, sizeof(*out) * (size_t)(k->rows * blocked_lanes(&k->b)));
    EACH_BLOCK(k, r, b, base)
    {
        struct channel_moments *m = out + r * blocked_lanes(&k->b) + b * k->b.block;
        struct strip s;
        int64_t seen = 0, count = strip_of(&k->b, 0, &s), lane = 0;
        for (int64_t i = 0; i < count; i++) {
            strip_of(&k->b, i, &s);
            seen = s.lane != lane ? 0 : seen;
            lane = s.lane;
            join_moments(&s, x + base + s.at, m, &seen);
        }
    }
}

static const struct channel_affine *set_of(const struct channel_norm *k, const struct channel_affine *a,
                                           int64_t r, int64_t b)
{
    return a + (k->sets > 1 ? r : 0) * blocked_lanes(&k->b) + b * k->b.block;
}

void channel_norm_apply(const struct channel_norm *k, const float *x, const struct channel_affine *a,
                        float *y)
{
    EACH_BLOCK(k, r, b, base)
    {
        struct strip s;
        struct wide w;
        int64_t count = strip_of(&k->b, 0, &s), lane = -1;
        for (int64_t i = 0; i < count; i++) {
            strip_of(&k->b, i, &s);
            if (s.lane != lane)
                widen(&s, set_of(k, a, r, b), NULL, &w);
            lane = s.lane;
            apply_strip(&s, x + base + s.at, &w, k->relu, y + base + s.at);
        }
    }
}

void channel_norm_sums(const struct channel_norm *k, const float *x, const float *g,
                       const struct channel_affine *a, struct channel_sums *out)
{
    memset(out, 0, sizeof(*out) * (size_t)(k->rows * blocked_lanes(&k->b)));
    EACH_BLOCK(k, r, b, base)
    {
        struct channel_sums *to = out + r * blocked_lanes(&k->b) + b * k->b.block;
        struct strip s;
        struct wide w;
        int64_t count = strip_of(&k->b, 0, &s), lane = -1;
        for (int64_t i = 0; i < count; i++) {
            float sum[WIDE], dot[WIDE];
            strip_of(&k->b, i, &s);
            if (s.lane != lane)
                widen(&s, set_of(k, a, r, b), NULL, &w);
            lane = s.lane;
            sums_strip(&s, x + base + s.at, g + base + s.at, &w, k->relu, sum, dot);
            int distinct = fold(&s, sum);
            fold(&s, dot);
            for (int j = 0; j < distinct; j++) {
                to[s.lane + j].g += (double)sum[j];
                to[s.lane + j].gx += (double)dot[j];
            }
        }
    }
}

void channel_norm_back(const struct channel_norm *k, const float *x, const float *g,
                       const struct channel_affine *a, const struct channel_back *d, float *gx, bool add)
{
    EACH_BLOCK(k, r, b, base)
    {
        const struct channel_affine *affine = set_of(k, a, r, b);
        struct strip s;
        struct wide w;
        int64_t count = strip_of(&k->b, 0, &s), lane = -1;
        for (int64_t i = 0; i < count; i++) {
            strip_of(&k->b, i, &s);
            if (s.lane != lane)
                widen(&s, affine, d + (affine - a), &w);
            lane = s.lane;
            back_strip(&s, x + base + s.at, g + base + s.at, &w, k->relu, add, gx + base + s.at);
        }
    }
}
