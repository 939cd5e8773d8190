/* Layer files: parameters and the outside of the body. The body's layers are read where they are used, with
 * the values they are used with: model_json.c. */
#include "kernels/spec/layer_file_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/model.h"
#include "kernels/spec/params.h"
#include "kernels/usercode/kernel_layer_json.h"

static void layer_file_free(struct layer_file *file)
{
    if (!file)
        return;
    for (int i = 0; i < file->param_count; i++) {
        struct param_def *d = &file->params[i];
        free((char *)(uintptr_t)d->name);
        free((char *)(uintptr_t)d->help);
        free((char *)(uintptr_t)d->choices);
        free((char *)(uintptr_t)d->fallback_text);
    }
    for (int i = 0; i < file->input_count; i++)
        free(file->inputs[i]);
    kernel_layer_free(file->kernel);
    free(file->type);
    free(file->params);
    free(file->inputs);
    free(file->shapes);
    free(file->name);
    json_decref(file->root);
    free(file);
}

/* ---- parameters ---- */

static const struct {
    const char *name;
    enum param_kind kind;
} kinds[] = {{"integer", PARAM_INT}, {"real", PARAM_REAL}, {"boolean", PARAM_BOOL}, {"choice", PARAM_CHOICE}};

static int read_kind(struct parse *p, const json_t *o, const char *pointer, struct param_def *d)
{
    const json_t *v = parse_member(p, o, pointer, "type", JSON_STRING);
    if (!v)
        return -1;
    static const char *const names[] = {"integer", "real", "boolean", "choice", NULL};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (!strcmp(json_string_value(v), kinds[i].name)) {
            d->kind = kinds[i].kind;
            return 0;
        }
    char at[POINTER_MAX];
    struct finding *it = parse_fail(p, "parameters", pointer_to(at, sizeof(at), pointer, "type"),
                                    "there is no parameter type \"%.40s\"", json_string_value(v));
    const char *near = nearest_name(json_string_value(v), names);
    if (near)
        finding_hint(it, "did you mean \"%s\"?", near);
    else
        finding_hint(it, "types are: integer, real, boolean, choice");
    return -1;
}

static int read_limit(struct parse *p, const json_t *o, const char *pointer, const char *key, double *out)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return 0;
    char at[POINTER_MAX];
    if (!json_is_number(v)) {
        parse_fail(p, "parameters", pointer_to(at, sizeof(at), pointer, key),
                   "\"%s\" must be a number, not %s", key, json_kind(v));
        return -1;
    }
    *out = json_number_value(v);
    return 0;
}

static int read_choices(struct parse *p, const json_t *o, const char *pointer, struct param_def *d)
{
    const json_t *list = parse_member(p, o, pointer, "choices", JSON_ARRAY);
    if (!list || json_array_size(list) == 0 || json_array_size(list) > 64) {
        parse_fail(p, "parameters", pointer, "a choice needs \"choices\", an array of 1 to 64 strings");
        return -1;
    }
    struct buf b = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !*text || strlen(text) >= PARAM_TEXT_MAX || strchr(text, '|')) {
            char at[POINTER_MAX], where[POINTER_MAX];
            pointer_to(at, sizeof(at), pointer, "choices");
            parse_fail(p, "parameters", pointer_at(where, sizeof(where), at, i),
                       "a choice is a string of 1 to %d characters without \"|\"", PARAM_TEXT_MAX - 1);
            buf_free(&b);
            return -1;
        }
        buf_printf(&b, "%s%s", i ? "|" : "", text);
    }
    d->choices = buf_steal(&b);
    return 0;
}

