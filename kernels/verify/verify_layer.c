/* A layer file is verified by building it alone, with its defaults, on an input of its own shape, or on the
 * first of a few usual shapes that fits. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "kernels/verify/checks.h"
#include "kernels/verify/verify_kernel.h"

static const struct shape candidates[] = {
    {3, {8, 16, 16}}, {1, {64}},          {3, {3, 32, 32}}, {3, {64, 8, 8}},
    {2, {16, 64}},    {3, {3, 224, 224}}, {1, {1024}},
};

struct attempt {
    struct model_spec *m;
    struct graph *g;
    struct findings f;
};

static void attempt_free(struct attempt *a)
{
    graph_destroy(a->g);
    model_spec_destroy(a->m);
    findings_free(&a->f);
}

static struct attempt attempt_build(const struct layer_library *library, const struct layer_file *file,
                                    const struct shape *shape)
{
    struct attempt a = {0};
    int inputs = layer_file_input_count(file);
    struct shape *shapes = xcalloc((size_t)inputs, sizeof(*shapes));
    for (int i = 0; i < inputs; i++)
        shapes[i] = *shape;
    a.m = layer_file_model(library, file, shapes, &a.f);
    if (a.m)
        a.g = graph_build(a.m, &a.f);
    free(shapes);
    return a;
}

/* Of failed attempts the one that got furthest says most: its first failure is in the latest layer. */
static int progress(const struct attempt *a)
{
    int at = -1;
    for (size_t i = 0; i < a->f.count; i++)
        if (a->f.items[i].status == FINDING_FAILED && a->f.items[i].pointer &&
            sscanf(a->f.items[i].pointer, "/composite/layers/%d", &at) == 1)
            return at;
    return at;
}

static struct attempt attempt_best(const struct layer_library *library, const struct layer_file *file)
{
    struct attempt best = attempt_build(library, file, &candidates[0]);
    if (layer_file_has_shapes(file) || !best.m)
        return best;
    for (size_t i = 1; i < ARRAY_LEN(candidates) && !best.g; i++) {
        struct attempt a = attempt_build(library, file, &candidates[i]);
        bool better = a.g || progress(&a) > progress(&best);
        attempt_free(better ? &best : &a);
        if (better)
            best = a;
    }
    return best;
}

static void take_findings(struct verification *v, struct attempt *a, bool hint)
{
    size_t from = v->f.count;
    for (size_t i = 0; i < a->f.count; i++) {
        v->f.items = vec_grow(v->f.items, &v->f.cap, v->f.count + 1, sizeof(*v->f.items));
        v->f.items[v->f.count++] = a->f.items[i];
    }
    free(a->f.items);
    a->f = (struct findings){0};
    rename_checks(&v->f, from, "model", "layer");
    for (size_t i = from; hint && i < v->f.count; i++)
        if (v->f.items[i].status == FINDING_FAILED && !v->f.items[i].hint)
            v->f.items[i].hint = xstrdup("if the layer needs an input of a certain shape, say it: "
                                         "\"inputs\": [{\"name\": \"x\", \"shape\": [3, 32, 32]}]");
}

/* A program is proven by itself; then as a layer, in a model of its own. */
static void check_kernel(struct verification *v, const struct layer_file *file)
{
    struct kernel_layer *k = layer_file_kernel(file);
    struct param_value *params = layer_file_defaults(file);
    struct buf text = {0};
    verify_kernel(v, k, params);
    layer_file_write_json(file, &v->summary);
    if (k->derived) { /* the reader may want to see, and keep, what was derived */
        v->summary.len--;
        program_print(k->backward, &k->backward_scope, &text);
        buf_puts(&v->summary, ",\"derived\":");
        buf_json_str(&v->summary, buf_str(&text));
        buf_putc(&v->summary, '}');
    }
    buf_free(&text);
    free(params);
}

static void check_file(struct verification *v, const struct layer_library *library,
                       const struct layer_file *file)
{
    char shape[96];
    check_passed(v, "layer.syntax", "valid JSON of format trainyard.layer/1");
    check_passed(v, "layer.parameters", "every parameter has a type, limits and a default within them");
    if (layer_file_kernel(file)) {
        check_kernel(v, file);
        return;
    }
    struct attempt a = attempt_best(library, file);
    take_findings(v, &a, !a.g && a.m && !layer_file_has_shapes(file));
    if (a.g) {
        shape_format(&a.g->nodes[0].shape, shape, sizeof(shape));
        check_passed(v, "layer.expansion", "with its defaults it is %zu built-in layers", a.m->layer_count);
        check_passed(v, "layer.shapes", "tried on an input of %s", shape);
        size_t graph_from = v->f.count;
        check_graph(v, a.g);
        rename_checks(&v->f, graph_from, "model", "layer");
    }
    layer_file_write_json(file, &v->summary);
    if (a.g) {
        v->summary.len--; /* the closing brace: the graph goes inside */
        v->summary.data[v->summary.len] = 0;
        buf_puts(&v->summary, ",\"graph\":");
        graph_write_json(a.g, &v->summary);
        buf_putc(&v->summary, '}');
    }
    attempt_free(&a);
}

int verify_layer_file(struct verification *v, struct err *err)
{
    struct buf text = {0};
    struct layer_library *library = NULL;
    int rc = file_read(v->o->file, LAYER_FILE_MAX, &text, err);
    if (!rc && !(library = load_layers(v, err)))
        rc = -1;
    if (!rc) {
        const struct layer_file *file = layer_library_add(library, buf_str(&text), text.len, &v->f);
        if (file)
            check_file(v, library, file);
        findings_locate(&v->f, buf_str(&text), text.len);
    }
    layer_library_destroy(library);
    buf_free(&text);
    return rc;
}
