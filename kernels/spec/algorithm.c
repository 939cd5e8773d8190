/* algorithm: names, defaults and writing, by the rows of algorithm_rows.c. algorithm_json.c reads files by them. */
#include "kernels/spec/algorithm.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/spec/algorithm_table.h"

enum { SECTION_LOSS, SECTION_OPTIMIZER, SECTION_SCHEDULE };

/* ---- names ---- */

static const char *variant_name(int section, unsigned type)
{
    const struct section *s = &algorithm_sections[section];
    return type < (unsigned)s->variant_count ? s->variants[type].name : "unknown";
}

const char *loss_name(enum loss_type t)
{
    return variant_name(SECTION_LOSS, t);
}

const char *optimizer_name(enum optimizer_type t)
{
    return variant_name(SECTION_OPTIMIZER, t);
}

const char *schedule_name(enum schedule_type t)
{
    return variant_name(SECTION_SCHEDULE, t);
}

const char *metric_name(enum metric_type t)
{
    return (unsigned)t < METRIC_TYPE_COUNT ? algorithm_metrics[t].name : "unknown";
}

bool metric_higher_is_better(enum metric_type t)
{
    return (unsigned)t < METRIC_TYPE_COUNT && algorithm_metrics[t].higher_is_better;
}

bool metric_fits_loss(enum metric_type t, enum loss_type loss)
{
    int kind = loss == LOSS_SOFTMAX_CROSS_ENTROPY  ? FITS_CLASSES
               : loss == LOSS_BINARY_CROSS_ENTROPY ? FITS_BINARY
                                                   : FITS_VALUES;
    return (unsigned)t < METRIC_TYPE_COUNT && (algorithm_metrics[t].fits & kind) != 0;
}

/* ---- watched values and patterns ---- */

bool watch_higher_is_better(const struct watch *w)
{
    return !w->by_loss && metric_higher_is_better(w->metric);
}

bool watch_is_better(const struct watch *w, double v, double best, double min_delta)
{
    if (isnan(v) || isnan(best))
        return !isnan(v);
    return watch_higher_is_better(w) ? v > best + min_delta : v < best - min_delta;
}

