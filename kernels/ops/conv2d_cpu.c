/* conv2d on oneDNN: activations in the layout the primitive likes (nChw16c with AVX-512), handed on to the
 * next operation; weights kept in the layouts of the forward and the backward primitive and refreshed when
 * they changed; relu fused into the forward pass and applied as a mask in the backward pass.
 *
 * An input that comes plain with many channels is reordered once a call into kept memory (x), an image of few
 * channels is read as it is: oneDNN has kernels for that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/conv2d.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/onednn.h"

#define VARIANTS 8

struct variant {
    int64_t rows;
    struct onednn_call to_x, forward, to_x_back, back_weights, back_data, from_x;
};

struct conv_state {
    struct conv2d c;
    dnnl_memory_desc_t x, x_back, w_plain, w_forward, w_back, dw, bias, out;
    struct onednn_call pack_forward, pack_back, unpack;
    float *forward_weights, *back_weights, *weight_grads; /* in their layouts; NULL where plain does */
    uint64_t version;
    bool packed, reorders_in, reorders_back; /* back: x to x_back for the weights' gradient */
    struct variant variants[VARIANTS];
    int variant_count;
    struct layout layout;
};

struct geometry {
    dnnl_dims_t strides, dilates, before, after;
};

static struct geometry geometry_of(const struct conv2d *c)
{
    struct geometry g;
    for (int a = 0; a < 2; a++) {
        g.strides[a] = c->window[a].stride;
        g.dilates[a] = c->window[a].dilation - 1;
        g.before[a] = c->window[a].pad_before;
        /* What the last window reaches past the input; may be less than the padding asked for. */
        g.after[a] = (c->window[a].out - 1) * c->window[a].stride +
                     (c->window[a].size - 1) * c->window[a].dilation + 1 - c->in[a] - c->window[a].pad_before;
    }
    return g;
}

static dnnl_primitive_desc_t forward_desc(const struct op *op, const struct conv_state *s,
                                          const dnnl_memory_desc_t *src, const dnnl_memory_desc_t *w,
                                          const dnnl_memory_desc_t *dst, struct err *err)
{
    struct geometry g = geometry_of(&s->c);
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    onednn_must(dnnl_primitive_attr_create(&attr), "attributes");
    onednn_must(dnnl_post_ops_create(&post), "post-operations");
    if (op->relu)
        onednn_must(dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_relu, 0, 0), "a fused relu");
    onednn_must(dnnl_primitive_attr_set_post_ops(attr, post), "post-operations");
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &d, op->training ? dnnl_forward_training : dnnl_forward_inference, dnnl_convolution_direct, src, w,
        s->c.bias ? &s->bias : NULL, dst, g.strides, g.dilates, g.before, g.after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &d, attr, onednn_of(op)->engine, NULL);
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
    onednn_check(status, "the convolution", err);
    return status == dnnl_success ? pd : NULL;
}

static dnnl_primitive_desc_t back_weights_desc(const struct op *op, const struct conv_state *s,
                                               const dnnl_memory_desc_t *src, const dnnl_memory_desc_t *dw,
                                               const dnnl_memory_desc_t *dst, dnnl_primitive_desc_t hint)
{
    struct geometry g = geometry_of(&s->c);
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd;
    onednn_must(dnnl_dilated_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, src, dw,
                                                                    s->c.bias ? &s->bias : NULL, dst,
                                                                    g.strides, g.dilates, g.before, g.after),
                "the weights' gradient");
    onednn_must(dnnl_primitive_desc_create(&pd, &d, NULL, onednn_of(op)->engine, hint),
                "the weights' gradient");
    return pd;
}

static dnnl_primitive_desc_t back_data_desc(const struct op *op, const struct conv_state *s,
                                            const dnnl_memory_desc_t *src, const dnnl_memory_desc_t *w,
                                            const dnnl_memory_desc_t *dst, dnnl_primitive_desc_t hint)
{
    struct geometry g = geometry_of(&s->c);
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd;
    onednn_must(dnnl_dilated_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, src, w, dst,
                                                                 g.strides, g.dilates, g.before, g.after),
                "the input's gradient");
    onednn_must(dnnl_primitive_desc_create(&pd, &d, NULL, onednn_of(op)->engine, hint),
                "the input's gradient");
    return pd;
}

