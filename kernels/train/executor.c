#include "kernels/train/executor_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/loss.h"
#include "kernels/train/bfloat16.h"

#define PART_FLOATS (64 * 1024) /* gradients are handed on in pieces of at least so many: 256 KiB */

static int make_weights(struct executor *x, struct err *err)
{
    if (weight_layout_make(&x->layout, x->graph, err))
        return -1;
    size_t weight_bytes = (x->layout.weight_floats + 16) * sizeof(float),
           state_bytes = (x->layout.state_floats + 16) * sizeof(float);
    x->weights = x->backend->alloc(x->backend, weight_bytes, err);
    x->states = x->weights ? x->backend->alloc(x->backend, state_bytes, err) : NULL;
    if (!x->states)
        return err_prefix(err, "weights");
    memset(x->weights, 0, weight_bytes);
    memset(x->states, 0, state_bytes);
    weight_layout_initialise(&x->layout, x->options.seed, x->weights, x->states);
    if (x->algorithm.precision == DTYPE_BF16) {
        x->rounded = x->backend->alloc(x->backend, weight_bytes, err);
        if (!x->rounded)
            return err_prefix(err, "weights in bfloat16");
    }
    return 0;
}

struct executor *executor_create(const struct graph *g, const struct algorithm *a,
                                 const struct executor_options *o, struct err *err)
{
    struct executor *x = xcalloc(1, sizeof(*x));
    x->graph = g;
    x->algorithm = *a;
    x->options = *o;
    x->version = 1;
    x->backend = backend_create(o->backend, o->threads, err);
    if (x->backend && x->backend->set_precision)
        x->backend->set_precision(x->backend, a->precision);
    if (!x->backend || make_weights(x, err) || executor_plan(x, err)) {
        executor_destroy(x);
        return NULL;
    }
    return x;
}

void executor_destroy(struct executor *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->step_count; i++)
        if (x->steps[i].node >= 0)
            op_release(&x->steps[i].op);
    void *const blocks[] = {x->rounded, x->weights, x->states, x->arena, x->scratch};
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        if (blocks[i])
            x->backend->free(x->backend, blocks[i]);
    weight_layout_free(&x->layout);
    free(x->steps);
    free(x->values);
    free(x->node_value);
    backend_destroy(x->backend);
    free(x);
}

const char *executor_backend(const struct executor *x)
{
    return x->backend->name;
}

int executor_threads(const struct executor *x)
{
    return x->backend->threads;
}

double executor_memory_bytes(const struct graph *g, const struct algorithm *a, int64_t rows)
{
    struct graph_cost c;
    int states = !a ? 0 : a->optimizer.type != OPTIMIZER_SGD ? 2 : a->optimizer.momentum > 0 ? 1 : 0;
    double widest = 0;
    graph_cost(g, &c);
    for (int i = 0; i < g->node_count; i++)
        widest = fmax(widest, (double)shape_elements(&g->nodes[i].shape) * sizeof(float));
    /* weights, gradients, optimizer state; what is kept for backward; two gradients of the widest layer at once */
    return (double)c.weight_bytes + (double)c.parameters * sizeof(float) * (1 + states) +
           (double)rows * (c.activation_bytes + 2 * widest);
}

const struct executor_weight *executor_weight_list(const struct executor *x, size_t *count)
{
    *count = x->layout.count;
    return x->layout.list;
}

float *executor_weights(struct executor *x, size_t *count)
{
    *count = x->layout.weight_floats;
    return x->weights;
}

float *executor_states(struct executor *x, size_t *count)
{
    *count = x->layout.state_floats;
    return x->states;
}

void executor_set_gradients(struct executor *x, float *gradients)
{
    x->gradients = gradients;
    for (size_t i = 0; i < x->step_count; i++) {
        struct step *s = &x->steps[i];
        for (int w = 0; s->node >= 0 && w < x->graph->nodes[s->node].weight_count; w++) {
            const struct executor_weight *of = &x->layout.list[x->layout.of_node[s->node] + w];
            s->call.weight_grads[w] = of->def->trainable ? gradients + of->first : NULL;
        }
    }
}

struct optimizer_range *executor_ranges(const struct executor *x, size_t *count)
{
    return weight_layout_ranges(&x->layout, x->graph, &x->algorithm, count);
}

void executor_weights_changed(struct executor *x)
{
    x->version++;
}

/* ---- passes ---- */

/* bfloat16: a tensor between layers, as far as these rows fill it. */
static void round_tensor(struct executor *x, const struct op_tensor *t, void *data)
{
    size_t n = t->layout ? t->bytes / sizeof(float) : (size_t)x->rows * (size_t)shape_elements(&t->shape);
    if (data && t->dtype == DTYPE_F32)
        bfloat16_round(data, data, n, x->backend->threads);
}

static void round_weights(struct executor *x)
{
    if (!x->rounded || x->rounded_version == x->version)
        return;
    bfloat16_round(x->weights, x->rounded, x->layout.weight_floats, x->backend->threads);
    x->rounded_version = x->version;
}

