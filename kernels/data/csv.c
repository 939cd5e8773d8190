/* CSV and TSV: a table, one row a sample, one column the target.
 *
 * Two walks. The first learns each column: numbers, categories, how much is missing, and whether the first
 * row is names; the second writes rows. Numbers become one feature, categories one feature each (0 or 1). A
 * missing number becomes the column's mean over the train split, for which the table is read once more, and a
 * second feature says where it was missing; a missing category is all zeros, and a row without a target is left
 * out; all of it is said in findings. A table whose only feature is text of many kinds is text with a class: each
 * row becomes bytes + 1, filled up with 0. Column means and deviations of the train split are kept in the pack:
 * the loader standardises by them. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "kernels/data/csv_columns.h"
#include "kernels/data/csv_reader.h"
#include "kernels/data/pack.h"
#include "kernels/data/readers.h"

#define MAX_FILES    64
#define MAX_MISTAKES 20 /* rows listed */

struct table_file {
    char *name;
    int split;
    char delimiter;
    bool header;
};

struct table {
    struct findings *f;
    const struct dataset_options *o;
    struct dataset_info *info;
    struct table_file files[MAX_FILES];
    int file_count;
    struct column *columns;
    int column_count, target;
    bool named;                    /* columns have names from a header */
    int64_t rows[SPLIT_COUNT + 1]; /* with a target; of train, test, undivided files */
    int64_t mistakes;
    bool divided; /* by us: of every class, or of all rows, the same share is for testing */
    struct stratum {
        struct divide divide;
        int64_t seen;
    } * strata; /* one for each class; one for a number to predict */
    int stratum_count;
    struct pack_writer *w; /* NULL: the walk that learns the means */
    int64_t written[SPLIT_COUNT];
    int text; /* column of it; -1: none */
    int32_t *tokens;
    float *features;
    double *mean, *m2;
};

static int fail(struct table *t, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct table *t, const char *check, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    findings_add(t->f, FINDING_FAILED, check, NULL, "%s", buf_str(&b));
    buf_free(&b);
    return -1;
}

/* A mistake in a row: the first are listed, the rest counted. */
#define mistake(t, check, ...)                                                                               \
    ((t)->mistakes++ < MAX_MISTAKES ? (void)fail((t), (check), __VA_ARGS__) : (void)0)

bool csv_is(const char *name, const uint8_t *head, size_t n)
{
    static const char *const not [] = {".md",  ".json", ".py",  ".sh",  ".html",
                                       ".xml", ".yaml", ".yml", ".toml"};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        if (len > strlen(not [i]) && !strcasecmp(name + len - strlen(not [i]), not [i]))
            return false;
    if (strcasestr(name, "readme") || strcasestr(name, "license") || n == 0 || head[0] == '{' ||
        head[0] == '[' || head[0] == '<' || text_is(name, head, n))
        return false;
    bool delimited = false, first_line = true;
    for (size_t i = 0; i < n; i++) {
        if (head[i] < 32 && !strchr("\t\r\n\f", head[i]))
            return false;
        first_line &= head[i] != '\n';
        delimited |= first_line && head[i] && strchr(",;\t|", head[i]);
    }
    return delimited ||
           (len > 4 && (!strcasecmp(name + len - 4, ".csv") || !strcasecmp(name + len - 4, ".tsv")));
}

/* ---- first walk ---- */

static int choose_target(struct table *t, char **first, int count)
{
    const char *want = t->o->target;
    if (!want || !*want) {
        t->target = count - 1;
        return 0;
    }
    for (int i = 0; i < count && t->o->header >= 0; i++)
        if (!strcmp(first[i], want)) {
            t->target = i;
            t->named = true;
            return 0;
        }
    char *end;
    long n = strtol(want, &end, 10);
    if (!*end && n >= -count && n < count) {
        t->target = (int)(n < 0 ? n + count : n);
        return 0;
    }
    fail(t, "dataset.target", "there is no column \"%.80s\"", want);
    struct finding *it = &t->f->items[t->f->count - 1];
    const char **known = xcalloc((size_t)count + 1, sizeof(*known));
    for (int i = 0; i < count; i++)
        known[i] = first[i];
    const char *near = *end ? nearest_name(want, known) : NULL;
    free(known);
    it->pointer = xstrdup("/target");
    it->hint = near ? xasprintf("did you mean \"%s\"?", near)
                    : xasprintf("the file has %d columns; a target is a name of its first row, or a number "
                                "from 0, or from -1 backwards",
                                count);
    return -1;
}

