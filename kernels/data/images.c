/* Folders of images, one a class: .../[train|test/]CLASS/picture.jpg, as torchvision's ImageFolder and Keras'
 * image_dataset_from_directory take them, in a folder, zip or tar.
 *
 * Two walks. The first reads every header: classes, splits, sizes; the second decodes, brings to one size and writes. One picture is
 * in memory at a time; of each file the first walk keeps eight bytes. Without folders train and test, a seeded share of every class
 * is for testing. */
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "kernels/data/csv_columns.h"
#include "kernels/data/image.h"
#include "kernels/data/pack.h"
#include "kernels/data/readers.h"
#include "kernels/data/source.h"

#define FILE_MOST    (64 << 20) /* bytes of one picture */
#define LISTED_MOST  20
#define SIDE_DEFAULT 64
#define SIDE_MOST    4096

struct picture {
    int32_t class;
    int32_t split; /* -1: its folders do not say */
};

struct images {
    struct findings *f;
    const struct dataset_options *o;
    struct dataset_info *info;
    struct text_set classes;
    struct picture *pictures;
    int64_t count, cap, at;
    int64_t damaged, left_out;
    int height, width, channels; /* of the first, then of all */
    bool sizes_differ, colour;
    struct class_split {
        struct divide divide;
        int64_t total, seen, train;
    } * splits; /* of each class, when we divide */
    bool divided;
    struct buf bytes;
    uint8_t *planes;
    struct pack_writer *w;
};

/* ---- names ---- */

static int folder_split(const char *name, size_t n)
{
    static const struct {
        const char *name;
        int split;
    } known[] = {{"train", SPLIT_TRAIN},    {"training", SPLIT_TRAIN}, {"test", SPLIT_TEST},
                 {"testing", SPLIT_TEST},   {"val", SPLIT_TEST},       {"valid", SPLIT_TEST},
                 {"validation", SPLIT_TEST}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strlen(known[i].name) == n && !strncasecmp(name, known[i].name, n))
            return known[i].split;
    return -1;
}

/* The class is the innermost folder that is no split, the split the outermost that is one. */
static char *class_of_path(const char *path, int *split)
{
    char *class = NULL;
    *split = -1;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        size_t n = (size_t)(slash - path);
        int s = *split < 0 ? folder_split(path, n) : -1;
        if (s >= 0) {
            *split = s;
            free(class); /* what stands before the split is the name of the whole */
            class = NULL;
        } else if (n && !(n == 1 && *path == '.')) {
            free(class);
            class = xstrndup(path, n < CSV_TEXT_MAX ? n : CSV_TEXT_MAX);
        }
    }
    return class;
}

/* ---- reading one picture ---- */

