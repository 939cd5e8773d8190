/* The flat model spec: building one in C, writing it, freeing it. model_json.c makes one from a file. */
#include "kernels/spec/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/spec/params.h"

static void layer_free(struct spec_layer *l)
{
    for (int i = 0; i < l->input_count; i++)
        free(l->inputs[i]);
    free(l->inputs);
    free(l->params);
    free(l->name);
    free(l->pointer);
    free(l->within);
}

void model_spec_destroy(struct model_spec *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->input_count; i++) {
        free(m->inputs[i].name);
        free(m->inputs[i].pointer);
    }
    for (size_t i = 0; i < m->layer_count; i++)
        layer_free(&m->layers[i]);
    for (int i = 0; i < m->output_count; i++) {
        free(m->outputs[i].name);
        free(m->outputs[i].pointer);
    }
    free(m->inputs);
    free(m->layers);
    free(m->outputs);
    free(m->name);
    free(m);
}

/* ---- building in C ---- */

__attribute__((format(printf, 1, 2), noreturn)) static void misuse(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("fatal: model_spec: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

struct model_spec *model_spec_create(const char *name)
{
    struct model_spec *m = xcalloc(1, sizeof(*m));
    m->name = xstrdup(name);
    return m;
}

void model_spec_input(struct model_spec *m, const char *name, const struct shape *shape, enum dtype dtype)
{
    m->inputs = xreallocarray(m->inputs, (size_t)m->input_count + 1, sizeof(*m->inputs));
    m->inputs[m->input_count] = (struct spec_input){.name = xstrdup(name),
                                                    .pointer = xasprintf("/inputs/%d", m->input_count),
                                                    .shape = *shape,
                                                    .dtype = dtype};
    m->input_count++;
}

struct spec_layer *model_spec_add(struct model_spec *m, const char *name, const char *type,
                                  const char *inputs)
{
    const struct layer_type *row = layer_type_find(type);
    if (!row)
        misuse("there is no layer type \"%s\"", type);
    m->layers = vec_grow(m->layers, &m->layer_cap, m->layer_count + 1, sizeof(*m->layers));
    struct spec_layer *l = &m->layers[m->layer_count];
    *l = (struct spec_layer){.name = xstrdup(name),
                             .pointer = xasprintf("/layers/%zu", m->layer_count),
                             .type = row,
                             .params = params_defaults(row->params, row->param_count)};
    m->layer_count++;
    for (const char *p = inputs; *p;) {
        size_t len = strcspn(p, ",");
        if (l->input_count == LAYER_MAX_INPUTS)
            misuse("layer \"%s\" has more than %d inputs", name, LAYER_MAX_INPUTS);
        l->inputs = xreallocarray(l->inputs, (size_t)l->input_count + 1, sizeof(*l->inputs));
        l->inputs[l->input_count++] = xstrndup(p, len);
        p += len + (p[len] == ',');
    }
    return l;
}

static struct param_value *param_of(struct spec_layer *l, const char *param, const struct param_def **def)
{
    int i = params_index(l->type->params, l->type->param_count, param);
    if (i < 0)
        misuse("layer type %s has no parameter \"%s\"", l->type->name, param);
    *def = &l->type->params[i];
    return &l->params[i];
}

struct spec_layer *model_spec_set(struct spec_layer *l, const char *param, int index, double value)
{
    const struct param_def *def;
    struct param_value *v = param_of(l, param, &def);
    if (index < 0 || index >= SHAPE_MAX_RANK)
        misuse("parameter \"%s\" has no element %d", param, index);
    v->given = true;
    v->text[0] = 0;
    v->num[index] = value;
    bool pair = def->kind == PARAM_PAIR || def->kind == PARAM_PADDING;
    if (pair && index == 0)
        v->num[1] = value;
    if (v->count < index + 1)
        v->count = index + 1;
    if (pair)
        v->count = 2;
    return l;
}

struct spec_layer *model_spec_set_text(struct spec_layer *l, const char *param, const char *value)
{
    const struct param_def *def;
    struct param_value *v = param_of(l, param, &def);
    if (strlen(value) >= sizeof(v->text))
        misuse("\"%s\" is too long for a choice", value);
    v->given = true;
    v->count = 0;
    snprintf(v->text, sizeof(v->text), "%s", value);
    return l;
}

void model_spec_output(struct model_spec *m, const char *layer)
{
    m->outputs = xreallocarray(m->outputs, (size_t)m->output_count + 1, sizeof(*m->outputs));
    m->outputs[m->output_count] =
        (struct spec_output){.name = xstrdup(layer), .pointer = xasprintf("/outputs/%d", m->output_count)};
    m->output_count++;
}

/* ---- writing ---- */

static void write_inputs(const struct model_spec *m, struct buf *out)
{
    buf_puts(out, ",\n \"inputs\":[");
    for (int i = 0; i < m->input_count; i++) {
        const struct spec_input *in = &m->inputs[i];
        buf_puts(out, i ? ",{\"name\":" : "{\"name\":");
        buf_json_str(out, in->name);
        buf_puts(out, ",\"shape\":[");
        for (int d = 0; d < in->shape.rank; d++)
            buf_printf(out, "%s%lld", d ? "," : "", (long long)in->shape.dim[d]);
        buf_printf(out, "],\"dtype\":\"%s\"}", dtype_name(in->dtype));
    }
    buf_putc(out, ']');
}

static void write_layer(const struct spec_layer *l, struct buf *out)
{
    buf_puts(out, "{\"name\":");
    buf_json_str(out, l->name);
    buf_puts(out, ",\"type\":");
    buf_json_str(out, l->type->name);
    buf_puts(out, ",\"inputs\":[");
    for (int i = 0; i < l->input_count; i++) {
        if (i)
            buf_putc(out, ',');
        buf_json_str(out, l->inputs[i]);
    }
    buf_putc(out, ']');
    if (l->type->param_count) {
        buf_puts(out, ",\"config\":");
        params_write_json(l->type->params, l->type->param_count, l->params, out);
    }
    buf_putc(out, '}');
}

void model_spec_write_json(const struct model_spec *m, struct buf *out)
{
    buf_puts(out, "{\"format\":\"trainyard.model/1\",\"name\":");
    buf_json_str(out, m->name);
    write_inputs(m, out);
    buf_puts(out, ",\n \"layers\":[\n");
    for (size_t i = 0; i < m->layer_count; i++) {
        buf_puts(out, i ? ",\n  " : "  ");
        write_layer(&m->layers[i], out);
    }
    buf_puts(out, "],\n \"outputs\":[");
    for (int i = 0; i < m->output_count; i++) {
        if (i)
            buf_putc(out, ',');
        buf_json_str(out, m->outputs[i].name);
    }
    buf_puts(out, "]}\n");
}
