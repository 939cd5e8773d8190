#include "kernels/ops/onednn.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

int onednn_check(dnnl_status_t status, const char *what, struct err *err)
{
    return status == dnnl_success
               ? 0
               : err_set(err, ERR_INTERNAL, "oneDNN could not make %s (status %d)", what, (int)status);
}

void onednn_must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "fatal: oneDNN failed at %s (status %d)\n", what, (int)status);
    abort();
}

dnnl_memory_desc_t onednn_plain(int rank, const int64_t *dims)
{
    static const dnnl_format_tag_t tags[] = {
        dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
    dnnl_memory_desc_t md;
    onednn_must(dnnl_memory_desc_init_by_tag(&md, rank, dims, dnnl_f32, tags[rank]), "a plain layout");
    return md;
}

dnnl_memory_desc_t onednn_any(int rank, const int64_t *dims)
{
    dnnl_memory_desc_t md;
    onednn_must(dnnl_memory_desc_init_by_tag(&md, rank, dims, dnnl_f32, dnnl_format_tag_any),
                "a free layout");
    return md;
}

dnnl_memory_desc_t onednn_rows(dnnl_memory_desc_t md, int64_t rows)
{
    /* The batch is the outermost dimension and never blocked in the layouts used here, so only its size
     * changes. */
    md.dims[0] = md.padded_dims[0] = rows;
    return md;
}

dnnl_memory_desc_t onednn_tensor(const struct op_tensor *t, int64_t rows)
{
    if (t->layout)
        return onednn_rows(t->layout->md, rows);
    int64_t dims[DNNL_MAX_NDIMS] = {rows};
    for (int i = 0; i < t->shape.rank; i++)
        dims[1 + i] = t->shape.dim[i];
    return onednn_plain(1 + t->shape.rank, dims);
}

const dnnl_memory_desc_t *onednn_query(const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(pd, what, 0);
}

void onednn_call_init(struct onednn_call *c, const struct onednn *dnn, const_dnnl_primitive_desc_t pd)
{
    (void)dnn;
    *c = (struct onednn_call){0};
    onednn_must(dnnl_primitive_create(&c->primitive, pd), "a primitive");
}

void onednn_call_arg(struct onednn_call *c, const struct onednn *dnn, int arg, const dnnl_memory_desc_t *md)
{
    dnnl_exec_arg_t *a = &c->args[c->count++];
    a->arg = arg;
    onednn_must(dnnl_memory_create(&a->memory, md, dnn->engine, DNNL_MEMORY_NONE), "a memory");
}

void onednn_run(const struct onednn_call *c, const struct onednn *dnn, void *const *data)
{
    for (int i = 0; i < c->count; i++)
        onednn_must(dnnl_memory_set_data_handle(c->args[i].memory, data[i]), "a memory's place");
    onednn_must(dnnl_primitive_execute(c->primitive, dnn->stream, c->count, c->args), "a primitive's run");
}

void onednn_call_release(struct onednn_call *c)
{
    for (int i = 0; i < c->count; i++)
        dnnl_memory_destroy(c->args[i].memory);
    if (c->primitive)
        dnnl_primitive_destroy(c->primitive);
    *c = (struct onednn_call){0};
}

bool onednn_reorder_init(struct onednn_call *c, const struct onednn *dnn, const dnnl_memory_desc_t *from,
                         const dnnl_memory_desc_t *to)
{
    *c = (struct onednn_call){0};
    if (dnnl_memory_desc_equal(from, to))
        return false;
    dnnl_primitive_desc_t pd;
    onednn_must(dnnl_reorder_primitive_desc_create(&pd, from, dnn->engine, to, dnn->engine, NULL),
                "a reorder");
    onednn_call_init(c, dnn, pd);
    onednn_call_arg(c, dnn, DNNL_ARG_FROM, from);
    onednn_call_arg(c, dnn, DNNL_ARG_TO, to);
    dnnl_primitive_desc_destroy(pd);
    return true;
}

VECTOR_CLONES static void mask_loop(const float *restrict y, const float *restrict g, float *restrict to,
                                    size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = y[i] > 0 ? g[i] : 0;
}

VECTOR_CLONES static void add_loop(const float *restrict from, float *restrict to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

void onednn_relu_mask(const struct op *op, const float *out_of_relu, const float *g, float *to, size_t n)
{
    CPU_PARALLEL(op, n, at, count)
    mask_loop(out_of_relu + at, g + at, to + at, count);
    CPU_PARALLEL_END
}

void onednn_add(const struct op *op, const float *from, float *to, size_t n)
{
    CPU_PARALLEL(op, n, at, count)
    add_loop(from + at, to + at, count);
    CPU_PARALLEL_END
}
