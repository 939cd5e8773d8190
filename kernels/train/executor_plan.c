/* Planning: which steps run in which direction, where activations convert between layouts, and which memory each tensor has.
 *
 * Time runs over the forward steps 0..S-1, the loss at S, and the backward steps S+1..2S in reverse order. A tensor needs memory from
 * its first writer to its last reader; memory_plan lets tensors that are never needed at once share it.
 */
#include "kernels/train/executor_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "kernels/train/memory_plan.h"

/* What is known of each node before anything is planned. */
struct flow {
    bool active;             /* an output depends on it */
    bool needs;              /* it or something before it has trainable weights */
    bool gradient;           /* a gradient arrives at its output */
    bool backward;           /* its backward pass runs */
    bool fused;              /* a relu that the operation before it does */
    int consumers, consumer; /* how many active ones, and the last */
};

static bool is_output(const struct graph *g, int node)
{
    for (int i = 0; i < g->output_count; i++)
        if (g->outputs[i] == node)
            return true;
    return false;
}

static void trace_forward(const struct graph *g, struct flow *flow)
{
    for (int i = g->node_count - 1; i >= 0; i--) {
        const struct layer_node *n = &g->nodes[i];
        flow[i].active = flow[i].active || is_output(g, i);
        for (int k = 0; flow[i].active && k < n->input_count; k++) {
            struct flow *before = &flow[n->inputs[k]];
            before->active = true;
            before->consumers++;
            before->consumer = i;
        }
    }
    for (int i = 0; i < g->node_count; i++) {
        const struct layer_node *n = &g->nodes[i];
        for (int w = 0; w < n->weight_count; w++)
            flow[i].needs = flow[i].needs || n->weights[w].trainable;
        for (int k = 0; k < n->input_count; k++)
            flow[i].needs = flow[i].needs || flow[n->inputs[k]].needs;
    }
}

static void trace_backward(const struct graph *g, const struct backend *b, struct flow *flow)
{
    flow[g->outputs[0]].gradient = true;
    for (int i = g->node_count - 1; i >= g->input_count; i--) {
        const struct layer_node *n = &g->nodes[i];
        const struct op_impl *impl = op_impl_of(b, n);
        flow[i].backward = flow[i].gradient && flow[i].needs && impl && impl->backward;
        for (int k = 0; flow[i].backward && k < n->input_count; k++)
            flow[n->inputs[k]].gradient = flow[n->inputs[k]].gradient || flow[n->inputs[k]].needs;
    }
}

/* May node i do the relu that alone reads it? */
static bool fuses_relu(const struct executor *x, const struct flow *flow, int i)
{
    const struct graph *g = x->graph;
    const struct op_impl *impl = op_impl_of(x->backend, &g->nodes[i]);
    if (!impl || !impl->fuses_relu || flow[i].consumers != 1 || is_output(g, i))
        return false;
    return strcmp(g->nodes[flow[i].consumer].type->name, "relu") == 0;
}

/* ---- steps and values ---- */

static int add_value(struct executor *x, const struct op_tensor *t, int producer, int input, bool has_grad)
{
    x->values = vec_grow(x->values, &x->value_cap, x->value_count + 1, sizeof(*x->values));
    x->values[x->value_count] =
        (struct value){.t = *t, .producer = producer, .input = input, .plain = -1, .has_grad = has_grad};
    return (int)x->value_count++;
}

static size_t plain_bytes(const struct op_tensor *t, int64_t rows)
{
    return (size_t)rows * (size_t)shape_elements(&t->shape) * (size_t)dtype_size(t->dtype);
}

/* The value in plain layout: itself, or a conversion of it, made once. */
static int plain(struct executor *x, int v)
{
    if (!x->values[v].t.layout)
        return v;
    if (x->values[v].plain < 0) {
        struct op_tensor t = x->values[v].t;
        t.layout = NULL;
        t.bytes = plain_bytes(&t, x->options.rows);
        struct step *s = &x->steps[x->step_count];
        s->node = -1;
        s->in[0] = v;
        s->in_count = 1;
        s->backward = x->values[v].has_grad;
        s->out = add_value(x, &t, (int)x->step_count, -1, x->values[v].has_grad);
        x->step_count++;
        x->values[v].plain = s->out;
    }
    return x->values[v].plain;
}

