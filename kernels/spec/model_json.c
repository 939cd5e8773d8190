/* Model files, and the expansion of composite layers into the flat spec.
 *
 * A scope is one list of layers with its own names: the model's, or one use of a layer file. Names resolve to
 * flat names
 * ("block1/conv") without expanding anything, so layers may refer to later ones. What goes wrong inside a
 * layer file is reported at the model's layer that uses it (parse.instead), with the layer file's name in
 * front. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/layer_file_json.h"
#include "kernels/spec/params.h"

struct binding {
    const char *name, *flat;
};

struct scope {
    struct parse *p;
    const struct layer_library *library;
    struct model_spec *m;
    const struct scope *parent;
    const struct layer_file *file; /* NULL: the model itself */
    const char *prefix;            /* "" or "block1/" */
    const char *base;              /* pointer of the list: "/layers" */
    const json_t *layers;
    json_t *index; /* name -> position */
    struct binding *bindings;
    int binding_count;
    struct expr_symbol symbols[LAYER_FILE_PARAMS];
    int symbol_count, depth;
    size_t *uses; /* layers looked at in the whole expansion */
};

static void expand_scope(struct scope *s); /* the caller releases s->index after it */

/* ---- names ---- */

bool parse_layer_name(struct parse *p, const char *pointer, const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    size_t n = strspn(name, allowed);
    bool edge =
        name[0] == '/' || name[0] == '.' || name[0] == '-' || (n && name[n - 1] == '/') || strstr(name, "//");
    if (n && n < MODEL_NAME_MAX && !name[n] && !edge)
        return true;
    struct finding *it = parse_fail(p, "names", pointer, "\"%.80s\" is not a name", name);
    finding_hint(it, "a name has 1 to %d of the characters A-Z a-z 0-9 . _ - /, first a letter, digit or _",
                 MODEL_NAME_MAX - 1);
    return false;
}

static const struct binding *binding_find(const struct scope *s, const char *name)
{
    for (int i = 0; i < s->binding_count; i++)
        if (!strcmp(s->bindings[i].name, name))
            return &s->bindings[i];
    return NULL;
}

static void index_names(struct scope *s)
{
    char at[POINTER_MAX], where[POINTER_MAX];
    s->index = json_object();
    for (size_t i = 0; i < json_array_size(s->layers); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(s->layers, i), "name"));
        if (!name)
            continue;
        pointer_to(where, sizeof(where), pointer_at(at, sizeof(at), s->base, i), "name");
        const json_t *first = json_object_get(s->index, name);
        if (first) {
            struct finding *it = parse_fail(s->p, "names", where, "a second layer named \"%.80s\"", name);
            finding_hint(it, "the first is %s/%lld; give one of them another name", s->base,
                         (long long)json_integer_value(first));
        } else if (binding_find(s, name)) {
            parse_fail(s->p, "names", where, "the layer \"%.80s\" has the name of an input", name);
        } else {
            json_object_set_new(s->index, name, json_integer((json_int_t)i));
        }
    }
}

static const struct layer_file *file_of_type(const struct scope *s, const json_t *layer)
{
    const char *type = json_string_value(json_object_get(layer, "type"));
    return type && !layer_type_find(type) ? layer_library_find(s->library, type) : NULL;
}

/* The flat name of a layer called `name`: of a composite, that of its output layer. Caller frees. */
static char *flat_name(const struct scope *s, const char *name, const struct layer_file *file)
{
    struct buf b = {0};
    buf_printf(&b, "%s%s", s->prefix, name);
    for (int depth = 0; file && depth < LAYER_FILE_NESTING; depth++) {
        buf_printf(&b, "/%s", file->output);
        const struct layer_file *inner = NULL;
        size_t i;
        json_t *layer;
        json_array_foreach(file->layers, i, layer)
        {
            const char *have = json_string_value(json_object_get(layer, "name"));
            if (have && !strcmp(have, file->output)) {
                inner = file_of_type(s, layer);
                break;
            }
        }
        file = inner;
    }
    return buf_steal(&b);
}

