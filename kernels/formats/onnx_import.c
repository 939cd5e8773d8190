/* The way through the graph: inputs, nodes in order, outputs. What a node becomes is in onnx_import_layers.c, what is computed on the
 * spot in onnx_fold.c. */
#include "kernels/formats/onnx_import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/formats/onnx_fields.h"
#include "kernels/formats/onnx_importer.h"

enum { MAX_FINDINGS = 32 };

int import_fail(struct importer *im, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(&im->err, ERR_UNPROCESSABLE, "%s", text);
}

struct onnx_slot *import_slot(struct importer *im, const char *name)
{
    int i = *name ? names_find(&im->names, name) : -1;
    return i < 0 ? NULL : &im->slots[i];
}

static struct onnx_slot *new_slot(struct importer *im, const char *name)
{
    struct onnx_slot *s = import_slot(im, name);
    if (s) {
        constant_free(s->constant);
    } else {
        im->slots = vec_grow(im->slots, &im->slot_cap, im->slot_count + 1, sizeof(*im->slots));
        names_put(&im->names, name, (int)im->slot_count);
        s = &im->slots[im->slot_count++];
        *s = (struct onnx_slot){0};
    }
    s->constant = NULL;
    s->tensor = NULL;
    s->layer = -1;
    s->kind = SLOT_UNKNOWN;
    return s;
}

struct constant *constant_new(bool real, int rank, const int64_t *dims)
{
    struct constant *c = xcalloc(1, sizeof(*c));
    c->real = real;
    c->rank = rank;
    c->count = 1;
    for (int i = 0; i < rank; i++)
        c->count *= c->dims[i] = dims[i];
    if (real)
        c->f = xcalloc((size_t)c->count + 1, sizeof(*c->f));
    else
        c->i = xcalloc((size_t)c->count + 1, sizeof(*c->i));
    return c;
}

void constant_free(struct constant *c)
{
    if (c) {
        free(c->i);
        free(c->f);
    }
    free(c);
}

float *constant_floats(const struct constant *c)
{
    float *out = xcalloc((size_t)c->count + 1, sizeof(*out));
    for (int64_t i = 0; i < c->count; i++)
        out[i] = c->real ? c->f[i] : (float)c->i[i];
    return out;
}

int64_t constant_int(const struct constant *c, int64_t index)
{
    if (!c->real)
        return c->i[index];
    float v = c->f[index];
    return v >= 9e18f ? INT64_MAX : v <= -9e18f || v != v ? INT64_MIN : (int64_t)v;
}

static bool is_real(int type)
{
    return type == ONNX_FLOAT || type == ONNX_DOUBLE || type == ONNX_FLOAT16 || type == ONNX_BFLOAT16;
}

/* A tensor of the file as a constant, on first use. */
static struct constant *load_tensor(struct importer *im, const struct onnx_tensor *t)
{
    if ((im->work += t->count) > FOLD_WORK) {
        import_fail(im, "the file's constants need too much work to be read");
        return NULL;
    }
    struct constant *c = xcalloc(1, sizeof(*c));
    c->real = is_real(t->type);
    c->rank = t->rank;
    c->count = t->count;
    memcpy(c->dims, t->dims, sizeof(c->dims));
    if (c->real)
        c->f = onnx_tensor_floats(t, &im->err);
    else
        c->i = onnx_tensor_ints(t, &im->err);
    if (c->f || c->i)
        return c;
    constant_free(c);
    return NULL;
}

bool import_has(const struct importer *im, int k)
{
    return k < im->n->in_count && im->n->in[k][0];
}

struct constant *import_constant(struct importer *im, int k)
{
    struct onnx_slot *s = import_has(im, k) ? import_slot(im, im->n->in[k]) : NULL;
    if (s && s->kind == SLOT_TENSOR) {
        s->constant = load_tensor(im, s->tensor);
        s->kind = s->constant ? SLOT_CONSTANT : SLOT_UNKNOWN;
    }
    return s && s->kind == SLOT_CONSTANT ? s->constant : NULL;
}

int import_layer(struct importer *im, int k)
{
    struct onnx_slot *s = import_has(im, k) ? import_slot(im, im->n->in[k]) : NULL;
    return s && s->kind == SLOT_LAYER ? s->layer : -1;
}

