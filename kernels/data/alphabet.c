#include "kernels/data/alphabet.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/data/readers.h"

void alphabet_init(struct alphabet *a)
{
    *a = (struct alphabet){.ids = xmalloc(UTF8_MAX * sizeof(*a->ids)), .wrong_at = -1};
    memset(a->ids, 0xff, UTF8_MAX * sizeof(*a->ids));
}

void alphabet_free(struct alphabet *a)
{
    free(a->ids);
    a->ids = NULL;
}

void alphabet_learn(struct alphabet *a, struct utf8 *u, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n && a->wrong_at < 0; i++) {
        int32_t c = utf8_take(u, p[i]);
        if (c == UTF8_WRONG)
            a->wrong_at = a->bytes + (int64_t)i;
        if (c < 0)
            continue;
        a->characters++;
        if (a->ids[c] < 0) {
            a->ids[c] = 0;
            a->count++;
        }
    }
    a->bytes += (int64_t)n;
}

void alphabet_end(struct alphabet *a, const struct utf8 *u)
{
    if (u->left && a->wrong_at < 0)
        a->wrong_at = a->bytes;
}

static void number_characters(struct alphabet *a, struct dataset_info *info)
{
    int next = a->first;
    char text[5];
    info->vocabulary = a->first + a->count;
    info->tokens = xcalloc((size_t)info->vocabulary + 1, sizeof(char *));
    for (int i = 0; i < a->first; i++)
        info->tokens[i] = xstrdup("");
    for (uint32_t c = 0; c < UTF8_MAX; c++)
        if (a->ids[c] >= 0) {
            utf8_put(c, text);
            info->tokens[next] = xstrdup(text);
            a->ids[c] = next++;
        }
}

int alphabet_decide(struct alphabet *a, int first, const struct dataset_options *o, struct dataset_info *info,
                    struct findings *f)
{
    const char *want = o->token_unit;
    bool bytes = want ? !strcmp(want, "bytes") : a->wrong_at >= 0 || a->count > ALPHABET_MOST;
    if (!bytes && want && strcmp(want, "characters") != 0)
        return reader_fail(f, "dataset.options", "\"tokens\" is \"bytes\" or \"characters\", not \"%.40s\"",
                           want);
    if (!bytes && a->wrong_at >= 0) {
        reader_fail(f, "dataset.content", "byte %lld of the text is not UTF-8", (long long)a->wrong_at);
        f->items[f->count - 1].hint =
            xstrdup("convert the text to UTF-8, or take bytes: {\"tokens\": \"bytes\"}");
        return -1;
    }
    a->first = first;
    a->unit = info->token_unit = bytes ? TOKENS_BYTES : TOKENS_CHARACTERS;
    if (bytes)
        info->vocabulary = first + 256;
    else
        number_characters(a, info);
    return 0;
}

int32_t alphabet_token(const struct alphabet *a, struct utf8 *u, uint8_t byte)
{
    if (a->unit == TOKENS_BYTES)
        return a->first + byte;
    int32_t c = utf8_take(u, byte);
    return c < 0 ? -1 : a->ids[c];
}
