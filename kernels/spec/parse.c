#include "kernels/spec/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "kernels/spec/model.h"

/* ---- findings ---- */

struct finding *parse_fail(struct parse *p, const char *check, const char *pointer, const char *fmt, ...)
{
    p->failed++;
    if (p->failed > SPEC_MAX_FINDINGS) {
        p->unlisted++;
        return NULL;
    }
    struct buf message = {0};
    if (p->within)
        buf_printf(&message, "in layer file \"%s\"%s%s: ", p->within, pointer && *pointer ? ", " : "",
                   pointer ? pointer : "");
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&message, fmt, ap);
    va_end(ap);
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", p->area, check);
    struct finding *it =
        findings_add(p->f, FINDING_FAILED, name, p->instead ? p->instead : pointer, "%s", buf_str(&message));
    buf_free(&message);
    return it;
}

void finding_hint(struct finding *it, const char *fmt, ...)
{
    if (!it)
        return;
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    free(it->hint);
    it->hint = buf_steal(&b);
}

void finding_expected(struct finding *it, const char *expected, const char *actual)
{
    if (!it)
        return;
    free(it->expected);
    free(it->actual);
    it->expected = xstrdup(expected);
    it->actual = xstrdup(actual);
}

int parse_finish(struct parse *p, const char *text, size_t n)
{
    if (p->unlisted) {
        char name[64];
        snprintf(name, sizeof(name), "%s.more", p->area);
        findings_add(p->f, FINDING_FAILED, name, NULL, "%d more mistakes are not listed; these %d come first",
                     p->unlisted, SPEC_MAX_FINDINGS);
        p->unlisted = 0;
    }
    findings_locate(p->f, text, n);
    return p->failed ? -1 : 0;
}

/* ---- pointers and texts ---- */

const char *pointer_to(char *out, size_t n, const char *pointer, const char *key)
{
    size_t at = (size_t)snprintf(out, n, "%s/", pointer);
    for (; *key && at + 3 < n; key++) {
        if (*key == '~' || *key == '/') {
            out[at++] = '~';
            out[at++] = *key == '~' ? '0' : '1';
        } else {
            out[at++] = *key;
        }
    }
    if (at < n)
        out[at] = 0;
    return out;
}

const char *pointer_at(char *out, size_t n, const char *pointer, size_t index)
{
    snprintf(out, n, "%s/%zu", pointer, index);
    return out;
}

