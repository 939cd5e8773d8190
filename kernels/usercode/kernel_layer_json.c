#include "kernels/usercode/kernel_layer_json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/json.h" /* nearest_name */

static bool is_identifier(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return n > 0 && !s[n] && !isdigit((unsigned char)s[0]) && n < LANG_NAME_MAX - 16;
}

static bool name_taken(const struct kernel_layer *k, const char *name)
{
    for (int i = 0; i < k->input_count; i++)
        if (!strcmp(k->inputs[i].name, name))
            return true;
    for (int i = 0; i < k->weight_count; i++)
        if (!strcmp(k->weights[i].name, name))
            return true;
    for (int i = 0; i < k->param_count; i++)
        if (!strcmp(k->params[i].name, name))
            return true;
    return !strcmp(k->output.name, name);
}

/* ---- dimensions ---- */

static int add_dimension(struct parse *p, struct kernel_layer *k, const char *at, const char *name)
{
    for (int i = 0; i < k->dimension_count; i++)
        if (!strcmp(k->constants[i].name, name))
            return 0;
    if (name_taken(k, name)) {
        parse_fail(p, "names", at, "dimension \"%s\" has the name of a tensor or parameter", name);
        return -1;
    }
    if (k->dimension_count == KERNEL_CONSTANTS_MAX - LAYER_MAX_PARAMS) {
        parse_fail(p, "kernel", at, "too many dimension names");
        return -1;
    }
    struct lang_constant *c = &k->constants[k->dimension_count++];
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->type = T_INT;
    return 0;
}

static int read_dim(struct parse *p, struct kernel_layer *k, const json_t *v, const char *at, bool input,
                    char out[KERNEL_DIM_MAX])
{
    const char *text = json_string_value(v);
    if (json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= INT32_MAX) {
        snprintf(out, KERNEL_DIM_MAX, "%lld", (long long)json_integer_value(v));
        return 0;
    }
    if (text && is_identifier(text)) {
        bool known = false;
        for (int i = 0; i < k->dimension_count; i++)
            known |= !strcmp(k->constants[i].name, text);
        if (!known && !input) {
            struct finding *it = parse_fail(p, "kernel", at, "no input has a dimension named \"%s\"", text);
            finding_hint(it, "name it in an input's shape, or write an expression: \"=%s\"", text);
            return -1;
        }
        if (input && add_dimension(p, k, at, text))
            return -1;
        snprintf(out, KERNEL_DIM_MAX, "%s", text);
        return 0;
    }
    if (text && text[0] == '=' && !input && strlen(text) < KERNEL_DIM_MAX) {
        snprintf(out, KERNEL_DIM_MAX, "%s", text);
        return 0;
    }
    struct finding *it =
        parse_fail(p, "kernel", at, "a dimension is a number, a name%s", input ? "" : " or \"=expression\"");
    finding_expected(it,
                     input ? "an integer above 0 or a name"
                           : "an integer above 0, a name, or \"=\" and an expression of names",
                     json_kind(v));
    return -1;
}

/* ---- tensors ---- */

static int read_shape(struct parse *p, struct kernel_layer *k, const json_t *o, const char *pointer,
                      bool input, struct kernel_tensor *t)
{
    char list[POINTER_MAX], at[POINTER_MAX];
    const json_t *v = parse_member(p, o, pointer, "shape", JSON_ARRAY);
    pointer_to(list, sizeof(list), pointer, "shape");
    if (!v)
        return -1;
    size_t n = json_array_size(v);
    if (n < 1 || n > LANG_RANK_MAX - 1) {
        parse_fail(p, "kernel", list, "a shape has 1 to %d dimensions, not %zu", LANG_RANK_MAX - 1, n);
        return -1;
    }
    t->rank = (int)n;
    for (size_t i = 0; i < n; i++)
        if (read_dim(p, k, json_array_get(v, i), pointer_at(at, sizeof(at), list, i), input, t->dim[i]))
            return -1;
    return 0;
}

static int read_name(struct parse *p, struct kernel_layer *k, const json_t *o, const char *pointer,
                     struct kernel_tensor *t)
{
    char at[POINTER_MAX];
    const json_t *v = parse_member(p, o, pointer, "name", JSON_STRING);
    if (!v)
        return -1;
    const char *name = json_string_value(v);
    pointer_to(at, sizeof(at), pointer, "name");
    if (!is_identifier(name)) {
        parse_fail(p, "names", at, "a tensor's name has letters, digits and _, first no digit, not \"%.60s\"",
                   name);
        return -1;
    }
    if (name_taken(k, name)) {
        parse_fail(p, "names", at, "a second thing named \"%s\"", name);
        return -1;
    }
    snprintf(t->name, sizeof(t->name), "%s", name);
    return 0;
}