static void unknown_reference(struct scope *s, const char *check, const char *pointer, const char *name)
{
    size_t n = 0;
    const char **known = xcalloc((size_t)s->binding_count + json_object_size(s->index) + 1, sizeof(*known));
    for (int i = 0; i < s->binding_count; i++)
        known[n++] = s->bindings[i].name;
    const char *key;
    json_t *v;
    json_object_foreach(s->index, key, v)
    {
        (void)v;
        known[n++] = key;
    }
    struct finding *it = parse_fail(s->p, check, pointer, "there is no layer or input \"%.80s\"", name);
    const char *near = nearest_name(name, known);
    if (near)
        finding_hint(it, "did you mean \"%s\"?", near);
    free(known);
}

/* The flat name that a reference means; NULL after a finding. Caller frees. */
static char *resolve(struct scope *s, const char *check, const char *pointer, const char *name)
{
    const struct binding *b = binding_find(s, name);
    if (b)
        return xstrdup(b->flat);
    const json_t *at = json_object_get(s->index, name);
    if (!at) {
        unknown_reference(s, check, pointer, name);
        return NULL;
    }
    const json_t *layer = json_array_get(s->layers, (size_t)json_integer_value(at));
    return flat_name(s, name, file_of_type(s, layer));
}

/* ---- types ---- */

static const char *const synonyms[][2] = {
    {"linear", "dense"},
    {"fullyconnected", "dense"},
    {"fc", "dense"},
    {"gemm", "dense"},
    {"conv", "conv2d"},
    {"convolution", "conv2d"},
    {"maxpooling2d", "max_pool2d"},
    {"maxpool2d", "max_pool2d"},
    {"maxpool", "max_pool2d"},
    {"averagepooling2d", "avg_pool2d"},
    {"avgpool2d", "avg_pool2d"},
    {"average_pool2d", "avg_pool2d"},
    {"batchnormalization", "batch_norm"},
    {"batchnorm2d", "batch_norm"},
    {"batchnorm", "batch_norm"},
    {"layernormalization", "layer_norm"},
    {"layernorm", "layer_norm"},
    {"concatenate", "concat"},
    {"rescaling", "rescale"},
    {"normalise", "rescale"},
    {"normalize", "rescale"},
};

static const char *nearest_type(const struct scope *s, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(synonyms); i++)
        if (!strcasecmp(synonyms[i][0], name) && layer_type_find(synonyms[i][1]))
            return synonyms[i][1];
    int count;
    size_t n = 0;
    const struct layer_type *const *types = layer_types(&count);
    const char **known = xcalloc((size_t)count + (s->library ? s->library->count : 0) + 1, sizeof(*known));
    for (int i = 0; i < count; i++)
        known[n++] = types[i]->name;
    for (size_t i = 0; s->library && i < s->library->count; i++)
        known[n++] = s->library->files[i]->name;
    const char *near = nearest_name(name, known);
    free(known);
    return near;
}

static void unknown_type(struct scope *s, const char *pointer, const char *type)
{
    char at[POINTER_MAX];
    struct finding *it = parse_fail(s->p, "types", pointer_to(at, sizeof(at), pointer, "type"),
                                    "there is no layer type \"%.80s\"", type);
    const char *near = nearest_type(s, type);
    if (near) {
        finding_hint(it, "did you mean \"%s\"?", near);
        return;
    }
    int count;
    const struct layer_type *const *types = layer_types(&count);
    struct buf list = {0};
    for (int i = 0; i < count; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", types[i]->name);
    finding_hint(it, "built in are: %s; a layer of your own is given with --layer, or uploaded to the task",
                 buf_str(&list));
    buf_free(&list);
}

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
    char *flat = resolve(s, "inputs", pointer, name);
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
    if (!u->row && !u->file) {
        unknown_type(s, u->pointer, u->type);
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
        expand_scope(inner);
        s->p->instead = instead;
        s->p->within = within;
        json_decref(inner->index);
        free(inner->bindings);
        free(inner);
        free(prefix);
    }
    free(values);
}

