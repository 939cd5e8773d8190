/* Algorithm files, read by the rows of algorithm.c; and overrides. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/algorithm_table.h"
#include "kernels/spec/parse.h"

/* ---- overrides ---- */

/* The next token of a pointer, decoded, into out; false when it is too long. */
static bool next_token(const char **p, char *out, size_t n)
{
    size_t at = 0;
    for (++*p; **p && **p != '/'; ++*p) {
        char c = **p;
        if (c == '~' && ((*p)[1] == '0' || (*p)[1] == '1'))
            c = *++*p == '0' ? '~' : '/';
        if (at + 1 >= n)
            return false;
        out[at++] = c;
    }
    out[at] = 0;
    return true;
}

static int set_at(json_t *root, const char *pointer, json_t *value)
{
    json_t *at = root;
    char token[128];
    for (const char *p = pointer; *p;) {
        if (*p != '/' || !next_token(&p, token, sizeof(token)))
            return -1;
        bool last = !*p;
        if (json_is_array(at)) {
            char *end;
            unsigned long i = strtoul(token, &end, 10);
            if (*end || !*token || i >= json_array_size(at))
                return -1;
            if (last)
                return json_array_set(at, i, value);
            at = json_array_get(at, i);
        } else if (json_is_object(at)) {
            if (last)
                return json_object_set(at, token, value);
            if (!json_object_get(at, token))
                json_object_set_new(at, token, json_object());
            at = json_object_get(at, token);
        } else {
            return -1;
        }
    }
    return -1;
}

static void apply_override(struct parse *p, json_t *root, const char *text)
{
    const char *eq = strchr(text, '=');
    if (text[0] != '/' || !eq || strlen(text) > 4096) {
        struct finding *it = parse_fail(p, "overrides", NULL, "\"%.80s\" is not an override", text);
        finding_hint(it, "write /pointer=value, as in /optimizer/learning_rate=0.01");
        return;
    }
    char *pointer = xstrndup(text, (size_t)(eq - text));
    json_t *value = json_parse(eq + 1, strlen(eq + 1), NULL, NULL, NULL);
    if (!value)
        value = json_string(eq + 1);
    if (!value || set_at(root, pointer, value))
        parse_fail(p, "overrides", NULL, "the override \"%.80s\" has no place in the algorithm file", text);
    json_decref(value);
    free(pointer);
}

/* ---- names ---- */

static const char *const synonyms[][2] = {
    {"cross_entropy", "softmax_cross_entropy"},
    {"crossentropyloss", "softmax_cross_entropy"},
    {"categorical_crossentropy", "softmax_cross_entropy"},
    {"sparse_categorical_crossentropy", "softmax_cross_entropy"},
    {"mse", "mean_squared_error"},
    {"mseloss", "mean_squared_error"},
    {"momentum", "sgd"},
    {"steplr", "step"},
    {"cosine_annealing", "cosine"},
    {"cosineannealinglr", "cosine"},
    {"mae", "mean_absolute_error"},
    {"l1loss", "mean_absolute_error"},
    {"acc", "accuracy"},
    {"bce", "binary_cross_entropy"},
    {"bcewithlogitsloss", "binary_cross_entropy"},
    {"binary_crossentropy", "binary_cross_entropy"},
    {"huberloss", "huber"},
    {"smooth_l1", "huber"},
    {"rmse", "root_mean_squared_error"},
    {"mse", "mean_squared_error"},
    {"roc_auc", "auc"},
    {"top_5", "top_k"},
    {"top5", "top_k"},
    {"bpb", "bits_per_byte"},
    {"onecycle", "one_cycle"},
    {"onecyclelr", "one_cycle"},
    {"linear", "polynomial"},
    {"polynomiallr", "polynomial"},
    {"plateau", "reduce_on_plateau"},
    {"reducelronplateau", "reduce_on_plateau"},
    {"cosineannealingwarmrestarts", "cosine"},
};

