/* What the console shows of a dataset: its info, some samples, classes, columns. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/data/pack.h"

#define PREVIEW_MOST   256
#define PREVIEW_TEXT   400 /* tokens of a stream in one sample */
#define PREVIEW_VALUES 256 /* numbers shown of a sample that is no image */

static void write_strings(char *const *list, int count, struct buf *out)
{
    buf_putc(out, '[');
    for (int i = 0; i < count; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_str(out, list[i]);
    }
    buf_putc(out, ']');
}

static void write_floats(const float *v, int count, struct buf *out)
{
    buf_putc(out, '[');
    for (int i = 0; i < count; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_num(out, (double)v[i]);
    }
    buf_putc(out, ']');
}

void dataset_info_write_json(const struct dataset_info *info, struct buf *out)
{
    static const char *const targets[] = {"none", "class", "value"};
    buf_puts(out, "{\"format\":");
    buf_json_str(out, info->format);
    buf_puts(out, ",\"feature_shape\":[");
    for (int i = 0; i < info->feature_shape.rank; i++)
        buf_printf(out, "%s%lld", i ? "," : "", (long long)info->feature_shape.dim[i]);
    buf_printf(out,
               "],\"feature_dtype\":\"%s\",\"target\":\"%s\",\"classes\":%d,\"target_width\":%d,\"samples\":{"
               "\"train\":%lld,\"test\":%lld}",
               dtype_name(info->feature_dtype), targets[info->target], info->classes, info->target_width,
               (long long)info->samples[SPLIT_TRAIN], (long long)info->samples[SPLIT_TEST]);
    if (info->class_names) {
        buf_puts(out, ",\"class_names\":");
        write_strings(info->class_names, info->classes, out);
    }
    if (info->columns) {
        buf_puts(out, ",\"columns\":");
        write_strings(info->columns, info->column_count, out);
    }
    if (info->token_unit != TOKENS_NONE) {
        buf_printf(out, ",\"token_unit\":\"%s\",\"vocabulary\":%d,\"padding\":%d",
                   token_unit_name(info->token_unit), info->vocabulary, info->padding);
        if (info->stream)
            buf_printf(out, ",\"tokens\":{\"train\":%lld,\"test\":%lld}",
                       (long long)info->stream_tokens[SPLIT_TRAIN],
                       (long long)info->stream_tokens[SPLIT_TEST]);
    }
    if (info->target_name) {
        buf_puts(out, ",\"target_name\":");
        buf_json_str(out, info->target_name);
    }
    if (info->column_mean) {
        buf_puts(out, ",\"column_mean\":");
        write_floats(info->column_mean, info->column_count, out);
        buf_puts(out, ",\"column_std\":");
        write_floats(info->column_std, info->column_count, out);
    }
    buf_puts(out, ",\"digest\":");
    buf_json_str(out, *info->digest ? info->digest : NULL);
    buf_putc(out, '}');
}

static void write_base64(const uint8_t *p, size_t n, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_putc(out, '"');
    buf_reserve(out, n / 3 * 4 + 8);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                        i + 2 < n ? digits[v & 63] : '='};
        buf_add(out, four, 4);
    }
    buf_putc(out, '"');
}

static bool is_image(const struct dataset_info *info)
{
    const struct shape *s = &info->feature_shape;
    return info->feature_dtype == DTYPE_U8 && s->rank == 3 && (s->dim[0] == 1 || s->dim[0] == 3) &&
           s->dim[1] <= 1024 && s->dim[2] <= 1024;
}

/* Pixels row by row, the channels of a pixel together. */
static void write_image(const struct shape *s, const uint8_t *p, struct buf *out)
{
    int64_t channels = s->dim[0], size = s->dim[1] * s->dim[2];
    uint8_t *pixels = xmalloc((size_t)(channels * size));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < size; i++)
            pixels[i * channels + c] = p[c * size + i];
    buf_printf(out, "\"width\":%lld,\"height\":%lld,\"channels\":%lld,\"image\":", (long long)s->dim[2],
               (long long)s->dim[1], (long long)channels);
    write_base64(pixels, (size_t)(channels * size), out);
    free(pixels);
}

static void write_values(const struct dataset_info *info, const void *p, struct buf *out)
{
    int64_t n = shape_elements(&info->feature_shape);
    buf_puts(out, "\"values\":[");
    for (int64_t i = 0; i < n && i < PREVIEW_VALUES; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_num(out, info->feature_dtype == DTYPE_U8    ? ((const uint8_t *)p)[i]
                          : info->feature_dtype == DTYPE_I32 ? ((const int32_t *)p)[i]
                                                             : (double)((const float *)p)[i]);
    }
    buf_putc(out, ']');
}

/* Tokens as people read them: characters, or bytes as UTF-8 (what is none is replaced). */
static void write_tokens(const struct dataset *d, int split, int64_t at, int64_t n, struct buf *out)
{
    const struct dataset_info *info = &d->info;
    const int32_t *row = d->features[split];
    struct buf text = {0};
    buf_puts(out, "\"values\":[");
    for (int64_t i = 0; i < n; i++) {
        int32_t t = info->stream ? dataset_token(d, split, at + i) : row[at + i];
        int32_t byte = t - (info->padding >= 0);
        if (i < PREVIEW_VALUES)
            buf_printf(out, i ? ",%d" : "%d", t);
        if (info->tokens && t >= 0 && t < info->vocabulary)
            buf_puts(&text, info->tokens[t]);
        else if (info->token_unit == TOKENS_BYTES && t != info->padding && byte > 0 && byte < 256)
            buf_putc(&text, (char)byte);
    }
    buf_putc(out, ']');
    if (info->token_unit != TOKENS_IDS) {
        buf_puts(out, ",\"text\":");
        buf_json_str(out, text.len ? buf_str(&text) : "");
    }
    buf_free(&text);
}

