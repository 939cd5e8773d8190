#include "kernels/ops/winograd.h"

#include <string.h>

#include "kernels/optim/vector.h"

#define POINTS 36 /* of a transformed tile, 6x6 */
#define TILES  6  /* rows of a register block of the product */

/* Eight channels at a time. */
typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef int32_t v8i __attribute__((vector_size(32), aligned(4)));
#define V(p)   (*(v8 *)(void *)(p))
#define VC(p)  (*(const v8 *)(const void *)(p))
#define INLINE static inline __attribute__((always_inline))

bool winograd_fits(const struct conv *c, const struct blocked *x, const struct blocked *y)
{
    if (c->axes != 2 || c->transposed || c->groups != 1 || x->block % 8 || y->block % 8 ||
        c->x_channels % 8 || c->y_channels % 8 || c->x_channels * c->y_channels > 128 * 128)
        return false;
    double used = 1;
    for (int a = 0; a < 2; a++) {
        const struct window *w = &c->window[a];
        if (w->size != 3 || w->stride != 1 || w->dilation != 1 || w->pad_before > 2)
            return false;
        used *= (double)w->out / (double)((w->out + 3) / 4 * 4);
    }
    return used > 0.6; /* of the tiles at the edges, part is thrown away */
}

struct winograd winograd_of(const struct conv *c, const struct blocked *x, const struct blocked *y, bool back)
{
    struct winograd w = {.in = back ? *y : *x, .out = back ? *x : *y};
    for (int a = 0; a < 2; a++) {
        w.in_size[a] = back ? c->window[a].out : c->x[a];
        w.out_size[a] = back ? c->x[a] : c->window[a].out;
        w.pad[a] = back ? 2 - c->window[a].pad_before : c->window[a].pad_before;
        w.tiles[a] = (w.out_size[a] + 3) / 4;
    }
    /* What a chunk is transformed into should stay close to the processor: some 80 KiB, but two register blocks at least. */
    int64_t fit = 20 * 1024 / (POINTS * (w.in.channels + w.out.channels)) / TILES * TILES;
    w.chunk = fit < 2 * TILES ? 2 * TILES : fit;
    return w;
}

size_t winograd_kernel_floats(const struct winograd *w)
{
    return (size_t)(POINTS * w->in.channels * w->out.channels);
}

static size_t tile_floats(const struct winograd *w)
{
    return (size_t)(POINTS * w->chunk * (w->in.channels + w->out.channels)) + 64;
}

size_t winograd_scratch_floats(const struct winograd *w, int threads)
{
    return (size_t)threads * tile_floats(w);
}

size_t winograd_gradient_floats(const struct winograd *w, int threads)
{
    return (size_t)threads * (tile_floats(w) + winograd_kernel_floats(w));
}

/* ---- one-dimensional transforms; of vectors, and of single floats for kernels ---- */

/* B^T d */
INLINE void transform_in(v8 d0, v8 d1, v8 d2, v8 d3, v8 d4, v8 d5, v8 *o, int step)
{
    v8 a = d4 - 4 * d2, b = d3 - 4 * d1, c = d4 - d2, e = 2 * (d3 - d1);
    o[0] = 4 * d0 - 5 * d2 + d4;
    o[step] = a + b;
    o[2 * step] = a - b;
    o[3 * step] = c + e;
    o[4 * step] = c - e;
    o[5 * step] = 4 * d1 - 5 * d3 + d5;
}

/* A^T m */
INLINE void transform_out(v8 m0, v8 m1, v8 m2, v8 m3, v8 m4, v8 m5, v8 *o, int step)
{
    v8 a = m1 + m2, b = m1 - m2, c = m3 + m4, d = m3 - m4;
    o[0] = m0 + a + c;
    o[step] = b + 2 * d;
    o[2 * step] = a + 4 * c;
    o[3 * step] = b + 8 * d + m5;
}

