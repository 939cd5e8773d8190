/* Reading layers with everything they say, and expanding composites into the flat spec. What goes wrong
 * inside a layer file is reported at the model's layer that uses it (parse.instead), with the layer file's
 * name in front. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/params.h"
#include "kernels/spec/scope_json.h"

/* ---- expressions ---- */

static json_t *value_json(const struct expr_value *v)
{
    if (v->kind == EXPR_TEXT)
        return json_string(v->text);
    if (v->kind == EXPR_BOOL)
        return json_boolean(v->num != 0);
    return v->num == floor(v->num) && fabs(v->num) < 9e15 ? json_integer((json_int_t)v->num)
                                                          : json_real(v->num);
}

/* A copy of v with expressions replaced by their values; after a finding, by null. Config is never deep. */
static json_t *substitute(struct scope *s, const char *pointer, const json_t *v, int depth)
{
    char at[POINTER_MAX];
    if (json_is_string(v) && json_string_value(v)[0] == '=') {
        struct expr_value out;
        struct err err = {0};
        if (expr_eval(json_string_value(v) + 1, s->symbols, s->symbol_count, &out, &err) == 0)
            return value_json(&out);
        parse_fail(s->p, "expressions", pointer, "%s", err.text);
        return json_null();
    }
    if (json_is_array(v) && depth < 3) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(v) && i < 64; i++)
            json_array_append_new(
                copy, substitute(s, pointer_at(at, sizeof(at), pointer, i), json_array_get(v, i), depth + 1));
        return copy;
    }
    if (json_is_object(v) && depth < 3) {
        json_t *copy = json_object(), *member;
        const char *key;
        json_object_foreach((json_t *)(uintptr_t)v, key, member) json_object_set_new(
            copy, key, substitute(s, pointer_to(at, sizeof(at), pointer, key), member, depth + 1));
        return copy;
    }
    return json_incref((json_t *)(uintptr_t)v);
}

/* ---- one layer ---- */

struct use {
    const json_t *o;
    const char *pointer, *name, *type;
    const struct layer_type *row;
    const struct layer_file *file;
    json_t *config; /* own, never NULL */
    char **inputs;
    int input_count;
};

static void use_free(struct use *u)
{
    for (int i = 0; i < u->input_count; i++)
        free(u->inputs[i]);
    free(u->inputs);
    json_decref(u->config);
}

static int add_input(struct scope *s, struct use *u, const char *pointer, const char *name)
{
    char *flat = scope_resolve(s, "inputs", pointer, name);
    if (!flat)
        return -1;
    u->inputs[u->input_count++] = flat;
    return 0;
}

/* Without "inputs" a layer takes the one before it, the first one the only input. */
static int read_previous(struct scope *s, struct use *u, size_t i)
{
    const char *name = NULL;
    if ((u->row ? u->row->min_inputs : u->file->input_count) > 1)
        name = NULL;
    else if (i > 0)
        name = json_string_value(json_object_get(json_array_get(s->layers, i - 1), "name"));
    else if (s->binding_count == 1)
        name = s->bindings[0].name;
    if (name)
        return add_input(s, u, u->pointer, name);
    struct finding *it =
        parse_fail(s->p, "inputs", u->pointer, "layer \"%s\" does not say its inputs", u->name);
    finding_hint(it, "add \"inputs\": [\"...\"]");
    return -1;
}

static int read_layer_inputs(struct scope *s, struct use *u, size_t i)
{
    char list[POINTER_MAX], at[POINTER_MAX];
    u->inputs = xcalloc(LAYER_MAX_INPUTS, sizeof(char *));
    if (!json_object_get(u->o, "inputs"))
        return read_previous(s, u, i);
    const json_t *v = parse_member(s->p, u->o, u->pointer, "inputs", JSON_ARRAY);
    if (!v)
        return -1;
    pointer_to(list, sizeof(list), u->pointer, "inputs");
    size_t n = json_array_size(v);
    int least = u->row ? u->row->min_inputs : u->file->input_count;
    int most = u->row ? u->row->max_inputs : u->file->input_count;
    if (most > LAYER_MAX_INPUTS)
        most = LAYER_MAX_INPUTS;
    int rc = 0;
    if (n < (size_t)least || n > (size_t)most) {
        char expected[48], actual[24];
        snprintf(expected, sizeof(expected), least == most ? "%d" : "%d to %d", least, most);
        snprintf(actual, sizeof(actual), "%zu", n);
        struct finding *it = parse_fail(s->p, "inputs", list, "%s takes %s input%s, not %zu", u->type,
                                        expected, least == most && most == 1 ? "" : "s", n);
        finding_expected(it, expected, actual);
        return -1;
    }
    for (size_t k = 0; k < n; k++) {
        const char *name = json_string_value(json_array_get(v, k));
        pointer_at(at, sizeof(at), list, k);
        if (!name) {
            parse_fail(s->p, "inputs", at, "an input is the name of a layer, not %s",
                       json_kind(json_array_get(v, k)));
            rc = -1;
        } else if (add_input(s, u, at, name)) {
            rc = -1;
        }
    }
    return rc;
}

