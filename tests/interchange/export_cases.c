/* export_cases DIR: every small case of the operation tests as an ONNX file, NNN.onnx, with NNN.safetensors beside it: its inputs
 * (in0, in1, ...) and what the plain reference makes of them in float64 (out). test_export.py compares another implementation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ops/cases.h"
#include "base/file.h"
#include "base/mem.h"
#include "kernels/formats/onnx_export.h"
#include "kernels/graph/graph.h"
#include "kernels/ops/reference.h"
#include "kernels/optim/random.h"
#include "kernels/spec/model.h"

enum { MAX_TENSORS = LAYER_MAX_INPUTS + LAYER_MAX_WEIGHTS + 1 };

struct tensors {
    struct tensor_entry in[LAYER_MAX_INPUTS + 1], weights[LAYER_MAX_WEIGHTS];
    struct ref_call call;
    void *owned[4 * MAX_TENSORS];
    int owned_count;
};

static struct model_spec *spec_of(const struct op_case *c)
{
    struct model_spec *m = model_spec_create("case");
    char names[64] = "";
    for (int i = 0; i < c->inputs; i++) {
        char name[16];
        const struct shape *s = c->in[i].rank ? &c->in[i] : &c->in[0];
        snprintf(name, sizeof(name), "in%d", i);
        model_spec_input(m, name, s, c->dtype);
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? "," : "", name);
    }
    struct spec_layer *l = model_spec_add(m, "out", c->type, names);
    for (const struct param_set *p = c->params; p < c->params + 6 && p->name; p++) {
        if (p->text)
            model_spec_set_text(l, p->name, p->text);
        else if (p->count)
            for (int i = 0; i < p->count; i++)
                model_spec_set(l, p->name, i, (double)p->ints[i]);
        else {
            model_spec_set(l, p->name, 0, p->a);
            if (p->b >= 0)
                model_spec_set(l, p->name, 1, p->b);
        }
    }
    model_spec_output(m, "out");
    return m;
}

/* A tensor of random numbers, as float32 (or bytes) and in float64. */
static struct tensor_entry random_entry(struct tensors *all, const char *name, const struct shape *shape,
                                        int64_t rows, enum dtype dtype, bool positive, double scale,
                                        double **copy)
{
    struct tensor_entry t = {
        .name = all->owned[all->owned_count++] = xstrdup(name), .dtype = dtype, .shape = {.rank = 0}};
    size_t n = (size_t)((rows > 0 ? rows : 1) * shape_elements(shape)); /* rows 0: a weight */
    float *v = xcalloc(n + 16, sizeof(*v));
    uint8_t *bytes = xcalloc(n + 16, 1);
    if (rows > 0)
        t.shape.dim[t.shape.rank++] = rows;
    for (int a = 0; a < shape->rank; a++)
        t.shape.dim[t.shape.rank++] = shape->dim[a];
    *copy = xcalloc(n + 1, sizeof(**copy));
    random_uniform(v, n, 7, random_stream(name), positive ? 0.5 : -scale, positive ? 1.5 : scale);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
        (*copy)[i] = dtype == DTYPE_U8 ? bytes[i] : (double)v[i];
    }
    t.data = dtype == DTYPE_U8 ? (void *)bytes : (void *)v;
    t.bytes = n * (size_t)dtype_size(dtype);
    all->owned[all->owned_count++] = v;
    all->owned[all->owned_count++] = bytes;
    all->owned[all->owned_count++] = *copy;
    return t;
}

static void write_case(const struct op_case *c, const struct layer_node *n, const struct graph *g,
                       const char *base)
{
    struct tensors t = {.call = {.rows = c->rows}};
    double *copy;
    for (int i = 0; i < c->inputs; i++) {
        t.in[i] = random_entry(&t, g->nodes[i].name, &n->in_shapes[i], c->rows, n->in_dtypes[i], false,
                               c->scale > 0 ? c->scale : 1, &copy);
        t.call.in[i] = copy;
    }
    for (int i = 0; i < n->weight_count; i++) {
        char *name = xasprintf("out.%s", n->weights[i].name);
        t.weights[i] = random_entry(&t, name, &n->weights[i].shape, 0, DTYPE_F32,
                                    strstr(name, "variance") != NULL, 1, &copy);
        t.call.weights[i] = copy;
        free(name);
    }
    size_t outputs = (size_t)(c->rows * shape_elements(&n->shape));
    double *out = xcalloc(outputs, sizeof(*out));
    t.call.out = out;
    op_ref_find(c->type)->forward(n, &t.call);
    t.in[c->inputs] =
        (struct tensor_entry){.name = "out", .dtype = DTYPE_F64, .data = out, .bytes = outputs * 8};
    t.in[c->inputs].shape.dim[t.in[c->inputs].shape.rank++] = c->rows;
    for (int a = 0; a < n->shape.rank; a++)
        t.in[c->inputs].shape.dim[t.in[c->inputs].shape.rank++] = n->shape.dim[a];
    struct onnx_export x = {.graph = g,
                            .weights = t.weights,
                            .weight_count = (size_t)n->weight_count,
                            .producer_version = "test"};
    struct buf file = {0};
    struct err err = {0};
    char *onnx = xasprintf("%s.onnx", base), *values = xasprintf("%s.safetensors", base);
    if (onnx_export_write(&x, &file, &err) || file_write_atomic(onnx, file.data, file.len, 0644, &err) ||
        safetensors_write(values, t.in, (size_t)c->inputs + 1, NULL, 0, &err)) {
        fprintf(stderr, "%s (%s): %s\n", base, c->type, err.text);
        exit(1);
    }
    printf("%s %s\n", base, c->type);
    while (t.owned_count > 0)
        free(t.owned[--t.owned_count]);
    free(out);
    free(onnx);
    free(values);
    buf_free(&file);
}

/* Every layer type has an exporter, or stands in this list. */
static int check_complete(void)
{
    static const char *const without[] = {"", NULL};
    int count, missing = 0;
    const struct layer_type *const *types = layer_types(&count);
    for (int i = 0; i < count; i++) {
        bool tried = false;
        for (int k = 0; k < op_case_count; k++)
            tried |= !strcmp(op_cases[k].type, types[i]->name) && !op_cases[k].speed;
        for (int k = 0; without[k]; k++)
            tried |= !strcmp(without[k], types[i]->name);
        if (!tried)
            missing++, fprintf(stderr, "%s has no small case\n", types[i]->name);
    }
    return missing;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (int i = 0; i < op_case_count; i++) {
        const struct op_case *c = &op_cases[i];
        if (c->speed)
            continue;
        struct findings f = {0};
        char *base = NULL;
        struct model_spec *m = spec_of(c);
        struct graph *g = graph_build(m, &f);
        if (g && onnx_export_obstacle(g)) { /* the run's report names it then */
            printf("refused %s\n", c->type);
            goto next;
        }
        base = xasprintf("%s/%03d", argv[1], i);
        if (!g) {
            fprintf(stderr, "case %d (%s): %s\n", i, c->type, f.count ? f.items[0].message : "?");
            return 1;
        }
        write_case(c, &g->nodes[g->node_count - 1], g, base);
        free(base);
    next:
        findings_free(&f);
        graph_destroy(g);
        model_spec_destroy(m);
    }
    return check_complete() ? 1 : 0;
}