void import_give_layer(struct importer *im, int output, int layer)
{
    if (output < im->n->out_count && im->n->out[output][0]) {
        struct onnx_slot *s = new_slot(im, im->n->out[output]);
        s->kind = SLOT_LAYER;
        s->layer = layer;
    }
}

void import_give_constant(struct importer *im, int output, struct constant *c)
{
    if (output < im->n->out_count && im->n->out[output][0]) {
        struct onnx_slot *s = new_slot(im, im->n->out[output]);
        s->kind = SLOT_CONSTANT;
        s->constant = c;
    } else {
        constant_free(c);
    }
}

static void tell(struct importer *im, const char *text)
{
    char plain[800];
    snprintf(plain, sizeof(plain), "%s", text);
    for (char *p = plain; *p; p++) /* names in a broken file may be anything */
        *p = *p < ' ' || *p > '~' ? '?' : *p;
    if (im->f->count < MAX_FINDINGS)
        findings_add(im->f, FINDING_FAILED, "model.import", NULL, "%s", plain);
}

static enum dtype dtype_of(int type)
{
    return type == ONNX_UINT8   ? DTYPE_U8
           : type == ONNX_INT64 ? DTYPE_I64
           : type == ONNX_INT32 ? DTYPE_I32
                                : DTYPE_F32;
}

/* A graph input that no initializer gives is an input of the model. */
static int add_input(struct importer *im, const struct onnx_value *v)
{
    struct shape shape = {.rank = v->rank - 1};
    if (import_slot(im, v->name) && import_slot(im, v->name)->kind == SLOT_TENSOR)
        return 0;
    if (v->rank < 2 || v->rank > SHAPE_MAX_RANK + 1)
        return import_fail(im, "input \"%.80s\" has %d dimensions; a batch and 1 to %d others are expected",
                           v->name, v->rank, SHAPE_MAX_RANK);
    for (int i = 1; i < v->rank; i++)
        shape.dim[i - 1] = v->dims[i];
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 1)
            return import_fail(im,
                               "input \"%.80s\" has a free dimension %d: only the first, the batch, may be "
                               "free; export the model for one "
                               "size",
                               v->name, i + 1);
    int64_t batch = v->dims[0] > 0 ? v->dims[0] : FREE_BATCH;
    if (im->batch && im->batch != batch)
        return import_fail(im, "the inputs disagree about the batch (%lld and %lld)", (long long)im->batch,
                           (long long)batch);
    im->batch = batch;
    int value = translation_input(im->t, v->name, &shape, dtype_of(v->type), &im->err);
    if (value < 0)
        return -1;
    struct onnx_slot *s = new_slot(im, v->name);
    s->kind = SLOT_LAYER;
    s->layer = value;
    return 0;
}

/* Who reads what, for patterns of several nodes. */
static void count_uses(struct importer *im)
{
    for (int i = 0; i < im->m.node_count; i++) {
        const struct onnx_node *n = &im->m.nodes[i];
        for (int k = 0; k < n->out_count; k++)
            if (n->out[k][0] && !import_slot(im, n->out[k]))
                new_slot(im, n->out[k])->layer = -2; /* not given yet */
    }
    for (int i = 0; i < im->m.node_count; i++)
        for (int k = 0; k < im->m.nodes[i].in_count; k++) {
            struct onnx_slot *s = import_slot(im, im->m.nodes[i].in[k]);
            if (s) {
                s->uses++;
                s->user = i;
            }
        }
    for (int i = 0; i < im->m.output_count; i++) {
        struct onnx_slot *s = import_slot(im, im->m.outputs[i].name);
        if (s) {
            s->uses++;
            s->user = -1;
        }
    }
}

/* 1: all inputs are there; 0: one is missing because a node before failed; -1 with err. */
static int inputs_ready(struct importer *im)
{
    for (int k = 0; k < im->n->in_count; k++) {
        const char *name = im->n->in[k];
        const struct onnx_slot *s = import_slot(im, name);
        if (*name && !s)
            return import_fail(im, "it reads \"%.80s\", which nothing gives", name);
        if (s && s->kind == SLOT_UNKNOWN && s->layer == -2)
            return import_fail(im,
                               "it reads \"%.80s\", which only a later node gives: the nodes go in a circle, "
                               "or are not in order",
                               name);
        if (s && s->kind == SLOT_UNKNOWN)
            return 0;
    }
    return 1;
}