static int begin_table(struct table *t, char **first, int count)
{
    if (count < 2)
        return fail(t, "dataset.columns", "%s: only one column; a table has features and a target",
                    t->files[0].name);
    if (choose_target(t, first, count))
        return -1;
    t->column_count = count;
    t->columns = xcalloc((size_t)count, sizeof(*t->columns));
    for (int i = 0; i < count; i++)
        column_init(&t->columns[i], i == t->target);
    t->named |= t->o->header > 0;
    return 0;
}

static void add_row(struct table *t, const struct table_file *file, char *const *cells, int64_t line)
{
    double v;
    if (csv_cell_kind(cells[t->target], &v) == CELL_MISSING) {
        t->columns[t->target].missing++;
        return;
    }
    for (int i = 0; i < t->column_count; i++)
        if (column_add(&t->columns[i], cells[i], line) == CELL_INFINITE)
            mistake(t, "dataset.values", "%s: line %lld, column %d: \"%.40s\" is not a finite float32 number",
                    file->name, (long long)line, i, cells[i]);
    t->rows[file->split < 0 ? SPLIT_COUNT : file->split]++;
}

/* Whether the first row, held back until the others were seen, is names: a text where the others have
 * numbers, or only texts that come nowhere else. */
static bool is_header(const struct table *t, char *const *first)
{
    double v;
    bool all_new = true, told = false;
    if (t->named || t->o->header)
        return t->named;
    for (int i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        enum cell_kind kind = csv_cell_kind(first[i], &v);
        if (kind == CELL_TEXT && c->numbers > 0 && c->texts == 0)
            return true;
        /* A column of very many texts tells nothing: not all of them are known. */
        told |= !c->values.full;
        all_new &= kind == CELL_TEXT && (c->values.full || text_set_find(&c->values, first[i]) < 0);
    }
    return all_new && told;
}

static void name_columns(struct table *t, char *const *first, bool header)
{
    for (int i = 0; i < t->column_count; i++) {
        struct column *c = &t->columns[i];
        c->name = header && *first[i] ? xstrndup(first[i], CSV_TEXT_MAX) : xasprintf("column %d", i);
    }
    t->named = header;
}

static char **copy_cells(const struct csv_reader *r)
{
    char **cells = xcalloc((size_t)r->count + 1, sizeof(*cells));
    for (int i = 0; i < r->count; i++)
        cells[i] = xstrdup(csv_cell(r, i));
    return cells;
}

static void free_cells(char **cells)
{
    for (char **c = cells; c && *c; c++)
        free(*c);
    free(cells);
}

/* The row as an array of cells, when it has the right number of them. */
static bool row_cells(struct table *t, const struct table_file *file, const struct csv_reader *r,
                      char **cells)
{
    if (r->count != t->column_count) {
        mistake(t, "dataset.columns", "%s: line %lld has %d cells; the first row has %d", file->name,
                (long long)r->line, r->count, t->column_count);
        return false;
    }
    for (int i = 0; i < r->count; i++)
        cells[i] = r->row.data + r->cells[i];
    return true;
}

static bool same_as_names(const struct table *t, char *const *first, int count)
{
    for (int i = 0; i < count; i++)
        if (!t->columns[i].name || strcmp(first[i], t->columns[i].name))
            return false;
    return t->named;
}

