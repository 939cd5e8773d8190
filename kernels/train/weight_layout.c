#include "kernels/train/weight_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/random.h"

#define ALIGN_FLOATS 16 /* a cache line */
#define MOST_FLOATS  ((size_t)1 << 40)

static int place(struct weight_layout *l, const struct graph *g, int node, int index, struct err *err)
{
    const struct layer_node *n = &g->nodes[node];
    const struct weight_def *d = &n->weights[index];
    int64_t elements = shape_elements(&d->shape);
    size_t *end = d->trainable ? &l->weight_floats : &l->state_floats;
    if (elements < 0 || (size_t)elements > MOST_FLOATS || *end > MOST_FLOATS)
        return err_set(err, ERR_TOO_LARGE, "%s.%s is too large to hold", n->name, d->name);
    l->list[l->count++] = (struct executor_weight){.name = xasprintf("%s.%s", n->name, d->name),
                                                   .def = d,
                                                   .node = node,
                                                   .first = *end,
                                                   .count = (size_t)elements};
    *end = (*end + (size_t)elements + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    return 0;
}

int weight_layout_make(struct weight_layout *l, const struct graph *g, struct err *err)
{
    size_t total = 0;
    *l = (struct weight_layout){0};
    for (int i = 0; i < g->node_count; i++)
        total += (size_t)g->nodes[i].weight_count;
    l->list = xcalloc(total ? total : 1, sizeof(*l->list));
    l->of_node = xcalloc((size_t)g->node_count + 1, sizeof(*l->of_node));
    for (int i = g->node_count - 1; i >= 0; i--) {
        l->of_node[i] = (int64_t)l->count;
        for (int w = 0; w < g->nodes[i].weight_count; w++)
            if (place(l, g, i, w, err))
                return -1;
    }
    return 0;
}

void weight_layout_free(struct weight_layout *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->list[i].name);
    free(l->list);
    free(l->of_node);
    *l = (struct weight_layout){0};
}

static void constant(float *out, size_t n, double value)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)value;
}

static void initialise(const struct executor_weight *w, uint64_t seed, float *out)
{
    const struct weight_def *d = w->def;
    uint64_t stream = random_stream(w->name);
    double in = d->fan_in > 0 ? (double)d->fan_in : 1, both = in + (double)d->fan_out, limit;
    switch (d->init) {
    case INIT_ZEROS:
        constant(out, w->count, 0);
        break;
    case INIT_ONES:
        constant(out, w->count, 1);
        break;
    case INIT_CONSTANT:
        constant(out, w->count, d->scale);
        break;
    case INIT_NORMAL:
        random_normal(out, w->count, seed, stream, d->scale);
        break;
    case INIT_UNIFORM:
        random_uniform(out, w->count, seed, stream, -d->scale, d->scale);
        break;
    case INIT_GLOROT_UNIFORM:
        limit = sqrt(6 / both);
        random_uniform(out, w->count, seed, stream, -limit, limit);
        break;
    case INIT_HE_UNIFORM:
        limit = sqrt(6 / in);
        random_uniform(out, w->count, seed, stream, -limit, limit);
        break;
    case INIT_HE_NORMAL:
        random_normal(out, w->count, seed, stream, sqrt(2 / in));
        break;
    }
}

void weight_layout_initialise(const struct weight_layout *l, uint64_t seed, float *weights, float *states)
{
    for (size_t i = 0; i < l->count; i++)
        initialise(&l->list[i], seed, (l->list[i].def->trainable ? weights : states) + l->list[i].first);
}

/* A weight of two or more dimensions is a matrix to muon, its first dimension the rows; a table that is looked up in is none. */
static void set_matrix(struct optimizer_range *r, const struct executor_weight *w, const struct layer_node *n,
                       const struct algorithm *a)
{
    const struct shape *s = &w->def->shape;
    size_t rows = s->rank > 1 ? (size_t)s->dim[0] : 0, columns = rows > 0 ? w->count / rows : 0;
    if (rows < 2 || columns < 2 || (n->type && strstr(n->type->name, "embedding")) ||
        patterns_match(&a->optimizer.adamw_for, w->name))
        return;
    bool inputs_first = s->rank == 2 && s->dim[0] == w->def->fan_in; /* dense: (inputs, units) */
    double tall = inputs_first ? (double)columns / (double)rows : (double)rows / (double)columns;
    r->rows = rows;
    r->columns = columns;
    r->lengthen = (float)sqrt(tall > 1 ? tall : 1);
}

struct optimizer_range *weight_layout_ranges(const struct weight_layout *l, const struct graph *g,
                                             const struct algorithm *a, size_t *count)
{
    struct optimizer_range *r = xcalloc(l->count + 1, sizeof(*r));
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct executor_weight *w = &l->list[i];
        if (!w->def->trainable)
            continue;
        if (n > 0)
            r[n - 1].count = w->first - r[n - 1].first;
        r[n].first = w->first;
        r[n].decay = w->def->decay && !patterns_match(&a->optimizer.weight_decay_exclude, w->name);
        set_matrix(&r[n++], w, &g->nodes[w->node], a);
    }
    if (n > 0)
        r[n - 1].count = l->weight_floats - r[n - 1].first;
    *count = n;
    return r;
}
