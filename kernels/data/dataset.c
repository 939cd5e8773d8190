/* Opening packs, and deciding what reads a user's files. A pack may have been uploaded by anyone: nothing in
 * its header is used before it was bounded by the size of the file. */
#include "kernels/data/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "kernels/data/image.h"
#include "kernels/data/pack.h"
#include "kernels/data/readers.h"

static void free_list(char **list, int count)
{
    for (int i = 0; list && i < count; i++)
        free(list[i]);
    free(list);
}

void dataset_info_free(struct dataset_info *info)
{
    free_list(info->class_names, info->classes);
    free_list(info->columns, info->column_count);
    free(info->target_name);
    free_list(info->tokens, info->vocabulary);
    free(info->column_mean);
    free(info->column_std);
    *info = (struct dataset_info){0};
}

/* ---- opening ---- */

struct mapped {
    const char *map;
    int64_t bytes;
    const struct pack_header *h;
};

static bool array_fits(const struct mapped *m, int64_t at, int64_t count, int64_t each)
{
    int64_t size;
    return at >= PACK_ALIGN && at % PACK_ALIGN == 0 && count >= 0 && each >= 0 &&
           !__builtin_mul_overflow(count, each, &size) && at <= m->bytes && size <= m->bytes - at;
}

static int read_tokens(const struct pack_header *h, struct dataset_info *info, struct err *err)
{
    uint32_t bytes = h->token_bytes;
    info->padding = -1;
    if (h->token_unit == TOKENS_NONE && bytes == 0)
        return 0;
    if (h->token_unit == TOKENS_NONE || h->token_unit > TOKENS_IDS || h->vocabulary < 1 ||
        h->vocabulary > PACK_MAX_TOKENS || (bytes != 0 && bytes != 1 && bytes != 2 && bytes != 4) ||
        h->feature_dtype != DTYPE_I32 || h->padding < -1 || h->padding >= (int32_t)h->vocabulary)
        return err_set(err, ERR_INVALID, "the tokens are not described rightly");
    info->token_unit = (enum token_unit)h->token_unit;
    info->vocabulary = (int)h->vocabulary;
    info->padding = h->padding;
    info->stream = bytes > 0;
    if (!info->stream)
        return 0;
    if (h->target != TARGET_NONE || h->feature_rank != 1)
        return err_set(err, ERR_INVALID, "a stream of tokens has no targets of its own");
    info->token_bytes = (int)bytes;
    info->target = TARGET_CLASS;
    info->classes = info->vocabulary;
    return 0;
}

static int read_shape(const struct mapped *m, struct dataset_info *info, struct err *err)
{
    const struct pack_header *h = m->h;
    info->feature_shape.rank = (int)h->feature_rank;
    if (h->feature_rank < 1 || h->feature_rank > SHAPE_MAX_RANK)
        return err_set(err, ERR_INVALID, "the features have rank %u", h->feature_rank);
    for (uint32_t i = 0; i < h->feature_rank; i++)
        if ((info->feature_shape.dim[i] = h->feature_dim[i]) < 1)
            return err_set(err, ERR_INVALID, "a feature dimension is %lld", (long long)h->feature_dim[i]);
    if (h->feature_dtype != DTYPE_U8 && h->feature_dtype != DTYPE_F32 && h->feature_dtype != DTYPE_I32)
        return err_set(err, ERR_INVALID, "the features' dtype is unknown");
    info->feature_dtype = (enum dtype)h->feature_dtype;
    int64_t elements = shape_elements(&info->feature_shape);
    if (elements < 1 || elements > INT32_MAX)
        return err_set(err, ERR_INVALID, "a sample is too large");
    if (h->target > TARGET_VALUE || h->classes > PACK_MAX_CLASSES || h->target_width > PACK_MAX_COLUMNS ||
        (h->target == TARGET_CLASS && h->classes < 1) || (h->target == TARGET_VALUE && h->target_width < 1))
        return err_set(err, ERR_INVALID, "the targets are not described rightly");
    info->target = (enum target_kind)h->target;
    info->classes = (int)h->classes;
    info->target_width = (int)h->target_width;
    return read_tokens(h, info, err);
}

