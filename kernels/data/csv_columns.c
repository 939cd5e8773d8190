#include "kernels/data/csv_columns.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- cells ---- */

enum cell_kind csv_cell_kind(const char *text, double *value)
{
    static const char *const missing[] = {"", "?", "NA", "N/A", "nan", "null", "none"};
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        if (!strcasecmp(text, missing[i]))
            return CELL_MISSING;
    /* Only what begins like a decimal number: strtod would also take hexadecimal and words. */
    const char *p = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)p[0]) && !(p[0] == '.' && isdigit((unsigned char)p[1])))
        return !strcasecmp(p, "inf") || !strcasecmp(p, "infinity") ? CELL_INFINITE : CELL_TEXT;
    if (p[0] == '0' && (p[1] | 32) == 'x')
        return CELL_TEXT;
    char *end;
    *value = strtod(text, &end);
    if (*end)
        return CELL_TEXT;
    return isfinite((float)*value) ? CELL_NUMBER : CELL_INFINITE;
}

/* ---- sets of texts ---- */

void text_set_init(struct text_set *s, int cap)
{
    *s = (struct text_set){.cap = cap};
}

void text_set_free(struct text_set *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->counts);
    free(s->slots);
    *s = (struct text_set){0};
}

static int slot_of(const struct text_set *s, const char *text, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    int mask = s->slot_count - 1, at = (int)((h ^ (h >> 31)) & (unsigned)mask);
    while (s->slots[at]) {
        const char *have = s->texts[s->slots[at] - 1];
        if (!strncmp(have, text, n) && !have[n])
            break;
        at = (at + 1) & mask;
    }
    return at;
}

static void rehash(struct text_set *s, int slots)
{
    free(s->slots);
    s->slot_count = slots;
    s->slots = xcalloc((size_t)slots, sizeof(*s->slots));
    for (int i = 0; i < s->count; i++)
        s->slots[slot_of(s, s->texts[i], strlen(s->texts[i]))] = i + 1;
}

int text_set_find(const struct text_set *s, const char *text)
{
    return s->slot_count ? s->slots[slot_of(s, text, strnlen(text, CSV_TEXT_MAX))] - 1 : -1;
}

int text_set_add(struct text_set *s, const char *text)
{
    int number = text_set_find(s, text);
    if (number >= 0) {
        s->counts[number]++;
        return number;
    }
    if (s->count == s->cap) {
        s->full = true;
        return -1;
    }
    if (2 * s->count >= s->slot_count) {
        int slots = s->slot_count ? 2 * s->slot_count : 16;
        s->texts = xreallocarray(s->texts, (size_t)slots, sizeof(*s->texts));
        s->counts = xreallocarray(s->counts, (size_t)slots, sizeof(*s->counts));
        rehash(s, slots);
    }
    size_t n = strnlen(text, CSV_TEXT_MAX);
    s->slots[slot_of(s, text, n)] = s->count + 1;
    s->counts[s->count] = 1;
    s->texts[s->count] = xstrndup(text, n);
    return s->count++;
}

struct counted {
    char *text;
    int64_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct counted *)a)->text, ((const struct counted *)b)->text);
}

static int by_value(const void *a, const void *b)
{
    double x = strtod(((const struct counted *)a)->text, NULL),
           y = strtod(((const struct counted *)b)->text, NULL);
    return x < y ? -1 : x > y ? 1 : by_text(a, b);
}

void text_set_sort(struct text_set *s)
{
    struct counted *list = xcalloc((size_t)s->count + 1, sizeof(*list));
    bool numbers = true;
    double v;
    for (int i = 0; i < s->count; i++) {
        list[i] = (struct counted){s->texts[i], s->counts[i]};
        numbers &= csv_cell_kind(s->texts[i], &v) == CELL_NUMBER;
    }
    qsort(list, (size_t)s->count, sizeof(*list), numbers ? by_value : by_text);
    for (int i = 0; i < s->count; i++) {
        s->texts[i] = list[i].text;
        s->counts[i] = list[i].count;
    }
    free(list);
    if (s->slot_count)
        rehash(s, s->slot_count);
}

/* ---- columns ---- */

void column_init(struct column *c, bool is_target)
{
    *c = (struct column){.is_target = is_target};
    text_set_init(&c->values, is_target ? CSV_CLASSES_MAX : CSV_CATEGORIES_MAX);
}

void column_free(struct column *c)
{
    text_set_free(&c->values);
    free(c->odd.text);
    free(c->name);
}

enum cell_kind column_add(struct column *c, const char *text, int64_t line)
{
    double v = 0;
    enum cell_kind kind = csv_cell_kind(text, &v);
    int64_t length = (int64_t)strlen(text);
    c->longest = length > c->longest ? length : c->longest;
    if (kind == CELL_MISSING) {
        c->missing++;
    } else if (kind == CELL_NUMBER) {
        c->numbers++;
        c->integers += v == floor(v);
        c->mean += (v - c->mean) / (double)c->numbers;
        c->min = c->numbers == 1 || v < c->min ? v : c->min;
        c->max = c->numbers == 1 || v > c->max ? v : c->max;
        char shortest[32];
        snprintf(shortest, sizeof(shortest), CSV_NUMBER_TEXT, v);
        text_set_add(&c->values, shortest);
    } else if (kind == CELL_TEXT) {
        if (!c->texts++) {
            c->odd.line = line;
            c->odd.text = xstrndup(text, CSV_TEXT_MAX);
        }
        text_set_add(&c->values, text);
    }
    return kind;
}

bool column_is_stained(const struct column *c)
{
    return c->texts > 0 && c->numbers >= 20 && c->texts * 20 <= c->numbers;
}
