/* The convolutions on oneDNN: activations in the layout the primitives like (nChw8c with AVX2, nChw16c with AVX-512),
 * handed on to the next operation; weights kept in the layouts of the primitives and refreshed when they changed; relu
 * fused into the forward pass and applied as a mask in the backward pass.
 *
 * Three primitives between the sides x and y of conv.h: to_y (convolution), to_x (its gradient for x), and the weights'
 * gradient. A convolution goes forward by to_y and backward by to_x, a transposed one the other way round, with the bias
 * added by hand.
 *
 * Where it gains, a 3x3 convolution goes by winograd.h instead of the primitives, in the same layouts.
 *
 * oneDNN answers some combinations of layouts with plain loops a hundred times slower than its kernels (is_slow). So a few
 * combinations are tried at plan time, and the first without such an answer is taken; an input in another layout is
 * reordered once a call into kept memory.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/blocked.h"
#include "kernels/ops/conv.h"
#include "kernels/ops/cpu.h"
#include "kernels/ops/onednn.h"
#include "kernels/ops/winograd.h"

#define VARIANTS 8

/* Primitives for one number of rows. */
struct variant {
    int64_t rows;
    struct onednn_call from_in, to_y, to_x, x_for_weights, weights, to_in;
};

/* The layouts of one combination. w: of the kernel for to_y, for to_x, and of its gradient. */
struct layouts {
    dnnl_memory_desc_t x, y, x_back, w_y, w_x, dw;
    int slow; /* primitives that are plain loops */
};

struct conv_state {
    struct conv c;
    bool needs_y, needs_x, needs_dw; /* which primitives */
    bool reorders_in, reorders_back; /* back: x to x_back for the weights' gradient */
    struct layouts l;
    dnnl_memory_desc_t w_plain, bias;
    struct onednn_call pack_y, pack_x, unpack;
    float *y_weights, *x_weights, *weight_grads; /* in their layouts; NULL where plain does */
    uint64_t version;
    bool packed;
    struct variant variants[VARIANTS];
    int variant_count;
    struct layout layout;
    struct blocked out;
    bool winograd; /* instead of the primitives; y_weights and x_weights are then its transformed kernels */
    struct winograd w_to_y, w_to_x;
};

struct geometry {
    dnnl_dims_t strides, dilates, before, after;
};

static struct geometry geometry_of(const struct conv *c)
{
    struct geometry g;
    for (int a = 0; a < c->axes; a++) {
        int axis = a + 2 - c->axes;
        const struct window *w = &c->window[axis];
        g.strides[a] = w->stride;
        g.dilates[a] = w->dilation - 1;
        g.before[a] = w->pad_before;
        /* What the last window reaches past the input; may be less than the padding asked for. */
        g.after[a] = (w->out - 1) * w->stride + (w->size - 1) * w->dilation + 1 - c->x[axis] - w->pad_before;
    }
    return g;
}

/* dims of one side, of the planned rows. */
static int side_dims(const struct op *op, const struct conv *c, bool y, int64_t *dims)
{
    dims[0] = op->rows;
    dims[1] = y ? c->y_channels : c->x_channels;
    for (int a = 0; a < c->axes; a++)
        dims[2 + a] = y ? c->window[a + 2 - c->axes].out : c->x[a + 2 - c->axes];
    return 2 + c->axes;
}

static int weight_dims(const struct conv *c, int64_t *dims)
{
    int rank = 0;
    if (c->groups > 1)
        dims[rank++] = c->groups;
    dims[rank++] = c->y_channels / c->groups;
    dims[rank++] = c->x_channels / c->groups;
    for (int a = 2 - c->axes; a < 2; a++)
        dims[rank++] = c->window[a].size;
    return rank;
}

static bool fuses_bias(const struct conv_state *s)
{
    return s->c.bias && !s->c.transposed;
}

/* NULL if oneDNN has nothing for it. */
static dnnl_primitive_desc_t to_y_desc(const struct op *op, const struct conv_state *s,
                                       const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *w,
                                       const dnnl_memory_desc_t *y)
{
    struct geometry g = geometry_of(&s->c);
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    onednn_must(dnnl_primitive_attr_create(&attr), "attributes");
    onednn_must(dnnl_post_ops_create(&post), "post-operations");
    if (op->relu && !s->c.transposed)
        onednn_must(dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_relu, 0, 0), "a fused relu");
    onednn_must(dnnl_primitive_attr_set_post_ops(attr, post), "post-operations");
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &d, op->training ? dnnl_forward_training : dnnl_forward_inference, dnnl_convolution_direct, x, w,
        fuses_bias(s) ? &s->bias : NULL, y, g.strides, g.dilates, g.before, g.after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &d, attr, onednn_of(op)->engine, NULL);
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
    return status == dnnl_success ? pd : NULL;
}

