#include "orchestrator/api/span.h"

#include <string.h>

static size_t skip_space(const char *t, size_t n, size_t i)
{
    while (i < n && (t[i] == ' ' || t[i] == '\t' || t[i] == '\n' || t[i] == '\r'))
        i++;
    return i;
}

/* The place behind the string that begins at i. */
static size_t skip_string(const char *t, size_t n, size_t i)
{
    for (i++; i < n && t[i] != '"'; i++)
        if (t[i] == '\\')
            i++;
    return i < n ? i + 1 : n;
}

/* The place behind the value that begins at i. Depth is counted, not recursed into. */
static size_t skip_value(const char *t, size_t n, size_t i)
{
    size_t depth = 0;
    while (i < n) {
        char c = t[i];
        if (c == '"') {
            i = skip_string(t, n, i);
        } else if (c == '{' || c == '[') {
            depth++;
            i++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return i;
            depth--;
            i++;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            return i;
        } else {
            i++;
            continue;
        }
        if (depth == 0)
            return i;
    }
    return n;
}

int json_span(const char *text, size_t n, const char *member, size_t *start, size_t *end)
{
    size_t len = strlen(member), i = skip_space(text, n, 0);
    if (i >= n || text[i] != '{')
        return -1;
    for (i = skip_space(text, n, i + 1); i < n && text[i] == '"'; i = skip_space(text, n, i)) {
        size_t name = i + 1, after = skip_string(text, n, i);
        i = skip_space(text, n, after);
        if (i >= n || text[i] != ':')
            return -1;
        i = skip_space(text, n, i + 1);
        size_t value = i;
        i = skip_value(text, n, i);
        if (after - name == len + 1 && !memcmp(text + name, member, len)) {
            *start = value;
            *end = i;
            return 0;
        }
        i = skip_space(text, n, i);
        if (i < n && text[i] == ',')
            i = skip_space(text, n, i + 1);
    }
    return -1;
}