static void read_default(struct parse *p, const json_t *o, const char *pointer, struct param_def *d)
{
    char at[POINTER_MAX];
    const json_t *v = json_object_get(o, "default");
    if (!v) {
        struct finding *it = parse_fail(p, "parameters", pointer, "parameter \"%s\" has no default", d->name);
        finding_hint(it, "a layer is verified with its defaults: give every parameter one");
        return;
    }
    struct param_value value = {0};
    struct param_def named = *d;
    named.name = "default";
    if (parse_param(p, "parameters", pointer_to(at, sizeof(at), pointer, "default"), &named, v, &value))
        return;
    if (value.text[0])
        d->fallback_text = xstrdup(value.text);
    d->fallback = value.num[0];
}

static void read_parameter(struct parse *p, const json_t *o, const char *pointer, struct layer_file *file)
{
    static const char *const known[] = {"name", "type", "default", "min", "max", "choices", "help", NULL};
    static const char *const required[] = {"name", "type", NULL};
    char at[POINTER_MAX];
    if (!json_is_object(o)) {
        parse_fail(p, "parameters", pointer,
                   "a parameter is an object {\"name\", \"type\", \"default\"}, not %s", json_kind(o));
        return;
    }
    parse_members(p, o, pointer, known, required);
    const json_t *name = parse_member(p, o, pointer, "name", JSON_STRING);
    if (!name)
        return;
    const char *text = json_string_value(name);
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t n = strspn(text, letters);
    if (!n || text[n] || n > 64 || (text[0] >= '0' && text[0] <= '9') || !strcmp(text, "true") ||
        !strcmp(text, "false")) {
        parse_fail(p, "names", pointer_to(at, sizeof(at), pointer, "name"),
                   "a parameter's name has 1 to 64 letters, digits and _, first no digit, not \"%.80s\"",
                   text);
        return;
    }
    if (params_index(file->params, file->param_count, text) >= 0) {
        parse_fail(p, "names", pointer_to(at, sizeof(at), pointer, "name"), "a second parameter named \"%s\"",
                   text);
        return;
    }
    struct param_def *d = &file->params[file->param_count++];
    *d = (struct param_def){.name = xstrdup(text), .min = -9007199254740992.0, .max = 9007199254740992.0};
    const json_t *help = parse_member(p, o, pointer, "help", JSON_STRING);
    d->help = help ? xstrndup(json_string_value(help), 400) : NULL;
    if (read_kind(p, o, pointer, d) || read_limit(p, o, pointer, "min", &d->min) ||
        read_limit(p, o, pointer, "max", &d->max) ||
        (d->kind == PARAM_CHOICE && read_choices(p, o, pointer, d)))
        return;
    if (d->min > d->max) {
        parse_fail(p, "parameters", pointer, "parameter \"%s\": min is above max", d->name);
        return;
    }
    read_default(p, o, pointer, d);
}

static void read_parameters(struct parse *p, struct layer_file *file)
{
    const json_t *list = parse_member(p, file->root, "", "parameters", JSON_ARRAY);
    size_t n = list ? json_array_size(list) : 0;
    if (n > LAYER_FILE_PARAMS) {
        parse_fail(p, "parameters", "/parameters", "%zu parameters; at most %d", n, LAYER_FILE_PARAMS);
        return;
    }
    file->params = xcalloc(n + 1, sizeof(*file->params));
    for (size_t i = 0; i < n; i++) {
        char at[POINTER_MAX];
        read_parameter(p, json_array_get(list, i), pointer_at(at, sizeof(at), "/parameters", i), file);
    }
}

/* ---- the body ---- */

static void read_input(struct parse *p, const json_t *v, const char *pointer, struct layer_file *file)
{
    static const char *const known[] = {"name", "shape", NULL};
    static const char *const required[] = {"name", NULL};
    const char *name = json_string_value(v);
    struct shape shape = {0};
    if (json_is_object(v)) {
        parse_members(p, v, pointer, known, required);
        const json_t *n = parse_member(p, v, pointer, "name", JSON_STRING),
                     *s = parse_member(p, v, pointer, "shape", JSON_ARRAY);
        name = n ? json_string_value(n) : NULL;
        char at[POINTER_MAX];
        if (s && parse_shape(p, s, pointer_to(at, sizeof(at), pointer, "shape"), SHAPE_MAX_RANK - 1, &shape))
            return;
    } else if (!name) {
        parse_fail(p, "inputs", pointer, "an input is a name or {\"name\", \"shape\"}, not %s", json_kind(v));
    }
    if (!name || !parse_layer_name(p, pointer, name))
        return;
    for (int i = 0; i < file->input_count; i++)
        if (!strcmp(file->inputs[i], name)) {
            parse_fail(p, "names", pointer, "a second input named \"%s\"", name);
            return;
        }
    file->shapes[file->input_count] = shape;
    file->inputs[file->input_count++] = xstrdup(name);
}