static int learn_rows(struct table *t, struct table_file *file, struct csv_reader *r)
{
    struct err err = {0};
    int rc = csv_next(r, &err), first_count = r->count;
    if (rc <= 0)
        return rc ? fail(t, "dataset.content", "%s: %s", file->name, err.text)
                  : fail(t, "dataset.content", "%s is empty", file->name);
    char **first = copy_cells(r);
    int64_t first_line = r->line;
    bool earlier = t->columns != NULL;
    if (!earlier && begin_table(t, first, first_count)) {
        free_cells(first);
        return -1;
    }
    if (first_count != t->column_count) {
        rc = fail(t, "dataset.columns", "%s has %d columns, %s has %d", file->name, first_count,
                  t->files[0].name, t->column_count);
        free_cells(first);
        return rc;
    }
    char **cells = xcalloc((size_t)t->column_count, sizeof(*cells));
    while ((rc = csv_next(r, &err)) > 0)
        if (row_cells(t, file, r, cells))
            add_row(t, file, cells, r->line);
    if (rc < 0)
        fail(t, "dataset.content", "%s: %s", file->name, err.text);
    file->header = earlier ? same_as_names(t, first, first_count) : is_header(t, first);
    if (!earlier)
        name_columns(t, first, file->header);
    if (!file->header)
        add_row(t, file, first, first_line);
    free(cells);
    free_cells(first);
    return rc;
}

static int learn_file(void *arg, const char *name, struct stream *s)
{
    struct table *t = arg;
    const uint8_t *head;
    struct err err = {0};
    struct csv_reader r;
    ssize_t n = stream_peek(s, &head, &err);
    if (n < 0)
        return fail(t, "dataset.files", "%s: %s", name, err.text);
    if (!csv_is(name, head, (size_t)n) && !(t->o->format && n > 0)) {
        findings_add(t->f, FINDING_WARNED, "dataset.files", NULL, "%s: left out, it is no table", name);
        return 0;
    }
    if (t->file_count == MAX_FILES)
        return fail(t, "dataset.files", "more than %d tables", MAX_FILES);
    struct table_file *file = &t->files[t->file_count++];
    *file = (struct table_file){.name = xstrdup(name),
                                .split = split_of_name(name),
                                .delimiter = csv_guess_delimiter(head, (size_t)n)};
    csv_reader_init(&r, s, file->delimiter);
    int rc = learn_rows(t, file, &r);
    csv_reader_free(&r);
    return rc;
}

/* ---- between the walks: what each column becomes ---- */

static int decide_feature(struct table *t, struct column *c)
{
    if (column_is_stained(c)) {
        fail(t, "dataset.values",
             "line %lld, column \"%s\": \"%.60s\" is not a number, and %lld other cells of the column are",
             (long long)c->odd.line, c->name, c->odd.text, (long long)c->numbers);
        t->f->items[t->f->count - 1].hint = xasprintf(
            "%lld cells are like this; correct them, or leave them empty for missing", (long long)c->texts);
        return -1;
    }
    if (c->missing && c->numbers + c->texts)
        findings_add(t->f, FINDING_WARNED, "dataset.missing", NULL,
                     "column \"%s\": %lld missing values become %s", c->name, (long long)c->missing,
                     c->texts ? "no category" : "the column's mean, and a feature says where");
    if (c->texts == 0 && c->numbers > 0) {
        c->role = COLUMN_NUMBER;
        if (c->min == c->max)
            findings_add(t->f, FINDING_WARNED, "dataset.columns", NULL,
                         "column \"%s\" has the same value in every row", c->name);
        return 0;
    }
    c->role = COLUMN_CATEGORY;
    if (c->values.full || c->texts == 0) {
        c->role = COLUMN_DROPPED;
        return 0;
    }
    text_set_sort(&c->values);
    return 0;
}

static bool looks_like_classes(const struct column *c)
{
    if (c->texts)
        return true;
    return c->integers == c->numbers && !c->values.full && c->values.count <= 32 &&
           c->numbers >= 5 * (int64_t)c->values.count;
}

