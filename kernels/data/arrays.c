/* NumPy arrays: features and labels of .npz, or of .npy files together in a folder or archive.
 *
 * Names say what an array is: x, data, features, images, inputs are features; y, labels, targets, classes are labels; train and test
 * are splits (Keras' mnist.npz: x_train, y_train, x_test, y_test). Metadata "features" and "labels" name others. Two walks: the first
 * reads headers and labels, the second writes row by row. Pictures (samples, height, width[, 1 or 3]) become channels first; bytes
 * stay bytes, all else float32. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/data/npy.h"
#include "kernels/data/pack.h"
#include "kernels/data/readers.h"
#include "kernels/data/source.h"

#define MAX_ARRAYS     64
#define SAMPLE_MOST    (1 << 28) /* numbers of one sample */
#define LABELS_AT_ONCE 4096

enum role { FEATURES, LABELS, ROLES };

struct array {
    char *name;
    enum role role;
    int split; /* -1: not said */
    struct npy npy;
    int64_t each; /* numbers of one sample */
};

struct arrays {
    struct findings *f;
    const struct dataset_options *o;
    struct dataset_info *info;
    struct array list[MAX_ARRAYS];
    int count;
    int64_t largest, least; /* label */
    bool divided, channels_last, writing;
    struct divide divide;
    struct pack_writer *w;
    double *mean, *m2; /* of each feature column over the train split */
    int64_t seen;
};

bool npy_file_is(const char *name, const uint8_t *head, size_t n)
{
    (void)name;
    return npy_is(head, n);
}

/* ---- first walk ---- */

static bool has_any(const char *name, const char *const *words, const char *option)
{
    if (option)
        return name_has_word(name, option);
    for (; *words; words++)
        if (name_has_word(name, *words))
            return true;
    return false;
}

/* FEATURES, LABELS, or ROLES: neither. */
static enum role role_of(const struct arrays *a, const char *name)
{
    static const char *const labels[] = {"y",       "label", "labels",  "target",
                                         "targets", "class", "classes", NULL},
                             *const features[] = {"x",      "data",  "feature", "features", "image",
                                                  "images", "input", "inputs",  "samples",  NULL};
    return has_any(name, labels, a->o->labels)       ? LABELS
           : has_any(name, features, a->o->features) ? FEATURES
                                                     : ROLES;
}

static int check_shape(struct arrays *a, struct array *x)
{
    const struct npy *n = &x->npy;
    x->each = n->rank > 0 && n->dim[0] > 0 ? n->count / n->dim[0] : 0;
    if (x->each < 1 || x->each > SAMPLE_MOST)
        return reader_fail(a->f, "dataset.content",
                           "%s: its shape has no samples, or samples of no or too many numbers", x->name);
    if (x->role == LABELS && n->rank > 2)
        return reader_fail(a->f, "dataset.labels", "%s: labels have one or two dimensions, not %d", x->name,
                           n->rank);
    if (x->role == FEATURES && n->rank < 2)
        return reader_fail(a->f, "dataset.content",
                           "%s: features have a dimension for the samples and at least one more", x->name);
    return 0;
}

/* Label arrays are read in the first walk for their range, feature arrays in the second. */
static int learn_labels(struct arrays *a, const struct array *x, struct stream *s)
{
    struct err err = {0};
    uint8_t raw[LABELS_AT_ONCE];
    int64_t at = 0;
    if (x->npy.kind == 'f')
        return 0;
    for (ssize_t n; at < x->npy.count; at += n / x->npy.width) {
        n = stream_read(s, raw, sizeof(raw), &err);
        if (n < x->npy.width)
            return reader_fail(a->f, "dataset.content", "%s: %s", x->name,
                               n < 0 ? err.text : "it is cut off");
        for (int64_t i = 0; i < n / x->npy.width; i++) {
            int64_t v = npy_integer(&x->npy, raw, i);
            a->largest = v > a->largest ? v : a->largest;
            a->least = v < a->least ? v : a->least;
        }
    }
    return 0;
}