const char *json_kind(const json_t *v)
{
    if (!v)
        return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

const char *json_short(const json_t *v, char *out, size_t n)
{
    if (json_is_object(v) || (json_is_array(v) && json_array_size(v) > 8)) {
        size_t count = json_is_array(v) ? json_array_size(v) : json_object_size(v);
        snprintf(out, n, "%s of %zu", json_kind(v), count);
        return out;
    }
    char *text = json_text(v);
    size_t len = strlen(text);
    if (len < n)
        memcpy(out, text, len + 1);
    else
        snprintf(out, n, "%.*s...", (int)n - 4, text);
    free(text);
    return out;
}

/* ---- the document ---- */

static const char *const foreign[][2] = {
    {"class_name",
     "this looks like a Keras model.to_json() file; write the layers as docs/schemas/model.schema.json says"},
    {"optimizer", "an algorithm file begins with \"format\": \"trainyard.algorithm/1\""},
    {"composite", "a layer file begins with \"format\": \"trainyard.layer/1\""},
    {"layers", "a model file begins with \"format\": \"trainyard.model/1\""},
};

int parse_format(struct parse *p, const json_t *root, const char *format)
{
    if (!json_is_object(root)) {
        struct finding *it =
            parse_fail(p, "format", "", "the file must be a JSON object, not %s", json_kind(root));
        finding_hint(it, "begin with {\"format\": \"%s\", ...}", format);
        return -1;
    }
    const json_t *v = json_object_get(root, "format");
    if (json_is_string(v) && !strcmp(json_string_value(v), format))
        return 0;
    char actual[80];
    struct finding *it;
    if (!v) {
        it = parse_fail(p, "format", "", "member \"format\" is missing");
        finding_hint(it, "add \"format\": \"%s\"", format);
        for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
            if (json_object_get(root, foreign[i][0])) {
                finding_hint(it, "%s", foreign[i][1]);
                break;
            }
        finding_expected(it, format, NULL);
        return -1;
    }
    it = parse_fail(p, "format", "/format", "the format is %s, not \"%s\"",
                    json_short(v, actual, sizeof(actual)), format);
    if (json_is_string(v) && !strncmp(json_string_value(v), "trainyard.", 10))
        finding_hint(
            it, "this file was given as the wrong kind, or is of a version that this trainer does not know");
    finding_expected(it, format, actual);
    return -1;
}

json_t *parse_document(struct parse *p, const char *text, size_t n, size_t max, const char *format)
{
    if (n > max) {
        char have[32], most[32];
        units_format_size((int64_t)n, have, sizeof(have));
        units_format_size((int64_t)max, most, sizeof(most));
        parse_fail(p, "syntax", NULL, "the file has %s; at most %s are read", have, most);
        return NULL;
    }
    struct err err = {0};
    int line = 0, column = 0;
    json_t *root = json_parse(text, n, &line, &column, &err);
    if (!root) {
        struct finding *it = parse_fail(p, "syntax", NULL, "%s", err.text);
        if (it) {
            it->line = line;
            it->column = column;
        }
        return NULL;
    }
    if (parse_format(p, root, format) && !json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* ---- members ---- */

static bool in_list(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (!strcmp(*list, name))
            return true;
    return false;
}

static void unknown_member(struct parse *p, const char *pointer, const char *key, const char *const *known)
{
    char at[POINTER_MAX];
    struct finding *it =
        parse_fail(p, "members", pointer_to(at, sizeof(at), pointer, key), "unknown member \"%.80s\"", key);
    const char *near = nearest_name(key, known);
    if (near) {
        finding_hint(it, "did you mean \"%s\"?", near);
        return;
    }
    struct buf list = {0};
    for (const char *const *k = known; *k; k++)
        buf_printf(&list, "%s%s", k == known ? "" : ", ", *k);
    finding_hint(it, "known are: %s", buf_str(&list));
    buf_free(&list);
}

void parse_members(struct parse *p, const json_t *object, const char *pointer, const char *const *known,
                   const char *const *required)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        (void)value;
        if (!in_list(known, key))
            unknown_member(p, pointer, key, known);
    }
    for (; required && *required; required++)
        if (!json_object_get(object, *required))
            parse_fail(p, "members", pointer, "member \"%s\" is missing", *required);
}

static const char *type_name(json_type type)
{
    return type == JSON_STRING   ? "a string"
           : type == JSON_ARRAY  ? "an array"
           : type == JSON_OBJECT ? "an object"
                                 : "a number";
}

const json_t *parse_member(struct parse *p, const json_t *object, const char *pointer, const char *name,
                           json_type type)
{
    const json_t *v = json_object_get(object, name);
    if (!v || json_typeof(v) == type)
        return v;
    char at[POINTER_MAX];
    parse_fail(p, "members", pointer_to(at, sizeof(at), pointer, name), "\"%s\" must be %s, not %s", name,
               type_name(type), json_kind(v));
    return NULL;
}

const char *parse_file_name(struct parse *p, const json_t *root)
{
    const json_t *v = parse_member(p, root, "", "name", JSON_STRING);
    if (!v)
        return NULL;
    const char *name = json_string_value(v);
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strspn(name, allowed);
    if (name[n] || n == 0 || n > 64) {
        parse_fail(p, "names", "/name",
                   "a name has 1 to 64 of the characters A-Z a-z 0-9 . _ -, not \"%.80s\"", name);
        return NULL;
    }
    return name;
}