static int decide_target(struct table *t, int64_t rows)
{
    struct column *c = &t->columns[t->target];
    const char *type = t->o->task_type;
    bool stated = type && *type && (!strcmp(type, "classification") || !strcmp(type, "regression"));
    bool classes = stated ? !strcmp(type, "classification") : looks_like_classes(c);
    c->role = COLUMN_TARGET;
    if (c->missing)
        findings_add(t->f, FINDING_WARNED, "dataset.missing", NULL,
                     "%lld rows have no target (column \"%s\") and are left out", (long long)c->missing,
                     c->name);
    if (rows < 2)
        return fail(t, "dataset.content", "only %lld rows have a target", (long long)rows);
    if (c->texts && (!classes || column_is_stained(c)))
        return fail(t, "dataset.target", "line %lld: the target \"%.60s\" is not a number (column \"%s\")",
                    (long long)c->odd.line, c->odd.text, c->name);
    t->info->target = classes ? TARGET_CLASS : TARGET_VALUE;
    if (!classes) {
        t->info->target_width = 1;
        return 0;
    }
    if (c->values.full)
        return fail(t, "dataset.target", "column \"%s\" has more than %d different values: too many classes",
                    c->name, CSV_CLASSES_MAX);
    if (c->values.count < 2)
        return fail(t, "dataset.target", "column \"%s\" has one value only: there is nothing to tell apart",
                    c->name);
    if (!stated && !c->texts) {
        struct finding *it = findings_add(t->f, FINDING_WARNED, "dataset.target", NULL,
                                          "column \"%s\" has %d different integers: taken as classes",
                                          c->name, c->values.count);
        it->hint = xstrdup("for regression say so in the metadata: {\"task_type\": \"regression\"}");
    }
    text_set_sort(&c->values);
    t->info->classes = c->values.count;
    t->info->class_names = xcalloc((size_t)c->values.count + 1, sizeof(char *));
    for (int i = 0; i < c->values.count; i++)
        t->info->class_names[i] = xstrdup(c->values.texts[i]);
    return 0;
}

static void say_dropped(struct table *t)
{
    for (int i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        if (c->role != COLUMN_DROPPED)
            continue;
        struct finding *it =
            findings_add(t->f, FINDING_WARNED, "dataset.columns", NULL,
                         c->texts ? "column \"%s\" is left out: it has more than %d different texts"
                                  : "column \"%s\" is left out: it has no values",
                         c->name, CSV_CATEGORIES_MAX);
        it->hint = xstrdup("remove the column from the file, or turn it into numbers or fewer categories");
    }
}

#define TEXT_LENGTH 256 /* bytes kept of a text when nothing was said */

/* No numbers and no categories: the longest text, if there is one, is what the classes are told by. */
static int decide_text(struct table *t)
{
    struct dataset_info *info = t->info;
    for (int i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        if (i != t->target && c->texts && (t->text < 0 || c->longest > t->columns[t->text].longest))
            t->text = i;
    }
    if (t->text < 0)
        return fail(t, "dataset.columns", "no column is left as a feature");
    struct column *c = &t->columns[t->text];
    int64_t length = t->o->length ? t->o->length : c->longest < TEXT_LENGTH ? c->longest : TEXT_LENGTH;
    c->role = COLUMN_TEXT;
    if (length < c->longest)
        findings_add(t->f, FINDING_WARNED, "dataset.content", NULL,
                     "column \"%s\" is text of up to %lld bytes, of which the first %lld are used", c->name,
                     (long long)c->longest, (long long)length);
    info->feature_shape = (struct shape){.rank = 1, .dim = {length}};
    info->feature_dtype = DTYPE_I32;
    info->token_unit = TOKENS_BYTES;
    info->vocabulary = 257;
    info->padding = 0;
    info->target_name = xstrdup(t->columns[t->target].name);
    say_dropped(t);
    return 0;
}

static int decide_columns(struct table *t)
{
    int64_t features = 0;
    int rc = 0;
    for (int i = 0; i < t->column_count; i++) {
        struct column *c = &t->columns[i];
        if (i == t->target)
            continue;
        if (decide_feature(t, c))
            rc = -1;
        c->feature = (int)features;
        features += c->role == COLUMN_NUMBER     ? 1 + (c->missing > 0)
                    : c->role == COLUMN_CATEGORY ? c->values.count
                                                 : 0;
        if (features > PACK_MAX_COLUMNS)
            return fail(t, "dataset.columns", "the table has more than %d features", PACK_MAX_COLUMNS);
    }
    if (rc)
        return -1;
    if (features == 0)
        return decide_text(t);
    t->info->feature_shape = (struct shape){.rank = 1, .dim = {features}};
    t->info->feature_dtype = DTYPE_F32;
    t->info->column_count = (int)features;
    t->info->columns = xcalloc((size_t)features + 1, sizeof(char *));
    for (int i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        if (c->role == COLUMN_NUMBER)
            t->info->columns[c->feature] = xstrdup(c->name);
        if (c->role == COLUMN_NUMBER && c->missing)
            t->info->columns[c->feature + 1] = xasprintf("%s is missing", c->name);
        for (int k = 0; c->role == COLUMN_CATEGORY && k < c->values.count; k++)
            t->info->columns[c->feature + k] = xasprintf("%s=%s", c->name, c->values.texts[k]);
    }
    t->info->target_name = xstrdup(t->columns[t->target].name);
    say_dropped(t);
    return 0;
}