static void unknown_name(struct parse *p, const char *check, const char *pointer, const char *what,
                         const char *name, const char *const *known)
{
    struct finding *it = parse_fail(p, check, pointer, "there is no %s \"%.80s\"", what, name);
    const char *near = nearest_name(name, known);
    for (size_t i = 0; i < ARRAY_LEN(synonyms); i++)
        for (const char *const *k = known; *k; k++)
            if (!strcasecmp(synonyms[i][0], name) && !strcmp(*k, synonyms[i][1]))
                near = *k;
    if (near) {
        finding_hint(it, "did you mean \"%s\"?", near);
        return;
    }
    struct buf list = {0};
    for (const char *const *k = known; *k; k++)
        buf_printf(&list, "%s%s", k == known ? "" : ", ", *k);
    finding_hint(it, "there are: %s", buf_str(&list));
    buf_free(&list);
}

static int find_metric(const char *name)
{
    for (int i = 0; i < METRIC_TYPE_COUNT; i++)
        if (!strcmp(algorithm_metrics[i].name, name))
            return i;
    return -1;
}

static void unknown_metric(struct parse *p, const char *pointer, const char *name, bool loss)
{
    const char *known[METRIC_TYPE_COUNT + 2] = {0};
    for (int i = 0; i < METRIC_TYPE_COUNT; i++)
        known[i] = algorithm_metrics[i].name;
    known[METRIC_TYPE_COUNT] = loss ? "loss" : NULL;
    unknown_name(p, "types", pointer, "metric", name, known);
}

/* ---- fields ---- */

/* Numbers of a list, checked one by one; the number of them, or -1 after a finding. */
static int read_numbers(struct parse *p, const char *pointer, const struct field *f, const json_t *v,
                        struct algorithm *a)
{
    size_t n = json_array_size(v);
    double last = -HUGE_VAL;
    struct param_def one = f->def;
    one.kind = f->form == FORM_INTS ? PARAM_INT : PARAM_REAL;
    for (size_t i = 0; i < n; i++) {
        struct param_value value = {0};
        char at[POINTER_MAX], *to = (char *)a + f->offset + 8 * i;
        if (parse_param(p, "values", pointer_at(at, sizeof(at), pointer, i), &one, json_array_get(v, i),
                        &value))
            return -1;
        double d = value.num[0];
        int64_t whole = (int64_t)d;
        if (f->form == FORM_INTS && d <= last) {
            parse_fail(p, "values", at, "%s must rise: %g comes after %g", f->def.name, d, last);
            return -1;
        }
        last = d;
        if (f->form == FORM_INTS)
            memcpy(to, &whole, sizeof(whole));
        else
            memcpy(to, &d, sizeof(d));
    }
    return (int)n;
}

static int read_texts(struct parse *p, const char *pointer, const json_t *v, struct patterns *out)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        char at[POINTER_MAX];
        const char *text = json_string_value(json_array_get(v, i));
        pointer_at(at, sizeof(at), pointer, i);
        if (!text || !*text || strlen(text) >= ALGORITHM_PATTERN_MAX) {
            struct finding *it = parse_fail(p, "values", at, "a pattern is a text of 1 to %d characters",
                                            ALGORITHM_PATTERN_MAX - 1);
            finding_hint(it, "as \"embedding*\" or \"*.kernel\": * stands for any characters, ? for one");
            return -1;
        }
        snprintf(out->text[i], sizeof(out->text[i]), "%s", text);
    }
    return (int)json_array_size(v);
}

static void read_list(struct parse *p, const char *pointer, const struct field *f, const json_t *v,
                      struct algorithm *a)
{
    size_t least = f->def.required ? 1 : 0, n = json_array_size(v);
    struct patterns *texts = (void *)((char *)a + f->offset);
    int *count = f->form == FORM_TEXTS ? &texts->count : (int *)(void *)((char *)a + f->count_offset);
    *count = 0;
    if (!v)
        return;
    if (!json_is_array(v) || n < least || n > (size_t)f->most) {
        parse_fail(p, "values", pointer, "\"%s\" must be an array of %zu to %d %s", f->def.name, least,
                   f->most, f->form == FORM_TEXTS ? "patterns" : "numbers");
        return;
    }
    int read = f->form == FORM_TEXTS ? read_texts(p, pointer, v, texts) : read_numbers(p, pointer, f, v, a);
    *count = read > 0 ? read : 0;
}