/* What a node that failed would have given is unknown; who reads it says nothing more. */
static void give_unknown(struct importer *im)
{
    for (int k = 0; k < im->n->out_count; k++)
        if (im->n->out[k][0])
            new_slot(im, im->n->out[k]);
}

static void import_node(struct importer *im, int i)
{
    im->n = &im->m.nodes[i];
    im->index = i;
    im->err = (struct err){0};
    int rc = inputs_ready(im);
    if (rc > 0) {
        rc = onnx_fold(im);
        rc = rc == 0 ? onnx_import_node(im) : rc;
    } else {
        give_unknown(im);
    }
    if (rc < 0) {
        char text[800];
        snprintf(text, sizeof(text), "node %d (%.60s \"%.80s\"): %s", i, im->n->op, im->n->name,
                 im->err.text);
        tell(im, text);
        give_unknown(im);
    }
}

static int add_outputs(struct importer *im)
{
    for (int i = 0; i < im->m.output_count; i++) {
        struct onnx_slot *s = import_slot(im, im->m.outputs[i].name);
        if (!s || s->kind == SLOT_UNKNOWN)
            return import_fail(im, "no node gives the output \"%.80s\"", im->m.outputs[i].name);
        if (s->kind != SLOT_LAYER)
            return import_fail(im, "the output \"%.80s\" does not depend on the input",
                               im->m.outputs[i].name);
        if (translation_output(im->t, s->layer, &im->err))
            return -1;
    }
    return im->m.output_count ? 0 : import_fail(im, "the graph has no output");
}

static int import_graph(struct importer *im)
{
    for (int i = 0; i < im->m.tensor_count; i++) {
        struct onnx_slot *s = new_slot(im, im->m.tensors[i].name);
        s->kind = SLOT_TENSOR;
        s->tensor = &im->m.tensors[i];
    }
    for (int i = 0; i < im->m.input_count; i++)
        if (add_input(im, &im->m.inputs[i]))
            return -1;
    if (!im->batch)
        return import_fail(im, "the graph has no input");
    count_uses(im);
    im->done = xcalloc((size_t)im->m.node_count + 1, sizeof(*im->done));
    for (int i = 0; i < im->m.node_count && im->f->count < MAX_FINDINGS; i++)
        if (!strcmp(im->m.nodes[i].op, "Constant") &&
            im->m.nodes[i].in_count == 0) { /* patterns look ahead at them */
            import_node(im, i);
            im->done[i] = true;
        }
    for (int i = 0; i < im->m.node_count && im->f->count < MAX_FINDINGS; i++)
        if (!im->done[i])
            import_node(im, i);
    return findings_failed(im->f) ? 0 : add_outputs(im);
}

bool onnx_recognise(const void *file, size_t n)
{
    struct pb_reader r = {.rest = {file, n}};
    struct pb_field f;
    bool graph = false;
    for (int fields = 0; fields < 64 && pb_next(&r, &f); fields++) {
        if (f.number > 26 || (f.number == MODEL_IR_VERSION && f.wire != PB_VARINT))
            return false;
        graph |= f.number == MODEL_GRAPH && f.wire == PB_BYTES;
        if (f.number == MODEL_IR_VERSION && f.value < 100 && fields == 0)
            return true; /* how exporters begin; a damaged rest is told by the reader */
    }
    return graph && !r.bad;
}

int onnx_import(const void *file, size_t n, struct translation *t, char **name, struct findings *f)
{
    struct importer im = {.t = t, .f = f};
    size_t before = f->count;
    int rc = onnx_model_read(&im.m, file, n, &im.err);
    *name = xstrdup(im.m.graph_name ? im.m.graph_name : "");
    if (!rc)
        rc = import_graph(&im);
    if (rc)
        tell(&im, im.err.text);
    for (size_t i = 0; i < im.slot_count; i++)
        constant_free(im.slots[i].constant);
    free(im.slots);
    free(im.done);
    names_free(&im.names);
    onnx_model_free(&im.m);
    return f->count > before && findings_failed(f) ? -1 : 0;
}