static int read_arrays(const struct mapped *m, struct dataset *d, struct err *err)
{
    const struct pack_header *h = m->h;
    for (int s = 0; s < SPLIT_COUNT; s++) {
        if (d->info.stream) {
            d->info.stream_tokens[s] = h->stream_tokens[s];
            d->features[s] = m->map + h->features_at[s];
            if (!array_fits(m, h->features_at[s], h->stream_tokens[s], d->info.token_bytes))
                return err_set(err, ERR_INVALID, "the tokens reach beyond the end of the file");
            continue;
        }
        if (!array_fits(m, h->features_at[s], h->samples[s], (int64_t)dataset_feature_bytes(&d->info)) ||
            !array_fits(m, h->targets_at[s], h->samples[s], (int64_t)dataset_target_bytes(&d->info)))
            return err_set(err, ERR_INVALID, "an array reaches beyond the end of the file");
        d->info.samples[s] = h->samples[s];
        d->features[s] = m->map + h->features_at[s];
        d->targets[s] = m->map + h->targets_at[s];
        const int32_t *classes = d->targets[s];
        for (int64_t i = 0; h->target == TARGET_CLASS && i < h->samples[s]; i++)
            if (classes[i] < 0 || classes[i] >= (int32_t)h->classes)
                return err_set(err, ERR_INVALID, "sample %lld has class %d of %u", (long long)i, classes[i],
                               h->classes);
    }
    return 0;
}

static char **take_strings(const char **p, const char *end, uint32_t count)
{
    char **list = xcalloc((size_t)count + 1, sizeof(*list));
    for (uint32_t i = 0; i < count; i++) {
        const char *stop = memchr(*p, 0, (size_t)(end - *p));
        list[i] = xstrdup(stop ? *p : "");
        *p = stop ? stop + 1 : end;
    }
    return list;
}

static int read_names(const struct mapped *m, struct dataset_info *info, struct err *err)
{
    const struct pack_header *h = m->h;
    if (!array_fits(m, h->strings_at, h->strings_bytes, 1) || h->strings_bytes > PACK_MAX_STRINGS ||
        h->column_count > PACK_MAX_COLUMNS)
        return err_set(err, ERR_INVALID, "the names reach beyond the end of the file");
    if (h->column_count && h->column_count != (uint64_t)shape_elements(&info->feature_shape))
        return err_set(err, ERR_INVALID, "%u column names for %lld features", h->column_count,
                       (long long)shape_elements(&info->feature_shape));
    if (h->has_stats &&
        (!h->column_count || !array_fits(m, h->stats_at, 2 * (int64_t)h->column_count, sizeof(float))))
        return err_set(err, ERR_INVALID, "the statistics reach beyond the end of the file");
    const char *p = m->map + h->strings_at, *end = p + h->strings_bytes;
    if (h->has_class_names)
        info->class_names = take_strings(&p, end, h->classes);
    if (h->column_count)
        info->columns = take_strings(&p, end, h->column_count);
    info->column_count = (int)h->column_count;
    if (h->has_target_name) {
        char **one = take_strings(&p, end, 1);
        info->target_name = one[0];
        free(one);
    }
    if (h->has_tokens)
        info->tokens = take_strings(&p, end, (uint32_t)info->vocabulary);
    if (h->has_stats) {
        size_t n = h->column_count * sizeof(float);
        info->column_mean = xmalloc(n);
        info->column_std = xmalloc(n);
        memcpy(info->column_mean, m->map + h->stats_at, n);
        memcpy(info->column_std, m->map + h->stats_at + n, n);
        for (uint32_t i = 0; i < h->column_count; i++)
            if (!(info->column_std[i] > 0))
                return err_set(err, ERR_INVALID, "column %u has no deviation", i);
    }
    memcpy(info->format, h->format, sizeof(info->format) - 1);
    memcpy(info->digest, h->digest, 64);
    return 0;
}

static int check_digest(const struct mapped *m, struct err *err)
{
    struct pack_header h = *m->h;
    struct sha256 s;
    char digest[SHA256_HEX];
    memset(h.digest, 0, sizeof(h.digest));
    sha256_init(&s);
    sha256_update(&s, &h, sizeof(h));
    sha256_update(&s, m->map + sizeof(h), (size_t)m->bytes - sizeof(h));
    sha256_hex(&s, digest);
    return memcmp(digest, m->h->digest, 64)
               ? err_set(err, ERR_INVALID, "the checksum does not match: the file is damaged")
               : 0;
}

/* ---- streams of tokens ---- */

const char *token_unit_name(enum token_unit u)
{
    static const char *const names[] = {"none", "bytes", "characters", "ids"};
    return names[u];
}

