#include "kernels/usercode/kernel_op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kernels/usercode/build.h"
#include "kernels/usercode/emit.h"
#include "kernels/usercode/kernel_layer.h"
#include "kernels/usercode/run.h"

#define TAPE_FIRST 4096
#define TAPE_BYTES (1ul << 30)

struct kernel_op {
    const struct kernel_layer *k;
    struct kernel_bound b;
    emit_function *forward, *backward; /* NULL: interpret */
    struct emit_context *contexts;     /* one a thread */
    int threads;
    size_t weight_floats; /* of all weights together */
    size_t input_at
        [KERNEL_INPUTS_MAX]; /* bytes in scratch, where gradients of inputs are made before they are added */
    bool said;
};

static void *grow(void *tape, unsigned long bytes)
{
    return bytes > TAPE_BYTES ? NULL : realloc(tape, bytes);
}

static struct kernel_op *make(struct op *op, struct err *err)
{
    struct kernel_op *s = xcalloc(1, sizeof(*s));
    s->k = op->node->type->kernel;
    if (kernel_layer_bind(s->k, op->node->params, op->node->in_shapes, &s->b, err) < 0) {
        free(s);
        return NULL;
    }
    op->state = s;
    op->backward_needs_in = op->backward_needs_out = false;
    int parts = s->k->input_count + s->k->weight_count;
    for (int i = 0; i < s->k->input_count; i++)
        op->backward_needs_in |= program_reads(s->k->backward, i);
    op->backward_needs_out = program_reads(s->k->backward, parts);
    return s;
}

static void release(struct op *op)
{
    struct kernel_op *s = op->state;
    for (int i = 0; s && s->contexts && i < s->threads; i++)
        free(s->contexts[i].tape);
    if (s)
        free(s->contexts);
    free(s);
    op->state = NULL;
}

static size_t align64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static int plan(struct op *op, struct err *err)
{
    struct kernel_op *s = make(op, err);
    struct err why = {0};
    if (!s)
        return -1;
    const struct built *built = kernel_layer_build(op->node->type->kernel, &s->b, &why);
    if (built) {
        s->forward = (emit_function *)build_symbol(built, "kernel_forward");
        s->backward = (emit_function *)build_symbol(built, "kernel_backward");
    }
    if (!s->forward || !s->backward) {
        log_warn("train", "a layer is interpreted, which is slow", KV_S("layer", op->node->name), KV_E(&why));
        s->forward = s->backward = NULL;
    }
    s->threads = op->backend->threads;
    s->contexts = xcalloc((size_t)s->threads, sizeof(*s->contexts));
    for (int i = 0; i < s->threads; i++)
        s->contexts[i] = (struct emit_context){
            .tape = xcalloc(TAPE_FIRST, sizeof(double)), .tape_cap = TAPE_FIRST, .grow = grow};
    for (int i = 0; i < s->k->weight_count; i++)
        s->weight_floats += align64((size_t)shape_elements(&s->b.weights[i]) * sizeof(float)) / sizeof(float);
    size_t at = s->weight_floats * sizeof(float) * (size_t)s->threads;
    for (int i = 0; i < s->k->input_count; i++) {
        s->input_at[i] = at;
        at += align64((size_t)op->rows * (size_t)shape_elements(&s->b.inputs[i]) * sizeof(float));
    }
    op->scratch_bytes = at;
    return 0;
}

/* ---- compiled ---- */

/* A fault makes the output not finite, which the trainer stops at; the words say why. */
static void check_faults(struct op *op, struct kernel_op *s, const char *which, float *out, size_t n)
{
    for (int i = 0; i < s->threads; i++) {
        struct emit_context *c = &s->contexts[i];
        if (!c->line && !c->full)
            continue;
        if (!s->said && c->full)
            log_error("train", "a layer's program keeps more than 1 GiB for one sample",
                      KV_S("layer", op->node->name), KV_S("program", which));
        else if (!s->said)
            log_error("train", "a layer's program reads or writes outside a tensor",
                      KV_S("layer", op->node->name), KV_S("program", which), KV_I("line", c->line),
                      KV_I("column", c->column));
        s->said = true;
        for (size_t k = 0; k < n; k++)
            out[k] = NAN;
        c->line = c->full = 0;
    }
}

/* The weights' gradients of this thread, in scratch; their pointers come last. */
static float *const *thread_tensors(struct kernel_op *s, float *const *tensors, int thread, float **own)
{
    int count = 2 * (s->k->input_count + s->k->weight_count) + 2;
    memcpy(own, tensors, (size_t)count * sizeof(*own));
    for (int i = 0; i < s->k->weight_count; i++)
        own[count - s->k->weight_count + i] += (size_t)thread * s->weight_floats;
    return own;
}

