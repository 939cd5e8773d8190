#include "kernels/ops/index_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops/cpu.h"

struct index_map index_map_make(const struct layer_node *n)
{
    struct index_map m = {.rank = n->shape.rank};
    for (int a = 0; a < m.rank; a++) {
        m.dim[a] = n->shape.dim[a];
        m.offsets[a] = xcalloc((size_t)m.dim[a] + 1, sizeof(*m.offsets[a]));
    }
    return m;
}

void index_map_free(struct index_map *m)
{
    for (int a = 0; a < m->rank; a++)
        free(m->offsets[a]);
    *m = (struct index_map){0};
}

int64_t index_map_stride(const struct shape *in, int axis)
{
    int64_t stride = 1;
    for (int a = axis + 1; a < in->rank; a++)
        stride *= in->dim[a];
    return stride;
}

/* The last axis of one sample, for one choice of all others. */
struct line {
    int64_t at, from, count; /* place in the output, in the input (-1: fill), elements */
    const int64_t *offsets;
};

/* The index-th line; lines are counted over all axes but the last. */
static struct line line_of(const struct index_map *m, int64_t index)
{
    struct line l = {.count = m->dim[m->rank - 1], .offsets = m->offsets[m->rank - 1]};
    l.at = index * l.count;
    for (int a = m->rank - 2; a >= 0; a--) {
        int64_t offset = m->offsets[a][index % m->dim[a]];
        l.from = offset < 0 || l.from < 0 ? -1 : l.from + offset;
        index /= m->dim[a];
    }
    return l;
}

static int64_t lines_of(const struct index_map *m)
{
    int64_t lines = 1;
    for (int a = 0; a < m->rank - 1; a++)
        lines *= m->dim[a];
    return lines;
}

void index_map_ref_forward(const struct layer_node *n, const struct ref_call *c, index_map_f *make)
{
    struct index_map m = make(n);
    int64_t in = shape_elements(&n->in_shapes[0]), out = shape_elements(&n->shape);
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t o = 0; o < out; o++) {
            int64_t from = 0, rest = o;
            bool filled = false;
            for (int a = m.rank - 1; a >= 0; rest /= m.dim[a--]) {
                filled |= m.offsets[a][rest % m.dim[a]] < 0;
                from += m.offsets[a][rest % m.dim[a]];
            }
            c->out[r * out + o] = filled ? m.fill : c->in[0][r * in + from];
        }
    index_map_free(&m);
}

void index_map_ref_backward(const struct layer_node *n, const struct ref_call *c, index_map_f *make)
{
    struct index_map m = make(n);
    int64_t in = shape_elements(&n->in_shapes[0]), out = shape_elements(&n->shape);
    for (int64_t r = 0; c->grad_in[0] && r < c->rows; r++)
        for (int64_t i = 0; i < lines_of(&m); i++) {
            struct line l = line_of(&m, i);
            for (int64_t k = 0; l.from >= 0 && k < l.count; k++)
                if (l.offsets[k] >= 0)
                    c->grad_in[0][r * in + l.from + l.offsets[k]] += c->grad_out[r * out + l.at + k];
        }
    index_map_free(&m);
}

struct map_state {
    struct index_map map;
    int64_t lines, first, run; /* of a line's elements, [first, first + run) lie together in the input */
    bool whole;                /* and the others are fill */
};

int index_map_plan(struct op *op, index_map_f *make)
{
    struct map_state *s = op->state = xcalloc(1, sizeof(*s));
    s->map = make(op->node);
    s->lines = lines_of(&s->map);
    const int64_t *o = s->map.offsets[s->map.rank - 1];
    int64_t count = s->map.dim[s->map.rank - 1], end;
    while (s->first < count && o[s->first] < 0)
        s->first++;
    for (end = s->first; end < count && o[end] == o[s->first] + end - s->first;)
        end++;
    s->run = end - s->first;
    s->whole = true;
    for (int64_t k = end; k < count; k++)
        s->whole = s->whole && o[k] < 0;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

void index_map_release(struct op *op)
{
    struct map_state *s = op->state;
    index_map_free(&s->map);
    free(s);
    op->state = NULL;
}

static void fill(float *to, int64_t count, float value)
{
    for (int64_t k = 0; k < count; k++)
        to[k] = value;
}

static void gather_line(const struct map_state *s, const struct line *l, const float *in, float *out)
{
    float value = (float)s->map.fill;
    if (l->from < 0) {
        fill(out, l->count, value);
    } else if (s->whole) {
        fill(out, s->first, value);
        memcpy(out + s->first, in + l->from + (s->run ? l->offsets[s->first] : 0),
               sizeof(float) * (size_t)s->run);
        fill(out + s->first + s->run, l->count - s->first - s->run, value);
    } else {
        const float *from = in + l->from;
        for (int64_t k = 0; k < l->count; k++)
            out[k] = l->offsets[k] < 0 ? value : from[l->offsets[k]];
    }
}

static void scatter_line(const struct map_state *s, const struct line *l, const float *g, float *gi)
{
    if (l->from < 0)
        return;
    float *to = gi + l->from;
    if (s->whole) {
        float *run = to + (s->run ? l->offsets[s->first] : 0);
        for (int64_t k = 0; k < s->run; k++)
            run[k] += g[s->first + k];
    } else {
        for (int64_t k = 0; k < l->count; k++)
            if (l->offsets[k] >= 0)
                to[l->offsets[k]] += g[k];
    }
}

static int threads_for(const struct op *op, int64_t floats)
{
    return floats < 16384 ? 1 : op->backend->threads;
}

void index_map_forward(struct op *op, const struct op_call *c)
{
    const struct map_state *s = op->state;
    int64_t in = shape_elements(&op->in[0].shape), out = shape_elements(&op->node->shape);
    int threads = threads_for(op, c->rows * out);
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t i = 0; i < s->lines; i++) {
            struct line l = line_of(&s->map, i);
            gather_line(s, &l, (const float *)c->in[0] + r * in, (float *)c->out + r * out + l.at);
        }
}

void index_map_backward(struct op *op, const struct op_call *c)
{
    const struct map_state *s = op->state;
    int64_t in = shape_elements(&op->in[0].shape), out = shape_elements(&op->node->shape);
    int threads = threads_for(op, c->rows * out);
    if (!c->grad_in[0])
        return;
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < c->rows; r++) { /* a sample's elements may share a source, samples do not */
        float *gi = (float *)c->grad_in[0] + r * in;
        if (!c->accumulate[0])
            memset(gi, 0, sizeof(float) * (size_t)in);
        for (int64_t i = 0; i < s->lines; i++) {
            struct line l = line_of(&s->map, i);
            scatter_line(s, &l, (const float *)c->grad_out + r * out + l.at, gi);
        }
    }
}
