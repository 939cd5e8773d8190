#include "kernels/formats/translation.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/spec/params.h"

void translation_free(struct translation *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->values[i].name);
    for (size_t i = 0; i < t->weight_count; i++) {
        free((void *)(uintptr_t)t->weights[i].name);
        free((void *)(uintptr_t)t->weights[i].data);
    }
    free(t->values);
    free(t->weights);
    free(t->draft_name);
    buf_free(&t->inputs);
    buf_free(&t->layers);
    buf_free(&t->outputs);
    names_free(&t->names);
    *t = (struct translation){0};
}

/* "conv1/Conv:0" as a name of ours that is not taken: "conv1/Conv_0". Caller frees. */
static char *fit_name(const struct translation *t, const char *wish, const char *fallback)
{
    char clean[100];
    size_t n = 0;
    while (*wish == '/' || *wish == '.' || *wish == ':')
        wish++;
    for (; *wish && n < sizeof(clean) - 1; wish++)
        clean[n++] = isalnum((unsigned char)*wish) || strchr("._-/", *wish) ? *wish : '_';
    while (n > 0 && clean[n - 1] == '/')
        n--;
    clean[n] = 0;
    for (char *p = clean; (p = strstr(p, "//"));)
        memmove(p, p + 1, strlen(p));
    if (!isalpha((unsigned char)clean[0])) {
        char *named = n ? xasprintf("%s_%s", fallback, clean) : xstrdup(fallback);
        snprintf(clean, sizeof(clean), "%s", named);
        free(named);
    }
    char *name = xstrdup(clean);
    for (int i = 2; names_find(&t->names, name) >= 0; i++) {
        free(name);
        name = xasprintf("%s_%d", clean, i);
    }
    return name;
}

/* Takes the name. */
static int new_value(struct translation *t, char *name, const struct shape *shape, enum dtype dtype)
{
    t->values = vec_grow(t->values, &t->cap, t->count + 1, sizeof(*t->values));
    t->values[t->count] = (struct translated_value){name, *shape, dtype};
    names_put(&t->names, name, (int)t->count);
    return (int)t->count++;
}

static void put_ints(struct buf *b, const int64_t *v, int n)
{
    buf_putc(b, '[');
    for (int i = 0; i < n; i++)
        buf_printf(b, "%s%lld", i ? "," : "", (long long)v[i]);
    buf_putc(b, ']');
}

int translation_input(struct translation *t, const char *name, const struct shape *shape, enum dtype dtype,
                      struct err *err)
{
    if (shape->rank < 1 || shape_elements(shape) < 1)
        return err_set(err, ERR_UNPROCESSABLE,
                       "input %.80s has no shape, or one that is not known before data comes: "
                       "all of its dimensions but the batch must be numbers",
                       name);
    int v = new_value(t, fit_name(t, name, "input"), shape, dtype);
    buf_puts(&t->inputs, t->inputs.len ? ",\n  {\"name\":" : "{\"name\":");
    buf_json_str(&t->inputs, t->values[v].name);
    buf_puts(&t->inputs, ",\"shape\":");
    put_ints(&t->inputs, shape->dim, shape->rank);
    buf_printf(&t->inputs, ",\"dtype\":\"%s\"}", dtype_name(dtype));
    return v;
}

void translation_begin(struct translation *t, const char *type, const char *name)
{
    free(t->draft_name);
    t->draft = (struct layer_node){.type = layer_type_find(type)};
    t->draft_err = (struct err){0};
    t->draft_name = fit_name(t, name && *name ? name : type, type);
    if (!t->draft.type) {
        err_set(&t->draft_err, ERR_UNPROCESSABLE, "there is no layer type %s", type);
        return;
    }
    struct param_value *v = params_defaults(t->draft.type->params, t->draft.type->param_count);
    memcpy(t->draft.params, v, sizeof(*v) * (size_t)t->draft.type->param_count);
    free(v);
}

void translation_from(struct translation *t, int value)
{
    struct layer_node *n = &t->draft;
    if (n->input_count == LAYER_MAX_INPUTS) {
        err_set(&t->draft_err, ERR_UNPROCESSABLE, "a layer has at most %d inputs", LAYER_MAX_INPUTS);
        return;
    }
    n->in_shapes[n->input_count] = t->values[value].shape;
    n->in_dtypes[n->input_count] = t->values[value].dtype;
    n->inputs[n->input_count++] = value;
}

/* The parameter of the draft; NULL, and draft_err, when there is none. */
static struct param_value *param_of(struct translation *t, const char *name, const struct param_def **def)
{
    const struct layer_type *type = t->draft.type;
    int k = type ? params_index(type->params, type->param_count, name) : -1;
    if (k < 0) {
        if (!t->draft_err.code)
            err_set(&t->draft_err, ERR_UNPROCESSABLE, "%s has no %s", type ? type->name : "?", name);
        return NULL;
    }
    *def = &type->params[k];
    return &t->draft.params[k];
}