/* Name, type, inputs and config of one element of the list, all checked. -1 after a finding. */
static int read_use(struct scope *s, size_t i, struct use *u)
{
    static const char *const known[] = {"name", "type", "inputs", "config", NULL};
    static const char *const required[] = {"name", "type", NULL};
    int before = s->p->failed;
    char at[POINTER_MAX];
    if (!json_is_object(u->o)) {
        parse_fail(s->p, "members", u->pointer,
                   "a layer is an object {\"name\", \"type\", \"inputs\", \"config\"}, not %s",
                   json_kind(u->o));
        return -1;
    }
    parse_members(s->p, u->o, u->pointer, known, required);
    const json_t *name = parse_member(s->p, u->o, u->pointer, "name", JSON_STRING);
    const json_t *type = parse_member(s->p, u->o, u->pointer, "type", JSON_STRING);
    const json_t *config = parse_member(s->p, u->o, u->pointer, "config", JSON_OBJECT);
    if (!name || !type)
        return -1;
    u->name = json_string_value(name);
    u->type = json_string_value(type);
    parse_layer_name(s->p, pointer_to(at, sizeof(at), u->pointer, "name"), u->name);
    u->row = layer_type_find(u->type);
    u->file = u->row ? NULL : layer_library_find(s->library, u->type);
    if (u->file && u->file->type) { /* a program is one layer, as a built-in one is */
        u->row = u->file->type;
        u->file = NULL;
    }
    if (!u->row && !u->file) {
        scope_unknown_type(s, u->pointer, u->type);
        return -1;
    }
    read_layer_inputs(s, u, i);
    if (config && s->file) {
        int expressions = s->p->failed;
        u->config = substitute(s, pointer_to(at, sizeof(at), u->pointer, "config"), config, 0);
        if (s->p->failed > expressions)
            return -1;
    } else {
        u->config = config ? json_incref((json_t *)(uintptr_t)config) : json_object();
    }
    return s->p->failed > before ? -1 : 0;
}

static void append_layer(struct scope *s, struct use *u)
{
    struct model_spec *m = s->m;
    char at[POINTER_MAX];
    struct spec_layer l = {.type = u->row, .params = params_defaults(u->row->params, u->row->param_count)};
    int before = s->p->failed;
    parse_params(s->p, "config", pointer_to(at, sizeof(at), u->pointer, "config"), u->type, u->row->params,
                 u->row->param_count, u->config, l.params);
    if (strlen(s->prefix) + strlen(u->name) >= MODEL_NAME_MAX)
        parse_fail(s->p, "names", u->pointer, "the layer's full name \"%s%s\" has more than %d characters",
                   s->prefix, u->name, MODEL_NAME_MAX - 1);
    if (s->p->failed > before) {
        free(l.params);
        return;
    }
    l.name = xasprintf("%s%s", s->prefix, u->name);
    l.pointer = xstrdup(s->p->instead ? s->p->instead : u->pointer);
    l.within = s->file && s->p->instead ? xstrdup(s->file->name) : NULL;
    l.inputs = u->inputs;
    l.input_count = u->input_count;
    u->inputs = NULL;
    u->input_count = 0;
    m->layers = vec_grow(m->layers, &m->layer_cap, m->layer_count + 1, sizeof(*m->layers));
    m->layers[m->layer_count++] = l;
}

/* ---- a use of a layer file ---- */

static int check_recursion(struct scope *s, const struct use *u)
{
    for (const struct scope *up = s; up; up = up->parent) {
        if (up->file != u->file)
            continue;
        struct buf chain = {0};
        buf_puts(&chain, u->file->name);
        for (const struct scope *c = s; c != up; c = c->parent) {
            struct buf longer = {0};
            buf_printf(&longer, "%s -> %s", c->file->name, buf_str(&chain));
            buf_free(&chain);
            chain = longer;
        }
        parse_fail(s->p, "recursion", u->pointer, "the layer uses itself: %s -> %s", u->file->name,
                   buf_str(&chain));
        buf_free(&chain);
        return -1;
    }
    if (s->depth < LAYER_FILE_NESTING)
        return 0;
    parse_fail(s->p, "recursion", u->pointer, "layer files are nested more than %d deep", LAYER_FILE_NESTING);
    return -1;
}