/* Samples shared out over the threads. private: each thread has its own gradients of the weights. */
static void run_rows(struct kernel_op *s, emit_function *f, int64_t rows, float *const *tensors, bool private)
{
    int threads = rows < s->threads ? (int)rows : s->threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        float *own[KERNEL_TENSORS_MAX * 2];
        float *const *mine = private ? thread_tensors(s, tensors, t, own) : tensors;
        f((long)(rows * t / threads), (long)(rows * (t + 1) / threads), mine, &s->contexts[t]);
    }
}

static float *plain(const void *p)
{
    return (float *)(uintptr_t)p;
}

static void forward_compiled(struct op *op, const struct op_call *c)
{
    struct kernel_op *s = op->state;
    float *tensors[KERNEL_TENSORS_MAX];
    size_t n = (size_t)(c->rows * shape_elements(&s->b.output));
    int m = 0;
    for (int i = 0; i < s->k->input_count; i++)
        tensors[m++] = plain(c->in[i]);
    for (int i = 0; i < s->k->weight_count; i++)
        tensors[m++] = c->weights[i];
    tensors[m] = c->out;
    memset(c->out, 0, n * sizeof(float)); /* += starts at 0 */
    run_rows(s, s->forward, c->rows, tensors, false);
    check_faults(op, s, "forward", c->out, n);
}

static void add_up(struct kernel_op *s, const struct op_call *c)
{
    size_t at = 0;
    for (int i = 0; i < s->k->weight_count; i++) {
        size_t n = (size_t)shape_elements(&s->b.weights[i]);
        const float *from = (const float *)c->scratch + at;
        for (size_t e = 0; c->weight_grads[i] && e < n; e++) {
            float sum = 0;
            for (int t = 0; t < s->threads; t++) /* in this order whatever ran first */
                sum += from[(size_t)t * s->weight_floats + e];
            c->weight_grads[i][e] = sum;
        }
        at += align64(n * sizeof(float)) / sizeof(float);
    }
}

static void backward_compiled(struct op *op, const struct op_call *c)
{
    struct kernel_op *s = op->state;
    float *tensors[KERNEL_TENSORS_MAX * 2];
    int m = 0;
    size_t at = 0;
    for (int i = 0; i < s->k->input_count; i++)
        tensors[m++] = plain(c->in[i]);
    for (int i = 0; i < s->k->weight_count; i++)
        tensors[m++] = c->weights[i];
    tensors[m++] = c->out;
    tensors[m++] = plain(c->grad_out);
    for (int i = 0; i < s->k->input_count; i++) {
        bool apart = !c->grad_in[i] || c->accumulate[i];
        tensors[m] = apart ? (float *)(void *)((char *)c->scratch + s->input_at[i]) : c->grad_in[i];
        memset(tensors[m++], 0, (size_t)(c->rows * shape_elements(&s->b.inputs[i])) * sizeof(float));
    }
    for (int i = 0; i < s->k->weight_count; i++) {
        tensors[m++] = (float *)c->scratch + at;
        at += align64((size_t)shape_elements(&s->b.weights[i]) * sizeof(float)) / sizeof(float);
    }
    memset(c->scratch, 0, s->weight_floats * sizeof(float) * (size_t)s->threads);
    run_rows(s, s->backward, c->rows, tensors, true);
    add_up(s, c);
    for (int i = 0; i < s->k->input_count; i++) {
        size_t n = (size_t)(c->rows * shape_elements(&s->b.inputs[i]));
        const float *from = (const float *)(const void *)((char *)c->scratch + s->input_at[i]);
        float *to = c->grad_in[i];
        for (size_t e = 0; to && c->accumulate[i] && e < n; e++)
            to[e] += from[e];
        if (to)
            check_faults(op, s, "backward", to, n);
    }
}

/* ---- interpreted ---- */

static double *widen(const float *from, size_t n)
{
    double *out = xcalloc(n + 1, sizeof(double));
    for (size_t i = 0; from && i < n; i++)
        out[i] = (double)from[i];
    return out;
}

/* One sample through a program; tensors as the scope has them. */
static bool interpret(const struct kernel_layer *k, const struct kernel_bound *b, bool backward,
                      struct run_tensor *tensors, struct lang_error *error)
{
    struct run r = {.program = backward ? k->backward : k->forward,
                    .scope = backward ? &k->backward_scope : &k->forward_scope,
                    .constants = b->constants,
                    .grid = backward ? b->backward_grid : b->forward_grid,
                    .tensors = tensors,
                    .max_steps = INT64_MAX};
    if (program_run(&r) == RUN_OK)
        return true;
    *error = r.error;
    return false;
}

static void tensor_of(struct run_tensor *t, const float *from, int64_t row, const struct shape *s, bool given)
{
    size_t n = (size_t)shape_elements(s);
    t->data = widen(given ? from + (size_t)row * n : NULL, n);
    memcpy(t->dim, s->dim, sizeof(t->dim));
}

static void say_fault(struct op *op, struct kernel_op *s, const char *which, const struct lang_error *e)
{
    if (!s->said)
        log_error("train", "a layer's program failed", KV_S("layer", op->node->name), KV_S("program", which),
                  KV_I("line", e->line), KV_I("column", e->column), KV_S("error", e->message));
    s->said = true;
}