/* Rounded along the running total, so that the shares of the classes add up to the share of all. */
static void make_strata(struct table *t)
{
    const struct text_set *classes = &t->columns[t->target].values;
    double fraction = t->o->test_fraction > 0 ? t->o->test_fraction : 0.2;
    int64_t total = t->rows[0] + t->rows[1] + t->rows[2], before = 0, test = 0;
    t->stratum_count = t->info->target == TARGET_CLASS ? classes->count : 1;
    t->strata = xcalloc((size_t)t->stratum_count, sizeof(*t->strata));
    for (int i = 0; i < t->stratum_count; i++) {
        struct divide *d = &t->strata[i].divide;
        d->samples = t->info->target == TARGET_CLASS ? classes->counts[i] : total;
        d->seed = t->o->seed + 1000003 * (uint64_t)i;
        d->test = llround(fraction * (double)(before + d->samples)) - llround(fraction * (double)before);
        if (d->test >= d->samples)
            d->test = d->samples - 1; /* a class that is never trained on teaches nothing */
        before += d->samples;
        test += d->test;
    }
    for (int i = 0; i < t->stratum_count && test == 0; i++)
        if (t->strata[i].divide.samples > 1)
            test = t->strata[i].divide.test = 1;
    t->info->samples[SPLIT_TEST] = test;
    t->info->samples[SPLIT_TRAIN] = total - test;
}

static int decide_splits(struct table *t)
{
    int64_t undivided = t->rows[SPLIT_COUNT];
    bool train = t->rows[SPLIT_TRAIN] > 0, test = t->rows[SPLIT_TEST] > 0;
    if ((train || test) && undivided)
        return fail(t, "dataset.files", "some files are named train or test and others are not");
    t->divided = !(train && test);
    if (!t->divided) {
        t->info->samples[SPLIT_TRAIN] = t->rows[SPLIT_TRAIN];
        t->info->samples[SPLIT_TEST] = t->rows[SPLIT_TEST];
        return 0;
    }
    make_strata(t);
    return 0;
}

/* ---- second walk ---- */

/* Which of the column's texts a cell is; -1 when it is missing. */
static int category_of(const struct column *c, const char *text, enum cell_kind kind, double v)
{
    char shortest[32];
    snprintf(shortest, sizeof(shortest), CSV_NUMBER_TEXT, v);
    return kind == CELL_MISSING ? -1 : text_set_find(&c->values, kind == CELL_NUMBER ? shortest : text);
}

static void cell_features(const struct column *c, const char *text, float *out)
{
    double v = 0;
    enum cell_kind kind = csv_cell_kind(text, &v);
    if (c->role == COLUMN_NUMBER)
        out[c->feature] = (float)(kind == CELL_NUMBER ? v : c->mean);
    if (c->role == COLUMN_NUMBER && c->missing)
        out[c->feature + 1] = kind == CELL_NUMBER ? 0.0f : 1.0f;
    int chosen = c->role == COLUMN_CATEGORY ? category_of(c, text, kind, v) : -1;
    for (int k = 0; c->role == COLUMN_CATEGORY && k < c->values.count; k++)
        out[c->feature + k] = k == chosen ? 1.0f : 0.0f;
}

/* The value of a target cell and its class; false when there is none that the first walk knew. */
static bool read_target(const struct table *t, const char *text, double *value, int32_t *label)
{
    enum cell_kind kind = csv_cell_kind(text, value);
    *label = t->info->target == TARGET_CLASS ? category_of(&t->columns[t->target], text, kind, *value) : 0;
    return *label >= 0;
}