static void set_symbols(struct scope *inner, const struct param_value *values)
{
    const struct layer_file *file = inner->file;
    inner->symbol_count = file->param_count;
    for (int i = 0; i < file->param_count; i++) {
        struct expr_symbol *sym = &inner->symbols[i];
        *sym = (struct expr_symbol){.name = file->params[i].name};
        sym->value.kind = values[i].text[0]                    ? EXPR_TEXT
                          : file->params[i].kind == PARAM_BOOL ? EXPR_BOOL
                                                               : EXPR_NUMBER;
        sym->value.num = values[i].num[0];
        snprintf(sym->value.text, sizeof(sym->value.text), "%s", values[i].text);
    }
}

static void expand_composite(struct scope *s, struct use *u)
{
    char at[POINTER_MAX];
    if (check_recursion(s, u))
        return;
    struct param_value *values = params_defaults(u->file->params, u->file->param_count);
    int before = s->p->failed;
    parse_params(s->p, "config", pointer_to(at, sizeof(at), u->pointer, "config"), u->type, u->file->params,
                 u->file->param_count, u->config, values);
    if (s->p->failed == before && u->input_count == u->file->input_count) {
        char *prefix = xasprintf("%s%s/", s->prefix, u->name);
        struct scope *inner = xcalloc(1, sizeof(*inner));
        *inner = (struct scope){.p = s->p,
                                .library = s->library,
                                .m = s->m,
                                .parent = s,
                                .file = u->file,
                                .prefix = prefix,
                                .base = "/composite/layers",
                                .layers = u->file->layers,
                                .depth = s->depth + 1,
                                .uses = s->uses};
        inner->bindings = xcalloc((size_t)u->input_count, sizeof(*inner->bindings));
        inner->binding_count = u->input_count;
        for (int i = 0; i < u->input_count; i++)
            inner->bindings[i] = (struct binding){u->file->inputs[i], u->inputs[i]};
        set_symbols(inner, values);
        const char *instead = s->p->instead, *within = s->p->within;
        s->p->instead = instead ? instead : u->pointer;
        s->p->within = u->file->name;
        scope_expand(inner);
        s->p->instead = instead;
        s->p->within = within;
        json_decref(inner->index);
        free(inner->bindings);
        free(inner);
        free(prefix);
    }
    free(values);
}

void scope_expand(struct scope *s)
{
    char at[POINTER_MAX];
    scope_index(s);
    for (size_t i = 0; i < json_array_size(s->layers); i++) {
        pointer_at(at, sizeof(at), s->base, i);
        if (*s->uses > MODEL_MAX_LAYERS)
            break;
        if (++*s->uses > MODEL_MAX_LAYERS) {
            parse_fail(s->p, "size", at, "more than %d layers after expanding layer files", MODEL_MAX_LAYERS);
            break;
        }
        struct use u = {.o = json_array_get(s->layers, i), .pointer = at};
        if (read_use(s, i, &u) == 0) {
            if (u.row)
                append_layer(s, &u);
            else
                expand_composite(s, &u);
        }
        use_free(&u);
    }
}

void expand_layer_file(struct parse *p, const struct layer_library *library, const struct layer_file *file,
                       struct model_spec *m)
{
    size_t uses = 0;
    struct scope *s = xcalloc(1, sizeof(*s));
    *s = (struct scope){.p = p,
                        .library = library,
                        .m = m,
                        .file = file,
                        .prefix = "",
                        .base = "/composite/layers",
                        .layers = file->layers,
                        .bindings = scope_bind_inputs(m),
                        .binding_count = m->input_count,
                        .uses = &uses};
    struct param_value *values = params_defaults(file->params, file->param_count);
    set_symbols(s, values);
    scope_expand(s);
    free(values);
    char *output = NULL;
    size_t i;
    json_t *layer;
    json_array_foreach(file->layers, i, layer)
    {
        const char *name = json_string_value(json_object_get(layer, "name"));
        if (name && !strcmp(name, file->output))
            output = scope_flat_name(s, name, scope_file_of(s, layer));
    }
    if (output) {
        model_spec_output(m, output);
        free(m->outputs[0].pointer);
        m->outputs[0].pointer = xstrdup("/composite/outputs/0");
    }
    free(output);
    json_decref(s->index);
    free(s->bindings);
    free(s);
}