/* The primitives for this number of rows, in the layouts that plan chose. */
static void make_variant(const struct op *op, const struct conv_state *s, struct variant *v, int64_t rows)
{
    const struct onednn *dnn = onednn_of(op);
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], rows), x = onednn_rows(s->x, rows),
                       out = onednn_rows(s->out, rows);
    dnnl_primitive_desc_t pd = forward_desc(op, s, &x, &s->w_forward, &out, NULL);
    v->rows = rows;
    onednn_reorder_init(&v->to_x, dnn, &in, &x);
    onednn_call_init(&v->forward, dnn, pd);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_SRC, &x);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_WEIGHTS, &s->w_forward);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_DST, &out);
    if (s->c.bias)
        onednn_call_arg(&v->forward, dnn, DNNL_ARG_BIAS, &s->bias);
    if (op->training) {
        dnnl_memory_desc_t x_back = onednn_rows(s->x_back, rows);
        dnnl_primitive_desc_t bw = back_weights_desc(op, s, &x_back, &s->dw, &out, pd);
        onednn_reorder_init(&v->to_x_back, dnn, &x, &x_back);
        onednn_call_init(&v->back_weights, dnn, bw);
        onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_SRC, &x_back);
        onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_DIFF_DST, &out);
        onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_DIFF_WEIGHTS, &s->dw);
        if (s->c.bias)
            onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_DIFF_BIAS, &s->bias);
        dnnl_primitive_desc_destroy(bw);
    }
    if (op->training && op->wants_input_grad[0]) {
        dnnl_primitive_desc_t bd = back_data_desc(op, s, &x, &s->w_back, &out, pd);
        onednn_call_init(&v->back_data, dnn, bd);
        onednn_call_arg(&v->back_data, dnn, DNNL_ARG_DIFF_DST, &out);
        onednn_call_arg(&v->back_data, dnn, DNNL_ARG_WEIGHTS, &s->w_back);
        onednn_call_arg(&v->back_data, dnn, DNNL_ARG_DIFF_SRC, &x);
        onednn_reorder_init(&v->from_x, dnn, &x, &in);
        dnnl_primitive_desc_destroy(bd);
    }
    dnnl_primitive_desc_destroy(pd);
}

static void free_variant(struct variant *v)
{
    onednn_call_release(&v->to_x);
    onednn_call_release(&v->forward);
    onednn_call_release(&v->to_x_back);
    onednn_call_release(&v->back_weights);
    onednn_call_release(&v->back_data);
    onednn_call_release(&v->from_x);
}

static struct variant *variant_of(const struct op *op, struct conv_state *s, int64_t rows)
{
    for (int i = 0; i < s->variant_count; i++)
        if (s->variants[i].rows == rows)
            return &s->variants[i];
    if (s->variant_count == VARIANTS)
        free_variant(&s->variants[--s->variant_count]);
    struct variant *v = &s->variants[s->variant_count++];
    make_variant(op, s, v, rows);
    return v;
}

/* oneDNN answers what it has no kernel for with plain loops, a hundred times slower. */
static bool is_slow(const_dnnl_primitive_desc_t pd)
{
    const char *name = "";
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           strncmp(name, "ref", 3) == 0;
}

/* The layout in which the weights' gradient reads the input: s->x, unless that has no kernel (AVX2: a plain image of one
 * channel) and another layout has; then the backward pass reorders. */
static dnnl_memory_desc_t layout_for_weights(const struct op *op, const struct conv_state *s,
                                             const int64_t *in_dims, const dnnl_memory_desc_t *w_any,
                                             dnnl_primitive_desc_t hint)
{
    dnnl_memory_desc_t any = onednn_any(4, in_dims), chosen = s->x;
    dnnl_primitive_desc_t as_is = back_weights_desc(op, s, &s->x, w_any, &s->out, hint);
    if (is_slow(as_is)) {
        dnnl_primitive_desc_t other = back_weights_desc(op, s, &any, w_any, &s->out, hint);
        if (!is_slow(other))
            chosen = *onednn_query(other, dnnl_query_src_md);
        dnnl_primitive_desc_destroy(other);
    }
    dnnl_primitive_desc_destroy(as_is);
    return chosen;
}