static void read_watch(struct parse *p, const char *pointer, const json_t *v, struct watch *w)
{
    const char *name = json_string_value(v);
    *w = (struct watch){.by_loss = true};
    if (!v || (name && !strcmp(name, "loss")))
        return;
    int metric = name ? find_metric(name) : -1;
    if (!name)
        parse_fail(p, "values", pointer, "what is watched is \"loss\" or a metric's name, not %s",
                   json_kind(v));
    else if (metric < 0)
        unknown_metric(p, pointer, name, true);
    if (metric >= 0)
        *w = (struct watch){.metric = (enum metric_type)metric};
}

static void read_field(struct parse *p, const json_t *o, const char *pointer, const struct field *f,
                       struct algorithm *a)
{
    const json_t *v = json_object_get(o, f->def.name);
    char at[POINTER_MAX], *to = (char *)a + f->offset;
    struct param_value value = {.num = {f->def.fallback}};
    if (!v && f->def.required) {
        struct finding *it = parse_fail(p, "members", pointer, "member \"%s\" is missing", f->def.name);
        finding_hint(it, "%s: %s", f->def.name, f->def.help);
        return;
    }
    pointer_to(at, sizeof(at), pointer, f->def.name);
    if (f->form == FORM_WATCH) {
        read_watch(p, at, v, (void *)to);
        return;
    }
    if (f->form != FORM_ONE) {
        read_list(p, at, f, v, a);
        return;
    }
    if (v && parse_param(p, "values", at, &f->def, v, &value))
        return;
    int64_t i = (int64_t)value.num[0];
    bool b = value.num[0] != 0;
    if (f->def.kind == PARAM_INT)
        memcpy(to, &i, sizeof(i));
    else if (f->def.kind == PARAM_BOOL)
        memcpy(to, &b, sizeof(b));
    else
        memcpy(to, &value.num[0], sizeof(double));
}

/* Members of an object that is described by fields and `extra` names. */
static void check_members(struct parse *p, const json_t *o, const char *pointer, const struct field *fields,
                          int count, const char *const *extra)
{
    const char *known[64];
    int n = 0;
    for (; extra[n]; n++)
        known[n] = extra[n];
    for (int i = 0; i < count; i++)
        known[n++] = fields[i].def.name;
    known[n] = NULL;
    parse_members(p, o, pointer, known, NULL);
}

/* ---- sections ---- */

static const struct variant *read_type(struct parse *p, const struct section *s, const json_t *o,
                                       const char *pointer, int *type)
{
    char at[POINTER_MAX];
    const char *known[16] = {0};
    for (int i = 0; i < s->variant_count; i++)
        known[i] = s->variants[i].name;
    pointer_to(at, sizeof(at), pointer, "type");
    const char *name = json_string_value(json_object_get(o, "type"));
    if (!name) {
        struct finding *it = parse_fail(p, "members", json_object_get(o, "type") ? at : pointer,
                                        "the %s does not say its \"type\", a string", s->name);
        finding_hint(it, "as in {\"type\": \"%s\"}", known[0]);
        return NULL;
    }
    for (int i = 0; i < s->variant_count; i++)
        if (!strcmp(known[i], name)) {
            *type = i;
            return &s->variants[i];
        }
    unknown_name(p, "types", at, s->name, name, known);
    return NULL;
}