/* A g */
INLINE void transform_gradient(v8 g0, v8 g1, v8 g2, v8 g3, v8 *o, int step)
{
    v8 even = g0 + g2, odd = g1 + g3, far_even = g0 + 4 * g2, far_odd = 2 * g1 + 8 * g3;
    o[0] = g0;
    o[step] = even + odd;
    o[2 * step] = even - odd;
    o[3 * step] = far_even + far_odd;
    o[4 * step] = far_even - far_odd;
    o[5 * step] = g3;
}

/* G g */
INLINE void transform_kernel(float g0, float g1, float g2, float *o, int step)
{
    float near = (g0 + g2) * (1 / 6.0f), far = g0 * (1 / 24.0f) + g2 * (1 / 6.0f);
    o[0] = g0 * 0.25f;
    o[step] = -near - g1 * (1 / 6.0f);
    o[2 * step] = -near + g1 * (1 / 6.0f);
    o[3 * step] = far + g1 * (1 / 12.0f);
    o[4 * step] = far - g1 * (1 / 12.0f);
    o[5 * step] = g2;
}

/* G^T u */
INLINE void transform_kernel_back(const float *u, int step, float *o)
{
    float u1 = u[step], u2 = u[2 * step], u3 = u[3 * step], u4 = u[4 * step];
    o[0] = u[0] * 0.25f - (u1 + u2) * (1 / 6.0f) + (u3 + u4) * (1 / 24.0f);
    o[1] = (u2 - u1) * (1 / 6.0f) + (u3 - u4) * (1 / 12.0f);
    o[2] = (u3 + u4 - u1 - u2) * (1 / 6.0f) + u[5 * step];
}

/* ---- kernels ---- */

void winograd_kernel(const struct winograd *w, const float *plain, bool back, float *u)
{
    int64_t in = w->in.channels, out = w->out.channels;
    for (int64_t i = 0; i < in; i++)
        for (int64_t o = 0; o < out; o++) {
            const float *g = plain + (back ? i * out + o : o * in + i) * 9;
            float columns[18], all[POINTS], turned[9];
            for (int k = 0; back && k < 9; k++)
                turned[k] = g[8 - k];
            g = back ? turned : g;
            for (int k = 0; k < 3; k++)
                transform_kernel(g[k], g[3 + k], g[6 + k], columns + k, 3);
            for (int k = 0; k < 6; k++)
                transform_kernel(columns[3 * k], columns[3 * k + 1], columns[3 * k + 2], all + 6 * k, 1);
            for (int p = 0; p < POINTS; p++)
                u[(p * in + i) * out + o] = all[p];
        }
}

static void kernel_gradient(const struct winograd *w, const float *u, float *plain)
{
    int64_t in = w->in.channels, out = w->out.channels;
    for (int64_t i = 0; i < in; i++)
        for (int64_t o = 0; o < out; o++) {
            float all[POINTS], columns[18], *g = plain + (o * in + i) * 9;
            for (int p = 0; p < POINTS; p++)
                all[p] = u[(p * in + i) * out + o];
            for (int k = 0; k < 6; k++)
                transform_kernel_back(all + 6 * k, 1, columns + 3 * k);
            for (int k = 0; k < 3; k++) {
                float column[3];
                transform_kernel_back(columns + k, 3, column);
                for (int j = 0; j < 3; j++)
                    g[3 * j + k] = column[j];
            }
        }
}

/* ---- tiles ---- */

/* Where a tile's patch lies: its sample, its first row and column (before the input for those with padding), and which of
 * its rows and columns are inside. */
struct patch {
    int64_t row, y, x;
    int y0, y1, x0, x1;
};

INLINE struct patch patch_at(const struct winograd *w, int64_t index, const int64_t *size, const int64_t *pad,
                             int n)
{
    int64_t each = w->tiles[0] * w->tiles[1], t = index % each;
    struct patch p = {
        .row = index / each, .y = t / w->tiles[1] * 4 - pad[0], .x = t % w->tiles[1] * 4 - pad[1]};
    p.y0 = p.y < 0 ? (int)-p.y : 0;
    p.x0 = p.x < 0 ? (int)-p.x : 0;
    p.y1 = size[0] - p.y < n ? (int)(size[0] - p.y) : n;
    p.x1 = size[1] - p.x < n ? (int)(size[1] - p.x) : n;
    return p;
}

