/* json_locate and findings_locate: the second look at a document's text that finds a pointer's line and
 * column. No jansson, so that kernels/ has it everywhere. The text may be malformed: the scan stops and gives
 * the last place. */
#include <stdlib.h>
#include <string.h>

#include "base/finding.h"
#include "base/place.h"

struct scan {
    const char *p, *end;
};

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static void skip_string(struct scan *s)
{
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
        if (*s->p == '\\')
            s->p++;
    if (s->p < s->end)
        s->p++;
    else
        s->p = s->end;
}

/* Past one value. Brackets are only counted: the text was parsed before, or the place is a best effort. */
static void skip_value(struct scan *s)
{
    skip_space(s);
    int depth = 0;
    while (s->p < s->end) {
        char c = *s->p;
        if (c == '"') {
            skip_string(s);
            if (!depth)
                return;
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        if (c == '}' || c == ']') {
            if (depth == 0)
                return;
            if (--depth == 0) {
                s->p++;
                return;
            }
        }
        if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r'))
            return;
        s->p++;
    }
}

/* Whether the JSON string at s (at its quote) equals the pointer token t[0..n), "~0" and "~1" decoded.
 * Escapes in the key other than \" \\ \/ never match: such keys are not in our formats. */
static bool key_is(const char *s, const char *end, const char *t, size_t n)
{
    const char *te = t + n;
    for (s++; s < end && *s != '"'; s++) {
        char c = *s;
        if (c == '\\' && ++s < end)
            c = *s;
        if (t >= te)
            return false;
        char want = *t++;
        if (want == '~' && t < te)
            want = *t++ == '1' ? '/' : '~';
        if (want != c)
            return false;
    }
    return t == te;
}

static bool enter_member(struct scan *s, const char *t, size_t n, const char **key)
{
    s->p++;
    for (;;) {
        skip_space(s);
        if (s->p >= s->end || *s->p != '"')
            return false;
        const char *at = s->p;
        bool found = key_is(at, s->end, t, n);
        skip_string(s);
        skip_space(s);
        if (s->p >= s->end || *s->p != ':')
            return false;
        s->p++;
        skip_space(s);
        if (found) {
            *key = at;
            return true;
        }
        skip_value(s);
        skip_space(s);
        if (s->p >= s->end || *s->p != ',')
            return false;
        s->p++;
    }
}

static bool enter_element(struct scan *s, const char *t, size_t n, const char **key)
{
    char digits[20] = {0};
    if (n == 0 || n >= sizeof(digits))
        return false;
    memcpy(digits, t, n);
    char *stop;
    long index = strtol(digits, &stop, 10);
    if (*stop || index < 0)
        return false;
    s->p++;
    for (long i = 0;; i++) {
        skip_space(s);
        if (s->p >= s->end || *s->p == ']')
            return false;
        if (i == index) {
            *key = s->p;
            return true;
        }
        skip_value(s);
        skip_space(s);
        if (s->p >= s->end || *s->p != ',')
            return false;
        s->p++;
    }
}

static void place_of(const char *text, const char *at, int *line, int *column)
{
    int l = 1;
    const char *start = text;
    for (const char *p = text; p < at; p++) {
        if (*p == '\n') {
            l++;
            start = p + 1;
        }
    }
    *line = l;
    *column = (int)(at - start) + 1;
}

bool json_locate(const char *text, size_t n, const char *pointer, bool want_key, int *line, int *column)
{
    struct scan s = {text, text + n};
    skip_space(&s);
    const char *value = s.p, *key = s.p;
    bool found = true;
    while (pointer && *pointer == '/') {
        const char *t = pointer + 1;
        size_t len = strcspn(t, "/");
        const char *at = key;
        if (s.p >= s.end ||
            !(*s.p == '{' ? enter_member(&s, t, len, &at) : *s.p == '[' && enter_element(&s, t, len, &at))) {
            found = false;
            break;
        }
        key = at;
        value = s.p;
        pointer = t + len;
    }
    place_of(text, want_key && found ? key : value, line, column);
    return found;
}

/* Columns from a string's opening quote to its character number `inside`; an escape is one character of it. */
static int columns_inside(const char *text, size_t n, const struct finding *it)
{
    size_t at = 0;
    for (int line = 1; line < it->line && at < n; at++)
        line += text[at] == '\n';
    at += (size_t)it->column - 1;
    if (at >= n || text[at] != '"')
        return 0;
    size_t from = at++;
    for (int i = 1; i < it->inside && at < n && text[at] != '"'; i++)
        at += text[at] != '\\' ? 1 : at + 1 < n && text[at + 1] == 'u' ? 6 : 2;
    return (int)(at - from);
}

void findings_locate(struct findings *f, const char *text, size_t n)
{
    for (size_t i = 0; i < f->count; i++) {
        struct finding *it = &f->items[i];
        if (!it->pointer || it->line != 0)
            continue;
        json_locate(text, n, it->pointer, false, &it->line, &it->column);
        if (it->inside)
            it->column += columns_inside(text, n, it);
    }
}