static void read_section(struct parse *p, const json_t *root, const struct section *s, struct algorithm *a)
{
    static const char *const extra[] = {"type", NULL};
    char pointer[POINTER_MAX];
    pointer_to(pointer, sizeof(pointer), "", s->name);
    const json_t *o = json_object_get(root, s->name);
    if (!o) {
        if (s->required) {
            struct finding *it = parse_fail(p, "members", "", "member \"%s\" is missing", s->name);
            finding_hint(it, "%s, as in \"%s\": {\"type\": \"%s\"}", s->help, s->name, s->variants[0].name);
        }
        return;
    }
    if (!json_is_object(o)) {
        struct finding *it =
            parse_fail(p, "members", pointer, "\"%s\" must be an object, not %s", s->name, json_kind(o));
        finding_hint(it, "as in \"%s\": {\"type\": \"%s\"}", s->name,
                     json_is_string(o) ? json_string_value(o) : s->variants[0].name);
        return;
    }
    int type = 0;
    const struct variant *v = read_type(p, s, o, pointer, &type);
    if (!v)
        return;
    memcpy((char *)a + s->offset, &type, sizeof(type));
    check_members(p, o, pointer, v->fields, v->field_count, extra);
    for (int i = 0; i < v->field_count; i++)
        read_field(p, o, pointer, &v->fields[i], a);
}

/* ---- the rest ---- */

static void read_metrics(struct parse *p, const json_t *root, struct algorithm *a)
{
    const json_t *list = parse_member(p, root, "", "metrics", JSON_ARRAY);
    if (!json_object_get(root, "metrics")) {
        a->metrics[0] =
            metric_fits_loss(METRIC_ACCURACY, a->loss.type) ? METRIC_ACCURACY : METRIC_MEAN_ABSOLUTE_ERROR;
        a->metric_count = 1;
        return;
    }
    size_t n = json_array_size(list);
    if (n > ALGORITHM_MAX_METRICS) {
        parse_fail(p, "values", "/metrics", "%zu metrics; at most %d", n, ALGORITHM_MAX_METRICS);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char at[POINTER_MAX];
        const json_t *v = json_array_get(list, i);
        pointer_at(at, sizeof(at), "/metrics", i);
        int metric = json_is_string(v) ? find_metric(json_string_value(v)) : -1;
        if (!json_is_string(v))
            parse_fail(p, "values", at, "a metric is a name, not %s", json_kind(v));
        else if (metric < 0)
            unknown_metric(p, at, json_string_value(v), false);
        else if (!metric_fits_loss((enum metric_type)metric, a->loss.type))
            parse_fail(p, "values", at, "\"%s\" has no meaning with the loss %s", json_string_value(v),
                       loss_name(a->loss.type));
        else
            a->metrics[a->metric_count++] = (enum metric_type)metric;
    }
}

static void read_groups(struct parse *p, const json_t *root, struct algorithm *a)
{
    static const char *const none[] = {NULL};
    for (int i = 0; i < algorithm_group_count; i++) {
        const struct group *g = &algorithm_groups[i];
        char pointer[POINTER_MAX];
        const bool on = true;
        pointer_to(pointer, sizeof(pointer), "", g->name);
        const json_t *o = parse_member(p, root, "", g->name, JSON_OBJECT);
        if (!o)
            continue;
        if (g->on_offset != NO_SWITCH)
            memcpy((char *)a + g->on_offset, &on, sizeof(on));
        check_members(p, o, pointer, g->fields, g->field_count, none);
        for (int k = 0; k < g->field_count; k++)
            read_field(p, o, pointer, &g->fields[k], a);
    }
}

static void read_precision(struct parse *p, const json_t *root, struct algorithm *a)
{
    const json_t *v = parse_member(p, root, "", "precision", JSON_STRING);
    if (!v)
        return;
    if (dtype_parse(json_string_value(v), &a->precision) == 0 &&
        (a->precision == DTYPE_F32 || a->precision == DTYPE_BF16))
        return;
    a->precision = DTYPE_F32;
    struct finding *it =
        parse_fail(p, "values", "/precision", "trainer %s computes in float32 or bfloat16, not \"%.40s\"",
                   TRAINYARD_VERSION, json_string_value(v));
    finding_expected(it, "float32 or bfloat16", json_string_value(v));
}

/* A metric can only be watched when it is computed. */
static void check_watch(struct parse *p, const struct algorithm *a, bool on, const struct watch *w,
                        const char *pointer)
{
    if (!on || w->by_loss)
        return;
    for (int i = 0; i < a->metric_count; i++)
        if (a->metrics[i] == w->metric)
            return;
    struct finding *it =
        parse_fail(p, "values", pointer, "\"%s\" is not among the metrics", metric_name(w->metric));
    finding_hint(it, "add it to \"metrics\", or watch \"loss\"");
}