INLINE bool is_whole(const struct patch *p, int n)
{
    return p->y0 == 0 && p->x0 == 0 && p->y1 == n && p->x1 == n;
}

INLINE int64_t channel_at(const struct blocked *b, int64_t channel)
{
    return channel / b->block * b->plane * b->block + channel % b->block;
}

/* Eight channels of a patch of n x n with zeros outside; from: its first position, rows and columns this far apart. */
INLINE void copy_patch(const struct patch *p, const float *from, int64_t rows, int64_t columns, int n, v8 *to)
{
    /* Without branches: what is outside is read at the nearest place inside and masked. */
    int64_t across[6] = {0};
    v8i across_mask[6];
    for (int j = 0; j < n; j++) {
        int in = j < p->x0 ? p->x0 : j >= p->x1 ? p->x1 - 1 : j;
        across[j] = in * columns;
        across_mask[j] = (v8i){0} - (in == j);
    }
    for (int i = 0; i < n; i++) {
        int in = i < p->y0 ? p->y0 : i >= p->y1 ? p->y1 - 1 : i;
        v8i mask = (v8i){0} - (in == i);
        for (int j = 0; j < n; j++)
            to[i * n + j] = (v8)((v8i)VC(from + in * rows + across[j]) & mask & across_mask[j]);
    }
}

#define SIX      _Pragma("GCC unroll 6")
#define AT(i, j) VC(d + (i)*rows + (j)*columns)

/* v[point][tile][channel] = B^T d B for `count` tiles from `first` on. */
VECTOR_CLONES static void tiles_in(const struct winograd *w, const float *in, int64_t first, int64_t count,
                                   float *v)
{
    int64_t channels = w->in.channels, step = w->chunk * channels;
    for (int64_t t = 0; t < count; t++) {
        struct patch p = patch_at(w, first + t, w->in_size, w->pad, 6);
        const float *sample = in + p.row * w->in.sample + (p.y * w->in_size[1] + p.x) * w->in.block;
        bool whole = is_whole(&p, 6);
        for (int64_t ch = 0; ch < channels; ch += 8) {
            const float *d = sample + channel_at(&w->in, ch);
            float *to = v + t * channels + ch;
            int64_t rows = w->in_size[1] * w->in.block, columns = w->in.block;
            v8 copy[POINTS], half[POINTS], line[6];
            if (!whole) {
                copy_patch(&p, d, rows, columns, 6, copy);
                d = (const float *)(const void *)copy;
                rows = 48;
                columns = 8;
            }
            SIX for (int j = 0; j < 6; j++)
                transform_in(AT(0, j), AT(1, j), AT(2, j), AT(3, j), AT(4, j), AT(5, j), half + j, 6);
            SIX for (int i = 0; i < 6; i++)
            {
                const v8 *c = half + 6 * i;
                transform_in(c[0], c[1], c[2], c[3], c[4], c[5], line, 1);
                SIX for (int j = 0; j < 6; j++) V(to + (6 * i + j) * step) = line[j];
            }
        }
    }
}

static const int64_t no_pad[2];

/* m[point][tile][channel] = A g A^T. */
VECTOR_CLONES static void tiles_gradient(const struct winograd *w, const float *g, int64_t first,
                                         int64_t count, float *m)
{
    int64_t channels = w->out.channels, step = w->chunk * channels;
    for (int64_t t = 0; t < count; t++) {
        struct patch p = patch_at(w, first + t, w->out_size, no_pad, 4);
        const float *sample = g + p.row * w->out.sample + (p.y * w->out_size[1] + p.x) * w->out.block;
        bool whole = is_whole(&p, 4);
        for (int64_t ch = 0; ch < channels; ch += 8) {
            const float *d = sample + channel_at(&w->out, ch);
            float *to = m + t * channels + ch;
            int64_t rows = w->out_size[1] * w->out.block, columns = w->out.block;
            v8 copy[16], half[24], line[6];
            if (!whole) {
                copy_patch(&p, d, rows, columns, 4, copy);
                d = (const float *)(const void *)copy;
                rows = 32;
                columns = 8;
            }
            SIX for (int j = 0; j < 4; j++)
                transform_gradient(AT(0, j), AT(1, j), AT(2, j), AT(3, j), half + j, 4);
            SIX for (int i = 0; i < 6; i++)
            {
                const v8 *c = half + 4 * i;
                transform_gradient(c[0], c[1], c[2], c[3], line, 1);
                SIX for (int j = 0; j < 6; j++) V(to + (6 * i + j) * step) = line[j];
            }
        }
    }
}

