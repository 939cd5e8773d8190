/* `trainyard-train generate`. A language model here gives scores for each position of a window from the tokens up to it, so a text
 * that is shorter than the window stands at its beginning (what comes behind cannot be seen from before), and of a longer one the
 * end is given. */
#include "kernels/train/generate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/random.h"
#include "kernels/train/trained.h"

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The least score that is among the k largest, and how many equal to it are. */
static float threshold(const float *score, int n, int k, float *work, int *of_equals)
{
    memcpy(work, score, (size_t)n * sizeof(*work));
    for (int i = 0; i < n; i++)
        work[i] = isnan(work[i]) ? -INFINITY : work[i];
    qsort(work, (size_t)n, sizeof(*work), falling);
    float least = work[k - 1];
    *of_equals = 0;
    for (int i = 0; i < k; i++)
        *of_equals += work[i] == least;
    return least;
}

static int likeliest(const float *score, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (score[i] > score[best] || isnan(score[best]))
            best = i;
    return best;
}

int generate_choose(const float *score, int n, double temperature, int top_k, uint64_t seed, uint64_t at,
                    float *work)
{
    int best = likeliest(score, n), equals = n, last = best;
    float least = -INFINITY;
    if (temperature <= 0 || top_k == 1 || !isfinite(score[best]))
        return best;
    if (top_k > 0 && top_k < n)
        least = threshold(score, n, top_k, work, &equals);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        bool in = !isnan(score[i]) && (score[i] > least || (score[i] == least && equals-- > 0));
        work[i] = in ? (float)exp(((double)score[i] - (double)score[best]) / temperature) : 0;
        sum += (double)work[i];
    }
    struct random_block r = random_philox(seed, at, random_stream("generate"));
    double u = ((double)r.v[0] + (double)r.v[1] * 0x1p32) * 0x1p-64 * sum;
    for (int i = 0; i < n; i++) {
        last = work[i] > 0 ? i : last;
        u -= (double)work[i];
        if (u < 0 && work[i] > 0)
            return i;
    }
    return last; /* rounding left a rest */
}

/* ---- vocabulary ---- */

static int32_t character_at(const struct dataset_info *info, const char *p, size_t *length)
{
    int32_t found = -1;
    *length = 0;
    for (int t = 0; t < info->vocabulary; t++) {
        size_t n = strlen(info->tokens[t]);
        if (n > *length && strncmp(p, info->tokens[t], n) == 0) {
            found = t;
            *length = n;
        }
    }
    return found;
}

static int32_t token_at(const struct dataset_info *info, const char *p, size_t *length)
{
    char *end;
    switch (info->token_unit) {
    case TOKENS_CHARACTERS:
        return character_at(info, p, length);
    case TOKENS_BYTES:
        *length = 1;
        return (uint8_t)*p < info->vocabulary ? (uint8_t)*p : -1;
    case TOKENS_IDS:
    case TOKENS_NONE:
        break;
    }
    long v = strtol(p, &end, 10);
    *length = (size_t)(end - p);
    *length += strspn(end, " ,");
    return end > p && v >= 0 && v < info->vocabulary ? (int32_t)v : -1;
}

int32_t *generate_tokens(const struct dataset_info *info, const char *text, size_t *count, struct err *err)
{
    int32_t *out = NULL;
    size_t room = 0, length;
    *count = 0;
    for (const char *p = text; *p; p += length) {
        out = vec_grow(out, &room, *count + 1, sizeof(*out));
        out[*count] = token_at(info, p, &length);
        if (out[*count] < 0) {
            err_set(err, ERR_INVALID, "the prompt's \"%.8s\" (byte %zu) is not in the vocabulary of %d %s", p,
                    (size_t)(p - text), info->vocabulary, token_unit_name(info->token_unit));
            free(out);
            return NULL;
        }
        (*count)++;
    }
    return out ? out : xcalloc(1, sizeof(*out));
}

void generate_text(const struct dataset_info *info, int32_t token, struct buf *out)
{
    if (info->token_unit == TOKENS_CHARACTERS)
        buf_puts(out, info->tokens[token]);
    else if (info->token_unit == TOKENS_BYTES)
        buf_putc(out, (char)token);
    else
        buf_printf(out, "%s%" PRId32, out->len ? " " : "", token);
}

/* ---- the command ---- */

struct text {
    int32_t *tokens;
    size_t count, room;
};

/* Scores of the next token, (vocabulary). */
static const float *scores_after(struct trained *t, const struct text *text, int32_t *window, struct err *err)
{
    const struct dataset_info *info = &t->run.data->info;
    size_t length = (size_t)info->target_length, n = text->count < length ? text->count : length;
    memset(window, 0, length * sizeof(*window));
    memcpy(window, text->tokens + text->count - n, n * sizeof(*window));
    const void *inputs[] = {window};
    const struct executor_batch b = {.inputs = inputs, .rows = 1};
    if (executor_forward(t->run.executor, &b, false, err))
        return NULL;
    return executor_output(t->run.executor) + (n - 1) * (size_t)info->vocabulary;
}

static void append(struct text *text, int32_t token)
{
    text->tokens = vec_grow(text->tokens, &text->room, text->count + 1, sizeof(*text->tokens));
    text->tokens[text->count++] = token;
}

static int go_on(struct trained *t, struct text *text, FILE *out, struct err *err)
{
    const struct trained_options *o = &t->given;
    const struct dataset_info *info = &t->run.data->info;
    int32_t *window = xcalloc((size_t)info->target_length, sizeof(*window));
    float *work = xcalloc((size_t)info->vocabulary, sizeof(*work));
    struct buf piece = {0};
    int rc = 0;
    for (int i = 0; i < o->tokens && !rc && !ferror(out); i++) {
        const float *score = scores_after(t, text, window, err);
        rc = score ? 0 : -1;
        if (rc)
            break;
        append(text, generate_choose(score, info->vocabulary, o->temperature, o->top_k, (uint64_t)o->seed,
                                     (uint64_t)i, work));
        piece.len = info->token_unit == TOKENS_IDS ? 1 : 0; /* an id has a space before it */
        buf_reserve(&piece, 16);
        size_t from = piece.len;
        generate_text(info, text->tokens[text->count - 1], &piece);
        fwrite(piece.data + from, 1, piece.len - from, out);
    }
    fputc('\n', out);
    buf_free(&piece);
    free(window);
    free(work);
    return rc;
}

static int generate(struct trained *t, struct err *err)
{
    const struct dataset_info *info = &t->run.data->info;
    struct text text = {0};
    if (!info->stream)
        return err_set(err, ERR_INVALID, "%s is no text that a model goes on with: it has samples of its own",
                       t->given.data);
    text.tokens = generate_tokens(info, t->given.prompt, &text.count, err);
    if (!text.tokens)
        return -1;
    text.room = text.count ? text.count : 1;
    FILE *out = trained_output(t, err);
    int rc = out ? 0 : -1;
    if (!rc) {
        fputs(t->given.prompt, out);
        if (text.count == 0) /* begin where the data does */
            append(&text, dataset_token(t->run.data, SPLIT_TRAIN, 0));
        rc = go_on(t, &text, out, err);
        rc = trained_output_close(t, out, rc ? NULL : err) || rc ? -1 : 0;
    }
    free(text.tokens);
    return rc;
}

int generate_main(int argc, char **argv)
{
    return trained_main(argc, argv, TRAINED_GENERATE, 1, generate);
}