/* 1: its bytes are in x->bytes; 0: no image; -1 after a finding. */
static int read_picture(struct images *x, const char *name, struct stream *s)
{
    const uint8_t *head;
    struct err err = {0};
    ssize_t n = stream_peek(s, &head, &err);
    if (n < 0)
        return reader_fail(x->f, "dataset.files", "%s: %s", name, err.text);
    bool named = name_ends(name, ".jpg") || name_ends(name, ".jpeg") || name_ends(name, ".png");
    if (!image_is(head, (size_t)n) && !named)
        return 0;
    buf_clear(&x->bytes);
    do {
        if (x->bytes.len > FILE_MOST)
            return reader_fail(x->f, "dataset.content", "%s: larger than %d MiB", name, FILE_MOST >> 20);
        buf_reserve(&x->bytes, 1 << 16);
        n = stream_read(s, x->bytes.data + x->bytes.len, 1 << 16, &err);
        x->bytes.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return n < 0 ? reader_fail(x->f, "dataset.files", "%s: %s", name, err.text) : 1;
}

/* The first are listed, the rest counted, so that one look tells all that is wrong. */
static void complain(struct images *x, const char *name, const char *text)
{
    if (x->damaged++ < LISTED_MOST)
        reader_fail(x->f, "dataset.content", "%s: %s", name, text);
}

static int sum_up(struct images *x)
{
    if (x->damaged > LISTED_MOST)
        reader_fail(x->f, "dataset.content", "%lld more images cannot be read",
                    (long long)(x->damaged - LISTED_MOST));
    return x->damaged ? -1 : 0;
}

/* ---- first walk ---- */

static void add_picture(struct images *x, int class, int split, const struct image *i)
{
    if (x->count == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 1024;
        x->pictures = xreallocarray(x->pictures, (size_t)x->cap, sizeof(*x->pictures));
    }
    x->pictures[x->count++] = (struct picture){class, split};
    if (x->count == 1) {
        x->height = i->height;
        x->width = i->width;
    }
    x->sizes_differ |= i->height != x->height || i->width != x->width;
    x->colour |= i->channels == 3;
}

static int learn_file(void *arg, const char *name, struct stream *s)
{
    struct images *x = arg;
    struct image i;
    struct err err = {0};
    int split, is = read_picture(x, name, s);
    if (is < 0)
        return -1;
    if (!is) {
        if (x->left_out++ < LISTED_MOST)
            findings_add(x->f, FINDING_WARNED, "dataset.files", NULL,
                         "%s: left out, it is no JPEG or PNG image", name);
        return 0;
    }
    char *class = class_of_path(name, &split);
    int number = class ? text_set_add(&x->classes, class) : -1;
    bool named = class != NULL;
    free(class);
    if (!named) {
        reader_fail(x->f, "dataset.labels", "%s: it lies in no folder that names its class", name);
        x->f->items[x->f->count - 1].hint =
            xstrdup("lay images out as CLASS/picture.jpg, or train/CLASS/... and test/CLASS/...");
        return -1;
    }
    if (number < 0)
        return reader_fail(x->f, "dataset.labels", "more than %d classes", PACK_MAX_CLASSES);
    if (image_probe((const uint8_t *)x->bytes.data, x->bytes.len, &i, &err))
        complain(x, name, err.text);
    else
        add_picture(x, number, split, &i);
    return x->damaged > 1000 ? sum_up(x) : 0;
}

/* ---- between the walks ---- */

/* Classes in order of name, whatever the archive's order. */
static void sort_classes(struct images *x)
{
    int n = x->classes.count;
    char **before = xcalloc((size_t)n + 1, sizeof(*before));
    int *now = xcalloc((size_t)n + 1, sizeof(*now));
    memcpy(before, x->classes.texts, (size_t)n * sizeof(*before));
    text_set_sort(&x->classes);
    x->info->class_names = xcalloc((size_t)n + 1, sizeof(char *));
    for (int i = 0; i < n; i++) {
        now[i] = text_set_find(&x->classes, before[i]);
        x->info->class_names[i] = xstrdup(x->classes.texts[i]);
    }
    for (int64_t i = 0; i < x->count; i++)
        x->pictures[i].class = now[x->pictures[i].class];
    free(before);
    free(now);
}

static int decide_splits(struct images *x)
{
    int64_t of[SPLIT_COUNT + 1] = {0};
    for (int64_t i = 0; i < x->count; i++)
        of[x->pictures[i].split < 0 ? SPLIT_COUNT : x->pictures[i].split]++;
    if ((of[SPLIT_TRAIN] || of[SPLIT_TEST]) && of[SPLIT_COUNT])
        return reader_fail(x->f, "dataset.files",
                           "%lld images lie in folders named train or test and %lld do not",
                           (long long)(of[SPLIT_TRAIN] + of[SPLIT_TEST]), (long long)of[SPLIT_COUNT]);
    x->divided = !(of[SPLIT_TRAIN] && of[SPLIT_TEST]);
    x->splits = xcalloc((size_t)x->classes.count, sizeof(*x->splits));
    for (int64_t i = 0; i < x->count; i++)
        x->splits[x->pictures[i].class].total++;
    double fraction = x->o->test_fraction > 0 ? x->o->test_fraction : 0.2;
    for (int c = 0; c < x->classes.count && x->divided; c++) {
        struct class_split *s = &x->splits[c];
        s->divide = (struct divide){s->total, llround(fraction * (double)s->total),
                                    x->o->seed + 1000003 * (uint64_t)c};
        if (s->divide.test >= s->total)
            s->divide.test = s->total - 1; /* a class that is never trained on teaches nothing */
    }
    for (int64_t i = 0; i < x->count; i++) {
        struct picture *p = &x->pictures[i];
        struct class_split *s = &x->splits[p->class];
        if (x->divided)
            p->split = divide_split(&s->divide, s->seen++);
        s->train += p->split == SPLIT_TRAIN;
        x->info->samples[p->split]++;
    }
    return 0;
}

static void decide_size(struct images *x)
{
    const struct dataset_options *o = x->o;
    if (o->image_height > 0) {
        x->height = (int)o->image_height;
        x->width = (int)o->image_width;
    } else if (x->sizes_differ || x->height > SIDE_MOST || x->width > SIDE_MOST) {
        x->height = x->width = SIDE_DEFAULT;
        struct finding *it =
            findings_add(x->f, FINDING_WARNED, "dataset.content", NULL,
                         "the images differ in size: each is made %d x %d", SIDE_DEFAULT, SIDE_DEFAULT);
        it->hint = xstrdup("choose another size in the metadata: {\"image_size\": [HEIGHT, WIDTH]}");
    }
    x->channels = o->image_channels ? o->image_channels : x->colour ? 3 : 1;
}

static int decide(struct images *x)
{
    struct dataset_info *info = x->info;
    if (sum_up(x))
        return -1;
    if (x->left_out > LISTED_MOST)
        findings_add(x->f, FINDING_WARNED, "dataset.files", NULL,
                     "%lld more files are no images and left out", (long long)(x->left_out - LISTED_MOST));
    if (x->count < 2)
        return reader_fail(x->f, "dataset.content", "there %s in it",
                           x->count ? "is only one image" : "are no images");
    if (x->classes.count < 2)
        return reader_fail(x->f, "dataset.labels",
                           "all images lie in one folder, \"%s\": there is nothing to tell apart",
                           x->classes.texts[0]);
    sort_classes(x);
    decide_size(x);
    if (decide_splits(x))
        return -1;
    for (int c = 0; c < x->classes.count; c++)
        if (!x->splits[c].train)
            findings_add(x->f, FINDING_WARNED, "dataset.labels", NULL,
                         "class \"%s\" has no images to train on", x->classes.texts[c]);
    info->feature_shape = (struct shape){.rank = 3, .dim = {x->channels, x->height, x->width}};
    info->feature_dtype = DTYPE_U8;
    info->target = TARGET_CLASS;
    info->classes = x->classes.count;
    info->padding = -1;
    return 0;
}

/* ---- second walk ---- */

static int write_file(void *arg, const char *name, struct stream *s)
{
    struct images *x = arg;
    struct image i;
    struct err err = {0};
    int is = read_picture(x, name, s);
    if (is <= 0)
        return is;
    if (x->at == x->count)
        return reader_fail(x->f, "dataset.files", "the files changed while they were read");
    const struct picture *p = &x->pictures[x->at++];
    if (image_decode((const uint8_t *)x->bytes.data, x->bytes.len, x->channels, x->height, x->width, &i,
                     &err)) {
        complain(x, name, err.text);
        return x->damaged > 1000 ? -1 : 0;
    }
    image_fit(&i, x->height, x->width, x->o->image_stretch, x->planes);
    image_free(&i);
    if (pack_write_features(x->w, p->split, x->planes, dataset_feature_bytes(x->info), &err) ||
        pack_write_targets(x->w, p->split, &p->class, sizeof(p->class), &err))
        return reader_fail(x->f, "dataset.write", "%s", err.text);
    return 0;
}

static int write_all(struct images *x, const char *path, const char *pack_path)
{
    struct err err = {0};
    x->w = pack_writer_create(pack_path, x->info, &err);
    if (!x->w)
        return reader_fail(x->f, "dataset.write", "%s", err.text);
    x->planes = xmalloc(dataset_feature_bytes(x->info));
    int rc = source_walk(path, x->o->max_bytes, write_file, x, x->f);
    if (sum_up(x) || rc)
        return -1;
    if (x->at != x->count)
        return reader_fail(x->f, "dataset.files", "the files changed while they were read");
    struct pack_writer *w = x->w;
    x->w = NULL;
    return pack_writer_finish(w, x->info, &err) ? reader_fail(x->f, "dataset.write", "%s", err.text) : 0;
}

int images_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info)
{
    struct images *x = xcalloc(1, sizeof(*x));
    *x = (struct images){.f = f, .o = o, .info = info};
    text_set_init(&x->classes, PACK_MAX_CLASSES);
    snprintf(info->format, sizeof(info->format), "images");
    int rc = source_walk(path, o->max_bytes, learn_file, x, f);
    if (!rc)
        rc = decide(x);
    if (!rc)
        rc = write_all(x, path, pack_path);
    pack_writer_destroy(x->w);
    text_set_free(&x->classes);
    buf_free(&x->bytes);
    free(x->planes);
    free(x->pictures);
    free(x->splits);
    free(x);
    return rc;
}