void translation_set(struct translation *t, const char *param, int index, double v)
{
    const struct param_def *def;
    struct param_value *p = param_of(t, param, &def);
    if (!p)
        return;
    if (index >= SHAPE_MAX_RANK || !(v >= def->min || def->kind == PARAM_BOOL) ||
        !(v <= def->max || def->kind == PARAM_BOOL) || (def->min_open && v <= def->min) ||
        (def->max_open && v >= def->max)) {
        if (!t->draft_err.code)
            err_set(&t->draft_err, ERR_UNPROCESSABLE, "%s's %s is %g; from %g to %g is possible",
                    t->draft.type->name, param, v, def->min, def->max);
        return;
    }
    bool pair = def->kind == PARAM_PAIR || def->kind == PARAM_PADDING;
    p->given = true;
    p->text[0] = 0;
    p->num[index] = v;
    if (pair && index == 0)
        p->num[1] = v;
    p->count = pair ? 2 : def->kind == PARAM_INTS && p->count > index ? p->count : index + 1;
}

void translation_set_text(struct translation *t, const char *param, const char *v)
{
    const struct param_def *def;
    struct param_value *p = param_of(t, param, &def);
    if (!p)
        return;
    if (!params_is_choice(def, v)) {
        err_set(&t->draft_err, ERR_UNPROCESSABLE, "%s's %s cannot be %.40s", t->draft.type->name, param, v);
        return;
    }
    p->given = true;
    p->count = 0;
    snprintf(p->text, sizeof(p->text), "%s", v);
}

static void write_layer(struct translation *t)
{
    const struct layer_node *n = &t->draft;
    struct buf *b = &t->layers;
    buf_puts(b, b->len ? ",\n  {\"name\":" : "{\"name\":");
    buf_json_str(b, t->draft_name);
    buf_printf(b, ",\"type\":\"%s\",\"inputs\":[", n->type->name);
    for (int i = 0; i < n->input_count; i++) {
        buf_puts(b, i ? "," : "");
        buf_json_str(b, t->values[n->inputs[i]].name);
    }
    buf_puts(b, "]");
    if (n->type->param_count > 0) {
        buf_puts(b, ",\"config\":");
        params_write_json(n->type->params, n->type->param_count, n->params, b);
    }
    buf_putc(b, '}');
}

int translation_add(struct translation *t, struct err *err)
{
    struct layer_node *n = &t->draft;
    if (t->draft_err.code)
        return err_set(err, ERR_UNPROCESSABLE, "%s", t->draft_err.text);
    if (n->input_count < n->type->min_inputs || n->input_count > n->type->max_inputs)
        return err_set(err, ERR_UNPROCESSABLE, "%s takes %d to %d inputs, not %d", n->type->name,
                       n->type->min_inputs, n->type->max_inputs, n->input_count);
    for (int i = 0; i < n->type->param_count; i++)
        if (n->type->params[i].required && !n->params[i].given)
            return err_set(err, ERR_UNPROCESSABLE, "%s needs %s", n->type->name, n->type->params[i].name);
    if (t->count >= TRANSLATION_MAX_LAYERS)
        return err_set(err, ERR_UNPROCESSABLE, "a model has at most %d layers", TRANSLATION_MAX_LAYERS);
    if (n->type->infer(n, err))
        return -1;
    if (shape_elements(&n->shape) < 0)
        return err_set(err, ERR_UNPROCESSABLE, "%s gives more than 2^47 numbers for a sample", n->type->name);
    write_layer(t);
    return new_value(t, xstrdup(t->draft_name), &n->shape, n->dtype);
}

int translation_weight(struct translation *t, const char *name, float *values, int64_t count, struct err *err)
{
    for (int i = 0; i < t->draft.weight_count; i++) {
        const struct weight_def *def = &t->draft.weights[i];
        if (strcmp(def->name, name) != 0)
            continue;
        if (shape_elements(&def->shape) != count) {
            char want[96];
            shape_format(&def->shape, want, sizeof(want));
            free(values);
            return err_set(err, ERR_UNPROCESSABLE, "its %s has %lld numbers, and its shape is %s", name,
                           (long long)count, want);
        }
        t->weights = vec_grow(t->weights, &t->weight_cap, t->weight_count + 1, sizeof(*t->weights));
        t->weights[t->weight_count++] = (struct tensor_entry){.name = xasprintf("%s.%s", t->draft_name, name),
                                                              .dtype = DTYPE_F32,
                                                              .shape = def->shape,
                                                              .data = values,
                                                              .bytes = (size_t)count * sizeof(float)};
        return 0;
    }
    free(values);
    return err_set(err, ERR_UNPROCESSABLE, "%s has no weight %s", t->draft.type ? t->draft.type->name : "it",
                   name);
}

int translation_output(struct translation *t, int value, struct err *err)
{
    (void)err;
    buf_puts(&t->outputs, t->outputs.len ? "," : "");
    buf_json_str(&t->outputs, t->values[value].name);
    return 0;
}

void translation_write(const struct translation *t, const char *model_name, struct buf *out)
{
    struct names none = {0};
    struct translation empty = {.names = none};
    char *name = fit_name(&empty, model_name && *model_name ? model_name : "imported", "model");
    for (char *p = name; *p; p++)
        *p = *p == '/' ? '-' : *p;
    buf_puts(out, "{\"format\":\"trainyard.model/1\",\"name\":");
    buf_json_str(out, name);
    free(name);
    buf_printf(out, ",\n \"inputs\":[%s],\n \"layers\":[", buf_str(&t->inputs));
    buf_add(out, buf_str(&t->layers), t->layers.len);
    buf_printf(out, "],\n \"outputs\":[%s]}\n", buf_str(&t->outputs));
}
