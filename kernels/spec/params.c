#include "kernels/spec/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_pair(const struct param_def *d)
{
    return d->kind == PARAM_PAIR || d->kind == PARAM_PADDING;
}

static void set_default(const struct param_def *d, struct param_value *v)
{
    if (d->required || d->kind == PARAM_INTS)
        return;
    if (d->fallback_text) {
        snprintf(v->text, sizeof(v->text), "%s", d->fallback_text);
        return;
    }
    v->count = is_pair(d) ? 2 : 1;
    for (int i = 0; i < v->count; i++)
        v->num[i] = d->fallback;
}

struct param_value *params_defaults(const struct param_def *defs, int count)
{
    struct param_value *v = xcalloc((size_t)(count > 0 ? count : 1), sizeof(*v));
    for (int i = 0; i < count; i++)
        set_default(&defs[i], &v[i]);
    return v;
}

int params_index(const struct param_def *defs, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(defs[i].name, name))
            return i;
    return -1;
}

char **params_choices(const struct param_def *def)
{
    int n = 1;
    for (const char *p = def->choices; p && *p; p++)
        n += *p == '|';
    char **list = xcalloc((size_t)n + 1, sizeof(*list));
    const char *p = def->choices ? def->choices : "";
    for (int i = 0; *p; i++) {
        size_t len = strcspn(p, "|");
        list[i] = xstrndup(p, len);
        p += len + (p[len] == '|');
    }
    return list;
}

void params_choices_free(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

bool params_is_choice(const struct param_def *def, const char *text)
{
    char **list = params_choices(def);
    bool found = false;
    for (char **p = list; *p && !found; p++)
        found = !strcmp(*p, text);
    params_choices_free(list);
    return found;
}

void param_write_json(const struct param_def *def, const struct param_value *v, struct buf *out)
{
    if (v->text[0]) {
        buf_json_str(out, v->text);
        return;
    }
    if (def->kind == PARAM_BOOL) {
        buf_puts(out, v->num[0] != 0 ? "true" : "false");
        return;
    }
    bool one = def->kind == PARAM_INT || def->kind == PARAM_REAL || (is_pair(def) && v->num[0] == v->num[1]);
    if (one) {
        buf_json_num(out, v->num[0]);
        return;
    }
    buf_putc(out, '[');
    for (int i = 0; i < v->count; i++) {
        if (i)
            buf_putc(out, ',');
        buf_json_num(out, v->num[i]);
    }
    buf_putc(out, ']');
}

void params_write_json(const struct param_def *defs, int count, const struct param_value *values,
                       struct buf *out)
{
    buf_putc(out, '{');
    bool first = true;
    for (int i = 0; i < count; i++) {
        if (values[i].count == 0 && !values[i].text[0])
            continue;
        if (!first)
            buf_putc(out, ',');
        first = false;
        buf_json_str(out, defs[i].name);
        buf_putc(out, ':');
        param_write_json(&defs[i], &values[i], out);
    }
    buf_putc(out, '}');
}