static int learn_array(void *arg, const char *name, struct stream *s)
{
    struct arrays *a = arg;
    struct err err = {0};
    struct array x = {.split = split_of_name(name), .role = role_of(a, name)};
    if (!name_ends(name, ".npy") || x.role == ROLES) {
        struct finding *it = findings_add(a->f, FINDING_WARNED, "dataset.files", NULL,
                                          "%s: left out, its name says neither features nor labels", name);
        it->hint = xstrdup(
            "name arrays x and y, or x_train, y_train, x_test, y_test, or say \"features\" and \"labels\"");
        return 0;
    }
    if (a->count == MAX_ARRAYS)
        return reader_fail(a->f, "dataset.files", "more than %d arrays", MAX_ARRAYS);
    if (npy_read(s, &x.npy, &err))
        return reader_fail(a->f, "dataset.content", "%s: %s", name, err.text);
    x.name = xstrdup(name);
    a->list[a->count++] = x;
    struct array *kept = &a->list[a->count - 1];
    return check_shape(a, kept) || (x.role == LABELS && learn_labels(a, kept, s)) ? -1 : 0;
}

/* ---- between the walks ---- */

static struct array *find(struct arrays *a, int split, enum role role)
{
    for (int i = 0; i < a->count; i++)
        if (a->list[i].split == split && a->list[i].role == role)
            return &a->list[i];
    return NULL;
}

static int pair_up(struct arrays *a)
{
    bool train = find(a, SPLIT_TRAIN, FEATURES), test = find(a, SPLIT_TEST, FEATURES);
    a->divided = !(train && test);
    for (int i = 0; i < a->count && a->divided; i++)
        a->list[i].split = SPLIT_TRAIN;
    for (int i = 0; i < a->count; i++)
        for (int k = 0; k < i; k++)
            if (a->list[i].role == a->list[k].role && a->list[i].split == a->list[k].split)
                return reader_fail(a->f, "dataset.files", "%s and %s are both %s of the same split",
                                   a->list[k].name, a->list[i].name,
                                   a->list[i].role == LABELS ? "labels" : "features");
    for (int s = 0; s <= SPLIT_TEST - a->divided; s++) {
        const struct array *x = find(a, s, FEATURES), *y = find(a, s, LABELS),
                           *first = find(a, SPLIT_TRAIN, FEATURES);
        if (!x || !y)
            return reader_fail(a->f, "dataset.files",
                               "there are no %s%s; name them y and x, or say \"labels\" and \"features\"",
                               x ? "labels" : "features",
                               a->divided ? ""
                               : s        ? " to test with"
                                          : " to train on");
        if (x->npy.dim[0] != y->npy.dim[0])
            return reader_fail(a->f, "dataset.labels", "%s has %lld samples, %s has %lld labels", x->name,
                               (long long)x->npy.dim[0], y->name, (long long)y->npy.dim[0]);
        if (x->npy.rank != first->npy.rank ||
            memcmp(x->npy.dim + 1, first->npy.dim + 1, sizeof(x->npy.dim) - sizeof(x->npy.dim[0])) ||
            (x->npy.kind == 'u' && x->npy.width == 1) != (first->npy.kind == 'u' && first->npy.width == 1) ||
            y->each != find(a, SPLIT_TRAIN, LABELS)->each ||
            y->npy.kind != find(a, SPLIT_TRAIN, LABELS)->npy.kind)
            return reader_fail(a->f, "dataset.content", "%s and %s differ in shape or type", first->name,
                               x->name);
        a->info->samples[s] = x->npy.dim[0];
    }
    if (!a->divided)
        return 0;
    divide_init(&a->divide, a->info->samples[SPLIT_TRAIN], a->o);
    a->info->samples[SPLIT_TEST] = a->divide.test;
    a->info->samples[SPLIT_TRAIN] -= a->divide.test;
    return a->info->samples[SPLIT_TRAIN] > 0 ? 0
                                             : reader_fail(a->f, "dataset.content", "one sample is too few");
}