int dataset_set_window(struct dataset *d, int64_t length, struct err *err)
{
    struct dataset_info *info = &d->info;
    if (!info->stream)
        return 0;
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (length < 1 || length > INT32_MAX ||
            (info->stream_tokens[s] <= length && (s == SPLIT_TRAIN || info->stream_tokens[s] > 0)))
            return err_set(
                err, ERR_INVALID,
                "a window of %lld tokens does not fit: the %s split has %lld, and the last is only a "
                "target",
                (long long)length, s == SPLIT_TEST ? "test" : "train", (long long)info->stream_tokens[s]);
    info->feature_shape = (struct shape){.rank = 1, .dim = {length}};
    info->feature_dtype = DTYPE_I32;
    info->target_length = length;
    for (int s = 0; s < SPLIT_COUNT; s++)
        info->samples[s] = info->stream_tokens[s] > 0 ? (info->stream_tokens[s] - 1) / length : 0;
    return 0;
}

static int first_window(struct dataset *d, struct err *err)
{
    int64_t length = 64;
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (d->info.stream_tokens[s] > 0 && d->info.stream_tokens[s] - 1 < length)
            length = d->info.stream_tokens[s] - 1;
    return dataset_set_window(d, length, err);
}

int32_t dataset_token(const struct dataset *d, int split, int64_t at)
{
    const void *p = d->features[split];
    uint32_t t = d->info.token_bytes == 1   ? ((const uint8_t *)p)[at]
                 : d->info.token_bytes == 2 ? ((const uint16_t *)p)[at]
                                            : ((const uint32_t *)p)[at];
    return t < (uint32_t)d->info.vocabulary ? (int32_t)t : 0;
}

static struct dataset *open_pack(int fd, const char *path, int64_t bytes, bool verify, struct err *err)
{
    struct dataset *d = xcalloc(1, sizeof(*d));
    void *map = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        err_set(err, ERR_IO, "cannot map %s: %s", path, strerror(errno));
        free(d);
        return NULL;
    }
    d->map = map;
    d->map_bytes = (size_t)bytes;
    struct mapped m = {map, bytes, map};
    int rc = m.h->version != PACK_VERSION
                 ? err_set(err, ERR_UNSUPPORTED, "pack version %u, expected %d", m.h->version, PACK_VERSION)
             : m.h->file_bytes != bytes ? err_set(err, ERR_INVALID, "it has %lld bytes, its header says %lld",
                                                  (long long)bytes, (long long)m.h->file_bytes)
                                        : 0;
    if (!rc)
        rc = read_shape(&m, &d->info, err);
    if (!rc)
        rc = read_arrays(&m, d, err);
    if (!rc)
        rc = read_names(&m, &d->info, err);
    if (!rc && verify)
        rc = check_digest(&m, err);
    if (!rc && d->info.stream)
        rc = first_window(d, err);
    if (!rc)
        return d;
    err_prefix(err, "packed dataset %s", path);
    dataset_close(d);
    return NULL;
}

static struct dataset *pack_and_open(const char *path, struct err *err)
{
    struct dataset_options o = {0};
    struct dataset_info info = {0};
    struct findings f = {0};
    const char *folder = getenv("TMPDIR");
    char *to = xasprintf("%s/trainyard-pack-%ld-XXXXXX", folder && *folder ? folder : "/tmp", (long)getpid());
    struct dataset *d = NULL;
    int fd = mkostemp(to, O_CLOEXEC);
    if (fd < 0) {
        err_set(err, ERR_IO, "cannot create %s: %s", to, strerror(errno));
    } else if (dataset_pack(path, &o, to, &f, &info)) {
        for (size_t i = 0; i < f.count; i++)
            if (f.items[i].status == FINDING_FAILED) {
                err_set(err, ERR_UNPROCESSABLE, "dataset %s: %s", path, f.items[i].message);
                break;
            }
    } else {
        d = dataset_open(to, false, err);
    }
    if (fd >= 0) {
        close(fd);
        unlink(to);
    }
    free(to);
    findings_free(&f);
    dataset_info_free(&info);
    return d;
}

struct dataset *dataset_open(const char *path, bool verify, struct err *err)
{
    char magic[8];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open dataset %s: %s", path,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct dataset *d;
    bool packed = S_ISREG(st.st_mode) && pread(fd, magic, 8, 0) == 8 && !memcmp(magic, PACK_MAGIC, 8);
    if (packed && st.st_size < PACK_ALIGN) {
        err_set(err, ERR_INVALID, "packed dataset %s is cut off in its header", path);
        d = NULL;
    } else {
        d = packed ? open_pack(fd, path, st.st_size, verify, err) : pack_and_open(path, err);
    }
    close(fd);
    return d;
}