static int read_domain(struct parse *p, const json_t *o, const char *pointer, struct kernel_tensor *t)
{
    char at[POINTER_MAX];
    const json_t *v = json_object_get(o, "domain");
    if (!v)
        return 0;
    t->low = json_number_value(json_array_get(v, 0));
    t->high = json_number_value(json_array_get(v, 1));
    if (json_array_size(v) == 2 && json_is_number(json_array_get(v, 0)) &&
        json_is_number(json_array_get(v, 1)) && t->low < t->high)
        return 0;
    parse_fail(p, "kernel", pointer_to(at, sizeof(at), pointer, "domain"),
               "\"domain\" is [low, high]: what verification draws the values from");
    return -1;
}

static const struct {
    const char *name;
    enum init_kind kind;
} initializers[] = {{"zeros", INIT_ZEROS},           {"ones", INIT_ONES},
                    {"constant", INIT_CONSTANT},     {"normal", INIT_NORMAL},
                    {"uniform", INIT_UNIFORM},       {"glorot_uniform", INIT_GLOROT_UNIFORM},
                    {"he_uniform", INIT_HE_UNIFORM}, {"he_normal", INIT_HE_NORMAL}};

static int read_initializer(struct parse *p, const json_t *o, const char *pointer, struct kernel_tensor *t)
{
    char at[POINTER_MAX];
    const char *names[ARRAY_LEN(initializers) + 1] = {NULL};
    const json_t *v = parse_member(p, o, pointer, "initializer", JSON_STRING),
                 *value = json_object_get(o, "value");
    if (!v) {
        struct finding *it =
            parse_fail(p, "kernel", pointer, "weight \"%s\" has no \"initializer\"", t->name);
        finding_hint(it, "zeros, ones, constant, normal, uniform, glorot_uniform, he_uniform or he_normal");
        return -1;
    }
    t->scale = json_is_number(value) ? json_number_value(value) : 0.05;
    for (size_t i = 0; i < ARRAY_LEN(initializers); i++) {
        names[i] = initializers[i].name;
        if (!strcmp(names[i], json_string_value(v))) {
            t->init = initializers[i].kind;
            return 0;
        }
    }
    struct finding *it = parse_fail(p, "kernel", pointer_to(at, sizeof(at), pointer, "initializer"),
                                    "there is no initializer \"%.40s\"", json_string_value(v));
    const char *near = nearest_name(json_string_value(v), names);
    if (near)
        finding_hint(it, "did you mean \"%s\"?", near);
    return -1;
}

static int read_inputs(struct parse *p, const json_t *body, struct kernel_layer *k)
{
    static const char *const known[] = {"name", "shape", "domain", NULL}, *const required[] = {"name",
                                                                                               "shape", NULL};
    char at[POINTER_MAX];
    const json_t *list = parse_member(p, body, "/kernel", "inputs", JSON_ARRAY);
    size_t n = json_array_size(list);
    if (list && (n < 1 || n > KERNEL_INPUTS_MAX))
        parse_fail(p, "kernel", "/kernel/inputs", "a kernel has 1 to %d inputs, not %zu", KERNEL_INPUTS_MAX,
                   n);
    if (!list || n < 1 || n > KERNEL_INPUTS_MAX)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(list, i);
        struct kernel_tensor t = {.low = -2, .high = 2};
        pointer_at(at, sizeof(at), "/kernel/inputs", i);
        if (!json_is_object(o)) {
            parse_fail(p, "kernel", at, "an input is an object {\"name\", \"shape\"}, not %s", json_kind(o));
            return -1;
        }
        parse_members(p, o, at, known, required);
        if (read_name(p, k, o, at, &t) || read_shape(p, k, o, at, true, &t) || read_domain(p, o, at, &t))
            return -1;
        k->inputs[k->input_count++] = t;
    }
    return 0;
}

