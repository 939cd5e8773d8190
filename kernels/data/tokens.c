/* Token files: .bin (little-endian uint16 as nanoGPT's and llm.c's, or uint32, int32 by option) and one-dimensional integer .npy.
 * Two walks: the first counts and finds the largest id, which gives the vocabulary; the second writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/data/npy.h"
#include "kernels/data/readers.h"
#include "kernels/data/source.h"
#include "kernels/data/stream_writer.h"

#define CHUNK (1 << 16)

struct token_files {
    struct findings *f;
    const struct dataset_options *o;
    int64_t counts[SPLIT_COUNT + 1], largest;
    int files;
    bool writing;
    struct stream_writer w;
    uint8_t chunk[CHUNK];
};

bool tokens_is(const char *name, const uint8_t *head, size_t n)
{
    struct npy a;
    if (npy_peek(head, n, &a))
        return a.rank == 1 && (a.kind == 'u' || a.kind == 'i');
    return name_ends(name, ".bin") && n > 0;
}

static int raw_type(const struct token_files *t, struct npy *a)
{
    const char *type = t->o->token_type ? t->o->token_type : "uint16";
    *a = (struct npy){
        .rank = 1, .dim = {-1}, .count = -1, .kind = *type, .width = strcmp(type, "uint16") ? 4 : 2};
    if (!strcmp(type, "uint16") || !strcmp(type, "uint32") || !strcmp(type, "int32"))
        return 0;
    return reader_fail(t->f, "dataset.options", "\"token_type\" is uint16, uint32 or int32, not \"%.40s\"",
                       type);
}

static int file_type(struct token_files *t, const char *name, struct stream *s, struct npy *a)
{
    const uint8_t *head;
    struct err err = {0};
    ssize_t n = stream_peek(s, &head, &err);
    if (n < 0)
        return reader_fail(t->f, "dataset.files", "%s: %s", name, err.text);
    if (!npy_is(head, (size_t)n))
        return raw_type(t, a);
    if (npy_read(s, a, &err))
        return reader_fail(t->f, "dataset.content", "%s: %s", name, err.text);
    if (a->rank != 1 || (a->kind != 'u' && a->kind != 'i'))
        return reader_fail(t->f, "dataset.content", "%s: token files are one-dimensional integers", name);
    return 0;
}

/* One token: counted, or written. */
static int take(struct token_files *t, const char *name, int split, int64_t at, int64_t id)
{
    struct err err = {0};
    if (id < 0 || id >= PACK_MAX_TOKENS) {
        reader_fail(t->f, "dataset.content", "%s: token %lld is %lld; ids are 0 to %d", name, (long long)at,
                    (long long)id, PACK_MAX_TOKENS - 1);
        t->f->items[t->f->count - 1].hint =
            xstrdup("is the type right? .bin files are read as uint16 unless metadata says \"token_type\"");
        return -1;
    }
    if (t->writing)
        return stream_writer_put(&t->w, split, (uint32_t)id, &err)
                   ? reader_fail(t->f, "dataset.write", "%s: %s", name, err.text)
                   : 0;
    t->counts[split < 0 ? SPLIT_COUNT : split]++;
    if (id > t->largest)
        t->largest = id;
    return 0;
}

static int token_file(void *arg, const char *name, struct stream *s)
{
    struct token_files *t = arg;
    struct npy a;
    struct err err = {0};
    ssize_t n;
    int64_t at = 0;
    int split = split_of_name(name);
    if (!name_ends(name, ".bin") && !name_ends(name, ".npy") && !t->o->format) {
        if (!t->writing)
            findings_add(t->f, FINDING_WARNED, "dataset.files", NULL, "%s: left out, it is no token file",
                         name);
        return 0;
    }
    if (file_type(t, name, s, &a))
        return -1;
    while ((n = stream_read(s, t->chunk, CHUNK, &err)) > 0) {
        if (n % a.width)
            return reader_fail(t->f, "dataset.content", "%s: it ends inside a token of %d bytes", name,
                               a.width);
        for (int64_t i = 0; i < n / a.width; i++, at++)
            if (take(t, name, split, at, npy_integer(&a, t->chunk, i)))
                return -1;
    }
    if (n < 0)
        return reader_fail(t->f, "dataset.files", "%s: %s", name, err.text);
    if (a.count >= 0 && at != a.count)
        return reader_fail(t->f, "dataset.content", "%s: it has %lld tokens, its header says %lld", name,
                           (long long)at, (long long)a.count);
    t->files++;
    return 0;
}

int tokens_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
                struct dataset_info *info)
{
    struct token_files *t = xcalloc(1, sizeof(*t));
    t->f = f;
    t->o = o;
    snprintf(info->format, sizeof(info->format), "tokens");
    info->token_unit = TOKENS_IDS;
    int rc = source_walk(path, o->max_bytes, token_file, t, f);
    if (!rc && !t->files)
        rc = reader_fail(f, "dataset.files", "there is no token file in it");
    info->vocabulary = (int)t->largest + 1;
    if (!rc && o->vocabulary && (o->vocabulary < info->vocabulary || o->vocabulary > PACK_MAX_TOKENS))
        rc = reader_fail(f, "dataset.options", "a vocabulary of %lld does not hold token %lld",
                         (long long)o->vocabulary, (long long)t->largest);
    else if (!rc && o->vocabulary)
        info->vocabulary = (int)o->vocabulary;
    if (!rc)
        rc = stream_writer_begin(&t->w, t->counts, o, pack_path, info, f);
    t->writing = true;
    if (!rc)
        rc = source_walk(path, o->max_bytes, token_file, t, f);
    if (!rc)
        rc = stream_writer_finish(&t->w, f);
    pack_writer_destroy(t->w.w);
    free(t);
    return rc;
}
