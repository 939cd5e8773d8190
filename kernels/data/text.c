/* Text to continue: one file or several, read one after the other as a stream of bytes or characters.
 *
 * Two walks: the first counts and learns the alphabet, the second writes tokens. Files named train and test (or val) are the
 * splits; otherwise the end of the text is for testing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "kernels/data/alphabet.h"
#include "kernels/data/csv_reader.h"
#include "kernels/data/readers.h"
#include "kernels/data/source.h"
#include "kernels/data/stream_writer.h"

#define CHUNK (1 << 16)

struct text {
    struct findings *f;
    const struct dataset_options *o;
    struct alphabet alphabet;
    int64_t bytes[SPLIT_COUNT + 1], characters[SPLIT_COUNT + 1]; /* of train, test, other files */
    int files;
    struct stream_writer w;
    uint8_t chunk[CHUNK];
};

/* A table has the same number of the same delimiter in each of its first lines. */
static bool looks_like_table(const uint8_t *head, size_t n)
{
    char delimiter = csv_guess_delimiter(head, n);
    int lines = 0, cells = 0, first = 0;
    for (size_t i = 0; i < n; i++) {
        cells += head[i] == (uint8_t)delimiter;
        if (head[i] != '\n')
            continue;
        if (lines++ == 0)
            first = cells;
        if (cells != first || first == 0)
            return false;
        cells = 0;
    }
    return lines >= 2;
}

bool text_is(const char *name, const uint8_t *head, size_t n)
{
    if (n == 0 || !(name_ends(name, ".txt") || name_ends(name, ".text")) || strcasestr(name, "readme") ||
        strcasestr(name, "license"))
        return false;
    return !memchr(head, 0, n) && !looks_like_table(head, n);
}

static bool is_text(const struct text *t, const char *name)
{
    return name_ends(name, ".txt") || name_ends(name, ".text") || t->o->format;
}

static int learn_file(void *arg, const char *name, struct stream *s)
{
    struct text *t = arg;
    struct utf8 u = {0};
    struct err err = {0};
    ssize_t n;
    if (!is_text(t, name)) {
        findings_add(t->f, FINDING_WARNED, "dataset.files", NULL, "%s: left out, it is no text", name);
        return 0;
    }
    int split = split_of_name(name), at = split < 0 ? SPLIT_COUNT : split;
    int64_t bytes = t->alphabet.bytes, characters = t->alphabet.characters;
    while ((n = stream_read(s, t->chunk, CHUNK, &err)) > 0)
        alphabet_learn(&t->alphabet, &u, t->chunk, (size_t)n);
    if (n < 0)
        return reader_fail(t->f, "dataset.files", "%s: %s", name, err.text);
    alphabet_end(&t->alphabet, &u);
    t->bytes[at] += t->alphabet.bytes - bytes;
    t->characters[at] += t->alphabet.characters - characters;
    t->files++;
    return 0;
}

static int write_file(void *arg, const char *name, struct stream *s)
{
    struct text *t = arg;
    struct utf8 u = {0};
    struct err err = {0};
    ssize_t n;
    int split = split_of_name(name);
    if (!is_text(t, name))
        return 0;
    while ((n = stream_read(s, t->chunk, CHUNK, &err)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            int32_t token = alphabet_token(&t->alphabet, &u, t->chunk[i]);
            if (token >= 0 && stream_writer_put(&t->w, split, (uint32_t)token, &err))
                return reader_fail(t->f, "dataset.write", "%s: %s", name, err.text);
        }
    return n < 0 ? reader_fail(t->f, "dataset.files", "%s: %s", name, err.text) : 0;
}

int text_pack(const char *path, const struct dataset_options *o, const char *pack_path, struct findings *f,
              struct dataset_info *info)
{
    struct text *t = xcalloc(1, sizeof(*t));
    t->f = f;
    t->o = o;
    alphabet_init(&t->alphabet);
    snprintf(info->format, sizeof(info->format), "text");
    int rc = source_walk(path, o->max_bytes, learn_file, t, f);
    if (!rc && !t->files)
        rc = reader_fail(f, "dataset.files", "there is no text in it");
    if (!rc)
        rc = alphabet_decide(&t->alphabet, 0, o, info, f);
    if (!rc)
        rc = stream_writer_begin(&t->w, info->token_unit == TOKENS_BYTES ? t->bytes : t->characters, o,
                                 pack_path, info, f);
    if (!rc)
        rc = source_walk(path, o->max_bytes, write_file, t, f);
    if (!rc)
        rc = stream_writer_finish(&t->w, f);
    pack_writer_destroy(t->w.w);
    alphabet_free(&t->alphabet);
    free(t);
    return rc;
}
