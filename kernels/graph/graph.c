/* From a flat spec to nodes with shapes. order.c says in which order; the rows' infer functions give the
 * shapes. */
#include "kernels/graph/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/graph/order.h"
#include "kernels/spec/params.h"

#define CHAIN_MAX 6 /* nodes shown where a shape breaks */

void graph_destroy(struct graph *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->node_count; i++) {
        free(g->nodes[i].name);
        free(g->nodes[i].pointer);
    }
    free(g->nodes);
    free(g->outputs);
    free(g->name);
    free(g);
}

int graph_find(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->node_count; i++)
        if (!strcmp(g->nodes[i].name, name))
            return i;
    return -1;
}

/* ---- nodes ---- */

static void add_inputs(struct graph *g, const struct model_spec *m)
{
    for (int i = 0; i < m->input_count; i++)
        g->nodes[g->node_count++] = (struct layer_node){.name = xstrdup(m->inputs[i].name),
                                                        .pointer = xstrdup(m->inputs[i].pointer),
                                                        .shape = m->inputs[i].shape,
                                                        .dtype = m->inputs[i].dtype};
    g->input_count = m->input_count;
}

static void add_layers(struct graph *g, const struct model_spec *m, const struct references *r,
                       const int *order, int count)
{
    int *node_of = xcalloc((size_t)m->input_count + m->layer_count + 1, sizeof(int));
    for (int i = 0; i < m->input_count; i++)
        node_of[i] = i;
    for (int i = 0; i < count; i++) {
        const struct spec_layer *l = &m->layers[order[i]];
        struct layer_node *n = &g->nodes[g->node_count];
        *n = (struct layer_node){.name = xstrdup(l->name),
                                 .type = l->type,
                                 .pointer = xstrdup(l->pointer),
                                 .input_count = l->input_count};
        memcpy(n->params, l->params, (size_t)l->type->param_count * sizeof(*l->params));
        for (int k = 0; k < l->input_count; k++)
            n->inputs[k] = node_of[r->target[r->first[order[i]] + k]];
        node_of[m->input_count + order[i]] = g->node_count++;
    }
    g->outputs = xcalloc((size_t)m->output_count + 1, sizeof(int));
    g->output_count = m->output_count;
    for (int i = 0; i < m->output_count; i++)
        g->outputs[i] = node_of[r->outputs[i]];
    free(node_of);
}

/* ---- shapes ---- */

static void describe(const struct layer_node *n, struct buf *out)
{
    char shape[96];
    shape_format(&n->shape, shape, sizeof(shape));
    buf_puts(out, n->name);
    if (n->type) {
        buf_printf(out, " (%s", n->type->name);
        const char *sep = ": ";
        for (int i = 0; i < n->type->param_count; i++) {
            enum param_kind kind = n->type->params[i].kind;
            /* What moves a shape: sizes, strides and padding, whether given or not. */
            if (kind == PARAM_REAL || kind == PARAM_BOOL ||
                (n->params[i].count == 0 && !n->params[i].text[0]))
                continue;
            buf_printf(out, "%s%s ", sep, n->type->params[i].name);
            param_write_json(&n->type->params[i], &n->params[i], out);
            sep = ", ";
        }
        buf_putc(out, ')');
    }
    buf_printf(out, " gives %s", shape);
}

/* "image gives (1, 28, 28), conv1 (conv2d: filters 32, kernel 3, padding "valid") gives (32, 26, 26)": along
 * the first inputs. */
static char *chain_text(const struct graph *g, const struct layer_node *n)
{
    int path[CHAIN_MAX], count = 0;
    int at = n->input_count ? n->inputs[0] : -1;
    while (at >= 0 && count < CHAIN_MAX) {
        path[count++] = at;
        at = g->nodes[at].input_count ? g->nodes[at].inputs[0] : -1;
    }
    struct buf b = {0};
    buf_puts(&b, at >= 0 ? "... " : "");
    while (count--) {
        describe(&g->nodes[path[count]], &b);
        buf_puts(&b, count ? "; " : "");
    }
    return buf_steal(&b);
}

static void infer_failed(const struct graph *g, const struct layer_node *n, const struct err *err,
                         struct findings *f)
{
    char *chain = chain_text(g, n);
    struct finding *it = findings_add(f, FINDING_FAILED, "model.shapes", n->pointer, "layer \"%s\": %s; %s",
                                      n->name, err->text, chain);
    char shapes[128] = "";
    if (n->input_count)
        shape_format(&n->in_shapes[0], shapes, sizeof(shapes));
    it->actual = xstrdup(shapes);
    free(chain);
}

