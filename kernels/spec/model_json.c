/* Model files: what stands around the layers. The layers themselves: expand_json.c. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/scope_json.h"

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
        if (!name || scope_binding(s, name)) {
            parse_fail(s->p, "outputs", at, "an output is the name of a layer, not %s",
                       name ? "of an input" : json_kind(json_array_get(list, i)));
            continue;
        }
        char *flat = scope_resolve(s, "outputs", at, name);
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
                        .bindings = scope_bind_inputs(m),
                        .binding_count = m->input_count,
                        .uses = &uses};
    scope_expand(s);
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