static void expand_scope(struct scope *s)
{
    char at[POINTER_MAX];
    index_names(s);
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

static struct binding *bind_inputs(const struct model_spec *m)
{
    struct binding *b = xcalloc((size_t)m->input_count + 1, sizeof(*b));
    for (int i = 0; i < m->input_count; i++)
        b[i] = (struct binding){m->inputs[i].name, m->inputs[i].name};
    return b;
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
                        .bindings = bind_inputs(m),
                        .binding_count = m->input_count,
                        .uses = &uses};
    struct param_value *values = params_defaults(file->params, file->param_count);
    set_symbols(s, values);
    expand_scope(s);
    free(values);
    char *output = NULL;
    size_t i;
    json_t *layer;
    json_array_foreach(file->layers, i, layer)
    {
        const char *name = json_string_value(json_object_get(layer, "name"));
        if (name && !strcmp(name, file->output))
            output = flat_name(s, name, file_of_type(s, layer));
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

/* ---- the model ---- */

int parse_shape(struct parse *p, const json_t *v, const char *pointer, int most, struct shape *out)
{
    char at[POINTER_MAX], actual[96];
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n < 1 || n > (size_t)most) {
        parse_fail(p, "values", pointer, "a shape is an array of 1 to %d integers, not %s", most,
                   json_short(v, actual, sizeof(actual)));
        return -1;
    }
    *out = (struct shape){.rank = (int)n};
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(v, i);
        json_int_t x = json_is_integer(d) ? json_integer_value(d) : 0;
        if (x < 1 || x > INT32_MAX) {
            struct finding *it = parse_fail(p, "values", pointer_at(at, sizeof(at), pointer, i),
                                            "a dimension is an integer from 1 to %d, not %s", INT32_MAX,
                                            json_short(d, actual, sizeof(actual)));
            finding_hint(it, "a shape is that of one sample, without the batch: [1, 28, 28]");
            return -1;
        }
        out->dim[i] = x;
    }
    int64_t total = shape_elements(out);
    if (total < 0 || total > INT32_MAX) {
        parse_fail(p, "values", pointer, "a sample has more than %d numbers", INT32_MAX);
        return -1;
    }
    return 0;
}

static int parse_dtype(struct parse *p, const json_t *o, const char *pointer, enum dtype *out)
{
    static const char *const known[] = {"float32", "uint8", "int32", NULL};
    const json_t *v = parse_member(p, o, pointer, "dtype", JSON_STRING);
    *out = DTYPE_F32;
    if (!v)
        return json_object_get(o, "dtype") ? -1 : 0;
    for (const char *const *k = known; *k; k++)
        if (!strcmp(*k, json_string_value(v)))
            return dtype_parse(*k, out);
    char at[POINTER_MAX];
    struct finding *it = parse_fail(p, "values", pointer_to(at, sizeof(at), pointer, "dtype"),
                                    "an input's dtype is not \"%.40s\"", json_string_value(v));
    finding_expected(it, "float32, uint8 or int32", json_string_value(v));
    const char *near = nearest_name(json_string_value(v), known);
    if (near)
        finding_hint(it, "did you mean \"%s\"?", near);
    else
        finding_hint(it, "use float32, uint8 or int32");
    return -1;
}