static dnnl_primitive_desc_t weights_desc(const struct op *op, const struct conv_state *s,
                                          const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *dw,
                                          const dnnl_memory_desc_t *y, dnnl_primitive_desc_t hint)
{
    struct geometry g = geometry_of(&s->c);
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &d, dnnl_convolution_direct, x, dw, fuses_bias(s) ? &s->bias : NULL, y, g.strides, g.dilates,
        g.before, g.after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &d, NULL, onednn_of(op)->engine, hint);
    return status == dnnl_success ? pd : NULL;
}

static dnnl_primitive_desc_t to_x_desc(const struct op *op, const struct conv_state *s,
                                       const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *w,
                                       const dnnl_memory_desc_t *y, dnnl_primitive_desc_t hint)
{
    struct geometry g = geometry_of(&s->c);
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &d, dnnl_convolution_direct, x, w, y, g.strides, g.dilates, g.before, g.after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &d, NULL, onednn_of(op)->engine, hint);
    return status == dnnl_success ? pd : NULL;
}

/* ---- layouts ---- */

static bool is_slow(const_dnnl_primitive_desc_t pd)
{
    const char *name = "";
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           strncmp(name, "ref", 3) == 0;
}

/* By blocks of channels, as oneDNN's kernels for this machine want them. */
static dnnl_memory_desc_t by_blocks(int rank, const int64_t *dims)
{
    bool sixteen = dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core;
    dnnl_format_tag_t tag =
        rank == 3 ? (sixteen ? dnnl_aBc16b : dnnl_aBc8b) : (sixteen ? dnnl_aBcd16b : dnnl_aBcd8b);
    dnnl_memory_desc_t md;
    dnnl_dims_t all;
    memcpy(all, dims, sizeof(all));
    onednn_must(dnnl_memory_desc_init_by_tag(&md, rank, all, dnnl_f32, tag), "a layout by blocks");
    return md;
}

/* The layout in which the weights' gradient reads x: l->x, unless that has no kernel (AVX2: a plain image of one channel)
 * and another layout has; then the backward pass reorders. */
static dnnl_primitive_desc_t choose_for_weights(const struct op *op, const struct conv_state *s,
                                                struct layouts *l, const dnnl_memory_desc_t *w_any,
                                                dnnl_primitive_desc_t hint)
{
    dnnl_dims_t dims;
    int rank = side_dims(op, &s->c, false, dims);
    l->x_back = l->x;
    dnnl_primitive_desc_t as_is = weights_desc(op, s, &l->x, w_any, &l->y, hint);
    if (as_is && !is_slow(as_is))
        return as_is;
    dnnl_memory_desc_t any = onednn_any(rank, dims);
    dnnl_primitive_desc_t other = weights_desc(op, s, &any, w_any, &l->y, hint);
    if (other && (!as_is || !is_slow(other))) {
        l->x_back = *onednn_query(other, dnnl_query_src_md);
        dnnl_primitive_desc_destroy(as_is);
        return other;
    }
    dnnl_primitive_desc_destroy(other);
    return as_is;
}

static bool has_blocks(const struct op *op, const dnnl_memory_desc_t *md)
{
    struct layout layout = {*md};
    struct op_tensor t = {.shape.rank = md->ndims - 1, .layout = &layout};
    struct blocked b;
    (void)op;
    for (int a = 1; a < md->ndims; a++)
        t.shape.dim[a - 1] = md->dims[a];
    return blocked_of(&t, &b);
}

