#include "kernels/train/trained.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "kernels/formats/safetensors.h"
#include "kernels/train/start_weights.h"

/* ---- flags ---- */

struct command_row {
    int commands;
    struct option_row row;
};

#define ALL        (TRAINED_EVALUATE | TRAINED_PREDICT | TRAINED_GENERATE)
#define AT(member) offsetof(struct trained_options, member)
static const struct command_row rows[] = {
    {ALL,
     {"run", OPTION_TEXT, false, AT(run), 0, "DIR", NULL,
      "the --out of a training: gives model, algorithm and weights that are not given", 0, 0}},
    {ALL, {"model", OPTION_TEXT, false, AT(model), 0, "FILE", NULL, "the model file", 0, 0}},
    {ALL,
     {"algorithm", OPTION_TEXT, false, AT(algorithm), 0, "FILE", NULL,
      "the algorithm file: its loss and metrics are those reported", 0, 0}},
    {ALL, {"weights", OPTION_TEXT, false, AT(weights), 0, "FILE", NULL, "the weights (safetensors)", 0, 0}},
    {ALL,
     {"data", OPTION_TEXT, true, AT(data), 0, "PATH", NULL,
      "a packed dataset, or files in a format that can be packed", 0, 0}},
    {ALL,
     {"layer", OPTION_REPEATED, false, AT(layers), AT(layer_count), "FILE", NULL,
      "a layer file that the model uses; may be given again", 0, 0}},
    {TRAINED_EVALUATE | TRAINED_PREDICT,
     {"split", OPTION_TEXT, false, AT(split), 0, "NAME", "test|train",
      "which part of the data (default test)", 0, 0}},
    {TRAINED_EVALUATE | TRAINED_PREDICT,
     {"batch", OPTION_NUMBER, false, AT(batch), 0, "N", NULL, "samples at once (default: the algorithm's)", 1,
      1 << 20}},
    {TRAINED_PREDICT,
     {"format", OPTION_TEXT, false, AT(format), 0, "NAME", "jsonl|csv",
      "JSON lines or comma-separated values (default jsonl)", 0, 0}},
    {TRAINED_GENERATE,
     {"prompt", OPTION_TEXT, false, AT(prompt), 0, "TEXT", NULL, "what the text begins with", 0, 0}},
    {TRAINED_GENERATE,
     {"tokens", OPTION_NUMBER, false, AT(tokens), 0, "N", NULL, "tokens to add (default 200)", 1, 1000000}},
    {TRAINED_GENERATE,
     {"temperature", OPTION_REAL, false, AT(temperature), 0, "T", NULL,
      "divides the scores before the softmax; 0 takes the likeliest token (default 1)", 0, 100}},
    {TRAINED_GENERATE,
     {"top-k", OPTION_NUMBER, false, AT(top_k), 0, "K", NULL,
      "choose among the K likeliest; 0: all (default 0)", 0, 1 << 24}},
    {TRAINED_GENERATE,
     {"seed", OPTION_NUMBER, false, AT(seed), 0, "N", NULL, "of the choices (default 1)", 0, 2147483647}},
    {ALL,
     {"out", OPTION_TEXT, false, AT(out), 0, "FILE", NULL, "write there instead of standard output", 0, 0}},
    {ALL,
     {"threads", OPTION_NUMBER, false, AT(threads), 0, "N", NULL, "computing threads (default: all cores)", 0,
      0}},
    {ALL,
     {"backend", OPTION_TEXT, false, AT(backend), 0, "NAME", "cpu|reference|cuda",
      "what computes (default cpu)", 0, 0}},
    {ALL, {"help", OPTION_FLAG, false, AT(help), 0, NULL, NULL, "show this", 0, 0}},
};
#undef AT

static const char *command_name(int command)
{
    return command == TRAINED_EVALUATE ? "evaluate" : command == TRAINED_PREDICT ? "predict" : "generate";
}

static const char *command_help(int command)
{
    switch (command) {
    case TRAINED_EVALUATE:
        return "Loss, metrics and confusion matrix of a trained model on a dataset, as JSON.";
    case TRAINED_PREDICT:
        return "What a trained model says of every sample of a dataset, in stored order.";
    default:
        return "Text from a trained language model; the dataset gives the vocabulary.";
    }
}

int trained_parse(int argc, char **argv, int command, struct trained_options *out)
{
    struct option_row own[ARRAY_LEN(rows)];
    struct err err = {0};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].commands & command)
            own[n++] = rows[i].row;
    *out = (struct trained_options){.split = "test",
                                    .format = "jsonl",
                                    .backend = "cpu",
                                    .prompt = "",
                                    .tokens = 200,
                                    .seed = 1,
                                    .temperature = 1};
    int rc = options_parse_rows(own, n, argc - 1, argv + 1, out, &err);
    if (!rc && out->help) {
        printf("Usage: trainyard-train %s --run DIR --data PATH [flags]\n\n%s\n\n", command_name(command),
               command_help(command));
        options_print_rows(own, n);
        return 1;
    }
    if (!rc && !out->run && (!out->model || !out->algorithm || !out->weights))
        rc = err_set(&err, ERR_INVALID,
                     "--run DIR is needed, or --model, --algorithm and --weights: what was trained");
    if (rc)
        fprintf(stderr, "trainyard-train: %s\n", err.text);
    return rc ? 2 : 0;
}

/* ---- opening ---- */

static const char *within(const char *given, const char *dir, const char *name, char **owned)
{
    if (given)
        return given;
    return *owned = path_join(dir, name);
}

