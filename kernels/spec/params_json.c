/* Reading a parameter's value by its row: type, limits, choices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernels/spec/params.h"
#include "kernels/spec/parse.h"

static bool is_integer_kind(enum param_kind k)
{
    return k == PARAM_INT || k == PARAM_PAIR || k == PARAM_INTS || k == PARAM_PADDING;
}

static void limits_text(const struct param_def *d, char *out, size_t n)
{
    struct buf b = {0};
    buf_puts(&b, is_integer_kind(d->kind) ? "an integer" : "a number");
    bool low = d->min > -9e15, high = d->max < 9e15;
    if (low) {
        buf_puts(&b, d->min_open ? " above " : high ? " from " : " of at least ");
        buf_json_num(&b, d->min);
    }
    if (high) {
        buf_puts(&b, d->max_open ? (low ? " and below " : " below ")
                     : low       ? (d->min_open ? ", at most " : " to ")
                                 : " of at most ");
        buf_json_num(&b, d->max);
    }
    snprintf(out, n, "%s", buf_str(&b));
    buf_free(&b);
}

static int wrong(struct parse *p, const char *check, const char *pointer, const struct param_def *d,
                 const char *expected, const json_t *value)
{
    char actual[96];
    json_short(value, actual, sizeof(actual));
    struct finding *it =
        parse_fail(p, check, pointer, "\"%s\" must be %s, not %s", d->name, expected, actual);
    finding_expected(it, expected, actual);
    if (d->help)
        finding_hint(it, "%s: %s", d->name, d->help);
    return -1;
}

static bool number_fits(const struct param_def *d, const json_t *v, double *out)
{
    if (!json_is_number(v))
        return false;
    double x = json_number_value(v);
    if (!isfinite(x) || (is_integer_kind(d->kind) && (x != floor(x) || fabs(x) > 9007199254740992.0)))
        return false;
    if (x < d->min || (d->min_open && x == d->min) || x > d->max || (d->max_open && x == d->max))
        return false;
    *out = x;
    return true;
}

static int read_choice(struct parse *p, const char *check, const char *pointer, const struct param_def *d,
                       const json_t *v, struct param_value *out)
{
    if (json_is_string(v) && params_is_choice(d, json_string_value(v))) {
        out->count = 0;
        snprintf(out->text, sizeof(out->text), "%s", json_string_value(v));
        return 0;
    }
    char **choices = params_choices(d);
    struct buf list = {0};
    for (char **c = choices; *c; c++)
        buf_printf(&list, "%s\"%s\"", c == choices ? "" : c[1] ? ", " : " or ", *c);
    if (d->kind == PARAM_PADDING)
        buf_puts(&list, ", an integer or [h, w]");
    char actual[96];
    json_short(v, actual, sizeof(actual));
    struct finding *it =
        parse_fail(p, check, pointer, "\"%s\" must be %s, not %s", d->name, buf_str(&list), actual);
    finding_expected(it, buf_str(&list), actual);
    const char *near =
        json_is_string(v) ? nearest_name(json_string_value(v), (const char *const *)choices) : NULL;
    if (near)
        finding_hint(it, "did you mean \"%s\"?", near);
    buf_free(&list);
    params_choices_free(choices);
    return -1;
}

static int read_numbers(struct parse *p, const char *check, const char *pointer, const struct param_def *d,
                        const json_t *v, struct param_value *out)
{
    char limits[96], expected[160];
    limits_text(d, limits, sizeof(limits));
    bool ints = d->kind == PARAM_INTS;
    if (ints)
        snprintf(expected, sizeof(expected), "an array of 1 to %d, each %s", SHAPE_MAX_RANK, limits);
    else
        snprintf(expected, sizeof(expected), "%s, or two of them [h, w]", limits);
    out->text[0] = 0;
    if (!json_is_array(v)) {
        if (ints || !number_fits(d, v, &out->num[0]))
            return wrong(p, check, pointer, d, expected, v);
        out->num[1] = out->num[0];
        out->count = 2;
        return 0;
    }
    size_t n = json_array_size(v);
    if (n < 1 || n > SHAPE_MAX_RANK || (!ints && n != 2))
        return wrong(p, check, pointer, d, expected, v);
    for (size_t i = 0; i < n; i++) {
        char at[POINTER_MAX];
        if (!number_fits(d, json_array_get(v, i), &out->num[i]))
            return wrong(p, check, pointer_at(at, sizeof(at), pointer, i), d, limits, json_array_get(v, i));
    }
    out->count = (int)n;
    return 0;
}

int parse_param(struct parse *p, const char *check, const char *pointer, const struct param_def *d,
                const json_t *v, struct param_value *out)
{
    char limits[96];
    out->given = true;
    switch (d->kind) {
    case PARAM_BOOL:
        if (!json_is_boolean(v))
            return wrong(p, check, pointer, d, "true or false", v);
        out->num[0] = json_is_true(v);
        out->count = 1;
        return 0;
    case PARAM_CHOICE:
        return read_choice(p, check, pointer, d, v, out);
    case PARAM_PADDING:
        if (!json_is_number(v) && !json_is_array(v))
            return read_choice(p, check, pointer, d, v, out);
        return read_numbers(p, check, pointer, d, v, out);
    case PARAM_PAIR:
    case PARAM_INTS:
        return read_numbers(p, check, pointer, d, v, out);
    case PARAM_INT:
    case PARAM_REAL:
        break;
    }
    if (!number_fits(d, v, &out->num[0])) {
        limits_text(d, limits, sizeof(limits));
        return wrong(p, check, pointer, d, limits, v);
    }
    out->count = 1;
    return 0;
}

static void unknown_param(struct parse *p, const char *check, const char *pointer, const char *owner,
                          const char *key, const struct param_def *defs, int count)
{
    const char **known = xcalloc((size_t)count + 1, sizeof(*known));
    struct buf list = {0};
    for (int i = 0; i < count; i++) {
        known[i] = defs[i].name;
        buf_printf(&list, "%s%s", i ? ", " : "", defs[i].name);
    }
    char at[POINTER_MAX];
    struct finding *it = parse_fail(p, check, pointer_to(at, sizeof(at), pointer, key),
                                    "%s has no parameter \"%.80s\"", owner, key);
    const char *near = nearest_name(key, known);
    if (near)
        finding_hint(it, "did you mean \"%s\"?", near);
    else
        finding_hint(it, "it has: %s", count ? buf_str(&list) : "none");
    buf_free(&list);
    free(known);
}

void parse_params(struct parse *p, const char *check, const char *pointer, const char *owner,
                  const struct param_def *defs, int count, const json_t *config, struct param_value *values)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        int i = params_index(defs, count, key);
        char at[POINTER_MAX];
        if (i < 0)
            unknown_param(p, check, pointer, owner, key, defs, count);
        else
            parse_param(p, check, pointer_to(at, sizeof(at), pointer, key), &defs[i], value, &values[i]);
    }
    for (int i = 0; i < count; i++)
        if (defs[i].required && !values[i].given) {
            struct finding *it = parse_fail(p, check, pointer, "%s needs \"%s\"", owner, defs[i].name);
            if (defs[i].help)
                finding_hint(it, "%s: %s", defs[i].name, defs[i].help);
        }
}
