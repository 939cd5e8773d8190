/* IDX, the format of MNIST: 00 00 TYPE RANK, the dimensions (32-bit big-endian), the data (big-endian).
 *
 * A dataset is a file of images (rank 2 to 4) and a file of labels (rank 1) for each split. The magic says
 * which is images and which labels, the names say train or test (train-*, t10k-*, test-*); one undivided pair
 * is divided by a seeded fraction. Two walks: the first reads headers and checks that everything fits
 * together, the second copies. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/data/pack.h"
#include "kernels/data/readers.h"

#define MAX_FILES 4
#define CHUNK     (1 << 16)

enum { IMAGES, LABELS };

struct idx_file {
    char *name;
    int split; /* -1: not said */
    int role;  /* IMAGES, LABELS */
    uint8_t type;
    int rank;
    int64_t dim[4];
    int width;       /* bytes of one number */
    int64_t numbers; /* per sample */
};

struct idx {
    struct findings *f;
    const struct dataset_options *o;
    struct idx_file files[MAX_FILES];
    int count;
    bool divided; /* by us */
    struct divide divide;
    struct pack_writer *w;
    struct dataset_info *info;
    int64_t *class_counts; /* PACK_MAX_CLASSES */
    int largest;           /* class seen */
};

static int fail(struct idx *x, const char *check, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct idx *x, const char *check, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    findings_add(x->f, FINDING_FAILED, check, NULL, "%s", buf_str(&b));
    buf_free(&b);
    return -1;
}

static int type_width(uint8_t type)
{
    switch (type) {
    case 0x08: /* unsigned byte */
    case 0x09: /* signed byte */
        return 1;
    case 0x0b: /* short */
        return 2;
    case 0x0c: /* int */
    case 0x0d: /* float */
        return 4;
    case 0x0e: /* double */
        return 8;
    }
    return 0;
}

bool idx_is(const uint8_t *head, size_t n)
{
    return n >= 8 && head[0] == 0 && head[1] == 0 && type_width(head[2]) && head[3] >= 1 && head[3] <= 8;
}

/* ---- first walk: headers ---- */

