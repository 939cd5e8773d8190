#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernels/data/dataset.h"
#include "kernels/verify/checks.h"

#define PREVIEW_SAMPLES 40

/* ---- options, from the upload's metadata ---- */

struct parsed_options {
    struct dataset_options o;
    char *target; /* when the file said a number */
};

static void wrong_option(struct verification *v, const char *key, const char *expected)
{
    struct finding *it = findings_add(&v->f, FINDING_FAILED, "dataset.options", NULL,
                                      "metadata \"%s\" must be %s", key, expected);
    it->expected = xstrdup(expected);
}

static void read_task_type(struct verification *v, const json_t *value, struct parsed_options *p)
{
    static const char *const known[] = {"classification", "regression", "language-model", "other", NULL};
    const char *text = json_string_value(value);
    for (const char *const *k = known; *k; k++)
        if (text && !strcmp(text, *k)) {
            p->o.task_type = *k;
            return;
        }
    wrong_option(v, "task_type", "\"classification\" or \"regression\"");
}

enum option_kind { OPTION_TEXT, OPTION_COUNT, OPTION_SEED, OPTION_FRACTION };

/* The options that are one value each, and where they go. */
static const struct option {
    const char *key;
    enum option_kind kind;
    size_t at;
    int64_t most; /* of a count */
} options[] = {
    {"format", OPTION_TEXT, offsetof(struct dataset_options, format), 0},
    {"tokens", OPTION_TEXT, offsetof(struct dataset_options, token_unit), 0},
    {"token_type", OPTION_TEXT, offsetof(struct dataset_options, token_type), 0},
    {"features", OPTION_TEXT, offsetof(struct dataset_options, features), 0},
    {"labels", OPTION_TEXT, offsetof(struct dataset_options, labels), 0},
    {"length", OPTION_COUNT, offsetof(struct dataset_options, length), 1 << 20},
    {"vocabulary", OPTION_COUNT, offsetof(struct dataset_options, vocabulary), 1 << 24},
    {"max_bytes", OPTION_COUNT, offsetof(struct dataset_options, max_bytes), INT64_MAX},
    {"seed", OPTION_SEED, offsetof(struct dataset_options, seed), INT64_MAX},
    {"test_fraction", OPTION_FRACTION, offsetof(struct dataset_options, test_fraction), 0},
};

static void read_plain(struct verification *v, const struct option *it, const json_t *value,
                       struct dataset_options *o)
{
    char *to = (char *)o + it->at;
    double number = json_number_value(value);
    if (it->kind == OPTION_TEXT) {
        if (json_is_string(value))
            *(const char **)(void *)to = json_string_value(value);
        else
            wrong_option(v, it->key, "a string");
    } else if (it->kind == OPTION_FRACTION) {
        if (json_is_number(value) && number > 0 && number < 1)
            *(double *)(void *)to = number;
        else
            wrong_option(v, it->key, "a number above 0 and below 1");
    } else if (!json_is_integer(value) || json_integer_value(value) < 0 ||
               json_integer_value(value) > it->most) {
        wrong_option(v, it->key, "an integer of at least 0");
    } else if (it->kind == OPTION_SEED) {
        *(uint64_t *)(void *)to = (uint64_t)json_integer_value(value);
    } else {
        *(int64_t *)(void *)to = json_integer_value(value);
    }
}

static void read_flag(struct verification *v, const char *key, const json_t *value, struct dataset_options *o)
{
    if (!json_is_boolean(value))
        wrong_option(v, key, "true or false");
    else if (!strcmp(key, "header"))
        o->header = json_is_true(value) ? 1 : -1;
    else if (!strcmp(key, "standardise"))
        o->no_standardise = json_is_false(value);
    else
        o->image_stretch = json_is_true(value);
}

#define IMAGE_SIDE_MOST 4096

/* 32, or [height, width]. */
static void read_image_size(struct verification *v, const json_t *value, struct dataset_options *o)
{
    const json_t *h = json_is_array(value) ? json_array_get(value, 0) : value,
                 *w = json_is_array(value) ? json_array_get(value, 1) : value;
    o->image_height = json_integer_value(h);
    o->image_width = json_integer_value(w);
    if ((json_is_array(value) && json_array_size(value) != 2) || o->image_height < 1 || o->image_width < 1 ||
        o->image_height > IMAGE_SIDE_MOST || o->image_width > IMAGE_SIDE_MOST)
        wrong_option(v, "image_size", "a side in pixels, or [height, width], each 1 to 4096");
}

static void read_option(struct verification *v, const char *key, const json_t *value,
                        struct parsed_options *p)
{
    static const char *const known[] = {
        "format",      "target",         "task_type",     "test_fraction", "seed",       "header",
        "standardise", "max_bytes",      "tokens",        "token_type",    "vocabulary", "length",
        "image_size",  "image_channels", "image_stretch", "features",      "labels",     NULL};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (!strcmp(key, options[i].key)) {
            read_plain(v, &options[i], value, &p->o);
            return;
        }
    if (!strcmp(key, "target") && json_is_string(value)) {
        p->o.target = json_string_value(value);
    } else if (!strcmp(key, "target") && json_is_integer(value)) {
        p->target = xasprintf("%lld", (long long)json_integer_value(value));
        p->o.target = p->target;
    } else if (!strcmp(key, "target")) {
        wrong_option(v, key, "a column's name or number");
    } else if (!strcmp(key, "task_type")) {
        read_task_type(v, value, p);
    } else if (!strcmp(key, "header") || !strcmp(key, "standardise") || !strcmp(key, "image_stretch")) {
        read_flag(v, key, value, &p->o);
    } else if (!strcmp(key, "image_size")) {
        read_image_size(v, value, &p->o);
    } else if (!strcmp(key, "image_channels")) {
        p->o.image_channels = (int)json_integer_value(value);
        if (p->o.image_channels != 1 && p->o.image_channels != 3)
            wrong_option(v, key, "1 (grey) or 3 (RGB)");
    } else if (nearest_name(key, known)) {
        /* Metadata may hold what people like; only what looks like a misspelt option is worth a word. */
        struct finding *it = findings_add(&v->f, FINDING_WARNED, "dataset.options", NULL,
                                          "metadata \"%.60s\" has no effect", key);
        it->hint = xasprintf("did you mean \"%s\"?", nearest_name(key, known));
    }
}