static void decide_features(struct arrays *a)
{
    const struct npy *n = &find(a, SPLIT_TRAIN, FEATURES)->npy;
    struct dataset_info *info = a->info;
    struct shape *s = &info->feature_shape;
    info->feature_dtype = n->kind == 'u' && n->width == 1 ? DTYPE_U8 : DTYPE_F32;
    *s = (struct shape){.rank = n->rank - 1};
    memcpy(s->dim, n->dim + 1, sizeof(int64_t) * (size_t)s->rank);
    if (s->rank == 2 && info->feature_dtype == DTYPE_U8)
        *s = (struct shape){3, {1, n->dim[1], n->dim[2]}};
    a->channels_last = s->rank == 3 && n->rank == 4 && (s->dim[2] == 1 || s->dim[2] == 3) && s->dim[0] != 1 &&
                       s->dim[0] != 3;
    if (a->channels_last)
        *s = (struct shape){3, {n->dim[3], n->dim[1], n->dim[2]}};
    if (s->rank != 1 || info->feature_dtype != DTYPE_F32 || s->dim[0] > PACK_MAX_COLUMNS)
        return;
    info->column_count = (int)s->dim[0];
    info->columns = xcalloc((size_t)s->dim[0] + 1, sizeof(char *));
    for (int i = 0; i < info->column_count; i++)
        info->columns[i] = xasprintf("column %d", i);
    a->mean = xcalloc((size_t)s->dim[0], sizeof(double));
    a->m2 = xcalloc((size_t)s->dim[0], sizeof(double));
}

static int decide_labels(struct arrays *a)
{
    const struct array *y = find(a, SPLIT_TRAIN, LABELS);
    const char *type = a->o->task_type;
    bool classes = y->npy.kind != 'f' && y->each == 1 && !(type && !strcmp(type, "regression"));
    a->info->padding = -1;
    if (type && !strcmp(type, "classification") && !classes)
        return reader_fail(a->f, "dataset.target", "%s: classes are one integer a sample", y->name);
    if (!classes) {
        a->info->target = TARGET_VALUE;
        a->info->target_width = (int)y->each;
        return y->each <= PACK_MAX_COLUMNS
                   ? 0
                   : reader_fail(a->f, "dataset.target", "%s: too many values a sample", y->name);
    }
    if (a->least < 0 || a->largest >= PACK_MAX_CLASSES)
        return reader_fail(a->f, "dataset.labels", "labels are from %lld to %lld; classes are 0 to %d",
                           (long long)a->least, (long long)a->largest, PACK_MAX_CLASSES - 1);
    if (a->largest < 1)
        return reader_fail(a->f, "dataset.labels", "only one class comes: there is nothing to tell apart");
    a->info->target = TARGET_CLASS;
    a->info->classes = (int)a->largest + 1;
    return 0;
}

/* ---- second walk ---- */

static int to_floats(struct arrays *a, const struct array *x, int64_t sample, const uint8_t *raw, float *out)
{
    for (int64_t i = 0; i < x->each; i++) {
        out[i] = (float)npy_number(&x->npy, raw, i);
        if (!isfinite(out[i]))
            return reader_fail(a->f, "dataset.values",
                               "%s: number %lld of sample %lld is not a finite float32", x->name,
                               (long long)i, (long long)sample);
    }
    return 0;
}

/* (height, width, channels) to (channels, height, width), of numbers of `size` bytes. */
static void planes(const struct shape *s, const uint8_t *in, uint8_t *out, size_t size)
{
    int64_t channels = s->dim[0], pixels = s->dim[1] * s->dim[2];
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < channels; c++)
            memcpy(out + (size_t)(c * pixels + p) * size, in + (size_t)(p * channels + c) * size, size);
}

static void add_statistics(struct arrays *a, const float *row)
{
    a->seen++;
    for (int i = 0; i < a->info->column_count; i++) {
        double x = (double)row[i], d = x - a->mean[i];
        a->mean[i] += d / (double)a->seen;
        a->m2[i] += d * (x - a->mean[i]);
    }
}