static int add_operation(struct executor *x, int node, const struct flow *flow, struct err *err)
{
    const struct layer_node *n = &x->graph->nodes[node];
    const struct op_impl *impl = op_impl_of(x->backend, n);
    int in[LAYER_MAX_INPUTS];
    bool relu = fuses_relu(x, flow, node);
    for (int k = 0; k < n->input_count; k++) {
        in[k] = x->node_value[n->inputs[k]];
        if (!impl || !impl->any_layout)
            in[k] = plain(x, in[k]);
    }
    struct step *s = &x->steps[x->step_count];
    s->node = node;
    s->in_count = n->input_count;
    s->backward = flow[node].backward && !x->options.forward_only;
    s->op =
        (struct op){.node = n, .rows = x->options.rows, .training = !x->options.forward_only, .relu = relu};
    for (int k = 0; k < n->input_count; k++) {
        s->in[k] = in[k];
        s->op.in[k] = x->values[in[k]].t;
        s->op.wants_input_grad[k] = s->backward && flow[n->inputs[k]].needs;
        s->reads_input = s->reads_input || x->values[in[k]].input >= 0;
    }
    x->step_count++;
    if (op_plan(x->backend, &s->op, err))
        return -1;
    s->out = add_value(x, &s->op.out, (int)x->step_count - 1, -1, flow[node].gradient && flow[node].needs);
    x->node_value[node] = s->out;
    return 0;
}

static int add_steps(struct executor *x, struct flow *flow, struct err *err)
{
    const struct graph *g = x->graph;
    for (int i = 0; i < g->node_count; i++) {
        const struct layer_node *n = &g->nodes[i];
        if (i < g->input_count) {
            struct op_tensor t = {.shape = n->shape, .dtype = n->dtype};
            t.bytes = plain_bytes(&t, x->options.rows);
            x->node_value[i] = add_value(x, &t, -1, i, false);
        } else if (flow[i].fused) {
            x->node_value[i] = x->node_value[n->inputs[0]];
        } else if (flow[i].active) {
            if (add_operation(x, i, flow, err))
                return -1;
            if (x->steps[x->step_count - 1].op.relu)
                flow[flow[i].consumer].fused = true;
        }
    }
    x->output = plain(x, x->node_value[g->outputs[0]]);
    if (x->values[x->output].t.dtype != DTYPE_F32)
        return err_set(err, ERR_UNSUPPORTED, "layer %s: the output must be float32",
                       g->nodes[g->outputs[0]].name);
    return 0;
}

/* ---- memory ---- */

static int forward_time(int step)
{
    return step;
}

static int backward_time(const struct executor *x, int step)
{
    return 2 * (int)x->step_count - step;
}

static void reach(struct memory_request *r, int time)
{
    r->last = time > r->last ? time : r->last;
}

/* Requests: data of each value, then gradient of each value, then what each step keeps. */
static void request_data(const struct executor *x, struct memory_request *data)
{
    int loss = (int)x->step_count;
    for (size_t v = 0; v < x->value_count; v++) {
        const struct value *value = &x->values[v];
        if (value->input >= 0)
            continue;
        int t = forward_time(value->producer);
        const struct step *s = &x->steps[value->producer];
        data[v] = (struct memory_request){.bytes = value->t.bytes, .first = t, .last = t};
        if (s->node >= 0 && s->backward && s->op.backward_needs_out)
            reach(&data[v], backward_time(x, value->producer));
    }
    for (size_t i = 0; i < x->step_count; i++) {
        const struct step *s = &x->steps[i];
        bool later = s->node >= 0 && s->backward && s->op.backward_needs_in;
        for (int k = 0; k < s->in_count; k++)
            reach(&data[s->in[k]], later ? backward_time(x, (int)i) : forward_time((int)i));
    }
    reach(&data[x->output], loss);
    for (int o = 0; o < x->graph->output_count; o++)
        reach(&data[x->node_value[x->graph->outputs[o]]], loss);
}

/* Also decides who writes a gradient first and who adds. */
static void request_gradients(struct executor *x, struct memory_request *grads)
{
    bool *written = xcalloc(x->value_count, sizeof(*written));
    int loss = (int)x->step_count;
    grads[x->output] =
        (struct memory_request){.bytes = x->values[x->output].t.bytes, .first = loss, .last = loss};
    written[x->output] = true;
    for (int i = (int)x->step_count - 1; i >= 0; i--) {
        struct step *s = &x->steps[i];
        int t = backward_time(x, i);
        if (!s->backward)
            continue;
        reach(&grads[s->out], t);
        for (int k = 0; k < s->in_count; k++) {
            int v = s->in[k];
            if (s->node >= 0 && !s->op.wants_input_grad[k])
                continue;
            if (!written[v])
                grads[v] = (struct memory_request){.bytes = x->values[v].t.bytes, .first = t, .last = t};
            reach(&grads[v], t);
            s->call.accumulate[k] = s->accumulate_in = written[v];
            written[v] = true;
        }
    }
    free(written);
}

