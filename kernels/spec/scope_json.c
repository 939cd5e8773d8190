#include "kernels/spec/scope_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

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

const struct binding *scope_binding(const struct scope *s, const char *name)
{
    for (int i = 0; i < s->binding_count; i++)
        if (!strcmp(s->bindings[i].name, name))
            return &s->bindings[i];
    return NULL;
}

void scope_index(struct scope *s)
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
        } else if (scope_binding(s, name)) {
            parse_fail(s->p, "names", where, "the layer \"%.80s\" has the name of an input", name);
        } else {
            json_object_set_new(s->index, name, json_integer((json_int_t)i));
        }
    }
}

const struct layer_file *scope_file_of(const struct scope *s, const json_t *layer)
{
    const char *type = json_string_value(json_object_get(layer, "type"));
    const struct layer_file *file =
        type && !layer_type_find(type) ? layer_library_find(s->library, type) : NULL;
    return file && !file->type ? file : NULL;
}

char *scope_flat_name(const struct scope *s, const char *name, const struct layer_file *file)
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
                inner = scope_file_of(s, layer);
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

char *scope_resolve(struct scope *s, const char *check, const char *pointer, const char *name)
{
    const struct binding *b = scope_binding(s, name);
    if (b)
        return xstrdup(b->flat);
    const json_t *at = json_object_get(s->index, name);
    if (!at) {
        unknown_reference(s, check, pointer, name);
        return NULL;
    }
    const json_t *layer = json_array_get(s->layers, (size_t)json_integer_value(at));
    return scope_flat_name(s, name, scope_file_of(s, layer));
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

void scope_unknown_type(struct scope *s, const char *pointer, const char *type)
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

/* ---- inputs ---- */

struct binding *scope_bind_inputs(const struct model_spec *m)
{
    struct binding *b = xcalloc((size_t)m->input_count + 1, sizeof(*b));
    for (int i = 0; i < m->input_count; i++)
        b[i] = (struct binding){m->inputs[i].name, m->inputs[i].name};
    return b;
}