static int read_weights(struct parse *p, const json_t *body, struct kernel_layer *k)
{
    static const char *const known[] = {"name", "shape", "initializer", "value", "decay", "domain", NULL},
                             *const required[] = {"name", "shape", NULL};
    char at[POINTER_MAX];
    const json_t *list = json_object_get(body, "weights");
    if (!list)
        return 0;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > KERNEL_WEIGHTS_MAX) {
        parse_fail(p, "kernel", "/kernel/weights", "\"weights\" is an array of at most %d objects",
                   KERNEL_WEIGHTS_MAX);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(list, i), *decay;
        struct kernel_tensor t = {.low = -1, .high = 1};
        pointer_at(at, sizeof(at), "/kernel/weights", i);
        if (!json_is_object(o)) {
            parse_fail(p, "kernel", at,
                       "a weight is an object {\"name\", \"shape\", \"initializer\"}, not %s", json_kind(o));
            return -1;
        }
        parse_members(p, o, at, known, required);
        if (read_name(p, k, o, at, &t) || read_shape(p, k, o, at, false, &t) ||
            read_initializer(p, o, at, &t) || read_domain(p, o, at, &t))
            return -1;
        decay = json_object_get(o, "decay");
        t.decay = decay ? json_is_true(decay) : t.rank > 1;
        k->weights[k->weight_count++] = t;
    }
    return 0;
}

static int read_output(struct parse *p, const json_t *body, struct kernel_layer *k)
{
    static const char *const known[] = {"name", "shape", NULL};
    struct kernel_tensor t = {0};
    const json_t *o = parse_member(p, body, "/kernel", "output", JSON_OBJECT);
    if (!o)
        return -1;
    parse_members(p, o, "/kernel/output", known, known);
    if (read_name(p, k, o, "/kernel/output", &t) || read_shape(p, k, o, "/kernel/output", false, &t))
        return -1;
    k->output = t;
    return 0;
}

/* ---- the grid ---- */

/* names[0..count) must be new names for the leading dimensions of a tensor of this rank. */
static int read_over(struct parse *p, const struct kernel_layer *k, const json_t *list, size_t from,
                     const char *pointer, int rank, char out[][LANG_NAME_MAX], int *count)
{
    char at[POINTER_MAX];
    size_t n = json_array_size(list) - from;
    if (json_array_size(list) < from || n > (size_t)rank) {
        parse_fail(p, "kernel", pointer, "the tensor has %d dimension%s: at most that many coordinates", rank,
                   rank == 1 ? "" : "s");
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i + from));
        pointer_at(at, sizeof(at), pointer, i + from);
        if (!name || !is_identifier(name) || name_taken(k, name)) {
            parse_fail(p, "names", at, "a coordinate is a new name of letters, digits and _");
            return -1;
        }
        snprintf(out[i], LANG_NAME_MAX, "%s", name);
    }
    *count = (int)n;
    return 0;
}

static int read_grid(struct parse *p, const json_t *body, struct kernel_layer *k)
{
    static const char *const usual[] = {"i", "j", "k", "l", "m", "n"};
    const json_t *over =
        json_object_get(body, "over") ? parse_member(p, body, "/kernel", "over", JSON_ARRAY) : NULL;
    const json_t *back = json_object_get(body, "backward_over")
                             ? parse_member(p, body, "/kernel", "backward_over", JSON_ARRAY)
                             : NULL;
    if ((json_object_get(body, "over") && !over) || (json_object_get(body, "backward_over") && !back))
        return -1;
    for (int i = 0; !over && i < k->output.rank; i++)
        snprintf(k->over[k->over_count++], LANG_NAME_MAX, "%s", usual[i]);
    if (over && read_over(p, k, over, 0, "/kernel/over", k->output.rank, k->over, &k->over_count))
        return -1;
    k->backward_grid = -1;
    memcpy(k->backward_over, k->over, sizeof(k->over));
    k->backward_over_count = k->over_count;
    if (!back)
        return 0;
    const char *of = json_string_value(json_array_get(back, 0));
    int rank = of && !strcmp(of, k->output.name) ? k->output.rank : 0;
    for (int i = 0; of && i < k->input_count; i++)
        if (!strcmp(of, k->inputs[i].name)) {
            k->backward_grid = i;
            rank = k->inputs[i].rank;
        }
    if (!rank) {
        parse_fail(p, "kernel", "/kernel/backward_over",
                   "\"backward_over\" is [tensor, coordinate, ...]: an input or the output, and names for "
                   "its leading dimensions");
        return -1;
    }
    return read_over(p, k, back, 1, "/kernel/backward_over", rank, k->backward_over, &k->backward_over_count);
}

/* ---- programs ---- */

/* The source as one text: a string, or lines. Caller frees; NULL after a finding. */
static char *read_source(struct parse *p, const json_t *body, const char *name)
{
    char list[POINTER_MAX], at[POINTER_MAX];
    const json_t *v = json_object_get(body, name);
    pointer_to(list, sizeof(list), "/kernel", name);
    if (json_is_string(v))
        return xstrdup(json_string_value(v));
    if (!json_is_array(v)) {
        parse_fail(p, "kernel", list, "\"%s\" is a program: an array of lines, or one string", name);
        return NULL;
    }
    struct buf text = {0};
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *line = json_string_value(json_array_get(v, i));
        if (!line || strchr(line, '\n')) {
            parse_fail(p, "kernel", pointer_at(at, sizeof(at), list, i),
                       "a line of a program is a string without line breaks");
            buf_free(&text);
            return NULL;
        }
        buf_puts(&text, line);
        buf_putc(&text, '\n');
        if (text.len > LANG_SOURCE_MAX)
            break; /* the parser says so */
    }
    buf_str(&text);
    return buf_steal(&text);
}

