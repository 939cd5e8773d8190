/* Names to numbers, then a depth-first walk from the outputs: what it reaches is needed, what it reaches
 * twice on one path is a cycle, and the order in which it leaves is an execution order. Without recursion: a
 * chain may be 20,000 long. */
#include "kernels/graph/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"

/* ---- names ---- */

struct names {
    const char **name;
    int *number;
    size_t mask;
};

static size_t slot_of(const struct names *t, const char *name)
{
    uint64_t h = 1469598103934665603u;
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    size_t i = (size_t)(h ^ (h >> 29)) & t->mask;
    while (t->name[i] && strcmp(t->name[i], name))
        i = (i + 1) & t->mask;
    return i;
}

static bool names_add(struct names *t, const char *name, int number)
{
    size_t i = slot_of(t, name);
    if (t->name[i])
        return false;
    t->name[i] = name;
    t->number[i] = number;
    return true;
}

static int names_number(const struct names *t, const char *name)
{
    size_t i = slot_of(t, name);
    return t->name[i] ? t->number[i] : -1;
}

static void names_fill(struct names *t, const struct model_spec *m, struct findings *f)
{
    size_t size = 16;
    while (size < 2 * (m->layer_count + (size_t)m->input_count))
        size *= 2;
    *t = (struct names){xcalloc(size, sizeof(*t->name)), xcalloc(size, sizeof(*t->number)), size - 1};
    for (int i = 0; i < m->input_count; i++)
        if (!names_add(t, m->inputs[i].name, i))
            findings_add(f, FINDING_FAILED, "model.names", m->inputs[i].pointer,
                         "a second input named \"%s\"", m->inputs[i].name);
    for (size_t i = 0; i < m->layer_count; i++)
        if (!names_add(t, m->layers[i].name, (int)i + m->input_count))
            findings_add(f, FINDING_FAILED, "model.names", m->layers[i].pointer,
                         "a second layer or input named \"%s\"", m->layers[i].name);
}

static int look_up(const struct names *t, const struct model_spec *m, const char *name, const char *pointer,
                   const char *check, struct findings *f)
{
    int number = names_number(t, name);
    if (number >= 0)
        return number;
    struct finding *it =
        findings_add(f, FINDING_FAILED, check, pointer, "there is no layer or input \"%s\"", name);
    const char **known = xcalloc(m->layer_count + 1, sizeof(*known));
    for (size_t i = 0; i < m->layer_count; i++)
        known[i] = m->layers[i].name;
    const char *near = nearest_name(name, known);
    if (near)
        it->hint = xasprintf("did you mean \"%s\"?", near);
    free(known);
    return -1;
}

int references_find(const struct model_spec *m, struct references *r, struct findings *f)
{
    struct names t;
    size_t total = 0, before = f->count;
    names_fill(&t, m, f);
    for (size_t i = 0; i < m->layer_count; i++)
        total += (size_t)m->layers[i].input_count;
    r->first = xcalloc(m->layer_count + 1, sizeof(int));
    r->target = xcalloc(total + 1, sizeof(int));
    r->outputs = xcalloc((size_t)m->output_count + 1, sizeof(int));
    for (size_t i = 0; i < m->layer_count; i++) {
        const struct spec_layer *l = &m->layers[i];
        r->first[i + 1] = r->first[i] + l->input_count;
        for (int k = 0; k < l->input_count && f->count - before < SPEC_MAX_FINDINGS; k++)
            r->target[r->first[i] + k] = look_up(&t, m, l->inputs[k], l->pointer, "model.inputs", f);
    }
    for (int i = 0; i < m->output_count; i++) {
        r->outputs[i] = look_up(&t, m, m->outputs[i].name, m->outputs[i].pointer, "model.outputs", f);
        if (r->outputs[i] >= 0 && r->outputs[i] < m->input_count)
            findings_add(f, FINDING_FAILED, "model.outputs", m->outputs[i].pointer,
                         "the output \"%s\" is an input, not a layer", m->outputs[i].name);
    }
    free(t.name);
    free(t.number);
    if (f->count == before)
        return 0;
    references_free(r);
    return -1;
}

void references_free(struct references *r)
{
    free(r->first);
    free(r->target);
    free(r->outputs);
    *r = (struct references){0};
}

/* ---- order ---- */

enum { UNSEEN, OPEN, DONE };