static void forward_interpreted(struct op *op, const struct op_call *c)
{
    struct kernel_op *s = op->state;
    size_t n = (size_t)shape_elements(&s->b.output);
    for (int64_t row = 0; row < c->rows; row++) {
        struct run_tensor t[KERNEL_TENSORS_MAX];
        struct lang_error error;
        int m = 0;
        for (int i = 0; i < s->k->input_count; i++)
            tensor_of(&t[m++], c->in[i], row, &s->b.inputs[i], true);
        for (int i = 0; i < s->k->weight_count; i++)
            tensor_of(&t[m++], c->weights[i], 0, &s->b.weights[i], true);
        tensor_of(&t[m++], NULL, 0, &s->b.output, false);
        bool ok = interpret(s->k, &s->b, false, t, &error);
        if (!ok)
            say_fault(op, s, "forward", &error);
        for (size_t e = 0; e < n; e++)
            ((float *)c->out)[(size_t)row * n + e] = ok ? (float)t[m - 1].data[e] : NAN;
        for (int i = 0; i < m; i++)
            free(t[i].data);
    }
}

static void take_gradients(struct op *op, const struct op_call *c, int64_t row,
                           const struct run_tensor *inputs, double *const *weights)
{
    struct kernel_op *s = op->state;
    for (int i = 0; i < s->k->input_count; i++) {
        size_t n = (size_t)shape_elements(&s->b.inputs[i]);
        float *to = c->grad_in[i] ? (float *)c->grad_in[i] + (size_t)row * n : NULL;
        for (size_t e = 0; to && e < n; e++)
            to[e] = (float)((c->accumulate[i] ? (double)to[e] : 0) + inputs[i].data[e]);
    }
    for (int i = 0; i < s->k->weight_count; i++) {
        size_t n = (size_t)shape_elements(&s->b.weights[i]);
        for (size_t e = 0; e < n; e++)
            weights[i][e] += inputs[s->k->input_count + i].data[e];
    }
}

static void backward_interpreted(struct op *op, const struct op_call *c)
{
    struct kernel_op *s = op->state;
    double *weights[KERNEL_WEIGHTS_MAX];
    for (int i = 0; i < s->k->weight_count; i++)
        weights[i] = xcalloc((size_t)shape_elements(&s->b.weights[i]), sizeof(double));
    for (int64_t row = 0; row < c->rows; row++) {
        struct run_tensor t[KERNEL_TENSORS_MAX * 2];
        struct lang_error error;
        int m = 0;
        for (int i = 0; i < s->k->input_count; i++)
            tensor_of(&t[m++], c->in[i], row, &s->b.inputs[i], op->backward_needs_in);
        for (int i = 0; i < s->k->weight_count; i++)
            tensor_of(&t[m++], c->weights[i], 0, &s->b.weights[i], true);
        tensor_of(&t[m++], c->out, row, &s->b.output, op->backward_needs_out);
        tensor_of(&t[m++], c->grad_out, row, &s->b.output, true);
        int gradients = m;
        for (int i = 0; i < s->k->input_count; i++)
            tensor_of(&t[m++], NULL, 0, &s->b.inputs[i], false);
        for (int i = 0; i < s->k->weight_count; i++)
            tensor_of(&t[m++], NULL, 0, &s->b.weights[i], false);
        if (!interpret(s->k, &s->b, true, t, &error)) {
            say_fault(op, s, "backward", &error);
            for (size_t e = 0; e < (size_t)shape_elements(&s->b.inputs[0]); e++)
                t[gradients].data[e] = NAN;
        }
        take_gradients(op, c, row, &t[gradients], weights);
        for (int i = 0; i < m; i++)
            free(t[i].data);
    }
    for (int i = 0; i < s->k->weight_count; i++) {
        for (size_t e = 0; c->weight_grads[i] && e < (size_t)shape_elements(&s->b.weights[i]); e++)
            c->weight_grads[i][e] = (float)weights[i][e];
        free(weights[i]);
    }
}

static void forward(struct op *op, const struct op_call *c)
{
    if (((struct kernel_op *)op->state)->forward)
        forward_compiled(op, c);
    else
        forward_interpreted(op, c);
}

static void backward(struct op *op, const struct op_call *c)
{
    if (((struct kernel_op *)op->state)->backward)
        backward_compiled(op, c);
    else
        backward_interpreted(op, c);
}

static int plan_reference(struct op *op, struct err *err)
{
    return make(op, err) ? 0 : -1;
}

const struct op_impl kernel_op_cpu = {"kernel", .plan = plan, .forward = forward, .backward = backward,
                                      .release = release};
const struct op_impl kernel_op_reference = {"kernel", .plan = plan_reference, .forward = forward_interpreted,
                                            .backward = backward_interpreted, .release = release};