/* What oneDNN makes of x and y (either may be free). False: nothing. */
static bool try_layouts(const struct op *op, const struct conv_state *s, const dnnl_memory_desc_t *x,
                        const dnnl_memory_desc_t *y, struct layouts *l)
{
    dnnl_dims_t dims;
    int rank = weight_dims(&s->c, dims);
    dnnl_memory_desc_t w_any = onednn_any(rank, dims);
    dnnl_primitive_desc_t pd = to_y_desc(op, s, x, &w_any, y), dw = NULL, to_x = NULL;
    *l = (struct layouts){0};
    if (!pd)
        return false;
    l->x = *onednn_query(pd, dnnl_query_src_md);
    l->y = *onednn_query(pd, dnnl_query_dst_md);
    l->w_y = *onednn_query(pd, dnnl_query_weights_md);
    l->slow = s->needs_y && is_slow(pd);
    bool possible = has_blocks(op, &l->x) && has_blocks(op, &l->y);
    if (s->needs_dw && possible && (dw = choose_for_weights(op, s, l, &w_any, pd))) {
        l->dw = *onednn_query(dw, dnnl_query_diff_weights_md);
        l->slow += is_slow(dw);
    }
    if (s->needs_x && possible && (to_x = to_x_desc(op, s, &l->x, &w_any, &l->y, pd))) {
        l->w_x = *onednn_query(to_x, dnnl_query_weights_md);
        l->slow += is_slow(to_x);
    }
    possible = possible && (dw || !s->needs_dw) && (to_x || !s->needs_x);
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_desc_destroy(dw);
    dnnl_primitive_desc_destroy(to_x);
    return possible;
}

/* Combinations in the order of preference: the input as it is; oneDNN's choice; by blocks; all plain. */
static int choose_layouts(struct op *op, struct conv_state *s, struct err *err)
{
    const struct conv *c = &s->c;
    dnnl_dims_t x_dims, y_dims, w_dims, b_dims = {c->transposed ? c->x_channels : c->y_channels};
    int rank = side_dims(op, c, false, x_dims), w_rank = weight_dims(c, w_dims);
    side_dims(op, c, true, y_dims);
    s->w_plain = onednn_plain(w_rank, w_dims);
    s->bias = onednn_plain(1, b_dims);
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], op->rows), x_any = onednn_any(rank, x_dims),
                       y_any = onednn_any(rank, y_dims), x_plain = onednn_plain(rank, x_dims),
                       y_plain = onednn_plain(rank, y_dims), x_blocks = by_blocks(rank, x_dims),
                       y_blocks = by_blocks(rank, y_dims);
    /* A plain input of many channels is better reordered than read plain. */
    bool as_is = op->in[0].layout || (c->transposed ? c->y_channels : c->x_channels) <= 4;
    const dnnl_memory_desc_t *xs[] = {c->transposed || !as_is ? &x_any : &in, &x_any, &x_blocks, &x_blocks,
                                      &x_plain};
    const dnnl_memory_desc_t *ys[] = {c->transposed && as_is ? &in : &y_any, &y_any, &y_any, &y_blocks,
                                      &y_plain};
    bool found = false;
    for (size_t i = 0; i < sizeof(xs) / sizeof(xs[0]) && !(found && s->l.slow == 0); i++) {
        struct layouts l;
        if (try_layouts(op, s, xs[i], ys[i], &l) && (!found || l.slow < s->l.slow)) {
            s->l = l;
            found = true;
        }
    }
    return found ? 0 : err_set(err, ERR_INTERNAL, "oneDNN has no such convolution");
}

/* ---- primitives for a number of rows ---- */

static dnnl_primitive_desc_t made(dnnl_primitive_desc_t pd)
{
    onednn_must(pd ? dnnl_success : dnnl_runtime_error, "a convolution that could be planned");
    return pd;
}