static int read_options(struct verification *v, json_t *root, struct parsed_options *p)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) read_option(v, key, value, p);
    return findings_failed(&v->f) ? -1 : 0;
}

/* ---- the dataset ---- */

static void say_what_it_is(struct verification *v, const struct dataset_info *info)
{
    char shape[96];
    shape_format(&info->feature_shape, shape, sizeof(shape));
    check_passed(v, "dataset.files", "read as %s", info->format);
    if (info->stream) {
        check_passed(v, "dataset.content", "%lld %s to train on and %lld to test with",
                     (long long)info->stream_tokens[SPLIT_TRAIN],
                     info->token_unit == TOKENS_IDS ? "tokens" : token_unit_name(info->token_unit),
                     (long long)info->stream_tokens[SPLIT_TEST]);
        check_passed(v, "dataset.target", "the next of a vocabulary of %d", info->vocabulary);
        return;
    }
    check_passed(v, "dataset.content", "%lld samples to train on and %lld to test with, each %s %s",
                 (long long)info->samples[SPLIT_TRAIN], (long long)info->samples[SPLIT_TEST],
                 dtype_name(info->feature_dtype), shape);
    char of[160] = "";
    if (info->target_name)
        snprintf(of, sizeof(of), " (column \"%.128s\")", info->target_name);
    if (info->target == TARGET_CLASS)
        check_passed(v, "dataset.target", "%d classes%s", info->classes, of);
    else if (info->target == TARGET_VALUE)
        check_passed(v, "dataset.target", "a number to predict%s", of);
    check_passed(v, "dataset.values", "every value is a finite number");
}

static int preview(struct verification *v, const char *pack, struct err *err)
{
    struct dataset *d = dataset_open(pack, true, err);
    if (!d)
        return -1;
    buf_puts(&v->summary, "{\"dataset_info\":");
    dataset_info_write_json(&d->info, &v->summary);
    buf_puts(&v->summary, ",\"preview\":");
    int rc = dataset_preview_json(d, PREVIEW_SAMPLES, &v->summary, err);
    buf_putc(&v->summary, '}');
    dataset_close(d);
    return rc;
}

static bool is_pack(const char *path)
{
    char magic[8] = {0};
    FILE *f = fopen(path, "rbe");
    bool is = f && fread(magic, 1, 8, f) == 8 && !memcmp(magic, "TYPACK\r\n", 8);
    if (f)
        fclose(f);
    return is;
}

static int check_pack(struct verification *v, struct err *err)
{
    struct err own = {0};
    struct dataset *d = dataset_open(v->o->file, true, &own);
    if (!d) {
        findings_add(&v->f, FINDING_FAILED, "dataset.content", NULL, "%s", own.text);
        return 0;
    }
    say_what_it_is(v, &d->info);
    dataset_close(d);
    return preview(v, v->o->file, err);
}

static int pack_and_check(struct verification *v, const struct dataset_options *o, struct err *err)
{
    struct dataset_info info = {0};
    const char *folder = getenv("TMPDIR");
    char *temporary = NULL;
    if (!v->o->pack) {
        temporary = xasprintf("%s/trainyard-verify-XXXXXX", folder && *folder ? folder : "/tmp");
        int fd = mkstemp(temporary);
        if (fd < 0) {
            err_set(err, ERR_IO, "cannot create %s: %s", temporary, strerror(errno));
            free(temporary);
            return -1;
        }
        close(fd);
    }
    const char *pack = v->o->pack ? v->o->pack : temporary;
    int rc = 0;
    if (dataset_pack(v->o->file, o, pack, &v->f, &info) == 0) {
        say_what_it_is(v, &info);
        rc = preview(v, pack, err);
    } else if (!findings_failed(&v->f)) {
        rc = err_set(err, ERR_INTERNAL, "the dataset could not be packed");
    }
    if (temporary)
        unlink(temporary);
    free(temporary);
    dataset_info_free(&info);
    return rc;
}

int verify_dataset_file(struct verification *v, struct err *err)
{
    struct parsed_options p = {0};
    json_t *root = NULL;
    if (access(v->o->file, R_OK))
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", v->o->file,
                       strerror(errno));
    if (v->o->options && !(root = json_parse(v->o->options, strlen(v->o->options), NULL, NULL, err)))
        return err_prefix(err, "--options");
    if (root && !json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_INVALID, "--options must be a JSON object");
    }
    int rc = 0;
    if (read_options(v, root, &p) == 0)
        rc = is_pack(v->o->file) ? check_pack(v, err) : pack_and_check(v, &p.o, err);
    free(p.target);
    json_decref(root);
    return rc;
}
