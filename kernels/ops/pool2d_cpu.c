/* max_pool2d, avg_pool2d on oneDNN, in the layout the input has. */
#include <stdlib.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/onednn.h"
#include "kernels/ops/pool2d.h"

#define VARIANTS 8

struct variant {
    int64_t rows;
    struct onednn_call forward, backward;
};

struct pool_state {
    struct pool2d p;
    dnnl_memory_desc_t out;
    size_t workspace_bytes;
    struct variant variants[VARIANTS];
    int variant_count;
    struct layout layout;
};

static dnnl_primitive_desc_t desc_of(const struct op *op, const struct pool_state *s, int64_t rows,
                                     const dnnl_memory_desc_t *dst, dnnl_primitive_desc_t hint,
                                     struct err *err)
{
    dnnl_pooling_desc_t d;
    dnnl_dims_t strides, kernel, before, after;
    for (int a = 0; a < 2; a++) {
        const struct window *w = &s->p.window[a];
        strides[a] = w->stride;
        kernel[a] = w->size;
        before[a] = w->pad_before;
        after[a] = (w->out - 1) * w->stride + w->size - s->p.in[a] - w->pad_before;
    }
    dnnl_alg_kind_t kind = s->p.max ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    dnnl_memory_desc_t src = onednn_tensor(&op->in[0], rows);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status =
        hint ? dnnl_pooling_backward_desc_init(&d, kind, &src, dst, strides, kernel, before, after)
             : dnnl_pooling_forward_desc_init(&d,
                                              op->training ? dnnl_forward_training : dnnl_forward_inference,
                                              kind, &src, dst, strides, kernel, before, after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &d, NULL, onednn_of(op)->engine, hint);
    return onednn_check(status, "the pooling", err) < 0 ? NULL : pd;
}

static void make_variant(const struct op *op, const struct pool_state *s, struct variant *v, int64_t rows)
{
    const struct onednn *dnn = onednn_of(op);
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], rows), out = onednn_rows(s->out, rows);
    dnnl_primitive_desc_t pd = desc_of(op, s, rows, &out, NULL, NULL);
    const dnnl_memory_desc_t *workspace =
        op->training && s->p.max ? onednn_query(pd, dnnl_query_workspace_md) : NULL;
    v->rows = rows;
    onednn_call_init(&v->forward, dnn, pd);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_SRC, &in);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_DST, &out);
    if (workspace)
        onednn_call_arg(&v->forward, dnn, DNNL_ARG_WORKSPACE, workspace);
    if (op->training && op->wants_input_grad[0]) {
        dnnl_primitive_desc_t bd = desc_of(op, s, rows, &out, pd, NULL);
        onednn_call_init(&v->backward, dnn, bd);
        onednn_call_arg(&v->backward, dnn, DNNL_ARG_DIFF_DST, &out);
        onednn_call_arg(&v->backward, dnn, DNNL_ARG_DIFF_SRC, &in);
        if (workspace)
            onednn_call_arg(&v->backward, dnn, DNNL_ARG_WORKSPACE, workspace);
        dnnl_primitive_desc_destroy(bd);
    }
    dnnl_primitive_desc_destroy(pd);
}

static struct variant *variant_of(const struct op *op, struct pool_state *s, int64_t rows)
{
    for (int i = 0; i < s->variant_count; i++)
        if (s->variants[i].rows == rows)
            return &s->variants[i];
    if (s->variant_count == VARIANTS) {
        s->variant_count--;
        onednn_call_release(&s->variants[s->variant_count].forward);
        onednn_call_release(&s->variants[s->variant_count].backward);
    }
    struct variant *v = &s->variants[s->variant_count++];
    make_variant(op, s, v, rows);
    return v;
}

static int plan(struct op *op, struct err *err)
{
    struct pool_state *s = op->state = xcalloc(1, sizeof(*s));
    s->p = pool2d_of(op->node);
    int64_t dims[] = {op->rows, s->p.channels, s->p.window[0].out, s->p.window[1].out};
    dnnl_memory_desc_t any = onednn_any(4, dims), plain = onednn_plain(4, dims);
    dnnl_primitive_desc_t pd = desc_of(op, s, op->rows, op->in[0].layout ? &any : &plain, NULL, err);
    if (!pd) {
        free(s);
        op->state = NULL;
        return -1;
    }
    s->out = *onednn_query(pd, dnnl_query_dst_md);
    if (op->training && s->p.max)
        op->kept_bytes = dnnl_memory_desc_get_size(onednn_query(pd, dnnl_query_workspace_md));
    dnnl_primitive_desc_destroy(pd);
    s->layout.md = s->out;
    op->out.layout = dnnl_memory_desc_equal(&plain, &s->out) ? NULL : &s->layout;
    op->out.bytes = dnnl_memory_desc_get_size(&s->out);
    op->scratch_bytes = op->training ? op->in[0].bytes : 0;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

static void release(struct op *op)
{
    struct pool_state *s = op->state;
    for (int i = 0; i < s->variant_count; i++) {
        onednn_call_release(&s->variants[i].forward);
        onednn_call_release(&s->variants[i].backward);
    }
    free(s);
    op->state = NULL;
}

static void forward(struct op *op, const struct op_call *c)
{
    struct variant *v = variant_of(op, op->state, c->rows);
    onednn_run(&v->forward, onednn_of(op), (void *[]){(void *)(uintptr_t)c->in[0], c->out, c->kept});
}

static void backward(struct op *op, const struct op_call *c)
{
    if (!c->grad_in[0])
        return;
    struct variant *v = variant_of(op, op->state, c->rows);
    bool add = c->accumulate[0];
    onednn_run(&v->backward, onednn_of(op),
               (void *[]){(void *)(uintptr_t)c->grad_out, add ? c->scratch : c->grad_in[0], c->kept});
    if (add)
        onednn_add(op, c->scratch, c->grad_in[0], cpu_floats(&op->in[0], op->rows, c->rows));
}

const struct op_impl max_pool2d_cpu = {"max_pool2d",       .any_layout = true,   .plan = plan,
                                       .forward = forward, .backward = backward, .release = release};
const struct op_impl avg_pool2d_cpu = {"avg_pool2d",       .any_layout = true,   .plan = plan,
                                       .forward = forward, .backward = backward, .release = release};