static void read_inputs(struct parse *p, const json_t *body, struct layer_file *file)
{
    const json_t *list = parse_member(p, body, "/composite", "inputs", JSON_ARRAY);
    size_t n = list ? json_array_size(list) : 0;
    if (!list)
        return;
    if (n < 1 || n > LAYER_MAX_INPUTS) {
        parse_fail(p, "inputs", "/composite/inputs", "a layer has 1 to %d inputs, not %zu", LAYER_MAX_INPUTS,
                   n);
        return;
    }
    file->inputs = xcalloc(n, sizeof(*file->inputs));
    file->shapes = xcalloc(n, sizeof(*file->shapes));
    for (size_t i = 0; i < n; i++) {
        char at[POINTER_MAX];
        read_input(p, json_array_get(list, i), pointer_at(at, sizeof(at), "/composite/inputs", i), file);
    }
}

static void read_output(struct parse *p, const json_t *body, struct layer_file *file)
{
    const json_t *list = parse_member(p, body, "/composite", "outputs", JSON_ARRAY);
    if (!list)
        return;
    if (json_array_size(list) != 1 || !json_is_string(json_array_get(list, 0))) {
        parse_fail(p, "outputs", "/composite/outputs",
                   "a composite has exactly one output, the name of one of its layers");
        return;
    }
    const char *name = json_string_value(json_array_get(list, 0));
    size_t i;
    json_t *layer;
    json_array_foreach(file->layers, i, layer)
    {
        const char *have = json_string_value(json_object_get(layer, "name"));
        if (have && !strcmp(have, name)) {
            file->output = name;
            return;
        }
    }
    parse_fail(p, "outputs", "/composite/outputs/0", "the composite has no layer \"%.80s\"", name);
}

static void read_kernel(struct parse *p, struct layer_file *file)
{
    const json_t *body = parse_member(p, file->root, "", "kernel", JSON_OBJECT);
    if (json_object_get(file->root, "composite"))
        parse_fail(p, "body", "/kernel", "a layer has one body: \"composite\" or \"kernel\"");
    if (!body || p->failed)
        return;
    file->kernel = kernel_layer_read(p, body, file->name, file->params, file->param_count);
    if (!file->kernel)
        return;
    struct kernel_layer *k = file->kernel;
    file->type = xcalloc(1, sizeof(*file->type));
    *file->type = (struct layer_type){.name = file->name,
                                      .group = "custom",
                                      .min_inputs = k->input_count,
                                      .max_inputs = k->input_count,
                                      .params = file->params,
                                      .param_count = file->param_count,
                                      .infer = kernel_layer_infer,
                                      .cost = kernel_layer_cost,
                                      .kernel = k};
    file->inputs = xcalloc((size_t)k->input_count, sizeof(*file->inputs));
    file->shapes = xcalloc((size_t)k->input_count, sizeof(*file->shapes));
    for (int i = 0; i < k->input_count; i++)
        file->inputs[file->input_count++] = xstrdup(k->inputs[i].name);
}

