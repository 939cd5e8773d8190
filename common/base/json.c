#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

json_t *json_parse(const char *text, size_t n, int *line, int *column, struct err *err)
{
    json_error_t e;
    /* jansson bounds nesting (JSON_PARSER_MAX_DEPTH 2048) and rejects invalid UTF-8 and "\u0000" by itself.
     */
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (v)
        return v;
    if (line)
        *line = e.line < 1 ? 1 : e.line;
    if (column)
        *column = e.column < 1 ? 1 : e.column;
    err_set(err, ERR_INVALID, "not valid JSON at line %d, column %d: %s", e.line < 1 ? 1 : e.line,
            e.column < 1 ? 1 : e.column, e.text);
    return NULL;
}

json_t *json_parse_file(const char *path, size_t max_bytes, struct err *err)
{
    struct buf b = {0};
    json_t *v = NULL;
    if (file_read(path, max_bytes, &b, err) == 0) {
        v = json_parse(b.data, b.len, NULL, NULL, err);
        if (!v)
            err_prefix(err, "%s", path);
    }
    buf_free(&b);
    return v;
}

char *json_text(const json_t *value)
{
    char *s = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!s) {
        fprintf(stderr, "fatal: out of memory writing JSON\n");
        abort();
    }
    return s;
}

void json_append(struct buf *b, const json_t *value)
{
    char *s = json_text(value);
    buf_puts(b, s);
    free(s);
}

static const char *type_text(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
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

/* The member, or NULL with *rc set: 0 when it is absent and may be. */
static const json_t *member(const json_t *o, const char *key, bool required, int *rc, struct err *err)
{
    const json_t *v = json_is_object(o) ? json_object_get(o, key) : NULL;
    *rc = 0;
    if (!v || (!required && json_is_null(v))) {
        if (required)
            *rc = json_is_object(o) ? err_set(err, ERR_INVALID, "member \"%s\" is missing", key)
                                    : err_set(err, ERR_INVALID, "expected an object with member \"%s\"", key);
        return NULL;
    }
    return v;
}

static int wrong_type(const char *key, const char *expected, const json_t *v, struct err *err)
{
    return err_set(err, ERR_INVALID, "member \"%s\" must be %s, not %s", key, expected, type_text(v));
}

int json_get_str(const json_t *o, const char *key, bool required, const char **out, struct err *err)
{
    int rc;
    const json_t *v = member(o, key, required, &rc, err);
    if (!v)
        return rc;
    if (!json_is_string(v))
        return wrong_type(key, "a string", v, err);
    *out = json_string_value(v);
    return 0;
}

int json_get_int(const json_t *o, const char *key, bool required, int64_t *out, struct err *err)
{
    int rc;
    const json_t *v = member(o, key, required, &rc, err);
    if (!v)
        return rc;
    if (!json_is_integer(v))
        return wrong_type(key, "an integer", v, err);
    *out = json_integer_value(v);
    return 0;
}

int json_get_real(const json_t *o, const char *key, bool required, double *out, struct err *err)
{
    int rc;
    const json_t *v = member(o, key, required, &rc, err);
    if (!v)
        return rc;
    if (!json_is_number(v))
        return wrong_type(key, "a number", v, err);
    *out = json_number_value(v);
    return 0;
}

int json_get_bool(const json_t *o, const char *key, bool required, bool *out, struct err *err)
{
    int rc;
    const json_t *v = member(o, key, required, &rc, err);
    if (!v)
        return rc;
    if (!json_is_boolean(v))
        return wrong_type(key, "true or false", v, err);
    *out = json_is_true(v);
    return 0;
}

int json_only_members(const json_t *o, const char *const *known, struct err *err)
{
    if (!json_is_object(o))
        return err_set(err, ERR_INVALID, "expected a JSON object, not %s", type_text(o));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        (void)value;
        const char *const *k = known;
        while (*k && strcmp(*k, key))
            k++;
        if (*k)
            continue;
        const char *near = nearest_name(key, known);
        if (near)
            return err_set(err, ERR_INVALID, "unknown member \"%s\"; did you mean \"%s\"?", key, near);
        struct buf list = {0};
        for (k = known; *k; k++)
            buf_printf(&list, "%s%s", k == known ? "" : ", ", *k);
        err_set(err, ERR_INVALID, "unknown member \"%s\"; known are: %s", key, buf_str(&list));
        buf_free(&list);
        return -1;
    }
    return 0;
}