static void make_variant(const struct op *op, const struct conv_state *s, struct variant *v, int64_t rows)
{
    const struct onednn *dnn = onednn_of(op);
    const struct layouts *l = &s->l;
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], rows), x = onednn_rows(l->x, rows),
                       y = onednn_rows(l->y, rows), side = s->c.transposed ? y : x;
    dnnl_primitive_desc_t pd = made(to_y_desc(op, s, &x, &l->w_y, &y));
    *v = (struct variant){.rows = rows};
    onednn_reorder_init(&v->from_in, dnn, &in, &side);
    onednn_reorder_init(&v->to_in, dnn, &side, &in);
    if (s->needs_y) {
        onednn_call_init(&v->to_y, dnn, pd);
        onednn_call_arg(&v->to_y, dnn, DNNL_ARG_SRC, &x);
        onednn_call_arg(&v->to_y, dnn, DNNL_ARG_WEIGHTS, &l->w_y);
        onednn_call_arg(&v->to_y, dnn, DNNL_ARG_DST, &y);
        if (fuses_bias(s))
            onednn_call_arg(&v->to_y, dnn, DNNL_ARG_BIAS, &s->bias);
    }
    if (s->needs_dw) {
        dnnl_memory_desc_t x_back = onednn_rows(l->x_back, rows);
        dnnl_primitive_desc_t dw = made(weights_desc(op, s, &x_back, &l->dw, &y, pd));
        onednn_reorder_init(&v->x_for_weights, dnn, &x, &x_back);
        onednn_call_init(&v->weights, dnn, dw);
        onednn_call_arg(&v->weights, dnn, DNNL_ARG_SRC, &x_back);
        onednn_call_arg(&v->weights, dnn, DNNL_ARG_DIFF_DST, &y);
        onednn_call_arg(&v->weights, dnn, DNNL_ARG_DIFF_WEIGHTS, &l->dw);
        if (fuses_bias(s))
            onednn_call_arg(&v->weights, dnn, DNNL_ARG_DIFF_BIAS, &s->bias);
        dnnl_primitive_desc_destroy(dw);
    }
    if (s->needs_x) {
        dnnl_primitive_desc_t to_x = made(to_x_desc(op, s, &x, &l->w_x, &y, pd));
        onednn_call_init(&v->to_x, dnn, to_x);
        onednn_call_arg(&v->to_x, dnn, DNNL_ARG_DIFF_DST, &y);
        onednn_call_arg(&v->to_x, dnn, DNNL_ARG_WEIGHTS, &l->w_x);
        onednn_call_arg(&v->to_x, dnn, DNNL_ARG_DIFF_SRC, &x);
        dnnl_primitive_desc_destroy(to_x);
    }
    dnnl_primitive_desc_destroy(pd);
}

static void free_variant(struct variant *v)
{
    onednn_call_release(&v->from_in);
    onednn_call_release(&v->to_y);
    onednn_call_release(&v->to_x);
    onednn_call_release(&v->x_for_weights);
    onednn_call_release(&v->weights);
    onednn_call_release(&v->to_in);
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

/* ---- planning ---- */

static size_t lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
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
    onednn_call_release(&s->pack_y);
    onednn_call_release(&s->pack_x);
    onednn_call_release(&s->unpack);
    op->backend->free(op->backend, s->y_weights);
    op->backend->free(op->backend, s->x_weights);
    op->backend->free(op->backend, s->weight_grads);
    free(s);
    op->state = NULL;
}

static const dnnl_memory_desc_t *in_side(const struct conv_state *s)
{
    return s->c.transposed ? &s->l.y : &s->l.x;
}

/* Scratch of the backward pass, in this order: the masked gradient (relu), x for the weights' gradient, and the input's
 * gradient in the primitive's layout and in the input's. */
static void plan_memory(struct op *op, struct conv_state *s)
{
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], op->rows), plain = onednn_tensor(&op->out, op->rows);
    const dnnl_memory_desc_t *out = s->c.transposed ? &s->l.x : &s->l.y;
    size_t in_bytes = lines(dnnl_memory_desc_get_size(in_side(s)));
    s->reorders_in = !dnnl_memory_desc_equal(&in, in_side(s));
    s->reorders_back = s->needs_dw && !dnnl_memory_desc_equal(&s->l.x, &s->l.x_back);
    s->layout.md = *out;
    op->out.layout = dnnl_memory_desc_equal(&plain, out) ? NULL : &s->layout;
    op->out.bytes = dnnl_memory_desc_get_size(out);
    s->out = blocked_must(&op->out);
    op->kept_bytes = s->reorders_in ? in_bytes : 0;
    if (s->winograd)
        op->scratch_bytes = op->training ? lines(op->relu ? op->out.bytes : 0) : 0;
    else if (op->training)
        op->scratch_bytes = (op->relu ? lines(op->out.bytes) : 0) +
                            (s->reorders_back ? lines(dnnl_memory_desc_get_size(&s->l.x_back)) : 0) +
                            in_bytes + op->in[0].bytes;
    op->backward_needs_in = !s->reorders_in;
    op->backward_needs_out = op->relu;
}