static void add_parameters(struct kernel_layer *k)
{
    for (int i = 0; i < k->param_count; i++) {
        struct lang_constant *c = &k->constants[k->constant_count++];
        enum param_kind kind = k->params[i].kind;
        snprintf(c->name, sizeof(c->name), "%s", k->params[i].name);
        c->type = kind == PARAM_REAL ? T_FLOAT : kind == PARAM_BOOL ? T_BOOL : T_INT;
    }
}

void kernel_layer_point(const json_t *body, const char *which, int line, char *pointer, size_t n)
{
    if (json_is_array(json_object_get(body, which)) && line >= 1)
        snprintf(pointer, n, "/kernel/%s/%d", which, line - 1);
    else
        snprintf(pointer, n, "/kernel/%s", which);
}

/* "try": [{"C": 8, "H": 5}]: every dimension name with a size. */
static int read_tries(struct parse *p, const json_t *body, struct kernel_layer *k)
{
    char at[POINTER_MAX];
    const json_t *list = json_object_get(body, "try");
    if (list && (!json_is_array(list) || json_array_size(list) > KERNEL_TRIES_MAX)) {
        parse_fail(p, "kernel", "/kernel/try",
                   "\"try\" is an array of at most %d objects: sizes for every dimension name",
                   KERNEL_TRIES_MAX);
        return -1;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        for (int d = 0; d < k->dimension_count; d++) {
            const json_t *v = json_object_get(o, k->constants[d].name);
            if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 1024) {
                parse_fail(p, "kernel", pointer_at(at, sizeof(at), "/kernel/try", i),
                           "the size of \"%s\" is an integer from 1 to 1024", k->constants[d].name);
                return -1;
            }
            k->tries[i][d] = json_integer_value(v);
        }
        k->try_count++;
    }
    return 0;
}

static int compile(struct parse *p, const json_t *body, struct kernel_layer *k)
{
    char pointer[POINTER_MAX];
    const char *which;
    struct lang_error error;
    char *forward = read_source(p, body, "forward"),
         *backward = json_object_get(body, "backward") ? read_source(p, body, "backward") : NULL;
    int rc = -1;
    k->forward_lines = json_is_array(json_object_get(body, "forward"));
    k->backward_lines = json_is_array(json_object_get(body, "backward"));
    if (forward && (backward || !json_object_get(body, "backward"))) {
        rc = kernel_layer_compile(k, forward, backward, &which, &error);
        if (rc) {
            kernel_layer_point(body, which, error.line, pointer, sizeof(pointer));
            struct finding *it = parse_fail(p, "kernel", pointer, "%s, line %d, column %d: %s", which,
                                            error.line, error.column, error.message);
            if (it && error.hint[0])
                finding_hint(it, "%s", error.hint);
            if (it)
                it->inside = json_is_array(json_object_get(body, which)) ? error.column : 0;
        }
    }
    free(forward);
    free(backward);
    return rc;
}

struct kernel_layer *kernel_layer_read(struct parse *p, const json_t *body, const char *name,
                                       const struct param_def *params, int param_count)
{
    static const char *const known[] = {"inputs",  "weights",  "output", "over", "backward_over",
                                        "forward", "backward", "try",    NULL};
    static const char *const required[] = {"inputs", "output", "forward", NULL};
    struct kernel_layer *k = xcalloc(1, sizeof(*k));
    int before = p->failed;
    k->name = xstrdup(name ? name : "");
    k->params = params;
    k->param_count = param_count;
    parse_members(p, body, "/kernel", known, required);
    int rc = p->failed > before || read_inputs(p, body, k) ? -1 : 0;
    if (!rc)
        rc = read_weights(p, body, k);
    if (!rc)
        rc = read_output(p, body, k);
    if (!rc)
        rc = read_grid(p, body, k);
    if (!rc)
        rc = read_tries(p, body, k);
    if (!rc) {
        k->constant_count = k->dimension_count;
        add_parameters(k);
        rc = compile(p, body, k);
    }
    if (rc || p->failed > before) {
        kernel_layer_free(k);
        return NULL;
    }
    return k;
}