static int read_header(struct idx *x, const char *name, struct stream *s, struct idx_file *file)
{
    uint8_t h[4 + 4 * 4];
    struct err err = {0};
    ssize_t n = stream_read(s, h, 4, &err);
    *file = (struct idx_file){
        .split = split_of_name(name), .type = h[2], .rank = h[3], .width = n == 4 ? type_width(h[2]) : 0};
    if (n < 0)
        return fail(x, "dataset.files", "%s: %s", name, err.text);
    if (file->rank > 4)
        return fail(x, "dataset.content", "%s: rank %d; images have 2 to 4 dimensions, labels 1", name,
                    file->rank);
    ssize_t want = 4 * file->rank;
    if (stream_read(s, h + 4, (size_t)want, &err) != want)
        return fail(x, "dataset.content", "%s: it ends inside its header of %zd bytes", name, want + 4);
    file->numbers = 1;
    for (int i = 0; i < file->rank; i++) {
        const uint8_t *p = h + 4 + 4 * i;
        file->dim[i] = (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
        if (file->dim[i] < 1 || (i > 0 && (file->numbers *= file->dim[i]) > INT32_MAX))
            return fail(x, "dataset.content", "%s: dimension %d is %lld", name, i, (long long)file->dim[i]);
    }
    file->role = file->rank == 1 ? LABELS : IMAGES;
    if (file->role == LABELS && (file->type == 0x0d || file->type == 0x0e))
        return fail(x, "dataset.labels", "%s: labels must be integers, not floating point", name);
    return 0;
}

static bool is_idx_stream(struct stream *s)
{
    const uint8_t *head;
    ssize_t n = stream_peek(s, &head, NULL);
    return n > 0 && idx_is(head, (size_t)n);
}

static int plan_file(void *arg, const char *name, struct stream *s)
{
    struct idx *x = arg;
    struct idx_file file;
    const uint8_t *head;
    struct err err = {0};
    if (stream_peek(s, &head, &err) < 0)
        return fail(x, "dataset.files", "%s: %s", name, err.text);
    if (!is_idx_stream(s)) {
        struct finding *it = findings_add(x->f, FINDING_WARNED, "dataset.files", NULL,
                                          "%s: left out, it is no IDX file", name);
        it->hint = xstrdup("an IDX file begins with the bytes 00 00 08 01 (labels) or 00 00 08 03 (images)");
        return 0;
    }
    if (read_header(x, name, s, &file))
        return -1;
    if (x->count == MAX_FILES)
        return fail(x, "dataset.files",
                    "%s: a fifth IDX file; a dataset has images and labels, for train and test", name);
    file.name = xstrdup(name);
    x->files[x->count++] = file;
    return 0;
}

static struct idx_file *find_file(struct idx *x, int split, int role)
{
    for (int i = 0; i < x->count; i++)
        if (x->files[i].split == split && x->files[i].role == role)
            return &x->files[i];
    return NULL;
}

static const char *const split_names[] = {"train", "test"}, *const role_names[] = {"images", "labels"};

/* Every file gets its split, each split has both files or none, and nothing comes twice. */
static int assign_splits(struct idx *x)
{
    int named[SPLIT_COUNT] = {0}, unnamed = 0;
    for (int i = 0; i < x->count; i++) {
        if (x->files[i].split < 0)
            unnamed++;
        else
            named[x->files[i].split]++;
    }
    x->divided = !named[SPLIT_TRAIN] || !named[SPLIT_TEST];
    for (int i = 0; i < x->count; i++) {
        if (x->divided)
            x->files[i].split = SPLIT_TRAIN;
        else if (unnamed && x->files[i].split < 0)
            return fail(x, "dataset.files",
                        "%s: its name says neither train nor test, and there are files of both",
                        x->files[i].name);
    }
    for (int i = 0; i < x->count; i++)
        for (int k = 0; k < i; k++)
            if (x->files[i].split == x->files[k].split && x->files[i].role == x->files[k].role)
                return fail(x, "dataset.files", "%s and %s are both %s%s%s", x->files[k].name,
                            x->files[i].name, x->divided ? "" : split_names[x->files[i].split],
                            x->divided ? "" : " ", role_names[x->files[i].role]);
    for (int s = 0; s < SPLIT_COUNT; s++)
        for (int r = 0; r < 2; r++)
            if (!find_file(x, s, r) && find_file(x, s, 1 - r)) {
                fail(x, "dataset.files", "%s has no file of %s beside it", find_file(x, s, 1 - r)->name,
                     role_names[r]);
                x->f->items[x->f->count - 1].hint =
                    xstrdup("put images and labels into one tar, or one folder, and name that");
                return -1;
            }
    return x->count ? 0 : fail(x, "dataset.files", "there is no IDX file in it");
}

static int check_pair(struct idx *x, int split)
{
    const struct idx_file *images = find_file(x, split, IMAGES), *labels = find_file(x, split, LABELS);
    const struct idx_file *first = find_file(x, SPLIT_TRAIN, IMAGES);
    if (!images)
        return 0;
    if (images->dim[0] != labels->dim[0])
        return fail(x, "dataset.labels", "%s has %lld samples, %s has %lld labels", images->name,
                    (long long)images->dim[0], labels->name, (long long)labels->dim[0]);
    bool same = images->rank == first->rank && images->type == first->type;
    for (int i = 1; i < images->rank && same; i++)
        same = images->dim[i] == first->dim[i];
    return same ? 0
                : fail(x, "dataset.content", "%s and %s hold images of different sizes or types", first->name,
                       images->name);
}

static void fill_info(struct idx *x)
{
    const struct idx_file *images = find_file(x, SPLIT_TRAIN, IMAGES);
    struct dataset_info *info = x->info;
    snprintf(info->format, sizeof(info->format), "idx");
    struct shape *s = &info->feature_shape;
    /* (N, H, W) is grey images: one channel first. (N, C, H, W) and (N, n) stay as they are. */
    *s = (struct shape){0};
    if (images->rank == 3)
        s->dim[s->rank++] = 1;
    for (int i = 1; i < images->rank; i++)
        s->dim[s->rank++] = images->dim[i];
    info->feature_dtype = images->type == 0x08 ? DTYPE_U8 : DTYPE_F32;
    info->target = TARGET_CLASS;
    if (x->divided) {
        divide_init(&x->divide, images->dim[0], x->o);
        info->samples[SPLIT_TEST] = x->divide.test;
        info->samples[SPLIT_TRAIN] = images->dim[0] - x->divide.test;
        return;
    }
    for (int k = 0; k < SPLIT_COUNT; k++)
        info->samples[k] = find_file(x, k, IMAGES)->dim[0];
}

/* ---- second walk: samples ---- */

static double number_at(const uint8_t *p, uint8_t type)
{
    uint64_t v = 0;
    for (int i = 0; i < type_width(type); i++)
        v = v << 8 | p[i];
    float f;
    double d;
    uint32_t low = (uint32_t)v;
    switch (type) {
    case 0x08:
        return (double)v;
    case 0x09:
        return (int8_t)v;
    case 0x0b:
        return (int16_t)v;
    case 0x0c:
        return (int32_t)v;
    case 0x0d:
        memcpy(&f, &low, 4);
        return f;
    default:
        memcpy(&d, &v, 8);
        return d;
    }
}

static int put_image(struct idx *x, const struct idx_file *file, int split, int64_t sample,
                     const uint8_t *raw, float *numbers)
{
    struct err err = {0};
    int rc;
    if (file->type == 0x08) {
        rc = pack_write_features(x->w, split, raw, (size_t)file->numbers, &err);
    } else {
        for (int64_t i = 0; i < file->numbers; i++) {
            double v = number_at(raw + i * file->width, file->type);
            numbers[i] = (float)v;
            if (!isfinite(numbers[i]))
                return fail(x, "dataset.values",
                            "%s: sample %lld holds a value that is not a finite float32 number (byte %lld)",
                            file->name, (long long)sample,
                            (long long)(4 + 4 * file->rank + (sample * file->numbers + i) * file->width));
        }
        rc = pack_write_features(x->w, split, numbers, (size_t)file->numbers * sizeof(float), &err);
    }
    return rc ? fail(x, "dataset.write", "%s", err.text) : 0;
}

static int put_label(struct idx *x, const struct idx_file *file, int split, int64_t sample,
                     const uint8_t *raw)
{
    struct err err = {0};
    double v = number_at(raw, file->type);
    if (v < 0 || v >= PACK_MAX_CLASSES)
        return fail(x, "dataset.labels", "%s: label %lld is %.0f (byte %lld); labels are 0 to %d", file->name,
                    (long long)sample, v, (long long)(8 + sample * file->width), PACK_MAX_CLASSES - 1);
    int32_t label = (int32_t)v;
    if (split == SPLIT_TRAIN)
        x->class_counts[label]++;
    if (label > x->largest)
        x->largest = label;
    return pack_write_targets(x->w, split, &label, sizeof(label), &err)
               ? fail(x, "dataset.write", "%s", err.text)
               : 0;
}

static int copy_file(struct idx *x, const struct idx_file *file, struct stream *s)
{
    size_t each = (size_t)file->numbers * (size_t)file->width;
    uint8_t *raw = xmalloc(each), waste;
    float *numbers = file->type == 0x08 ? NULL : xmalloc((size_t)file->numbers * sizeof(float));
    struct err err = {0};
    int rc = stream_skip(s, 4 + 4 * file->rank, &err)
                 ? fail(x, "dataset.files", "%s: %s", file->name, err.text)
                 : 0;
    for (int64_t i = 0; i < file->dim[0] && !rc; i++) {
        ssize_t n = stream_read(s, raw, each, &err);
        int split = x->divided ? divide_split(&x->divide, i) : file->split;
        if (n < 0)
            rc = fail(x, "dataset.content", "%s: %s", file->name, err.text);
        else if ((size_t)n < each)
            rc = fail(
                x, "dataset.content",
                "%s: it ends at byte %lld, in sample %lld; its header promises %lld samples (%lld bytes)",
                file->name, (long long)s->offset, (long long)i, (long long)file->dim[0],
                (long long)(4 + 4 * file->rank + file->dim[0] * (int64_t)each));
        else
            rc = file->role == IMAGES ? put_image(x, file, split, i, raw, numbers)
                                      : put_label(x, file, split, i, raw);
    }
    if (!rc) {
        ssize_t more = stream_read(s, &waste, 1, &err);
        if (more < 0)
            rc = fail(x, "dataset.content", "%s: %s", file->name, err.text);
        if (more > 0)
            rc = fail(x, "dataset.content",
                      "%s: more data follows after the %lld samples its header promises (byte %lld)",
                      file->name, (long long)file->dim[0], (long long)s->offset - 1);
    }
    free(raw);
    free(numbers);
    return rc;
}

static int copy_named(void *arg, const char *name, struct stream *s)
{
    struct idx *x = arg;
    for (int i = 0; i < x->count; i++)
        if (!strcmp(x->files[i].name, name) && is_idx_stream(s))
            return copy_file(x, &x->files[i], s);
    return 0;
}

static void check_classes(struct idx *x)
{
    struct dataset_info *info = x->info;
    int empty = 0, an_empty = 0;
    info->classes = x->largest + 1;
    for (int i = 0; i < info->classes; i++)
        if (!x->class_counts[i]) {
            empty++;
            an_empty = i;
        }
    if (info->classes < 2)
        fail(x, "dataset.labels", "every label is 0: there is only one class");
    else if (empty)
        findings_add(x->f, FINDING_WARNED, "dataset.labels", NULL,
                     "%d of the %d classes (such as %d) have no training sample", empty, info->classes,
                     an_empty);
    info->class_names = xcalloc((size_t)info->classes + 1, sizeof(char *));
    for (int i = 0; i < info->classes; i++)
        info->class_names[i] = xasprintf("%d", i);
}

static int pack_samples(struct idx *x, const char *path, const char *pack_path)
{
    struct err err = {0};
    x->w = pack_writer_create(pack_path, x->info, &err);
    if (!x->w)
        return fail(x, "dataset.write", "%s", err.text);
    x->class_counts = xcalloc(PACK_MAX_CLASSES, sizeof(int64_t));
    x->largest = -1;
    if (source_walk(path, x->o->max_bytes, copy_named, x, x->f))
        return -1;
    check_classes(x);
    if (findings_failed(x->f))
        return -1;
    struct pack_writer *w = x->w;
    x->w = NULL;
    return pack_writer_finish(w, x->info, &err) ? fail(x, "dataset.write", "%s", err.text) : 0;
}

int idx_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
             struct dataset_info *info)
{
    struct idx x = {.f = f, .o = o, .info = info};
    int rc = source_walk(path, o->max_bytes, plan_file, &x, f);
    if (!rc)
        rc = assign_splits(&x);
    for (int s = 0; s < SPLIT_COUNT && !rc; s++)
        rc = check_pair(&x, s);
    if (!rc) {
        fill_info(&x);
        rc = info->samples[SPLIT_TRAIN] < 1 ? fail(&x, "dataset.content", "there is no training sample")
                                            : pack_samples(&x, path, pack_path);
    }
    pack_writer_destroy(x.w);
    for (int i = 0; i < x.count; i++)
        free(x.files[i].name);
    free(x.class_counts);
    return rc;
}
