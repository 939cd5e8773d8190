#include "kernels/ops/blocked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"
#ifdef HAVE_ONEDNN
#include "kernels/ops/onednn.h"

static bool of_layout(const dnnl_memory_desc_t *md, struct blocked *b)
{
    const dnnl_blocking_desc_t *k = &md->format_desc.blocking;
    if (md->format_kind != dnnl_blocked || md->ndims < 2)
        return false;
    if (k->inner_nblks == 0 && k->strides[1] == 1 && md->padded_dims[1] == md->dims[1])
        b->block = b->channels;
    else if (k->inner_nblks == 1 && k->inner_idxs[0] == 1)
        b->block = k->inner_blks[0];
    else if (k->inner_nblks == 0)
        b->block = 1;
    else
        return false;
    b->blocks = (b->channels + b->block - 1) / b->block;
    b->sample = b->blocks * b->block * b->plane;
    int64_t stride = b->block;
    for (int a = md->ndims - 1; a >= 2; stride *= md->dims[a--])
        if (md->dims[a] > 1 && k->strides[a] != stride)
            return false;
    return (b->blocks == 1 || k->strides[1] == b->plane * b->block) &&
           (md->dims[0] == 1 || k->strides[0] == b->sample);
}
#endif

bool blocked_of(const struct op_tensor *t, struct blocked *b)
{
    int64_t all = shape_elements(&t->shape);
    *b = (struct blocked){.channels = t->shape.rank ? t->shape.dim[0] : 1, .block = 1};
    if (b->channels < 1)
        return false;
    b->plane = all / b->channels;
    b->blocks = b->channels;
    b->sample = all;
#ifdef HAVE_ONEDNN
    if (t->layout)
        return of_layout(&t->layout->md, b);
#endif
    return !t->layout;
}

struct blocked blocked_must(const struct op_tensor *t)
{
    struct blocked b;
    if (!blocked_of(t, &b)) {
        fprintf(stderr, "fatal: a tensor's layout is not by blocks of channels\n");
        abort();
    }
    return b;
}

struct layout *blocked_layout_like(const struct op_tensor *from, struct op_tensor *to, int64_t rows)
{
    to->layout = NULL;
    to->bytes = (size_t)(rows * shape_elements(&to->shape)) * sizeof(float);
#ifdef HAVE_ONEDNN
    if (from->layout) {
        const dnnl_blocking_desc_t *k = &from->layout->md.format_desc.blocking;
        dnnl_dims_t dims = {rows};
        for (int a = 0; a < to->shape.rank; a++)
            dims[1 + a] = to->shape.dim[a];
        bool one = to->shape.rank == 2; /* axes after the channels */
        dnnl_format_tag_t tag = k->inner_nblks == 0      ? (one ? dnnl_acb : dnnl_acdb)
                                : k->inner_blks[0] == 16 ? (one ? dnnl_aBc16b : dnnl_aBcd16b)
                                                         : (one ? dnnl_aBc8b : dnnl_aBcd8b);
        struct layout *made = xcalloc(1, sizeof(*made));
        onednn_must(dnnl_memory_desc_init_by_tag(&made->md, 1 + to->shape.rank, dims, dnnl_f32, tag),
                    "a layout by blocks");
        to->bytes = dnnl_memory_desc_get_size(&made->md);
        return to->layout = made;
    }
#else
    (void)from;
#endif
    return NULL;
}

/* One sample. The inner loop runs along the positions, so that one side is read or written in order. */
VECTOR_CLONES static void convert_sample(const struct blocked *from, const float *restrict src,
                                         const struct blocked *to, float *restrict dst, bool accumulate)
{
    int64_t fs = from->block, ts = to->block, plane = from->plane;
    for (int64_t ch = 0; ch < from->channels; ch++) {
        const float *s = src + ch / fs * plane * fs + ch % fs;
        float *d = dst + ch / ts * plane * ts + ch % ts;
        for (int64_t p = 0; p < plane && !accumulate; p++)
            d[p * ts] = s[p * fs];
        for (int64_t p = 0; p < plane && accumulate; p++)
            d[p * ts] += s[p * fs];
    }
}

void blocked_convert(const struct op *op, const struct blocked *from, const float *src,
                     const struct blocked *to, float *dst, int64_t rows, bool accumulate)
{
    int threads = rows * from->sample < 16384 ? 1 : op->backend->threads;
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        float *d = dst + r * to->sample;
        if (!accumulate && to->sample != to->channels * to->plane)
            memset(d, 0, (size_t)to->sample * sizeof(float));
        convert_sample(from, src + r * from->sample, to, d, accumulate);
    }
}

VECTOR_CLONES static void bias_block(float *restrict out, int64_t positions, int64_t lanes,
                                     const float *restrict bias, bool relu)
{
    for (int64_t p = 0; p < positions; p++)
        for (int64_t l = 0; l < lanes; l++) {
            float y = out[p * lanes + l] + bias[l];
            out[p * lanes + l] = relu && y < 0 ? 0 : y;
        }
}

VECTOR_CLONES static void bias_plane(float *restrict out, int64_t positions, float bias, bool relu)
{
    for (int64_t p = 0; p < positions; p++) {
        float y = out[p] + bias;
        out[p] = relu && y < 0 ? 0 : y;
    }
}

void blocked_add_bias(const struct op *op, const struct blocked *b, const float *bias, bool relu, float *out,
                      int64_t rows)
{
    static const float zeros[64];
    int threads = rows * b->sample < 16384 ? 1 : op->backend->threads;
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < b->blocks; k++) {
            float *to = out + r * b->sample + k * b->block * b->plane;
            int64_t left = b->channels - k * b->block;
            if (b->block == 1) {
                bias_plane(to, b->plane, bias ? bias[k] : 0, relu);
                continue;
            }
            /* Up to 64 channels at a time, a last block's padding with a bias of 0. */
            float own[64];
            const float *of = bias ? bias + k * b->block : zeros;
            if (b->block <= 64) {
                for (int64_t l = 0; l < b->block; l++)
                    own[l] = bias && l < left ? of[l] : 0;
                of = own;
            }
            if (bias || b->block <= 64)
                bias_block(to, b->plane, b->block, of, relu);
            else
                bias_plane(to, b->plane * b->block, 0, relu);
        }
}

void blocked_channel_sums(const struct blocked *b, const float *g, int64_t rows, float *sums)
{
    for (int64_t ch = 0; ch < b->channels; ch++) {
        const float *at = g + ch / b->block * b->plane * b->block + ch % b->block;
        double sum = 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t p = 0; p < b->plane; p++)
                sum += (double)at[r * b->sample + p * b->block];
        sums[ch] = (float)sum;
    }
}