static void check_schedule(struct parse *p, const struct algorithm *a)
{
    enum schedule_type t = a->schedule.type;
    bool ends = t == SCHEDULE_COSINE || t == SCHEDULE_POLYNOMIAL || t == SCHEDULE_REDUCE_ON_PLATEAU;
    if (ends && a->schedule.minimum > a->optimizer.learning_rate)
        parse_fail(p, "values", "/schedule/minimum", "the schedule ends at %g, above the learning rate %g",
                   a->schedule.minimum, a->optimizer.learning_rate);
    if (t == SCHEDULE_COSINE && a->schedule.restart_epochs == 0 &&
        (a->schedule.restart_multiply > 1 || a->schedule.restart_decay < 1))
        parse_fail(p, "values", "/schedule/restart_epochs",
                   "restarts need restart_epochs, the epochs of the first cycle");
    check_watch(p, a, t == SCHEDULE_REDUCE_ON_PLATEAU, &a->schedule.watch, "/schedule/metric");
}

/* What no single limit says. */
static void check_together(struct parse *p, const struct algorithm *a)
{
    double weights = 0;
    if (a->optimizer.type == OPTIMIZER_SGD && a->optimizer.nesterov && a->optimizer.momentum <= 0)
        parse_fail(p, "values", "/optimizer/nesterov", "nesterov needs a momentum above 0");
    for (int i = 0; i < a->loss.class_weight_count; i++)
        weights += a->loss.class_weights[i];
    if (a->loss.class_weight_count && weights <= 0)
        parse_fail(p, "values", "/loss/class_weights", "at least one class needs a weight above 0");
    if (a->checkpoint.export_best && !a->checkpoint.keep_best)
        parse_fail(p, "values", "/checkpoint/export_best", "export_best needs keep_best");
    check_schedule(p, a);
    check_watch(p, a, a->early_stopping.on, &a->early_stopping.watch, "/early_stopping/metric");
    check_watch(p, a, true, &a->checkpoint.watch, "/checkpoint/metric");
}

static void read_all(struct parse *p, const json_t *root, struct algorithm *a)
{
    const char *extra[16] = {"format", "name", "description", "precision", "metrics"};
    int n = 5;
    for (int i = 0; i < algorithm_section_count; i++)
        extra[n++] = algorithm_sections[i].name;
    for (int i = 0; i < algorithm_group_count; i++)
        extra[n++] = algorithm_groups[i].name;
    check_members(p, root, "", algorithm_fields, algorithm_field_count, extra);
    if (!json_object_get(root, "name"))
        parse_fail(p, "members", "", "member \"name\" is missing");
    const char *name = parse_file_name(p, root);
    snprintf(a->name, sizeof(a->name), "%s", name ? name : "");
    parse_member(p, root, "", "description", JSON_STRING);
    for (int i = 0; i < algorithm_section_count; i++)
        read_section(p, root, &algorithm_sections[i], a);
    for (int i = 0; i < algorithm_field_count; i++)
        read_field(p, root, "", &algorithm_fields[i], a);
    read_precision(p, root, a);
    read_metrics(p, root, a);
    read_groups(p, root, a);
    check_together(p, a);
}

int algorithm_parse(const char *text, size_t n, const char *const *overrides, int override_count,
                    struct algorithm *out, struct findings *f)
{
    struct parse p = {.f = f, .area = "algorithm"};
    algorithm_default(out);
    json_t *root = parse_document(&p, text, n, ALGORITHM_FILE_MAX, "trainyard.algorithm/1");
    if (root && override_count > ALGORITHM_MAX_OVERRIDES)
        parse_fail(&p, "overrides", NULL, "%d overrides; at most %d", override_count,
                   ALGORITHM_MAX_OVERRIDES);
    for (int i = 0; root && i < override_count && i < ALGORITHM_MAX_OVERRIDES; i++)
        apply_override(&p, root, overrides[i]);
    if (root)
        read_all(&p, root, out);
    json_decref(root);
    return parse_finish(&p, text, n);
}
