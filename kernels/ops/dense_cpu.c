/* dense on oneDNN's inner product with the weights as they are, (inputs, units): its matrix product takes
 * them in either order, so nothing is packed. relu is fused forward and a mask backward. */
#include <stdlib.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/dense.h"
#include "kernels/ops/onednn.h"

#define VARIANTS 8

struct variant {
    int64_t rows;
    struct onednn_call forward, back_weights, back_data;
};

struct dense_state {
    int64_t inputs, units, per_sample; /* per_sample: rows of the product a sample has */
    bool bias;
    dnnl_memory_desc_t w, bias_md;
    struct variant variants[VARIANTS];
    int variant_count;
};

static dnnl_primitive_desc_t make_desc(const struct op *op, const void *desc, dnnl_primitive_desc_t hint,
                                       bool relu)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    dnnl_primitive_desc_t pd;
    onednn_must(dnnl_primitive_attr_create(&attr), "attributes");
    onednn_must(dnnl_post_ops_create(&post), "post-operations");
    if (relu)
        onednn_must(dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_relu, 0, 0), "a fused relu");
    onednn_must(dnnl_primitive_attr_set_post_ops(attr, post), "post-operations");
    onednn_must(dnnl_primitive_desc_create(&pd, desc, attr, onednn_of(op)->engine, hint), "an inner product");
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
    return pd;
}

static void make_variant(const struct op *op, const struct dense_state *s, struct variant *v, int64_t rows)
{
    const struct onednn *dnn = onednn_of(op);
    int64_t n = rows * s->per_sample, in_dims[] = {n, s->inputs}, out_dims[] = {n, s->units};
    dnnl_memory_desc_t in = onednn_plain(2, in_dims), out = onednn_plain(2, out_dims);
    const dnnl_memory_desc_t *bias = s->bias ? &s->bias_md : NULL;
    dnnl_inner_product_desc_t d;
    onednn_must(
        dnnl_inner_product_forward_desc_init(
            &d, op->training ? dnnl_forward_training : dnnl_forward_inference, &in, &s->w, bias, &out),
        "an inner product");
    dnnl_primitive_desc_t pd = make_desc(op, &d, NULL, op->relu);
    v->rows = rows;
    onednn_call_init(&v->forward, dnn, pd);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_SRC, &in);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_WEIGHTS, &s->w);
    onednn_call_arg(&v->forward, dnn, DNNL_ARG_DST, &out);
    if (s->bias)
        onednn_call_arg(&v->forward, dnn, DNNL_ARG_BIAS, bias);
    if (op->training) {
        onednn_must(dnnl_inner_product_backward_weights_desc_init(&d, &in, &s->w, bias, &out),
                    "the weights' gradient");
        dnnl_primitive_desc_t bw = make_desc(op, &d, pd, false);
        onednn_call_init(&v->back_weights, dnn, bw);
        onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_SRC, &in);
        onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_DIFF_DST, &out);
        onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_DIFF_WEIGHTS, &s->w);
        if (s->bias)
            onednn_call_arg(&v->back_weights, dnn, DNNL_ARG_DIFF_BIAS, bias);
        dnnl_primitive_desc_destroy(bw);
        onednn_must(dnnl_inner_product_backward_data_desc_init(&d, &in, &s->w, &out), "the input's gradient");
        dnnl_primitive_desc_t bd = make_desc(op, &d, pd, false);
        onednn_call_init(&v->back_data, dnn, bd);
        onednn_call_arg(&v->back_data, dnn, DNNL_ARG_DIFF_DST, &out);
        onednn_call_arg(&v->back_data, dnn, DNNL_ARG_WEIGHTS, &s->w);
        onednn_call_arg(&v->back_data, dnn, DNNL_ARG_DIFF_SRC, &in);
        dnnl_primitive_desc_destroy(bd);
    }
    dnnl_primitive_desc_destroy(pd);
}

static void free_variant(struct variant *v)
{
    onednn_call_release(&v->forward);
    onednn_call_release(&v->back_weights);
    onednn_call_release(&v->back_data);
}

static struct variant *variant_of(const struct op *op, struct dense_state *s, int64_t rows)
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

static int plan(struct op *op, struct err *err)
{
    struct dense_state *s = op->state = xcalloc(1, sizeof(*s));
    const struct shape *in = &op->node->in_shapes[0];
    s->inputs = in->dim[in->rank - 1];
    s->units = op->node->shape.dim[op->node->shape.rank - 1];
    s->per_sample = shape_elements(in) / s->inputs;
    s->bias = op->node->weight_count > 1;
    dnnl_dims_t w_dims = {s->units, s->inputs}, bias_dims = {s->units};
    if (onednn_check(dnnl_memory_desc_init_by_tag(&s->w, 2, w_dims, dnnl_f32, dnnl_ba), "the weights' layout",
                     err) < 0) {
        free(s);
        op->state = NULL;
        return -1;
    }
    s->bias_md = onednn_plain(1, bias_dims);
    op->backward_needs_out = op->relu;
    size_t out_bytes = (size_t)(op->rows * s->per_sample * s->units) * sizeof(float);
    op->scratch_bytes = op->training ? (op->relu ? (out_bytes + 63) / 64 * 64 : 0) + op->in[0].bytes : 0;
    return 0;
}

static void release(struct op *op)
{
    struct dense_state *s = op->state;
    for (int i = 0; i < s->variant_count; i++)
        free_variant(&s->variants[i]);
    free(s);
    op->state = NULL;
}

static void *loose(const void *p)
{
    return (void *)(uintptr_t)p; /* oneDNN's memories are not const */
}

static void forward(struct op *op, const struct op_call *c)
{
    struct variant *v = variant_of(op, op->state, c->rows);
    onednn_run(&v->forward, onednn_of(op), (void *[]){loose(c->in[0]), c->weights[0], c->out, c->weights[1]});
}

static void backward(struct op *op, const struct op_call *c)
{
    struct variant *v = variant_of(op, op->state, c->rows);
    char *scratch = c->scratch;
    void *g = loose(c->grad_out);
    if (op->relu) {
        onednn_relu_mask(op, c->out, c->grad_out, (float *)(void *)scratch,
                         cpu_floats(&op->out, op->rows, c->rows));
        g = scratch;
        scratch += (op->out.bytes + 63) / 64 * 64;
    }
    onednn_run(&v->back_weights, onednn_of(op),
               (void *[]){loose(c->in[0]), g, c->weight_grads[0], c->weight_grads[1]});
    if (!c->grad_in[0])
        return;
    onednn_run(&v->back_data, onednn_of(op),
               (void *[]){g, c->weights[0], c->accumulate[0] ? (void *)scratch : c->grad_in[0]});
    if (c->accumulate[0])
        onednn_add(op, (float *)(void *)scratch, c->grad_in[0], cpu_floats(&op->in[0], op->rows, c->rows));
}

const struct op_impl dense_cpu = {
    "dense", .fuses_relu = true, .plan = plan, .forward = forward, .backward = backward, .release = release};