static void prepare(struct executor *x, const struct executor_batch *b, bool training)
{
    x->rows = b->rows;
    x->training = training;
    round_weights(x);
    for (size_t i = 0; i < x->step_count; i++) {
        struct step *s = &x->steps[i];
        s->call.rows = b->rows;
        s->call.training = training;
        s->call.weights_version = x->version;
        s->call.step = (uint64_t)b->step;
        s->call.first_sample = b->first_sample;
        for (int k = 0; s->reads_input && k < s->in_count; k++)
            if (x->values[s->in[k]].input >= 0)
                s->call.in[k] = b->inputs[x->values[s->in[k]].input];
    }
}

static void forward_step(struct executor *x, struct step *s)
{
    if (s->node >= 0) {
        s->op.impl->forward(&s->op, &s->call);
        if (x->rounded)
            round_tensor(x, &x->values[s->out].t, x->values[s->out].data);
        return;
    }
    const struct value *from = &x->values[s->in[0]], *to = &x->values[s->out];
    x->backend->convert(x->backend, &from->t, from->data, &to->t, to->data, x->rows, false);
}

static void backward_step(struct executor *x, struct step *s)
{
    if (s->node >= 0) {
        s->op.impl->backward(&s->op, &s->call);
        for (int k = 0; x->rounded && k < s->in_count; k++)
            if (s->call.grad_in[k])
                round_tensor(x, &x->values[s->in[k]].t, s->call.grad_in[k]);
        return;
    }
    const struct value *from = &x->values[s->out], *to = &x->values[s->in[0]];
    x->backend->convert(x->backend, &from->t, from->grad, &to->t, to->grad, x->rows, s->accumulate_in);
}

int executor_forward(struct executor *x, const struct executor_batch *b, bool training, struct err *err)
{
    if (b->rows < 0 || b->rows > x->options.rows || (training && x->options.forward_only))
        return err_set(err, ERR_INTERNAL, "a pass of %lld rows was not planned", (long long)b->rows);
    prepare(x, b, training);
    for (size_t i = 0; i < x->step_count && b->rows > 0; i++)
        forward_step(x, &x->steps[i]);
    return 0;
}

const float *executor_output(const struct executor *x)
{
    return x->values[x->output].data;
}

struct loss_sums executor_loss(struct executor *x, const int32_t *classes, const float *values,
                               struct loss_batch *batch)
{
    const struct value *out = &x->values[x->output];
    int64_t width = loss_width(x->algorithm.loss.type, &out->t.shape);
    struct loss_batch b = {.outputs = out->data,
                           .rows = x->rows * (shape_elements(&out->t.shape) / width),
                           .width = width,
                           .classes = classes,
                           .values = values,
                           .gradient = x->training ? out->grad : NULL,
                           .threads = x->backend->threads};
    if (batch)
        *batch = b;
    return loss_compute(&x->algorithm, &b);
}

int executor_backward(struct executor *x, executor_part_f *part, void *context, struct err *err)
{
    size_t told = 0, all = x->layout.weight_floats;
    if (!x->gradients || x->options.forward_only)
        return err_set(err, ERR_INTERNAL, "no backward pass was planned");
    if (x->rows == 0)
        memset(x->gradients, 0, all * sizeof(float));
    for (size_t i = x->step_count; i-- > 0 && x->rows > 0;) {
        struct step *s = &x->steps[i];
        if (!s->backward)
            continue;
        backward_step(x, s);
        if (part && s->ready >= told + PART_FLOATS && s->ready < all) {
            if (part(context, told, s->ready - told, err))
                return -1;
            told = s->ready;
        }
    }
    return part && told < all ? part(context, told, all - told, err) : 0;
}

void executor_update(struct executor *x, struct optimizer *o, double rate, double gradient_scale)
{
    optimizer_begin(o, rate, gradient_scale);
    optimizer_apply(o, x->weights, x->gradients, x->backend->threads);
    executor_weights_changed(x);
}

/* ---- looking for what is not finite ---- */

static bool all_finite(const float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(p[i]))
            return false;
    return true;
}

static bool value_finite(struct executor *x, const struct value *v, float *plain)
{
    size_t n = (size_t)x->rows * (size_t)shape_elements(&v->t.shape);
    if (v->t.dtype != DTYPE_F32)
        return true;
    if (!v->t.layout)
        return all_finite(v->data, n);
    struct op_tensor to = v->t;
    to.layout = NULL;
    to.bytes = n * sizeof(float);
    x->backend->convert(x->backend, &v->t, v->data, &to, plain, x->rows, false);
    return all_finite(plain, n);
}

int executor_find_not_finite(struct executor *x, const struct executor_batch *b)
{
    size_t widest = 1;
    int found = -1;
    for (size_t v = 0; v < x->value_count; v++) {
        size_t n = (size_t)b->rows * (size_t)shape_elements(&x->values[v].t.shape);
        widest = n > widest ? n : widest;
    }
    float *plain = xcalloc(widest, sizeof(*plain));
    prepare(x, b, x->training);
    for (size_t i = 0; i < x->step_count && found < 0 && b->rows > 0; i++) {
        struct step *s = &x->steps[i];
        forward_step(x, s);
        if (s->node >= 0 && !value_finite(x, &x->values[s->out], plain))
            found = s->node;
    }
    free(plain);
    return found;
}