/* out = A^T m A with bias, and with relu or (never both) added to what was there. */
VECTOR_CLONES static void tiles_out(const struct winograd *w, const float *m, int64_t first, int64_t count,
                                    const float *bias, bool relu, bool accumulate, float *out)
{
    int64_t channels = w->out.channels, step = w->chunk * channels, rows = w->out_size[1] * w->out.block,
            columns = w->out.block;
    v8i always = (v8i){0} - !relu; /* a mask: keep what is not above zero */
    for (int64_t t = 0; t < count; t++) {
        struct patch p = patch_at(w, first + t, w->out_size, no_pad, 4);
        float *sample = out + p.row * w->out.sample + (p.y * w->out_size[1] + p.x) * w->out.block;
        for (int64_t ch = 0; ch < channels; ch += 8) {
            float *to = sample + channel_at(&w->out, ch);
            const float *from = m + t * channels + ch;
            v8 half[24], line[4], shift = bias ? VC(bias + ch) : (v8){0};
            SIX for (int j = 0; j < 6; j++)
                transform_out(VC(from + j * step), VC(from + (6 + j) * step), VC(from + (12 + j) * step),
                              VC(from + (18 + j) * step), VC(from + (24 + j) * step),
                              VC(from + (30 + j) * step), half + j, 6);
            for (int i = 0; i < p.y1; i++) {
                const v8 *c = half + 6 * i;
                transform_out(c[0], c[1], c[2], c[3], c[4], c[5], line, 1);
                for (int j = 0; j < 4; j++) {
                    line[j] += shift;
                    line[j] = (v8)((v8i)line[j] & ((line[j] > 0) | always));
                }
                if (p.x1 == 4 && !accumulate)
                    SIX for (int j = 0; j < 4; j++) V(to + i * rows + j * columns) = line[j];
                else
                    for (int j = 0; j < p.x1; j++)
                        V(to + i * rows + j * columns) =
                            accumulate ? line[j] + VC(to + i * rows + j * columns) : line[j];
            }
        }
    }
}

/* ---- products ---- */

/* m (TILES, 8 vectors) = v (TILES, n) u (n, 8 vectors); u and m are `wide` floats a row. */
#define PRODUCT(NAME, VECTORS)                                                                               \
    INLINE void NAME(const float *v, const float *u, int64_t n, int64_t wide, float *m)                      \
    {                                                                                                        \
        v8 acc[TILES][VECTORS] = {0};                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            v8 b[VECTORS];                                                                                   \
            _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) b[k] = VC(u + i * wide + 8 * k);       \
            _Pragma("GCC unroll 6") for (int t = 0; t < TILES; t++)                                          \
                _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) acc[t][k] += v[t * n + i] * b[k];  \
        }                                                                                                    \
        _Pragma("GCC unroll 6") for (int t = 0; t < TILES; t++)                                              \
            _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) V(m + t * wide + 8 * k) = acc[t][k];   \
    }

PRODUCT(product_16, 2)
PRODUCT(product_8, 1)

/* The 36 products of a chunk; tiles past the count are computed from whatever is there and not used. */
VECTOR_CLONES static void products(const struct winograd *w, const float *v, const float *u, int64_t count,
                                   float *m)
{
    int64_t in = w->in.channels, out = w->out.channels;
    for (int p = 0; p < POINTS; p++)
        for (int64_t o = 0; o < out; o += 16)
            for (int64_t t = 0; t < count; t += TILES) {
                const float *a = v + (p * w->chunk + t) * in, *b = u + p * in * out + o;
                float *to = m + (p * w->chunk + t) * out + o;
                if (out - o >= 16)
                    product_16(a, b, in, out, to);
                else
                    product_8(a, b, in, out, to);
            }
}