/* winograd reads x and y in the chosen layouts; an input in another one is left to the primitives. */
static int plan_winograd(struct op *op, struct conv_state *s, struct err *err)
{
    struct layout x = {s->l.x}, y = {s->l.y};
    struct op_tensor tx = {.shape = op->in[0].shape, .layout = &x},
                     ty = {.shape = op->node->shape, .layout = &y};
    dnnl_memory_desc_t in = onednn_tensor(&op->in[0], op->rows);
    struct blocked bx, by;
    if (s->c.transposed || !dnnl_memory_desc_equal(&in, &s->l.x) || !blocked_of(&tx, &bx) ||
        !blocked_of(&ty, &by) || !winograd_fits(&s->c, &bx, &by))
        return 0;
    s->winograd = true;
    s->w_to_y = winograd_of(&s->c, &bx, &by, false);
    s->w_to_x = winograd_of(&s->c, &bx, &by, true);
    size_t bytes = winograd_kernel_floats(&s->w_to_y) * sizeof(float);
    if (!(s->y_weights = op->backend->alloc(op->backend, bytes, err)) ||
        (s->needs_x && !(s->x_weights = op->backend->alloc(op->backend, bytes, err))))
        return -1;
    return 0;
}

/* Scratch of winograd, after that of plan_memory. */
static void plan_winograd_memory(struct op *op, const struct conv_state *s)
{
    int threads = op->backend->threads;
    size_t run = winograd_scratch_floats(&s->w_to_y, threads),
           back = winograd_scratch_floats(&s->w_to_x, threads),
           gradient = op->training ? winograd_gradient_floats(&s->w_to_y, threads) : 0;
    back = back > run ? back : run;
    op->scratch_bytes += (back > gradient ? back : gradient) * sizeof(float);
}

static int plan(struct op *op, struct err *err)
{
    struct conv_state *s = op->state = xcalloc(1, sizeof(*s));
    const struct onednn *dnn = onednn_of(op);
    s->c = conv_of(op->node);
    bool back = op->training && op->wants_input_grad[0];
    s->needs_y = !s->c.transposed || back;
    s->needs_x = s->c.transposed || back;
    s->needs_dw = op->training;
    bool failed = choose_layouts(op, s, err) < 0 || plan_winograd(op, s, err) < 0;
    if (!failed && !s->winograd && s->needs_y && onednn_reorder_init(&s->pack_y, dnn, &s->w_plain, &s->l.w_y))
        failed = !(s->y_weights = alloc_like(op, &s->l.w_y, err));
    if (!failed && !s->winograd && s->needs_x && onednn_reorder_init(&s->pack_x, dnn, &s->w_plain, &s->l.w_x))
        failed = !(s->x_weights = alloc_like(op, &s->l.w_x, err));
    if (!failed && !s->winograd && s->needs_dw && onednn_reorder_init(&s->unpack, dnn, &s->l.dw, &s->w_plain))
        failed = !(s->weight_grads = alloc_like(op, &s->l.dw, err));
    if (failed) {
        release(op);
        return -1;
    }
    plan_memory(op, s);
    if (s->winograd)
        plan_winograd_memory(op, s);
    return 0;
}

/* ---- passes ---- */

static void refresh_weights(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    if (s->packed && s->version == c->weights_version)
        return;
    if (s->winograd) {
        winograd_kernel(&s->w_to_y, c->weights[0], false, s->y_weights);
        if (s->x_weights)
            winograd_kernel(&s->w_to_x, c->weights[0], true, s->x_weights);
    } else if (s->y_weights)
        onednn_run(&s->pack_y, onednn_of(op), (void *[]){c->weights[0], s->y_weights});
    if (!s->winograd && s->x_weights)
        onednn_run(&s->pack_x, onednn_of(op), (void *[]){c->weights[0], s->x_weights});
    s->version = c->weights_version;
    s->packed = true;
}

static void *not_const(const void *p)
{
    return (void *)(uintptr_t)p; /* oneDNN's memories are not const */
}

static void run_to_y(const struct op *op, const struct op_call *c, const struct variant *v, void *x, void *y)
{
    const struct conv_state *s = op->state;
    onednn_run(&v->to_y, onednn_of(op),
               (void *[]){x, s->y_weights ? s->y_weights : c->weights[0], y, c->weights[1]});
}

static void run_to_x(const struct op *op, const struct op_call *c, const struct variant *v, void *y, void *x)
{
    const struct conv_state *s = op->state;
    onednn_run(&v->to_x, onednn_of(op), (void *[]){y, s->x_weights ? s->x_weights : c->weights[0], x});
}