static int write_sample(struct arrays *a, const struct array *x, int64_t at, const uint8_t *raw, float *row,
                        uint8_t *turned)
{
    struct err err = {0};
    int split = a->divided ? divide_split(&a->divide, at) : x->split;
    const struct dataset_info *info = a->info;
    int32_t label = 0;
    const void *from = raw;
    size_t bytes = x->role == FEATURES ? dataset_feature_bytes(info) : dataset_target_bytes(info);
    if (x->role == LABELS && info->target == TARGET_CLASS) {
        label = (int32_t)npy_integer(&x->npy, raw, 0);
        from = &label;
    } else if (x->role == LABELS || info->feature_dtype == DTYPE_F32) {
        if (to_floats(a, x, at, raw, row))
            return -1;
        from = row;
    }
    if (x->role == FEATURES && a->mean && split == SPLIT_TRAIN)
        add_statistics(a, row);
    if (x->role == FEATURES && a->channels_last) {
        planes(&info->feature_shape, from, turned, (size_t)dtype_size(info->feature_dtype));
        from = turned;
    }
    int rc = x->role == FEATURES ? pack_write_features(a->w, split, from, bytes, &err)
                                 : pack_write_targets(a->w, split, from, bytes, &err);
    return rc ? reader_fail(a->f, "dataset.write", "%s", err.text) : 0;
}

static int write_array(void *arg, const char *name, struct stream *s)
{
    struct arrays *a = arg;
    struct array *x = NULL;
    struct npy now;
    struct err err = {0};
    for (int i = 0; i < a->count && !x; i++)
        if (!strcmp(a->list[i].name, name))
            x = &a->list[i];
    if (!x)
        return 0;
    if (npy_read(s, &now, &err) || memcmp(&now, &x->npy, sizeof(now)))
        return reader_fail(a->f, "dataset.files", "%s changed while it was read", name);
    size_t bytes = (size_t)x->each * (size_t)x->npy.width;
    uint8_t *raw = xmalloc(bytes), *turned = xmalloc((size_t)x->each * sizeof(float));
    float *row = xcalloc((size_t)x->each, sizeof(float));
    int rc = 0;
    for (int64_t i = 0; i < x->npy.dim[0] && !rc; i++) {
        ssize_t n = stream_read(s, raw, bytes, &err);
        if (n < (ssize_t)bytes)
            rc = reader_fail(a->f, "dataset.content", "%s: %s, in sample %lld of %lld", name,
                             n < 0 ? err.text : "it ends early", (long long)i, (long long)x->npy.dim[0]);
        else
            rc = write_sample(a, x, i, raw, row, turned);
    }
    free(raw);
    free(row);
    free(turned);
    return rc;
}

static void keep_statistics(struct arrays *a)
{
    size_t n = (size_t)a->info->column_count;
    a->info->column_mean = xcalloc(n, sizeof(float));
    a->info->column_std = xcalloc(n, sizeof(float));
    for (size_t i = 0; i < n; i++) {
        float deviation = (float)sqrt(a->m2[i] / (double)a->seen);
        bool standard = !a->o->no_standardise;
        a->info->column_mean[i] = standard ? (float)a->mean[i] : 0;
        a->info->column_std[i] = standard && deviation > 0 && isfinite(deviation) ? deviation : 1;
    }
}

static int write_all(struct arrays *a, const char *path, const char *pack_path)
{
    struct err err = {0};
    a->w = pack_writer_create(pack_path, a->info, &err);
    if (!a->w)
        return reader_fail(a->f, "dataset.write", "%s", err.text);
    if (source_walk(path, a->o->max_bytes, write_array, a, a->f))
        return -1;
    if (a->mean && a->seen)
        keep_statistics(a);
    struct pack_writer *w = a->w;
    a->w = NULL;
    return pack_writer_finish(w, a->info, &err) ? reader_fail(a->f, "dataset.write", "%s", err.text) : 0;
}

int arrays_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info)
{
    struct arrays *a = xcalloc(1, sizeof(*a));
    *a = (struct arrays){.f = f, .o = o, .info = info};
    snprintf(info->format, sizeof(info->format), "numpy");
    int rc = source_walk(path, o->max_bytes, learn_array, a, f);
    if (!rc)
        rc = pair_up(a) || decide_labels(a);
    if (!rc) {
        decide_features(a);
        rc = write_all(a, path, pack_path);
    }
    pack_writer_destroy(a->w);
    for (int i = 0; i < a->count; i++)
        free(a->list[i].name);
    free(a->mean);
    free(a->m2);
    free(a);
    return rc;
}