static int choose_split(struct table *t, const struct table_file *file, int32_t label)
{
    if (!t->divided)
        return file->split;
    struct stratum *s = &t->strata[label];
    return s->seen < s->divide.samples ? divide_split(&s->divide, s->seen++) : -1;
}

static int put_target(struct table *t, int split, double value, int32_t label, struct err *err)
{
    float number = (float)value;
    return t->info->target == TARGET_VALUE ? pack_write_targets(t->w, split, &number, sizeof(number), err)
                                           : pack_write_targets(t->w, split, &label, sizeof(label), err);
}

/* The walk that learns means: of a column's numbers in the train split. */
static void add_to_means(struct table *t, int split, char *const *cells)
{
    for (int i = 0; i < t->column_count && split == SPLIT_TRAIN; i++) {
        struct column *c = &t->columns[i];
        double v;
        if (c->role == COLUMN_NUMBER && c->missing && csv_cell_kind(cells[i], &v) == CELL_NUMBER)
            c->mean += (v - c->mean) / (double)++c->train_numbers;
    }
}

static int put_text(struct table *t, int split, const char *text, struct err *err)
{
    int64_t length = t->info->feature_shape.dim[0], n = (int64_t)strnlen(text, (size_t)length);
    for (int64_t i = 0; i < length; i++)
        t->tokens[i] = i < n ? (uint8_t)text[i] + 1 : 0;
    return pack_write_features(t->w, split, t->tokens, (size_t)length * sizeof(*t->tokens), err);
}

static int put_numbers(struct table *t, int split, char *const *cells, struct err *err)
{
    for (int i = 0; i < t->column_count; i++)
        if (i != t->target)
            cell_features(&t->columns[i], cells[i], t->features);
    for (int64_t i = 0; i < t->info->column_count && split == SPLIT_TRAIN; i++) {
        double x = t->features[i], d = x - t->mean[i];
        t->mean[i] += d / (double)t->written[split];
        t->m2[i] += d * (x - t->mean[i]);
    }
    return pack_write_features(t->w, split, t->features, (size_t)t->info->column_count * sizeof(float), err);
}

static int write_row(struct table *t, const struct table_file *file, char *const *cells)
{
    double value = 0;
    int32_t label;
    struct err err = {0};
    if (csv_cell_kind(cells[t->target], &value) == CELL_MISSING)
        return 0;
    int split = read_target(t, cells[t->target], &value, &label) ? choose_split(t, file, label) : -1;
    if (split < 0 || t->written[split]++ >= t->info->samples[split])
        return fail(t, "dataset.files", "%s changed while it was read", file->name);
    if (!t->w) {
        add_to_means(t, split, cells);
        return 0;
    }
    if ((t->text >= 0 ? put_text(t, split, cells[t->text], &err) : put_numbers(t, split, cells, &err)) ||
        put_target(t, split, value, label, &err))
        return fail(t, "dataset.write", "%s", err.text);
    return 0;
}

static int write_file(void *arg, const char *name, struct stream *s)
{
    struct table *t = arg;
    struct table_file *file = NULL;
    for (int i = 0; i < t->file_count && !file; i++)
        if (!strcmp(t->files[i].name, name))
            file = &t->files[i];
    if (!file)
        return 0;
    struct csv_reader r;
    struct err err = {0};
    char **cells = xcalloc((size_t)t->column_count, sizeof(*cells));
    int rc, done = 0;
    csv_reader_init(&r, s, file->delimiter);
    /* The order of rows is that of the file: in the first walk only the statistics were taken out of order.
     */
    bool skip = file->header;
    while ((rc = csv_next(&r, &err)) > 0 && !done) {
        if (skip)
            skip = false;
        else if (row_cells(t, file, &r, cells))
            done = write_row(t, file, cells);
    }
    if (rc < 0)
        done = fail(t, "dataset.content", "%s: %s", name, err.text);
    csv_reader_free(&r);
    free(cells);
    return done;
}