static void write_stream_sample(const struct dataset *d, int64_t i, struct buf *out)
{
    int64_t left = d->info.stream_tokens[SPLIT_TRAIN] - i * PREVIEW_TEXT;
    buf_printf(out, "{\"split\":\"train\",\"index\":%lld,", (long long)i);
    write_tokens(d, SPLIT_TRAIN, i * PREVIEW_TEXT, left < PREVIEW_TEXT ? left : PREVIEW_TEXT, out);
    buf_putc(out, '}');
}

static void write_sample(const struct dataset *d, int split, int64_t i, struct buf *out)
{
    const struct dataset_info *info = &d->info;
    const uint8_t *p = (const uint8_t *)d->features[split] + (size_t)i * dataset_feature_bytes(info);
    buf_printf(out, "{\"split\":\"%s\",\"index\":%lld,", split == SPLIT_TRAIN ? "train" : "test",
               (long long)i);
    if (info->target == TARGET_CLASS) {
        int32_t class = ((const int32_t *)d->targets[split])[i];
        buf_printf(out, "\"class\":%d,\"label\":", class);
        buf_json_str(out, info->class_names ? info->class_names[class] : NULL);
        buf_putc(out, ',');
    } else if (info->target == TARGET_VALUE) {
        buf_puts(out, "\"target\":");
        write_floats((const float *)d->targets[split] + i * info->target_width, info->target_width, out);
        buf_putc(out, ',');
    }
    if (info->token_unit != TOKENS_NONE)
        write_tokens(d, split, i * shape_elements(&info->feature_shape), shape_elements(&info->feature_shape),
                     out);
    else if (is_image(info))
        write_image(&info->feature_shape, p, out);
    else
        write_values(info, p, out);
    buf_putc(out, '}');
}

static void write_classes(const struct dataset *d, struct buf *out)
{
    const struct dataset_info *info = &d->info;
    int64_t *counts[SPLIT_COUNT];
    for (int s = 0; s < SPLIT_COUNT; s++) {
        counts[s] = xcalloc((size_t)info->classes + 1, sizeof(int64_t));
        for (int64_t i = 0; i < info->samples[s]; i++)
            counts[s][((const int32_t *)d->targets[s])[i]]++;
    }
    for (int c = 0; c < info->classes; c++) {
        buf_puts(out, c ? ",{\"name\":" : "{\"name\":");
        buf_json_str(out, info->class_names ? info->class_names[c] : NULL);
        buf_printf(out, ",\"count\":%lld,\"train\":%lld,\"test\":%lld}",
                   (long long)(counts[0][c] + counts[1][c]), (long long)counts[0][c],
                   (long long)counts[1][c]);
    }
    free(counts[0]);
    free(counts[1]);
}

/* A column named "colour=red" is one category of "colour". */
static void write_column(const struct dataset *d, int c, struct buf *out)
{
    const struct dataset_info *info = &d->info;
    const float *p = (const float *)d->features[SPLIT_TRAIN];
    double mean = 0, least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < info->samples[SPLIT_TRAIN]; i++) {
        double v = (double)p[i * info->column_count + c];
        mean += (v - mean) / (double)(i + 1);
        least = fmin(least, v);
        most = fmax(most, v);
    }
    bool category = strchr(info->columns[c], '=') && least >= 0 && most <= 1;
    buf_puts(out, "{\"name\":");
    buf_json_str(out, info->columns[c]);
    buf_printf(out, ",\"type\":\"%s\",\"min\":", category ? "category" : "number");
    buf_json_num(out, least);
    buf_puts(out, ",\"max\":");
    buf_json_num(out, most);
    buf_puts(out, ",\"mean\":");
    buf_json_num(out, mean);
    buf_putc(out, '}');
}

int dataset_preview_json(const struct dataset *d, int samples, struct buf *out, struct err *err)
{
    const struct dataset_info *info = &d->info;
    if (samples < 0 || samples > PREVIEW_MOST)
        return err_set(err, ERR_INVALID, "a preview has 0 to %d samples, not %d", PREVIEW_MOST, samples);
    /* Very large samples: fewer of them, so that the answer stays small. */
    while (samples > 1 && (size_t)samples * dataset_feature_bytes(info) > (2 << 20))
        samples /= 2;
    buf_puts(out, "{\"samples\":[");
    for (int64_t i = 0;
         info->stream && i < samples && i < 8 && i * PREVIEW_TEXT < info->stream_tokens[SPLIT_TRAIN]; i++) {
        buf_puts(out, i ? "," : "");
        write_stream_sample(d, i, out);
    }
    for (int64_t i = 0; !info->stream && i < samples && i < info->samples[SPLIT_TRAIN]; i++) {
        buf_puts(out, i ? "," : "");
        write_sample(d, SPLIT_TRAIN, i, out);
    }
    buf_puts(out, "],\"classes\":[");
    if (info->target == TARGET_CLASS && !info->stream)
        write_classes(d, out);
    buf_puts(out, "],\"columns\":[");
    for (int c = 0; info->columns && c < info->column_count && c < 512; c++) {
        buf_puts(out, c ? "," : "");
        write_column(d, c, out);
    }
    buf_puts(out, "]}");
    return 0;
}