/* Let oneDNN choose layouts for the planned number of rows. */
static int choose_layouts(struct op *op, struct conv_state *s, struct err *err)
{
    const struct conv2d *c = &s->c;
    int64_t in_dims[] = {op->rows, c->channels, c->in[0], c->in[1]},
            out_dims[] = {op->rows, c->filters, c->window[0].out, c->window[1].out};
    int64_t w4[] = {c->filters, c->channels, c->window[0].size, c->window[1].size};
    int64_t w5[] = {c->groups, c->filters / c->groups, c->channels / c->groups, c->window[0].size,
                    c->window[1].size};
    int rank = c->groups > 1 ? 5 : 4;
    const int64_t *w_dims = c->groups > 1 ? w5 : w4, bias_dims[] = {c->filters};
    /* Few channels are read plain; but for their gradient oneDNN has only a slow loop. */
    bool as_is = op->in[0].layout || (c->channels <= 4 && !(op->training && op->wants_input_grad[0]));
    dnnl_memory_desc_t src = as_is ? onednn_tensor(&op->in[0], op->rows) : onednn_any(4, in_dims);
    dnnl_memory_desc_t w_any = onednn_any(rank, w_dims), dst = onednn_any(4, out_dims);
    s->w_plain = onednn_plain(rank, w_dims);
    s->bias = onednn_plain(1, bias_dims);
    dnnl_primitive_desc_t pd = forward_desc(op, s, &src, &w_any, &dst, err);
    if (!pd)
        return -1;
    s->x = *onednn_query(pd, dnnl_query_src_md);
    s->w_forward = *onednn_query(pd, dnnl_query_weights_md);
    s->out = *onednn_query(pd, dnnl_query_dst_md);
    if (op->training) {
        s->x_back = layout_for_weights(op, s, in_dims, &w_any, pd);
        dnnl_primitive_desc_t bw = back_weights_desc(op, s, &s->x_back, &w_any, &s->out, pd);
        s->dw = *onednn_query(bw, dnnl_query_diff_weights_md);
        dnnl_primitive_desc_destroy(bw);
    }
    if (op->training && op->wants_input_grad[0]) {
        dnnl_primitive_desc_t bd = back_data_desc(op, s, &s->x, &w_any, &s->out, pd);
        s->w_back = *onednn_query(bd, dnnl_query_weights_md);
        dnnl_primitive_desc_destroy(bd);
    }
    dnnl_primitive_desc_destroy(pd);
    return 0;
}

static float *alloc_like(const struct op *op, const dnnl_memory_desc_t *md, struct err *err)
{
    return op->backend->alloc(op->backend, dnnl_memory_desc_get_size(md), err);
}

static void release(struct op *op)
{
    struct conv_state *s = op->state;
    for (int i = 0; i < s->variant_count; i++)
        free_variant(&s->variants[i]);
    onednn_call_release(&s->pack_forward);
    onednn_call_release(&s->pack_back);
    onednn_call_release(&s->unpack);
    op->backend->free(op->backend, s->forward_weights);
    op->backend->free(op->backend, s->back_weights);
    op->backend->free(op->backend, s->weight_grads);
    free(s);
    op->state = NULL;
}

static int plan(struct op *op, struct err *err)
{
    struct conv_state *s = op->state = xcalloc(1, sizeof(*s));
    const struct onednn *dnn = onednn_of(op);
    s->c = conv2d_of(op->node);
    bool failed = choose_layouts(op, s, err) < 0;
    if (!failed && onednn_reorder_init(&s->pack_forward, dnn, &s->w_plain, &s->w_forward))
        failed = !(s->forward_weights = alloc_like(op, &s->w_forward, err));
    if (!failed && op->training && op->wants_input_grad[0] &&
        onednn_reorder_init(&s->pack_back, dnn, &s->w_plain, &s->w_back))
        failed = !(s->back_weights = alloc_like(op, &s->w_back, err));
    if (!failed && op->training && onednn_reorder_init(&s->unpack, dnn, &s->dw, &s->w_plain))
        failed = !(s->weight_grads = alloc_like(op, &s->dw, err));
    if (failed) {
        release(op);
        return -1;
    }
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], op->rows),
                       plain_out = onednn_tensor(&op->out, op->rows);
    s->reorders_in = !dnnl_memory_desc_equal(&in, &s->x);
    s->layout.md = s->out;
    op->out.layout = dnnl_memory_desc_equal(&plain_out, &s->out) ? NULL : &s->layout;
    op->out.bytes = dnnl_memory_desc_get_size(&s->out);
    size_t x_bytes = (dnnl_memory_desc_get_size(&s->x) + 63) / 64 * 64;
    s->reorders_back = op->training && !dnnl_memory_desc_equal(&s->x, &s->x_back);
    size_t back_bytes = s->reorders_back ? (dnnl_memory_desc_get_size(&s->x_back) + 63) / 64 * 64 : 0;
    op->kept_bytes = s->reorders_in ? x_bytes : 0;
    op->scratch_bytes = op->training ? (op->relu ? (op->out.bytes + 63) / 64 * 64 : 0) + back_bytes +
                                           x_bytes + op->in[0].bytes
                                     : 0;
    op->backward_needs_in = !s->reorders_in;
    op->backward_needs_out = op->relu;
    return 0;
}