/* Sizes that later code may multiply without looking: every activation and weight below 2^47 elements. */
static bool sizes_fit(const struct layer_node *n, struct findings *f)
{
    char shape[96];
    shape_format(&n->shape, shape, sizeof(shape));
    int64_t total = shape_elements(&n->shape);
    if (total <= 0) {
        struct finding *it =
            findings_add(f, FINDING_FAILED, total ? "model.cost" : "model.shapes", n->pointer,
                         "layer \"%s\" gives %s: %s", n->name, shape, total ? "too large" : "nothing");
        it->hint = xstrdup(
            total ? "make it smaller"
                  : "the input is smaller than the kernel or pool; use padding \"same\" or fewer layers");
        return false;
    }
    for (int i = 0; i < n->weight_count; i++) {
        if (shape_elements(&n->weights[i].shape) > 0)
            continue;
        shape_format(&n->weights[i].shape, shape, sizeof(shape));
        findings_add(f, FINDING_FAILED, "model.cost", n->pointer,
                     "layer \"%s\": weight \"%s\" of shape %s is too large", n->name, n->weights[i].name,
                     shape);
        return false;
    }
    return true;
}

static void infer_all(struct graph *g, struct findings *f)
{
    char *bad = xcalloc((size_t)g->node_count + 1, 1); /* failed, or fed by one that did */
    size_t before = f->count;
    for (int i = g->input_count; i < g->node_count && f->count - before < SPEC_MAX_FINDINGS; i++) {
        struct layer_node *n = &g->nodes[i];
        for (int k = 0; k < n->input_count; k++) {
            bad[i] |= bad[n->inputs[k]];
            n->in_shapes[k] = g->nodes[n->inputs[k]].shape;
            n->in_dtypes[k] = g->nodes[n->inputs[k]].dtype;
        }
        struct err err = {0};
        if (bad[i])
            continue;
        if (n->type->infer(n, &err)) {
            infer_failed(g, n, &err, f);
            bad[i] = 1;
        } else {
            bad[i] = !sizes_fit(n, f);
        }
    }
    free(bad);
}

struct graph *graph_build(const struct model_spec *model, struct findings *f)
{
    struct references r = {0};
    struct findings own = {0};
    struct graph *g = NULL;
    int count = 0, *order = NULL;
    if (references_find(model, &r, &own) == 0)
        order = order_layers(model, &r, &count, &own);
    if (order) {
        g = xcalloc(1, sizeof(*g));
        g->name = xstrdup(model->name);
        g->nodes = xcalloc((size_t)(model->input_count + count) + 1, sizeof(*g->nodes));
        add_inputs(g, model);
        add_layers(g, model, &r, order, count);
        infer_all(g, &own);
    }
    free(order);
    references_free(&r);
    bool failed = findings_failed(&own);
    for (size_t i = 0; i < own.count; i++) {
        f->items = vec_grow(f->items, &f->cap, f->count + 1, sizeof(*f->items));
        f->items[f->count++] = own.items[i];
    }
    free(own.items);
    if (failed) {
        graph_destroy(g);
        return NULL;
    }
    return g;
}

/* ---- cost ---- */

void graph_cost(const struct graph *g, struct graph_cost *out)
{
    *out = (struct graph_cost){0};
    for (int i = 0; i < g->node_count; i++) {
        const struct layer_node *n = &g->nodes[i];
        struct layer_cost cost = {0};
        if (!n->type)
            continue;
        n->type->cost(n, &cost);
        out->forward_flops += cost.forward_flops;
        out->backward_flops += cost.backward_flops;
        out->activation_bytes += cost.activation_bytes;
        for (int k = 0; k < n->weight_count; k++) {
            /* One weight is below 2^47, but there may be many: stay at the largest instead of wrapping. */
            int64_t elements = shape_elements(&n->weights[k].shape);
            if (n->weights[k].trainable &&
                __builtin_add_overflow(out->parameters, elements, &out->parameters))
                out->parameters = INT64_MAX;
            if (__builtin_add_overflow(out->weight_bytes, 4 * elements, &out->weight_bytes))
                out->weight_bytes = INT64_MAX;
        }
    }
}