/* "[1,2.5]" into n numbers. */
static bool read_numbers(const char *text, float *out, int n)
{
    const char *p = text;
    for (int i = 0; i < n; i++) {
        char *end;
        if (*p != (i ? ',' : '['))
            return false;
        out[i] = strtof(++p, &end);
        if (end == p || !isfinite(out[i]))
            return false;
        p = end;
    }
    return *p == ']';
}

/* Let the loader standardise with the statistics of the data trained on. */
static int take_statistics(struct dataset *d, const char *weights, struct err *err)
{
    struct dataset_info *info = &d->info;
    struct safetensors *s = safetensors_open(weights, err);
    if (!s)
        return -1;
    const char *mean = safetensors_metadata(s, TRAINED_MEAN), *std = safetensors_metadata(s, TRAINED_STD);
    int rc = 0;
    if (mean && std && info->column_mean && info->column_std &&
        (!read_numbers(mean, info->column_mean, info->column_count) ||
         !read_numbers(std, info->column_std, info->column_count)))
        rc = err_set(err, ERR_CONFLICT,
                     "%s: the weights were trained on other columns than the %d of this dataset", weights,
                     info->column_count);
    safetensors_close(s);
    return rc;
}

static int make_executor(struct trained *t, const char *weights, int64_t row_count, struct err *err)
{
    struct run *r = &t->run;
    struct executor_options eo = {.backend = t->given.backend,
                                  .threads = t->given.threads,
                                  .rows = row_count ? row_count : r->algorithm.batch_size,
                                  .seed = r->algorithm.seed,
                                  .forward_only = true};
    r->executor = executor_create(r->graph, &r->algorithm, &eo, err);
    return r->executor ? start_weights_load(r->executor, weights, true, &r->note, err) : -1;
}

int trained_open(struct trained *t, const struct trained_options *o, int64_t row_count, struct err *err)
{
    *t = (struct trained){.given = *o};
    struct train_options *to = &t->options;
    *to = (struct train_options){.data = o->data, .backend = o->backend, .layer_count = o->layer_count};
    memcpy(to->layers, o->layers, sizeof(to->layers));
    to->model = within(o->model, o->run, "model.json", &t->paths[0]);
    to->algorithm = within(o->algorithm, o->run, "algorithm.json", &t->paths[1]);
    const char *weights = within(o->weights, o->run, "weights.safetensors", &t->paths[2]);
    t->run.options = to;
    t->run.dist = dist_create_single();
    int rc = run_load(&t->run, err);
    if (rc)
        return rc;
    if (o->batch)
        t->run.algorithm.batch_size = o->batch;
    if (take_statistics(t->run.data, weights, err) || make_executor(t, weights, row_count, err))
        return -1;
    return 0;
}

void trained_close(struct trained *t)
{
    loader_destroy(t->loader);
    run_destroy(&t->run);
    dist_destroy(t->run.dist);
    for (size_t i = 0; i < ARRAY_LEN(t->paths); i++)
        free(t->paths[i]);
}

/* ---- batches ---- */

int trained_begin(struct trained *t, struct err *err)
{
    struct run *r = &t->run;
    t->split = strcmp(t->given.split, "train") == 0 ? SPLIT_TRAIN : SPLIT_TEST;
    if (r->data->info.samples[t->split] < 1)
        return err_set(err, ERR_INVALID, "%s: the dataset has no %s samples; choose the other --split",
                       t->given.data, t->given.split);
    struct loader_options lo = {.split = t->split,
                                .batch = r->algorithm.batch_size,
                                .seed = r->algorithm.seed,
                                .epochs = 1,
                                .as_float = r->graph->nodes[0].dtype == DTYPE_F32};
    t->loader = loader_create(r->data, &lo, err);
    if (!t->loader)
        return -1;
    t->batches = loader_batches_per_epoch(t->loader);
    t->at = 0;
    return 0;
}

int trained_next(struct trained *t, const struct loader_batch **b, struct loss_batch *batch,
                 struct loss_sums *sums, struct err *err)
{
    struct loss_batch unused;
    if (t->at == t->batches)
        return 0;
    *b = loader_next(t->loader);
    if (!*b)
        return err_set(err, ERR_INTERNAL, "the loader ended at batch %lld", (long long)t->at);
    const struct executor_batch eb = run_batch(&t->run, *b);
    if (executor_forward(t->run.executor, &eb, false, err))
        return -1;
    struct loss_sums s = executor_loss(t->run.executor, (*b)->classes, (*b)->values, batch ? batch : &unused);
    if (sums)
        *sums = s;
    t->at++;
    return 1;
}

/* ---- results ---- */

FILE *trained_output(const struct trained *t, struct err *err)
{
    FILE *f = t->given.out ? fopen(t->given.out, "we") : stdout;
    if (!f)
        err_set(err, ERR_IO, "cannot write %s: %s", t->given.out, strerror(errno));
    return f;
}

int trained_output_close(const struct trained *t, FILE *f, struct err *err)
{
    int failed = ferror(f);
    failed |= f == stdout ? fflush(f) : fclose(f);
    return failed ? err_set(err, ERR_IO, "cannot write %s: %s",
                            t->given.out ? t->given.out : "standard output", strerror(errno))
                  : 0;
}

/* ---- a command ---- */

int trained_main(int argc, char **argv, int command, int64_t row_count,
                 int (*act)(struct trained *t, struct err *err))
{
    struct trained_options o;
    struct trained t;
    struct err err = {0};
    int rc = trained_parse(argc, argv, command, &o);
    if (rc)
        return rc == 2 ? 2 : 0;
    rc = trained_open(&t, &o, row_count, &err);
    if (!rc)
        rc = act(&t, &err);
    if (rc < 0) {
        fprintf(stderr, "trainyard-train: %s\n", err.text);
        rc = EXIT_FAILURE;
    }
    trained_close(&t);
    return rc;
}