/* Backtracks to the last star only, so a name of n and a pattern of m characters take at most n * m steps. */
static bool glob(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

bool patterns_match(const struct patterns *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (glob(p->text[i], name))
            return true;
    return false;
}

/* ---- defaults ---- */

static void set_field(struct algorithm *a, const struct field *f)
{
    char *at = (char *)a + f->offset;
    int64_t i = (int64_t)f->def.fallback;
    double d = f->def.fallback;
    bool b = f->def.fallback != 0;
    int none = 0;
    if (f->form == FORM_WATCH)
        *(struct watch *)(void *)at = (struct watch){.by_loss = true};
    else if (f->form == FORM_TEXTS)
        ((struct patterns *)(void *)at)->count = 0;
    else if (f->form != FORM_ONE)
        memcpy((char *)a + f->count_offset, &none, sizeof(none));
    else if (f->def.kind == PARAM_INT)
        memcpy(at, &i, sizeof(i));
    else if (f->def.kind == PARAM_REAL)
        memcpy(at, &d, sizeof(d));
    else if (f->def.kind == PARAM_BOOL)
        memcpy(at, &b, sizeof(b));
}

static void set_fields(struct algorithm *a, const struct field *f, int count)
{
    for (int i = 0; i < count; i++)
        set_field(a, &f[i]);
}

static void set_variant(struct algorithm *a, int section, int type)
{
    const struct section *s = &algorithm_sections[section];
    memcpy((char *)a + s->offset, &type, sizeof(type));
    set_fields(a, s->variants[type].fields, s->variants[type].field_count);
}

void algorithm_default(struct algorithm *a)
{
    *a = (struct algorithm){.precision = DTYPE_F32};
    snprintf(a->name, sizeof(a->name), "default");
    for (int i = 0; i < algorithm_section_count;
         i++) /* every member has a value; the variants used come last */
        for (int k = algorithm_sections[i].variant_count - 1; k >= 0; k--)
            set_variant(a, i, k);
    set_variant(a, SECTION_OPTIMIZER, OPTIMIZER_ADAM);
    set_fields(a, algorithm_fields, algorithm_field_count);
    for (int i = 0; i < algorithm_group_count; i++)
        set_fields(a, algorithm_groups[i].fields, algorithm_groups[i].field_count);
}

void algorithm_set_optimizer(struct algorithm *a, enum optimizer_type t)
{
    set_variant(a, SECTION_OPTIMIZER, (int)t);
}

void algorithm_set_schedule(struct algorithm *a, enum schedule_type t)
{
    set_variant(a, SECTION_SCHEDULE, (int)t);
}

/* ---- writing ---- */

static void write_one(const char *at, enum param_kind kind, struct buf *out)
{
    int64_t i;
    double d;
    bool b;
    switch (kind) {
    case PARAM_INT:
        memcpy(&i, at, sizeof(i));
        buf_printf(out, "%lld", (long long)i);
        break;
    case PARAM_BOOL:
        memcpy(&b, at, sizeof(b));
        buf_puts(out, b ? "true" : "false");
        break;
    default:
        memcpy(&d, at, sizeof(d));
        buf_json_num(out, d);
    }
}

static void write_list(const struct algorithm *a, const struct field *f, struct buf *out)
{
    const char *at = (const char *)a + f->offset;
    const struct patterns *texts = (const void *)at;
    int n = texts->count;
    if (f->form != FORM_TEXTS)
        memcpy(&n, (const char *)a + f->count_offset, sizeof(n));
    buf_putc(out, '[');
    for (int i = 0; i < n; i++) {
        buf_puts(out, i ? ", " : "");
        if (f->form == FORM_TEXTS)
            buf_json_str(out, texts->text[i]);
        else
            write_one(at + 8 * i, f->form == FORM_INTS ? PARAM_INT : PARAM_REAL, out);
    }
    buf_putc(out, ']');
}

static void write_field(const struct algorithm *a, const struct field *f, struct buf *out)
{
    const char *at = (const char *)a + f->offset;
    const struct watch *w = (const void *)at;
    buf_json_str(out, f->def.name);
    buf_puts(out, ": ");
    if (f->form == FORM_WATCH)
        buf_json_str(out, w->by_loss ? "loss" : metric_name(w->metric));
    else if (f->form != FORM_ONE)
        write_list(a, f, out);
    else
        write_one(at, f->def.kind, out);
}

static void write_fields(const struct algorithm *a, const struct field *f, int count, const char *between,
                         struct buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_puts(out, i ? between : "");
        write_field(a, &f[i], out);
    }
}

static void write_section(const struct algorithm *a, const struct section *s, struct buf *out)
{
    int type;
    memcpy(&type, (const char *)a + s->offset, sizeof(type));
    const struct variant *v = &s->variants[type];
    buf_printf(out, ",\n \"%s\": {\"type\": \"%s\"%s", s->name, v->name, v->field_count ? ", " : "");
    write_fields(a, v->fields, v->field_count, ", ", out);
    buf_putc(out, '}');
}

static void write_group(const struct algorithm *a, const struct group *g, struct buf *out)
{
    bool on = true;
    if (g->on_offset != NO_SWITCH)
        memcpy(&on, (const char *)a + g->on_offset, sizeof(on));
    if (!on)
        return;
    buf_printf(out, ",\n \"%s\": {", g->name);
    write_fields(a, g->fields, g->field_count, ", ", out);
    buf_putc(out, '}');
}

void algorithm_write_json(const struct algorithm *a, struct buf *out)
{
    buf_puts(out, "{\"format\": \"trainyard.algorithm/1\",\n \"name\": ");
    buf_json_str(out, a->name);
    for (int i = 0; i < algorithm_section_count; i++)
        write_section(a, &algorithm_sections[i], out);
    buf_puts(out, ",\n ");
    write_fields(a, algorithm_fields, algorithm_field_count, ",\n ", out);
    buf_printf(out, ",\n \"precision\": \"%s\",\n \"metrics\": [", dtype_name(a->precision));
    for (int i = 0; i < a->metric_count; i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : "", metric_name(a->metrics[i]));
    buf_putc(out, ']');
    for (int i = 0; i < algorithm_group_count; i++)
        write_group(a, &algorithm_groups[i], out);
    buf_puts(out, "}\n");
}
