/* `trainyard-train verify`: arguments in, one JSON object out. */
#include "kernels/verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "kernels/verify/checks.h"

static const struct kind {
    const char *name;
    int (*verify)(struct verification *v, struct err *err);
} kinds[] = {{"dataset", verify_dataset_file},
             {"algorithm", verify_algorithm_file},
             {"layer", verify_layer_file},
             {"model", verify_model_file},
             {"fit", verify_fit}};

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

static int usage(FILE *to, int code)
{
    fputs("usage: trainyard-train verify [dataset|algorithm|layer|model] FILE [--layer FILE ...] [--set "
          "/pointer=value ...]\n"
          "                              [--pack OUT] [--options JSON]\n"
          "       trainyard-train verify fit --model FILE --algorithm FILE --data FILE [--layer FILE ...] "
          "[--ranks N]\n"
          "                              [--set /pointer=value ...]\n"
          "Checks a file and prints one JSON object. Exit code 0: all good, 3: a check failed, 2: usage, 1: "
          "could not run.\n"
          "Without a kind, the file's own \"format\" says it; what is no JSON is a dataset.\n"
          "  --layer FILE      a layer file that the model or layer uses\n"
          "  --pack OUT        where to write the packed dataset\n"
          "  --options JSON    of a dataset: {\"target\", \"task_type\", \"test_fraction\", \"seed\", "
          "\"header\", \"standardise\", \"format\", ...: docs/verification.md}\n"
          "  --ranks N         how many ranks will train\n"
          "  --set P=V         an override inside the algorithm file\n",
          to);
    return code;
}

/* Where a flag's value goes; NULL when there is no such flag. */
static const char **flag_place(struct verify_options *o, const char *flag)
{
    if (!strcmp(flag, "--layer") && o->layer_count < VERIFY_MAX_LAYERS)
        return &o->layers[o->layer_count++];
    if (!strcmp(flag, "--set") && o->set_count < ALGORITHM_MAX_OVERRIDES)
        return &o->set[o->set_count++];
    if (!strcmp(flag, "--pack"))
        return &o->pack;
    if (!strcmp(flag, "--options"))
        return &o->options;
    if (!strcmp(flag, "--model"))
        return &o->model;
    if (!strcmp(flag, "--algorithm"))
        return &o->algorithm;
    return !strcmp(flag, "--data") ? &o->data : NULL;
}

static int parse_arguments(int argc, char **argv, struct verify_options *o)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (!o->kind && !o->file && kind_find(argv[i]) && (i + 1 < argc))
                o->kind = argv[i];
            else if (!o->file)
                o->file = argv[i];
            else
                return -1;
            continue;
        }
        if (i + 1 == argc)
            return -1;
        if (!strcmp(argv[i], "--ranks")) {
            char *end;
            long n = strtol(argv[++i], &end, 10);
            if (*end || n < 1 || n > 1000000)
                return -1;
            o->ranks = (int)n;
            continue;
        }
        const char **place = flag_place(o, argv[i]);
        if (!place)
            return -1;
        *place = argv[++i];
    }
    if (o->kind && !strcmp(o->kind, "fit"))
        return o->model && o->algorithm && o->data && !o->file ? 0 : -1;
    return o->file ? 0 : -1;
}

/* The kind that a file says it is. */
static const char *kind_of_file(const char *path)
{
    struct buf text = {0};
    const char *kind = "dataset";
    if (file_read(path, MODEL_FILE_MAX, &text, NULL) == 0 && text.len) {
        size_t at = strspn(text.data, " \t\r\n\xef\xbb\xbf");
        json_t *root = text.data[at] == '{' ? json_parse(text.data, text.len, NULL, NULL, NULL) : NULL;
        const char *format = json_string_value(json_object_get(root, "format"));
        if (text.data[at] == '{')
            kind = "model";
        for (size_t i = 0; format && i < ARRAY_LEN(kinds); i++) {
            size_t n = strlen(kinds[i].name);
            if (!strncmp(format, "trainyard.", 10) && !strncmp(format + 10, kinds[i].name, n) &&
                format[10 + n] == '/')
                kind = kinds[i].name;
        }
        json_decref(root);
    }
    buf_free(&text);
    return kind;
}

static void print_answer(const struct verification *v, const char *kind, double seconds)
{
    struct buf out = {0};
    buf_printf(
        &out,
        "{\"format\":\"trainyard.verification/1\",\"kind\":\"%s\",\"ok\":%s,\"trainer\":\"%s\",\"seconds\":",
        kind, findings_failed(&v->f) ? "false" : "true", TRAINYARD_VERSION);
    buf_json_num(&out, seconds);
    buf_puts(&out, ",\"checks\":");
    findings_write_json(&v->f, &out);
    buf_printf(&out, ",\"summary\":%s}\n", v->summary.len ? buf_str(&v->summary) : "{}");
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_free(&out);
}

int verify_main(int argc, char **argv)
{
    struct verify_options o = {0};
    struct err err = {0};
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return usage(stdout, 0);
    if (parse_arguments(argc, argv, &o))
        return usage(stderr, 2);
    double start = time_monotonic();
    struct verification v = {.o = &o, .since = start};
    const struct kind *kind = kind_find(o.kind ? o.kind : kind_of_file(o.file));
    int code = 1;
    if (kind->verify(&v, &err)) {
        fprintf(stderr, "trainyard-train verify: %s\n", err.text);
        code = err.code == ERR_INVALID ? 2 : 1;
    } else {
        print_answer(&v, kind->name, time_monotonic() - start);
        code = findings_failed(&v.f) ? 3 : 0;
    }
    findings_free(&v.f);
    buf_free(&v.summary);
    return code;
}