/* du (4 rows, 8 vectors) += v^T (4, count) m (count, 8 vectors) */
#define GATHER(NAME, VECTORS)                                                                                \
    INLINE void NAME(const float *v, const float *m, int64_t count, int64_t in, int64_t out, float *du)      \
    {                                                                                                        \
        v8 acc[4][VECTORS];                                                                                  \
        _Pragma("GCC unroll 4") for (int r = 0; r < 4; r++)                                                  \
            _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) acc[r][k] = VC(du + r * out + 8 * k);  \
        for (int64_t t = 0; t < count; t++) {                                                                \
            v8 b[VECTORS];                                                                                   \
            _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) b[k] = VC(m + t * out + 8 * k);        \
            _Pragma("GCC unroll 4") for (int r = 0; r < 4; r++)                                              \
                _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) acc[r][k] += v[t * in + r] * b[k]; \
        }                                                                                                    \
        _Pragma("GCC unroll 4") for (int r = 0; r < 4; r++)                                                  \
            _Pragma("GCC unroll 2") for (int k = 0; k < VECTORS; k++) V(du + r * out + 8 * k) = acc[r][k];   \
    }

GATHER(gather_16, 2)
GATHER(gather_8, 1)

VECTOR_CLONES static void gather(const struct winograd *w, const float *v, const float *m, int64_t count,
                                 float *du)
{
    int64_t in = w->in.channels, out = w->out.channels;
    for (int p = 0; p < POINTS; p++)
        for (int64_t o = 0; o < out; o += 16)
            for (int64_t i = 0; i < in; i += 4) {
                const float *a = v + p * w->chunk * in + i, *b = m + p * w->chunk * out + o;
                float *to = du + (p * in + i) * out + o;
                if (out - o >= 16)
                    gather_16(a, b, count, in, out, to);
                else
                    gather_8(a, b, count, in, out, to);
            }
}

/* ---- passes: chunks of tiles over threads ---- */

void winograd_run(const struct winograd *w, const float *u, const float *in, const float *bias, bool relu,
                  bool accumulate, float *out, int64_t rows, int threads, float *scratch)
{
    int64_t tiles = rows * w->tiles[0] * w->tiles[1], chunks = (tiles + w->chunk - 1) / w->chunk;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t share = 0; share < threads; share++)
        for (int64_t c = chunks * share / threads; c < chunks * (share + 1) / threads; c++) {
            float *v = scratch + (size_t)share * tile_floats(w), *m = v + POINTS * w->chunk * w->in.channels;
            int64_t first = c * w->chunk, count = tiles - first < w->chunk ? tiles - first : w->chunk;
            tiles_in(w, in, first, count, v);
            products(w, v, u, count, m);
            tiles_out(w, m, first, count, bias, relu, accumulate, out);
        }
}

void winograd_gradient(const struct winograd *w, const float *in, const float *g, float *plain, int64_t rows,
                       int threads, float *scratch)
{
    int64_t tiles = rows * w->tiles[0] * w->tiles[1], chunks = (tiles + w->chunk - 1) / w->chunk;
    size_t each = tile_floats(w), kernel = winograd_kernel_floats(w);
    float *sums = scratch + (size_t)threads * each;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t share = 0; share < threads; share++) {
        float *v = scratch + (size_t)share * each, *m = v + POINTS * w->chunk * w->in.channels;
        float *du = sums + (size_t)share * kernel;
        memset(du, 0, kernel * sizeof(float));
        for (int64_t c = chunks * share / threads; c < chunks * (share + 1) / threads; c++) {
            int64_t first = c * w->chunk, count = tiles - first < w->chunk ? tiles - first : w->chunk;
            tiles_in(w, in, first, count, v);
            tiles_gradient(w, g, first, count, m);
            gather(w, v, m, count, du);
        }
    }
    for (int t = 1; t < threads; t++)
        for (size_t i = 0; i < kernel; i++)
            sums[i] += sums[(size_t)t * kernel + i];
    kernel_gradient(w, sums, plain);
}