static void read_body(struct parse *p, struct layer_file *file)
{
    static const char *const known[] = {"inputs", "layers", "outputs", NULL};
    if (json_object_get(file->root, "kernel")) {
        read_kernel(p, file);
        return;
    }
    const json_t *body = parse_member(p, file->root, "", "composite", JSON_OBJECT);
    if (!body) {
        if (!json_object_get(file->root, "composite"))
            parse_fail(p, "body", "", "the layer has no body: it needs a \"composite\" or a \"kernel\"");
        return;
    }
    parse_members(p, body, "/composite", known, known);
    const json_t *layers = parse_member(p, body, "/composite", "layers", JSON_ARRAY);
    if (layers && json_array_size(layers) == 0)
        parse_fail(p, "body", "/composite/layers", "a composite has at least one layer");
    file->layers = layers;
    read_inputs(p, body, file);
    if (layers)
        read_output(p, body, file);
}

/* ---- the library ---- */

struct layer_library *layer_library_create(void)
{
    return xcalloc(1, sizeof(struct layer_library));
}

void layer_library_destroy(struct layer_library *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        layer_file_free(l->files[i]);
    free(l->files);
    free(l);
}

const struct layer_file *layer_library_find(const struct layer_library *l, const char *name)
{
    for (size_t i = 0; l && i < l->count; i++)
        if (!strcmp(l->files[i]->name, name))
            return l->files[i];
    return NULL;
}

static void check_name(struct parse *p, const struct layer_library *l, struct layer_file *file)
{
    const char *name = parse_file_name(p, file->root);
    file->name = xstrdup(name);
    if (name && layer_type_find(name)) {
        struct finding *it = parse_fail(p, "names", "/name", "\"%s\" is a built-in layer type", name);
        finding_hint(it, "a layer file may not shadow one: choose another name");
    }
    if (name && layer_library_find(l, name))
        parse_fail(p, "names", "/name", "a second layer file named \"%s\"", name);
    if (l->count == LAYER_LIBRARY_MAX)
        parse_fail(p, "body", "", "more than %d layer files", LAYER_LIBRARY_MAX);
}

const struct layer_file *layer_library_add(struct layer_library *l, const char *text, size_t n,
                                           struct findings *f)
{
    static const char *const known[] = {"format",    "name",   "description", "parameters",
                                        "composite", "kernel", NULL};
    static const char *const required[] = {"format", "name", NULL};
    struct parse p = {.f = f, .area = "layer"};
    struct layer_file *file = xcalloc(1, sizeof(*file));
    file->root = parse_document(&p, text, n, LAYER_FILE_MAX, "trainyard.layer/1");
    if (file->root) {
        parse_members(&p, file->root, "", known, required + (json_object_get(file->root, "format") ? 0 : 1));
        parse_member(&p, file->root, "", "description", JSON_STRING);
        check_name(&p, l, file);
        read_parameters(&p, file);
        read_body(&p, file);
    }
    if (parse_finish(&p, text, n)) {
        layer_file_free(file);
        return NULL;
    }
    l->files = vec_grow(l->files, &l->cap, l->count + 1, sizeof(struct layer_file *));
    return l->files[l->count++] = file;
}

int layer_library_load(struct layer_library *l, const char *path, struct findings *f, struct err *err)
{
    struct buf text = {0};
    if (file_read(path, LAYER_FILE_MAX + 1, &text, err)) {
        buf_free(&text);
        return -1;
    }
    struct findings own = {0};
    layer_library_add(l, buf_str(&text), text.len, &own);
    /* The pointers are of the layer file, not of the file that is being verified: say so in the message
     * instead. */
    for (size_t i = 0; i < own.count; i++) {
        struct finding *it = &own.items[i];
        struct finding *to = findings_add(f, it->status, it->check, NULL, "%s:%d:%d: %s%s%s", path, it->line,
                                          it->column, it->pointer ? it->pointer : "",
                                          it->pointer && *it->pointer ? ": " : "", it->message);
        to->hint = xstrdup(it->hint);
    }
    int rc = findings_failed(&own) ? err_set(err, ERR_UNPROCESSABLE, "layer file %s is not valid", path) : 0;
    findings_free(&own);
    buf_free(&text);
    return rc;
}

