#include "kernels/train/options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/nearest.h"

enum kind { TEXT, REPEATED, NUMBER, FLAG };

static const struct option_row {
    const char *name;
    enum kind kind;
    bool required;
    size_t offset, count_offset; /* of the value, and of the count of a REPEATED */
    const char *placeholder, *choices, *help;
} rows[] = {
#define AT(member) offsetof(struct train_options, member)
    {"model", TEXT, true, AT(model), 0, "FILE", NULL, "the model file (trainyard.model/1)"},
    {"algorithm", TEXT, true, AT(algorithm), 0, "FILE", NULL, "the algorithm file (trainyard.algorithm/1)"},
    {"data", TEXT, true, AT(data), 0, "PATH", NULL,
     "a packed dataset, or a file, tar or folder in a format that can be packed"},
    {"out", TEXT, true, AT(out), 0, "DIR", NULL, "where weights, report and checkpoints go; made if absent"},
    {"layer", REPEATED, false, AT(layers), AT(layer_count), "FILE", NULL,
     "a layer file that the model uses; may be given again"},
    {"set", REPEATED, false, AT(sets), AT(set_count), "/POINTER=VALUE", NULL,
     "replace a value inside the algorithm file: /optimizer/learning_rate=0.01; may be given again"},
    {"metrics", TEXT, false, AT(metrics), 0, "FILE", NULL,
     "append one JSON line for every report of the run"},
    {"resume", TEXT, false, AT(resume), 0, "FILE|auto", NULL,
     "go on from a checkpoint; auto: from the newest whole one of DIR/checkpoints, or from the start if "
     "there is none"},
    {"weights", TEXT, false, AT(weights), 0, "FILE", NULL,
     "begin with the weights of a safetensors file, by name, instead of random ones: fine-tuning"},
    {"threads", NUMBER, false, AT(threads), 0, "N", NULL,
     "threads of this rank; default: its share of the host's cores, fewer for a small model"},
    {"backend", TEXT, false, AT(backend), 0, "NAME", "cpu|reference|cuda", "what computes (default cpu)"},
    {"progress", FLAG, false, AT(progress), 0, NULL, NULL,
     "renew a line on standard error even if it is no terminal"},
    {"help", FLAG, false, AT(help), 0, NULL, NULL, "show this"},
#undef AT
};

void options_print_help(void)
{
    puts("Usage: trainyard-train [train] --model FILE --algorithm FILE --data PATH --out DIR [flags]\n"
         "       trainyard-train verify {dataset|algorithm|layer|model|fit} ...   check files; JSON on "
         "standard output\n"
         "       trainyard-train layers                                        the table of layer types as "
         "JSON\n"
         "       trainyard-train make-digits --out DIR                         make a small dataset of drawn "
         "digits\n"
         "       trainyard-train version\n\n"
         "Trains a model alone or, under mpirun, data-parallel on all ranks.\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct option_row *o = &rows[i];
        char left[48];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->placeholder ? " " : "",
                 o->placeholder ? o->placeholder : "");
        printf("  %-24s %s%s%s%s%s\n", left, o->help, o->required ? " (required)" : "",
               o->choices ? " [" : "", o->choices ? o->choices : "", o->choices ? "]" : "");
    }
    puts("\nExit status: 0 done, 1 error, 2 usage, 3 a file failed verification, 4 the loss became NaN or "
         "infinite,\n"
         "75 ended early by SIGTERM or SIGUSR1 after a checkpoint.");
}

static const struct option_row *find(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

static int unknown(const char *flag, struct err *err)
{
    const char *names[ARRAY_LEN(rows) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
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

static int set_value(struct train_options *out, const struct option_row *o, const char *value,
                     struct err *err)
{
    char *at = (char *)out + o->offset, *end;
    if (o->kind == NUMBER) {
        long v = strtol(value, &end, 10);
        if (*end || end == value || v < 1 || v > 1024)
            return err_set(err, ERR_INVALID, "--%s expects a whole number from 1 to 1024, not \"%s\"",
                           o->name, value);
        *(int *)(void *)at = (int)v;
        return 0;
    }
    if (o->choices && !among(o->choices, value))
        return err_set(err, ERR_INVALID, "--%s expects one of %s, not \"%s\"", o->name, o->choices, value);
    if (o->kind == REPEATED) {
        int *count = (int *)(void *)((char *)out + o->count_offset);
        if (*count == OPTIONS_MAX_REPEATS)
            return err_set(err, ERR_INVALID, "--%s may be given at most %d times", o->name,
                           OPTIONS_MAX_REPEATS);
        ((const char **)(void *)at)[(*count)++] = value;
        return 0;
    }
    *(const char **)(void *)at = value;
    return 0;
}

static int check_required(const struct train_options *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].required && !*(const char *const *)(const void *)((const char *)out + rows[i].offset))
            return err_set(err, ERR_INVALID, "--%s %s is needed: %s", rows[i].name, rows[i].placeholder,
                           rows[i].help);
    return 0;
}

int options_parse(int argc, char **argv, struct train_options *out, struct err *err)
{
    *out = (struct train_options){.backend = "cpu"};
    for (int i = 0; i < argc; i++) {
        const char *flag = argv[i], *equals = strchr(flag, '=');
        size_t n = equals ? (size_t)(equals - flag) : strlen(flag);
        const struct option_row *o = n > 2 && strncmp(flag, "--", 2) == 0 ? find(flag + 2, n - 2) : NULL;
        if (!o)
            return unknown(flag, err);
        if (o->kind == FLAG) {
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
    return out->help ? 0 : check_required(out, err);
}