static void forward(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    if (s->winograd) {
        refresh_weights(op, c);
        winograd_run(&s->w_to_y, s->y_weights, c->in[0], s->c.bias ? c->weights[1] : NULL, op->relu, false,
                     c->out, c->rows, op->backend->threads, c->scratch);
        return;
    }
    struct variant *v = variant_of(op, s, c->rows);
    refresh_weights(op, c);
    void *in = not_const(c->in[0]);
    if (s->reorders_in) {
        onednn_run(&v->from_in, onednn_of(op), (void *[]){in, c->kept});
        in = c->kept;
    }
    if (!s->c.transposed) {
        run_to_y(op, c, v, in, c->out);
        return;
    }
    run_to_x(op, c, v, in, c->out);
    if (s->c.bias || op->relu)
        blocked_add_bias(op, &s->out, s->c.bias ? c->weights[1] : NULL, op->relu, c->out, c->rows);
}

static void input_gradient(struct op *op, const struct op_call *c, struct variant *v, void *g, char *scratch)
{
    struct conv_state *s = op->state;
    void *to = c->grad_in[0];
    char *second = scratch + lines(dnnl_memory_desc_get_size(in_side(s)));
    bool direct = !s->reorders_in && !c->accumulate[0];
    void *first = direct ? to : scratch;
    if (s->c.transposed)
        run_to_y(op, c, v, g, first);
    else
        run_to_x(op, c, v, g, first);
    if (direct)
        return;
    void *plain = scratch;
    if (s->reorders_in) {
        plain = c->accumulate[0] ? second : to;
        onednn_run(&v->to_in, onednn_of(op), (void *[]){scratch, plain});
    }
    if (c->accumulate[0])
        onednn_add(op, plain, to, cpu_floats(&op->in[0], op->rows, c->rows));
}

static void weight_gradients(struct op *op, const struct op_call *c, struct variant *v, void *x, void *y)
{
    struct conv_state *s = op->state;
    onednn_run(&v->weights, onednn_of(op),
               (void *[]){x, y, s->weight_grads ? s->weight_grads : c->weight_grads[0], c->weight_grads[1]});
    if (s->weight_grads)
        onednn_run(&s->unpack, onednn_of(op), (void *[]){s->weight_grads, c->weight_grads[0]});
}

static void winograd_backward(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    const float *g = c->grad_out;
    float *scratch = c->scratch;
    int threads = op->backend->threads;
    if (op->relu) {
        onednn_relu_mask(op, c->out, g, scratch, cpu_floats(&op->out, op->rows, c->rows));
        g = scratch;
        scratch += lines(op->out.bytes) / sizeof(float);
    }
    refresh_weights(op, c);
    winograd_gradient(&s->w_to_y, c->in[0], g, c->weight_grads[0], c->rows, threads, scratch);
    if (s->c.bias)
        blocked_channel_sums(&s->out, g, c->rows, c->weight_grads[1]);
    if (c->grad_in[0])
        winograd_run(&s->w_to_x, s->x_weights, g, NULL, false, c->accumulate[0], c->grad_in[0], c->rows,
                     threads, scratch);
}

static void backward(struct op *op, const struct op_call *c)
{
    struct conv_state *s = op->state;
    if (s->winograd) {
        winograd_backward(op, c);
        return;
    }
    struct variant *v = variant_of(op, s, c->rows);
    char *scratch = c->scratch;
    void *g = not_const(c->grad_out), *in = s->reorders_in ? c->kept : not_const(c->in[0]);
    if (op->relu) {
        onednn_relu_mask(op, c->out, c->grad_out, (float *)(void *)scratch,
                         cpu_floats(&op->out, op->rows, c->rows));
        g = scratch;
        scratch += lines(op->out.bytes);
    }
    refresh_weights(op, c);
    void *x = s->c.transposed ? g : in;
    if (s->reorders_back) {
        onednn_run(&v->x_for_weights, onednn_of(op), (void *[]){x, scratch});
        x = scratch;
        scratch += lines(dnnl_memory_desc_get_size(&s->l.x_back));
    }
    weight_gradients(op, c, v, x, s->c.transposed ? in : g);
    if (s->c.transposed && s->c.bias)
        blocked_channel_sums(&s->out, g, c->rows, c->weight_grads[1]);
    if (c->grad_in[0])
        input_gradient(op, c, v, g, scratch);
}

#define IMPL(NAME)                                                                                           \
    const struct op_impl NAME##_cpu = {#NAME,                                                                \
                                       .any_layout = true,                                                   \
                                       .fuses_relu = true,                                                   \
                                       .plan = plan,                                                         \
                                       .forward = forward,                                                   \
                                       .backward = backward,                                                 \
                                       .release = release}

IMPL(conv1d);
IMPL(conv2d);
IMPL(depthwise_conv2d);
IMPL(conv1d_transpose);
IMPL(conv2d_transpose);
