#include "kernels/train/options.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/nearest.h"

static const struct option_row train_rows[] = {
#define AT(member) offsetof(struct train_options, member)
    {"model", OPTION_TEXT, true, AT(model), 0, "FILE", NULL, "the model file (trainyard.model/1)"},
    {"algorithm", OPTION_TEXT, true, AT(algorithm), 0, "FILE", NULL,
     "the algorithm file (trainyard.algorithm/1)"},
    {"data", OPTION_TEXT, true, AT(data), 0, "PATH", NULL,
     "a packed dataset, or a file, tar or folder in a format that can be packed"},
    {"out", OPTION_TEXT, true, AT(out), 0, "DIR", NULL,
     "where weights, report and checkpoints go; made if absent"},
    {"layer", OPTION_REPEATED, false, AT(layers), AT(layer_count), "FILE", NULL,
     "a layer file that the model uses; may be given again"},
    {"set", OPTION_REPEATED, false, AT(sets), AT(set_count), "/POINTER=VALUE", NULL,
     "replace a value inside the algorithm file: /optimizer/learning_rate=0.01; may be given again"},
    {"metrics", OPTION_TEXT, false, AT(metrics), 0, "FILE", NULL,
     "append one JSON line for every report of the run"},
    {"resume", OPTION_TEXT, false, AT(resume), 0, "FILE|auto", NULL,
     "go on from a checkpoint; auto: from the newest whole one of DIR/checkpoints, or from the start if "
     "there is none"},
    {"weights", OPTION_TEXT, false, AT(weights), 0, "FILE", NULL,
     "begin with the weights of a safetensors file, by name, instead of random ones: fine-tuning"},
    {"threads", OPTION_NUMBER, false, AT(threads), 0, "N", NULL,
     "threads of this rank; default: its share of the host's cores, fewer for a small model"},
    {"backend", OPTION_TEXT, false, AT(backend), 0, "NAME", "cpu|reference|cuda",
     "what computes (default cpu)"},
    {"shard-optimizer", OPTION_TEXT, false, AT(shard), 0, "WHEN", "auto|on|off",
     "divide the optimizer's state over the ranks (default auto: when there is much of it)"},
    {"progress", OPTION_FLAG, false, AT(progress), 0, NULL, NULL,
     "renew a line on standard error even if it is no terminal"},
    {"help", OPTION_FLAG, false, AT(help), 0, NULL, NULL, "show this"},
#undef AT
};

void options_print_rows(const struct option_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct option_row *o = &rows[i];
        char left[48];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->placeholder ? " " : "",
                 o->placeholder ? o->placeholder : "");
        printf("  %-24s %s%s%s%s%s\n", left, o->help, o->required ? " (required)" : "",
               o->choices ? " [" : "", o->choices ? o->choices : "", o->choices ? "]" : "");
    }
}

void options_print_help(void)
{
    puts("Usage: trainyard-train [train] --model FILE --algorithm FILE --data PATH --out DIR [flags]\n"
         "       trainyard-train evaluate|predict|generate --help             use a trained model\n"
         "       trainyard-train verify {dataset|algorithm|layer|model|fit} ...   check files; JSON on "
         "standard output\n"
         "       trainyard-train layers                                        the table of layer types as "
         "JSON\n"
         "       trainyard-train make-digits --out DIR                         make a small dataset of drawn "
         "digits\n"
         "       trainyard-train version\n\n"
         "Trains a model alone or, under mpirun, data-parallel on all ranks.\n");
    options_print_rows(train_rows, ARRAY_LEN(train_rows));
    puts("\nExit status: 0 done, 1 error, 2 usage, 3 a file failed verification, 4 the loss became NaN or "
         "infinite,\n"
         "75 ended early by SIGTERM or SIGUSR1 after a checkpoint.");
}