static void keep_statistics(struct table *t)
{
    size_t n = (size_t)t->info->column_count;
    t->info->column_mean = xcalloc(n, sizeof(float));
    t->info->column_std = xcalloc(n, sizeof(float));
    for (size_t i = 0; i < n; i++)
        t->info->column_std[i] = 1;
    for (int i = 0; i < t->column_count && !t->o->no_standardise; i++) {
        const struct column *c = &t->columns[i];
        if (c->role != COLUMN_NUMBER)
            continue;
        double variance = t->m2[c->feature] / (double)t->info->samples[SPLIT_TRAIN];
        t->info->column_mean[c->feature] = (float)t->mean[c->feature];
        float deviation = (float)sqrt(variance);
        t->info->column_std[c->feature] = deviation > 0 && isfinite(deviation) ? deviation : 1;
    }
}

/* Missing numbers become the mean of the train split, so which rows are in it must be known first. */
static int learn_means(struct table *t, const char *path)
{
    struct findings quiet = {0};
    bool needed = false;
    for (int i = 0; i < t->column_count; i++)
        if (t->columns[i].role == COLUMN_NUMBER && t->columns[i].missing) {
            t->columns[i].mean = 0;
            needed = true;
        }
    int rc = needed ? source_walk(path, t->o->max_bytes, write_file, t, &quiet) : 0;
    findings_free(&quiet);
    memset(t->written, 0, sizeof(t->written));
    for (int i = 0; i < t->stratum_count; i++)
        t->strata[i].seen = 0;
    if (rc && !findings_failed(t->f))
        return fail(t, "dataset.files", "the files changed while they were read");
    return rc;
}

static int write_table(struct table *t, const char *path, const char *pack_path)
{
    struct err err = {0};
    size_t n = (size_t)t->info->column_count;
    if (learn_means(t, path))
        return -1;
    t->w = pack_writer_create(pack_path, t->info, &err);
    if (!t->w)
        return fail(t, "dataset.write", "%s", err.text);
    if (t->text >= 0)
        t->tokens = xcalloc((size_t)t->info->feature_shape.dim[0], sizeof(*t->tokens));
    t->features = xcalloc(n, sizeof(float));
    t->mean = xcalloc(n, sizeof(double));
    t->m2 = xcalloc(n, sizeof(double));
    struct findings quiet = {0}, *loud = t->f; /* what the first walk said need not be said again */
    int rc = source_walk(path, t->o->max_bytes, write_file, t, &quiet);
    findings_free(&quiet);
    if (rc)
        return findings_failed(loud) ? -1
                                     : fail(t, "dataset.files", "the files changed while they were read");
    if (t->written[0] != t->info->samples[0] || t->written[1] != t->info->samples[1])
        return fail(t, "dataset.files", "the files changed while they were read");
    if (n)
        keep_statistics(t);
    struct pack_writer *w = t->w;
    t->w = NULL;
    return pack_writer_finish(w, t->info, &err) ? fail(t, "dataset.write", "%s", err.text) : 0;
}

static int check_table(struct table *t)
{
    int rc = 0;
    if (t->mistakes > MAX_MISTAKES)
        fail(t, "dataset.values", "%lld more rows have mistakes; the first %d are listed",
             (long long)(t->mistakes - MAX_MISTAKES), MAX_MISTAKES);
    if (!t->columns)
        return fail(t, "dataset.content", "there is no table in it");
    snprintf(t->info->format, sizeof(t->info->format), "csv");
    int64_t rows = t->rows[0] + t->rows[1] + t->rows[2];
    if (decide_target(t, rows))
        rc = -1;
    if (decide_columns(t) || decide_splits(t))
        rc = -1;
    return rc || t->mistakes ? -1 : 0;
}

int csv_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
             struct dataset_info *info)
{
    struct table *t = xcalloc(1, sizeof(*t));
    *t = (struct table){.f = f, .o = o, .info = info, .text = -1};
    info->padding = -1;
    int rc = source_walk(path, o->max_bytes, learn_file, t, f);
    if (!rc)
        rc = check_table(t);
    if (!rc)
        rc = write_table(t, path, pack_path);
    pack_writer_destroy(t->w);
    for (int i = 0; i < t->file_count; i++)
        free(t->files[i].name);
    for (int i = 0; i < t->column_count; i++)
        column_free(&t->columns[i]);
    free(t->columns);
    free(t->features);
    free(t->tokens);
    free(t->strata);
    free(t->mean);
    free(t->m2);
    free(t);
    return rc;
}