static void request_kept(const struct executor *x, struct memory_request *kept)
{
    for (size_t i = 0; i < x->step_count; i++) {
        const struct step *s = &x->steps[i];
        if (s->node < 0)
            continue;
        kept[i] = (struct memory_request){
            .bytes = s->op.kept_bytes, .first = forward_time((int)i), .last = forward_time((int)i)};
        if (s->backward)
            reach(&kept[i], backward_time(x, (int)i));
    }
}

/* Large pages: fewer faults at the first step, fewer misses at all others. Advice only. */
static void advise(void *p, size_t bytes)
{
    uintptr_t from = ((uintptr_t)p + 4095) & ~(uintptr_t)4095, to = ((uintptr_t)p + bytes) & ~(uintptr_t)4095;
    if (to > from)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
}

static void *get_memory(struct executor *x, size_t bytes, struct err *err)
{
    void *p = x->backend->alloc(x->backend, bytes, err);
    if (p) {
        advise(p, bytes);
        memset(p, 0, bytes);
    }
    return p;
}

static void *at(const struct executor *x, const struct memory_request *r)
{
    return r->bytes ? (char *)x->arena + r->offset : NULL;
}

static int place_memory(struct executor *x, struct err *err)
{
    size_t n = x->value_count, total = 2 * n + x->step_count;
    struct memory_request *all = xcalloc(total ? total : 1, sizeof(*all)), *data = all, *grads = all + n,
                          *kept = all + 2 * n;
    request_data(x, data);
    if (!x->options.forward_only)
        request_gradients(x, grads);
    request_kept(x, kept);
    x->arena_bytes = memory_plan(all, total);
    for (size_t i = 0; i < x->step_count; i++)
        if (x->steps[i].op.scratch_bytes > x->scratch_bytes)
            x->scratch_bytes = x->steps[i].op.scratch_bytes;
    x->arena = get_memory(x, x->arena_bytes, err);
    x->scratch = x->arena ? get_memory(x, x->scratch_bytes, err) : NULL;
    for (size_t v = 0; x->scratch && v < n; v++) {
        x->values[v].data = at(x, &data[v]);
        x->values[v].grad = at(x, &grads[v]);
    }
    for (size_t i = 0; x->scratch && i < x->step_count; i++) {
        x->steps[i].call.kept = at(x, &kept[i]);
        x->steps[i].call.scratch = x->scratch;
    }
    free(all);
    return x->scratch ? 0
                      : err_prefix(err, "%zu bytes for the activations of %lld samples", x->arena_bytes,
                                   (long long)x->options.rows);
}

static void fill_calls(struct executor *x)
{
    float *trainable = x->rounded ? x->rounded : x->weights;
    for (size_t i = 0; i < x->step_count; i++) {
        struct step *s = &x->steps[i];
        s->call.out = x->values[s->out].data;
        s->call.grad_out = x->values[s->out].grad;
        s->call.seed = x->options.seed;
        for (int k = 0; k < s->in_count; k++) {
            s->call.in[k] = x->values[s->in[k]].data;
            s->call.grad_in[k] = s->node >= 0 && s->op.wants_input_grad[k] ? x->values[s->in[k]].grad : NULL;
        }
        for (int w = 0; s->node >= 0 && w < x->graph->nodes[s->node].weight_count; w++) {
            const struct executor_weight *of = &x->layout.list[x->layout.of_node[s->node] + w];
            s->call.weights[w] = (of->def->trainable ? trainable : x->states) + of->first;
        }
    }
}

/* ready: how far the gradients are final when a node and all after it are done. */
static void fill_ready(struct executor *x)
{
    size_t *ready = xcalloc((size_t)x->graph->node_count + 1, sizeof(*ready)), end = 0;
    for (int i = x->graph->node_count - 1; i >= 0; i--) {
        for (int w = 0; w < x->graph->nodes[i].weight_count; w++) {
            const struct executor_weight *of = &x->layout.list[x->layout.of_node[i] + w];
            if (of->def->trainable)
                end = of->first + of->count;
        }
        ready[i] = end;
    }
    for (size_t i = 0; i < x->step_count; i++)
        x->steps[i].ready = x->steps[i].node >= 0 ? ready[x->steps[i].node] : 0;
    free(ready);
}

int executor_plan(struct executor *x, struct err *err)
{
    const struct graph *g = x->graph;
    struct flow *flow = xcalloc((size_t)g->node_count, sizeof(*flow));
    x->steps =
        xcalloc(2 * (size_t)g->node_count + 1, sizeof(*x->steps)); /* each node, and a conversion of each */
    x->node_value = xcalloc((size_t)g->node_count, sizeof(*x->node_value));
    trace_forward(g, flow);
    trace_backward(g, x->backend, flow);
    int rc = add_steps(x, flow, err);
    free(flow);
    if (rc || place_memory(x, err))
        return -1;
    fill_calls(x);
    fill_ready(x);
    return 0;
}
