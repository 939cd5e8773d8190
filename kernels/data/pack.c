#include "kernels/data/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

#define BUFFER (1 << 18)

size_t dataset_feature_bytes(const struct dataset_info *info)
{
    return (size_t)shape_elements(&info->feature_shape) * (size_t)dtype_size(info->feature_dtype);
}

size_t dataset_target_bytes(const struct dataset_info *info)
{
    return info->target == TARGET_CLASS   ? 4 * (size_t)(info->stream ? info->target_length : 1)
           : info->target == TARGET_VALUE ? 4 * (size_t)info->target_width
                                          : 0;
}

int64_t pack_feature_bytes(const struct dataset_info *info, int split)
{
    return info->stream ? info->stream_tokens[split] * info->token_bytes
                        : info->samples[split] * (int64_t)dataset_feature_bytes(info);
}

int64_t pack_target_bytes(const struct dataset_info *info, int split)
{
    return info->stream ? 0 : info->samples[split] * (int64_t)dataset_target_bytes(info);
}

/* One array being filled. */
struct region {
    int64_t at, end; /* where the next flush goes; where the array ends */
    uint8_t *buffer;
    size_t used;
};

struct pack_writer {
    int fd; /* -1: nothing is kept */
    char *path, *temporary;
    struct pack_header h;
    struct region region[SPLIT_COUNT][2]; /* features, targets */
};

static int64_t align_up(int64_t n)
{
    return (n + PACK_ALIGN - 1) / PACK_ALIGN * PACK_ALIGN;
}