static void refresh_weights(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    if (s->packed && s->version == c->weights_version)
        return;
    if (s->forward_weights)
        onednn_run(&s->pack_forward, onednn_of(op), (void *[]){c->weights[0], s->forward_weights});
    if (s->back_weights)
        onednn_run(&s->pack_back, onednn_of(op), (void *[]){c->weights[0], s->back_weights});
    s->version = c->weights_version;
    s->packed = true;
}

static void *plain_pointer(const void *p)
{
    return (void *)(uintptr_t)p; /* oneDNN's memories are not const */
}

static void forward(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    struct variant *v = variant_of(op, s, c->rows);
    refresh_weights(op, c);
    void *x = plain_pointer(c->in[0]);
    if (s->reorders_in) {
        onednn_run(&v->to_x, onednn_of(op), (void *[]){x, c->kept});
        x = c->kept;
    }
    onednn_run(&v->forward, onednn_of(op),
               (void *[]){x, s->forward_weights ? s->forward_weights : c->weights[0], c->out, c->weights[1]});
}

static void backward_data(struct op *op, const struct op_call *c, struct variant *v, void *g, char *scratch)
{
    struct conv_state *s = op->state;
    size_t n = cpu_floats(&op->in[0], op->rows, c->rows);
    void *w = s->back_weights ? s->back_weights : c->weights[0], *to = c->grad_in[0];
    char *second = scratch + (dnnl_memory_desc_get_size(&s->x) + 63) / 64 * 64;
    bool direct = !s->reorders_in && !c->accumulate[0];
    onednn_run(&v->back_data, onednn_of(op), (void *[]){g, w, direct ? to : scratch});
    if (direct)
        return;
    void *plain = scratch;
    if (s->reorders_in) {
        plain = c->accumulate[0] ? second : to;
        onednn_run(&v->from_x, onednn_of(op), (void *[]){scratch, plain});
    }
    if (c->accumulate[0])
        onednn_add(op, plain, to, n);
}

static void backward(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    struct variant *v = variant_of(op, s, c->rows);
    char *scratch = c->scratch;
    void *g = plain_pointer(c->grad_out);
    if (op->relu) {
        onednn_relu_mask(op, c->out, c->grad_out, (float *)(void *)scratch,
                         cpu_floats(&op->out, op->rows, c->rows));
        g = scratch;
        scratch += (op->out.bytes + 63) / 64 * 64;
    }
    refresh_weights(op, c);
    void *x = s->reorders_in ? c->kept : plain_pointer(c->in[0]);
    if (s->reorders_back) {
        onednn_run(&v->to_x_back, onednn_of(op), (void *[]){x, scratch});
        x = scratch;
        scratch += (dnnl_memory_desc_get_size(&s->x_back) + 63) / 64 * 64;
    }
    onednn_run(&v->back_weights, onednn_of(op),
               (void *[]){x, g, s->weight_grads ? s->weight_grads : c->weight_grads[0], c->weight_grads[1]});
    if (s->weight_grads)
        onednn_run(&s->unpack, onednn_of(op), (void *[]){s->weight_grads, c->weight_grads[0]});
    if (c->grad_in[0])
        backward_data(op, c, v, g, scratch);
}

const struct op_impl conv2d_cpu = {"conv2d",           .any_layout = true,   .fuses_relu = true, .plan = plan,
                                   .forward = forward, .backward = backward, .release = release};