/* ---- of one file ---- */

const char *layer_file_name(const struct layer_file *file)
{
    return file->name;
}

int layer_file_input_count(const struct layer_file *file)
{
    return file->input_count;
}

bool layer_file_has_shapes(const struct layer_file *file)
{
    for (int i = 0; i < file->input_count; i++)
        if (file->shapes[i].rank == 0)
            return false;
    return true;
}

/* The one layer that it is, named as the file. */
static void model_of_kernel(struct model_spec *m, const struct layer_file *file)
{
    struct spec_layer l = {.name = xstrdup(file->name),
                           .pointer = xstrdup("/kernel"),
                           .type = file->type,
                           .params = params_defaults(file->params, file->param_count),
                           .inputs = xcalloc((size_t)file->input_count, sizeof(char *)),
                           .input_count = file->input_count};
    for (int i = 0; i < file->input_count; i++)
        l.inputs[i] = xstrdup(file->inputs[i]);
    m->layers = vec_grow(m->layers, &m->layer_cap, m->layer_count + 1, sizeof(*m->layers));
    m->layers[m->layer_count++] = l;
    model_spec_output(m, file->name);
}

struct kernel_layer *layer_file_kernel(const struct layer_file *file)
{
    return file->kernel;
}

struct param_value *layer_file_defaults(const struct layer_file *file)
{
    return params_defaults(file->params, file->param_count);
}

struct model_spec *layer_file_model(const struct layer_library *l, const struct layer_file *file,
                                    const struct shape *shape, struct findings *f)
{
    struct parse p = {.f = f, .area = "layer"};
    struct model_spec *m = model_spec_create(file->name);
    for (int i = 0; i < file->input_count; i++)
        model_spec_input(m, file->inputs[i], file->shapes[i].rank ? &file->shapes[i] : &shape[i], DTYPE_F32);
    for (int i = 0; i < m->input_count; i++) {
        free(m->inputs[i].pointer);
        m->inputs[i].pointer = xasprintf("/composite/inputs/%d", i);
    }
    if (file->kernel)
        model_of_kernel(m, file);
    else
        expand_layer_file(&p, l, file, m);
    if (p.failed) {
        model_spec_destroy(m);
        return NULL;
    }
    return m;
}

static void write_parameter(const struct param_def *d, struct buf *out)
{
    struct param_value *v = params_defaults(d, 1);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].kind == d->kind)
            buf_printf(out, "{\"name\":\"%s\",\"type\":\"%s\",\"default\":", d->name, kinds[i].name);
    param_write_json(d, v, out);
    if (d->kind == PARAM_INT || d->kind == PARAM_REAL) {
        buf_puts(out, ",\"min\":");
        buf_json_num(out, d->min);
        buf_puts(out, ",\"max\":");
        buf_json_num(out, d->max);
    }
    buf_puts(out, ",\"help\":");
    buf_json_str(out, d->help);
    buf_putc(out, '}');
    free(v);
}

void layer_file_write_json(const struct layer_file *file, struct buf *out)
{
    buf_puts(out, "{\"name\":");
    buf_json_str(out, file->name);
    buf_puts(out, ",\"description\":");
    buf_json_str(out, json_string_value(json_object_get(file->root, "description")));
    buf_printf(out, ",\"kind\":\"%s\",\"parameters\":[", file->kernel ? "kernel" : "composite");
    for (int i = 0; i < file->param_count; i++) {
        if (i)
            buf_putc(out, ',');
        write_parameter(&file->params[i], out);
    }
    buf_puts(out, "],\"inputs\":[");
    for (int i = 0; i < file->input_count; i++) {
        if (i)
            buf_putc(out, ',');
        buf_json_str(out, file->inputs[i]);
    }
    if (file->kernel)
        buf_printf(out, "],\"backward\":\"%s\"}", file->kernel->derived ? "derived" : "given");
    else
        buf_printf(out, "],\"layers\":%zu}", json_array_size(file->layers));
}