static void parse_inputs(struct parse *p, const json_t *root, struct model_spec *m)
{
    static const char *const known[] = {"name", "shape", "dtype", NULL};
    static const char *const required[] = {"name", "shape", NULL};
    const json_t *list = parse_member(p, root, "", "inputs", JSON_ARRAY);
    size_t n = json_array_size(list);
    if (list && (n < 1 || n > MODEL_MAX_INPUTS))
        parse_fail(p, "inputs", "/inputs", "a model has 1 to %d inputs, not %zu", MODEL_MAX_INPUTS, n);
    for (size_t i = 0; i < n && i < MODEL_MAX_INPUTS; i++) {
        char at[POINTER_MAX], where[POINTER_MAX];
        const json_t *o = json_array_get(list, i);
        pointer_at(at, sizeof(at), "/inputs", i);
        if (!json_is_object(o)) {
            parse_fail(p, "inputs", at, "an input is an object {\"name\", \"shape\", \"dtype\"}, not %s",
                       json_kind(o));
            continue;
        }
        parse_members(p, o, at, known, required);
        const json_t *name = parse_member(p, o, at, "name", JSON_STRING);
        struct shape shape = {.rank = 1, .dim = {1}};
        enum dtype dtype;
        if (json_object_get(o, "shape"))
            parse_shape(p, json_object_get(o, "shape"), pointer_to(where, sizeof(where), at, "shape"),
                        SHAPE_MAX_RANK - 1, &shape);
        parse_dtype(p, o, at, &dtype);
        if (!name ||
            !parse_layer_name(p, pointer_to(where, sizeof(where), at, "name"), json_string_value(name)))
            continue;
        for (int k = 0; k < m->input_count; k++)
            if (!strcmp(m->inputs[k].name, json_string_value(name)))
                parse_fail(p, "names", where, "a second input named \"%.80s\"", json_string_value(name));
        model_spec_input(m, json_string_value(name), &shape, dtype);
        free(m->inputs[m->input_count - 1].pointer);
        m->inputs[m->input_count - 1].pointer = xstrdup(at);
    }
}

static void parse_outputs(struct scope *s, const json_t *root)
{
    const json_t *list = parse_member(s->p, root, "", "outputs", JSON_ARRAY);
    size_t n = json_array_size(list);
    if (list && (n < 1 || n > MODEL_MAX_OUTPUTS))
        parse_fail(s->p, "outputs", "/outputs", "a model has 1 to %d outputs, not %zu", MODEL_MAX_OUTPUTS, n);
    for (size_t i = 0; i < n && i < MODEL_MAX_OUTPUTS; i++) {
        char at[POINTER_MAX];
        const char *name = json_string_value(json_array_get(list, i));
        pointer_at(at, sizeof(at), "/outputs", i);
        if (!name || binding_find(s, name)) {
            parse_fail(s->p, "outputs", at, "an output is the name of a layer, not %s",
                       name ? "of an input" : json_kind(json_array_get(list, i)));
            continue;
        }
        char *flat = resolve(s, "outputs", at, name);
        if (!flat)
            continue;
        model_spec_output(s->m, flat);
        free(s->m->outputs[s->m->output_count - 1].pointer);
        s->m->outputs[s->m->output_count - 1].pointer = xstrdup(at);
        free(flat);
    }
}

static void parse_layers(struct parse *p, const json_t *root, const struct layer_library *library,
                         struct model_spec *m)
{
    size_t uses = 0;
    const json_t *layers = parse_member(p, root, "", "layers", JSON_ARRAY);
    if (layers && json_array_size(layers) == 0)
        parse_fail(p, "layers", "/layers", "a model has at least one layer");
    struct scope *s = xcalloc(1, sizeof(*s));
    *s = (struct scope){.p = p,
                        .library = library,
                        .m = m,
                        .prefix = "",
                        .base = "/layers",
                        .layers = layers,
                        .bindings = bind_inputs(m),
                        .binding_count = m->input_count,
                        .uses = &uses};
    expand_scope(s);
    parse_outputs(s, root);
    json_decref(s->index);
    free(s->bindings);
    free(s);
}

struct model_spec *model_parse(const char *text, size_t n, const struct layer_library *library,
                               struct findings *f)
{
    static const char *const known[] = {"format", "name", "description", "inputs", "layers", "outputs", NULL};
    static const char *const required[] = {"format", "name", "inputs", "layers", "outputs", NULL};
    struct parse p = {.f = f, .area = "model"};
    struct model_spec *m = model_spec_create(NULL);
    json_t *root = parse_document(&p, text, n, MODEL_FILE_MAX, "trainyard.model/1");
    if (root) {
        parse_members(&p, root, "", known, required + (json_object_get(root, "format") ? 0 : 1));
        parse_member(&p, root, "", "description", JSON_STRING);
        m->name = xstrdup(parse_file_name(&p, root));
        parse_inputs(&p, root, m);
        parse_layers(&p, root, library, m);
        json_decref(root);
    }
    if (parse_finish(&p, text, n)) {
        model_spec_destroy(m);
        return NULL;
    }
    return m;
}