void dataset_close(struct dataset *d)
{
    if (!d)
        return;
    if (d->map)
        munmap(d->map, d->map_bytes);
    dataset_info_free(&d->info);
    free(d);
}

/* ---- packing ---- */

static const struct reader {
    const char *format;
    int (*pack)(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info);
} readers[] = {{"idx", idx_pack},      {"csv", csv_pack},   {"tokens", tokens_pack},
               {"numpy", arrays_pack}, {"text", text_pack}, {"images", images_pack}};

/* What the files say they are; the format of the highest rank wins, so that a table of labels or a note beside images is
 * not taken for the data. */
struct look {
    const char *format;
    int rank;
    const char *refusal;
    char *refused;
};

static const struct {
    const char *magic;
    size_t n;
    const char *what;
} foreign[] = {
    {"%PDF", 4, "a PDF file"},
    {"\x89HDF", 4, "an HDF5 file"},
    {"PAR1", 4, "a Parquet file"},
    {"\x7f"
     "ELF",
     4, "a program"},
    {"SQLite format", 13, "an SQLite database"},
    {"BZh", 3, "a bzip2 file"},
    {"\xfd"
     "7zXZ",
     5, "an xz file"},
};

#define RANK_SURE 9 /* no need to look further */

static bool idx_file_is(const char *name, const uint8_t *head, size_t n)
{
    (void)name;
    return idx_is(head, n);
}

static bool image_file_is(const char *name, const uint8_t *head, size_t n)
{
    (void)name;
    return image_is(head, n);
}

static int look_at(void *arg, const char *name, struct stream *s)
{
    struct look *l = arg;
    const uint8_t *head;
    ssize_t n = stream_peek(s, &head, NULL);
    if (n <= 0)
        return 0; /* the reader will say what is wrong with it */
    static const struct {
        const char *format;
        bool (*is)(const char *name, const uint8_t *head, size_t n);
        int rank;
    } kinds[] = {{"idx", idx_file_is, 9},   {"images", image_file_is, 9}, {"tokens", tokens_is, 5},
                 {"numpy", npy_file_is, 6}, {"text", text_is, 3},         {"csv", csv_is, 4}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].is(name, head, (size_t)n)) {
            if (kinds[i].rank > l->rank) {
                l->rank = kinds[i].rank;
                l->format = kinds[i].format;
            }
            return l->rank >= RANK_SURE ? -1 : 0;
        }
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        if ((size_t)n >= foreign[i].n && !memcmp(head, foreign[i].magic, foreign[i].n)) {
            if (!l->refused)
                l->refused = xstrdup(name);
            l->refusal = foreign[i].what;
            return 0;
        }
    return 0;
}

static int no_format(const char *path, const struct look *l, struct findings *f)
{
    struct finding *it;
    if (l->refused)
        it = findings_add(f, FINDING_FAILED, "dataset.format", NULL, "%s is %s, which is not read",
                          l->refused, l->refusal);
    else
        it = findings_add(f, FINDING_FAILED, "dataset.format", NULL, "%s holds no dataset in a known format",
                          path);
    it->hint = xstrdup(
        "give IDX files (as MNIST's), CSV or TSV, text, or token files; several files as one tar; gzip or "
        "zstd around them is fine");
    return -1;
}

int dataset_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                 struct dataset_info *info)
{
    struct look l = {.format = o->format};
    struct findings looking = {0};
    int rc = -1;
    *info = (struct dataset_info){0};
    if (!l.format)
        source_walk(path, o->max_bytes, look_at, &l, &looking);
    const struct reader *r = NULL;
    for (size_t i = 0; l.format && i < ARRAY_LEN(readers); i++)
        if (!strcmp(readers[i].format, l.format))
            r = &readers[i];
    if (r) {
        rc = r->pack(path, o, pack_path, f, info);
    } else if (findings_failed(&looking)) {
        for (size_t i = 0; i < looking.count; i++)
            findings_add(f, looking.items[i].status, looking.items[i].check, NULL, "%s",
                         looking.items[i].message);
    } else if (o->format) {
        struct finding *it = findings_add(f, FINDING_FAILED, "dataset.format", "/format",
                                          "there is no dataset format \"%.40s\"", o->format);
        it->hint = xstrdup("formats are: idx, csv, images, numpy, tokens, text");
    } else {
        no_format(path, &l, f);
    }
    free(l.refused);
    findings_free(&looking);
    return rc;
}