static const struct option_row *find(const struct option_row *rows, size_t count, const char *name, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

static int unknown(const struct option_row *rows, size_t count, const char *flag, struct err *err)
{
    const char *names[OPTIONS_MAX_REPEATS + 1] = {NULL};
    for (size_t i = 0; i < count && i < OPTIONS_MAX_REPEATS; i++)
        names[i] = rows[i].name;
    const char *near = strncmp(flag, "--", 2) == 0 ? nearest_name(flag + 2, names) : NULL;
    return err_set(err, ERR_INVALID, "there is no flag %s%s%s; --help lists them", flag,
                   near ? ": did you mean --" : "", near ? near : "");
}

static bool among(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == 0))
            return true;
    return false;
}

/* A number within the row's bounds. */
static int set_number(char *at, const struct option_row *o, const char *value, struct err *err)
{
    char *end;
    double min = o->min, max = o->max, v = strtod(value, &end);
    bool whole = o->kind == OPTION_NUMBER;
    if (min >= max) {
        min = 1;
        max = 1024;
    }
    if (*end || end == value || !(v >= min && v <= max) || (whole && v != floor(v)))
        return err_set(err, ERR_INVALID, "--%s expects a %snumber from %g to %g, not \"%s\"", o->name,
                       whole ? "whole " : "", min, max, value);
    if (whole)
        *(int *)(void *)at = (int)v;
    else
        *(double *)(void *)at = v;
    return 0;
}

static int set_value(char *out, const struct option_row *o, const char *value, struct err *err)
{
    char *at = out + o->offset;
    if (o->kind == OPTION_NUMBER || o->kind == OPTION_REAL)
        return set_number(at, o, value, err);
    if (o->choices && !among(o->choices, value))
        return err_set(err, ERR_INVALID, "--%s expects one of %s, not \"%s\"", o->name, o->choices, value);
    if (o->kind == OPTION_REPEATED) {
        int *count = (int *)(void *)(out + o->count_offset);
        if (*count == OPTIONS_MAX_REPEATS)
            return err_set(err, ERR_INVALID, "--%s may be given at most %d times", o->name,
                           OPTIONS_MAX_REPEATS);
        ((const char **)(void *)at)[(*count)++] = value;
        return 0;
    }
    *(const char **)(void *)at = value;
    return 0;
}

static int check_required(const struct option_row *rows, size_t count, const char *out, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].kind == OPTION_FLAG && strcmp(rows[i].name, "help") == 0 &&
            *(const bool *)(out + rows[i].offset))
            return 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i].required && !*(const char *const *)(const void *)(out + rows[i].offset))
            return err_set(err, ERR_INVALID, "--%s %s is needed: %s", rows[i].name, rows[i].placeholder,
                           rows[i].help);
    return 0;
}

int options_parse_rows(const struct option_row *rows, size_t count, int argc, char **argv, void *out,
                       struct err *err)
{
    for (int i = 0; i < argc; i++) {
        const char *flag = argv[i], *equals = strchr(flag, '=');
        size_t n = equals ? (size_t)(equals - flag) : strlen(flag);
        const struct option_row *o =
            n > 2 && strncmp(flag, "--", 2) == 0 ? find(rows, count, flag + 2, n - 2) : NULL;
        if (!o)
            return unknown(rows, count, flag, err);
        if (o->kind == OPTION_FLAG) {
            if (equals)
                return err_set(err, ERR_INVALID, "--%s takes no value", o->name);
            *(bool *)((char *)out + o->offset) = true;
            continue;
        }
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return err_set(err, ERR_INVALID, "--%s expects a value: %s", o->name, o->placeholder);
        if (set_value(out, o, value, err))
            return -1;
    }
    return check_required(rows, count, out, err);
}

int options_parse(int argc, char **argv, struct train_options *out, struct err *err)
{
    *out = (struct train_options){.backend = "cpu", .shard = "auto"};
    return options_parse_rows(train_rows, ARRAY_LEN(train_rows), argc, argv, out, err);
}