static int write_at(struct pack_writer *w, const void *p, size_t n, int64_t at, struct err *err)
{
    const char *from = p;
    while (w->fd >= 0 && n > 0) {
        ssize_t k = pwrite(w->fd, from, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return err_set(err, ERR_IO, "cannot write %s: %s", w->temporary, strerror(errno));
        from += k;
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

static void lay_out(struct pack_writer *w, const struct dataset_info *info)
{
    struct pack_header *h = &w->h;
    int64_t at = PACK_ALIGN;
    memcpy(h->magic, PACK_MAGIC, 8);
    h->version = PACK_VERSION;
    h->feature_rank = (uint32_t)info->feature_shape.rank;
    memcpy(h->feature_dim, info->feature_shape.dim, sizeof(h->feature_dim));
    h->feature_dtype = info->feature_dtype;
    h->target = info->stream ? TARGET_NONE : info->target;
    h->token_unit = info->token_unit;
    h->vocabulary = (uint32_t)info->vocabulary;
    h->token_bytes = info->stream ? (uint32_t)info->token_bytes : 0;
    h->padding = info->padding;
    h->target_width = (uint32_t)info->target_width;
    memcpy(h->format, info->format, sizeof(h->format));
    for (int s = 0; s < SPLIT_COUNT; s++) {
        int64_t sizes[2] = {pack_feature_bytes(info, s), pack_target_bytes(info, s)};
        h->samples[s] = info->stream ? 0 : info->samples[s];
        h->stream_tokens[s] = info->stream ? info->stream_tokens[s] : 0;
        h->features_at[s] = at;
        h->targets_at[s] = align_up(at + sizes[0]);
        w->region[s][0] =
            (struct region){.at = h->features_at[s], .end = at + sizes[0], .buffer = xmalloc(BUFFER)};
        w->region[s][1] = (struct region){
            .at = h->targets_at[s], .end = h->targets_at[s] + sizes[1], .buffer = xmalloc(BUFFER)};
        at = align_up(w->region[s][1].end);
    }
    h->stats_at = at;
}

struct pack_writer *pack_writer_create(const char *path, const struct dataset_info *info, struct err *err)
{
    struct pack_writer *w = xcalloc(1, sizeof(*w));
    w->fd = -1;
    lay_out(w, info);
    if (!path)
        return w;
    w->path = xstrdup(path);
    w->temporary = xasprintf("%s.XXXXXX", path);
    w->fd = mkostemp(w->temporary, O_CLOEXEC);
    if (w->fd < 0) {
        err_set(err, ERR_IO, "cannot create %s: %s", w->temporary, strerror(errno));
        pack_writer_destroy(w);
        return NULL;
    }
    return w;
}

void pack_writer_destroy(struct pack_writer *w)
{
    if (!w)
        return;
    for (int s = 0; s < SPLIT_COUNT; s++)
        for (int k = 0; k < 2; k++)
            free(w->region[s][k].buffer);
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->temporary);
    }
    free(w->path);
    free(w->temporary);
    free(w);
}

static int flush(struct pack_writer *w, struct region *r, struct err *err)
{
    if (write_at(w, r->buffer, r->used, r->at, err))
        return -1;
    r->at += (int64_t)r->used;
    r->used = 0;
    return 0;
}

static int append(struct pack_writer *w, struct region *r, const void *p, size_t n, struct err *err)
{
    if (r->at + (int64_t)r->used + (int64_t)n > r->end) {
        fputs("fatal: pack: more samples were written than announced\n", stderr);
        abort();
    }
    if (r->used + n > BUFFER && flush(w, r, err))
        return -1;
    if (n > BUFFER) {
        if (write_at(w, p, n, r->at, err))
            return -1;
        r->at += (int64_t)n;
        return 0;
    }
    memcpy(r->buffer + r->used, p, n);
    r->used += n;
    return 0;
}

int pack_write_features(struct pack_writer *w, int split, const void *p, size_t bytes, struct err *err)
{
    return append(w, &w->region[split][0], p, bytes, err);
}

int pack_write_targets(struct pack_writer *w, int split, const void *p, size_t bytes, struct err *err)
{
    return append(w, &w->region[split][1], p, bytes, err);
}

/* ---- the end ---- */

static int write_tail(struct pack_writer *w, const struct dataset_info *info, struct err *err)
{
    struct pack_header *h = &w->h;
    struct buf strings = {0};
    size_t n = info->column_mean ? (size_t)info->column_count * sizeof(float) : 0;
    h->column_count = info->columns ? (uint32_t)info->column_count : 0;
    h->has_stats = n > 0;
    h->has_class_names = info->class_names != NULL;
    h->has_target_name = info->target_name != NULL;
    h->has_tokens = info->tokens != NULL;
    h->classes = info->stream ? 0 : (uint32_t)info->classes;
    for (int i = 0; info->class_names && i < info->classes; i++)
        buf_add(&strings, info->class_names[i], strlen(info->class_names[i]) + 1);
    for (int i = 0; info->columns && i < info->column_count; i++)
        buf_add(&strings, info->columns[i], strlen(info->columns[i]) + 1);
    if (info->target_name)
        buf_add(&strings, info->target_name, strlen(info->target_name) + 1);
    for (int i = 0; info->tokens && i < info->vocabulary; i++)
        buf_add(&strings, info->tokens[i], strlen(info->tokens[i]) + 1);
    h->strings_at = align_up(h->stats_at + 2 * (int64_t)n);
    h->strings_bytes = (int64_t)strings.len;
    h->file_bytes = h->strings_at + h->strings_bytes;
    int rc = 0;
    if (n)
        rc = write_at(w, info->column_mean, n, h->stats_at, err) ||
             write_at(w, info->column_std, n, h->stats_at + (int64_t)n, err);
    rc = rc || write_at(w, strings.data, strings.len, h->strings_at, err) ||
         write_at(w, h, sizeof(*h), 0, err);
    buf_free(&strings);
    if (!rc && w->fd >= 0 && ftruncate(w->fd, h->file_bytes))
        return err_set(err, ERR_IO, "cannot write %s: %s", w->temporary, strerror(errno));
    return rc ? -1 : 0;
}

static int keep(struct pack_writer *w, struct dataset_info *info, struct err *err)
{
    /* The digest's own field is still zero here. */
    if (fsync(w->fd) || sha256_of_file(w->temporary, info->digest, err))
        return err ? err_prefix(err, "finishing %s", w->path) : -1;
    memcpy(w->h.digest, info->digest, sizeof(w->h.digest));
    if (write_at(w, &w->h, sizeof(w->h), 0, err))
        return -1;
    if (fsync(w->fd) || rename(w->temporary, w->path))
        return err_set(err, ERR_IO, "cannot finish %s: %s", w->path, strerror(errno));
    close(w->fd);
    w->fd = -1;
    return 0;
}

int pack_writer_finish(struct pack_writer *w, struct dataset_info *info, struct err *err)
{
    int rc = 0;
    for (int s = 0; s < SPLIT_COUNT && !rc; s++)
        for (int k = 0; k < 2 && !rc; k++) {
            rc = flush(w, &w->region[s][k], err);
            if (!rc && w->region[s][k].at != w->region[s][k].end)
                rc = err_set(err, ERR_INTERNAL, "fewer samples were written than announced");
        }
    if (!rc)
        rc = write_tail(w, info, err);
    if (!rc && w->fd >= 0)
        rc = keep(w, info, err);
    pack_writer_destroy(w);
    return rc;
}