struct walk {
    const struct model_spec *m;
    const struct references *r;
    char *state;
    int *stack, *next; /* path of open layers; next input of each to look at */
    int depth;
    int *order, count;
};

static void report_cycle(const struct walk *w, int again, struct findings *f)
{
    int from = w->depth - 1, shown = 0;
    while (w->stack[from] != again)
        from--;
    /* The stack goes from user to used; data flows the other way. */
    struct buf path = {0};
    buf_puts(&path, w->m->layers[again].name);
    for (int i = w->depth - 1; i >= from; i--) {
        if (++shown == 12 && i > from + 1) {
            buf_puts(&path, " -> ...");
            i = from + 1;
            continue;
        }
        buf_printf(&path, " -> %s", w->m->layers[w->stack[i]].name);
    }
    const struct spec_layer *l = &w->m->layers[w->stack[from]];
    struct finding *it = findings_add(f, FINDING_FAILED, "model.cycles", l->pointer,
                                      "layers feed each other in a circle: %s", buf_str(&path));
    it->hint =
        xasprintf("remove one of these inputs; layer \"%s\" cannot be computed before itself", l->name);
    buf_free(&path);
}

static bool walk_from(struct walk *w, int layer, struct findings *f)
{
    int inputs = w->m->input_count;
    w->depth = 0;
    w->stack[w->depth++] = layer;
    w->state[layer] = OPEN;
    while (w->depth) {
        int at = w->stack[w->depth - 1];
        int k = w->r->first[at] + w->next[at];
        if (k == w->r->first[at + 1]) {
            w->state[at] = DONE;
            w->order[w->count++] = at;
            w->depth--;
            continue;
        }
        w->next[at]++;
        int to = w->r->target[k] - inputs;
        if (to < 0 || w->state[to] == DONE)
            continue;
        if (w->state[to] == OPEN) {
            report_cycle(w, to, f);
            return false;
        }
        w->state[to] = OPEN;
        w->stack[w->depth++] = to;
    }
    return true;
}

static void warn_unused(const struct walk *w, struct findings *f)
{
    const struct model_spec *m = w->m;
    int unused = 0;
    char *feeds = xcalloc((size_t)m->input_count + m->layer_count + 1, 1);
    for (size_t i = 0; i < m->layer_count; i++)
        if (w->state[i] == DONE)
            for (int k = w->r->first[i]; k < w->r->first[i + 1]; k++)
                feeds[w->r->target[k]] = 1;
    for (size_t i = 0; i < m->layer_count; i++) {
        if (w->state[i] == DONE || ++unused > 16)
            continue;
        struct finding *it =
            findings_add(f, FINDING_WARNED, "model.unused", m->layers[i].pointer,
                         "layer \"%s\" leads to no output and is left out", m->layers[i].name);
        it->hint = xstrdup("use it as another layer's input, name it among the outputs, or remove it");
    }
    if (unused > 16)
        findings_add(f, FINDING_WARNED, "model.unused", NULL, "%d more layers lead to no output",
                     unused - 16);
    for (int i = 0; i < m->input_count; i++)
        if (!feeds[i])
            findings_add(f, FINDING_WARNED, "model.unused", m->inputs[i].pointer,
                         "input \"%s\" leads to no output", m->inputs[i].name);
    free(feeds);
}

int *order_layers(const struct model_spec *m, const struct references *r, int *count, struct findings *f)
{
    struct walk w = {.m = m, .r = r};
    bool good = true;
    size_t n = m->layer_count + 1;
    w.state = xcalloc(n, 1);
    w.stack = xcalloc(n, sizeof(int));
    w.next = xcalloc(n, sizeof(int));
    w.order = xcalloc(n, sizeof(int));
    for (int i = 0; i < m->output_count && good; i++)
        if (w.state[r->outputs[i] - m->input_count] == UNSEEN)
            good = walk_from(&w, r->outputs[i] - m->input_count, f);
    /* A circle that no output needs is still a mistake. */
    int needed = w.count;
    char *state = xmalloc(n);
    memcpy(state, w.state, n);
    for (size_t i = 0; i < m->layer_count && good; i++)
        if (w.state[i] == UNSEEN)
            good = walk_from(&w, (int)i, f);
    memcpy(w.state, state, n);
    free(state);
    if (good)
        warn_unused(&w, f);
    free(w.state);
    free(w.stack);
    free(w.next);
    if (!good) {
        free(w.order);
        return NULL;
    }
    *count = needed;
    return w.order;
}
