/* From files to a checked model, algorithm and dataset. Every rank reads them; what is wrong is printed once. */
#include "kernels/train/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "kernels/formats/import.h"
#include "kernels/train/fit.h"

/* A file with what was found in it. */
struct source {
    const char *path;
    struct buf text;
    struct findings findings;
};

static void source_free(struct source *s)
{
    buf_free(&s->text);
    findings_free(&s->findings);
}

static void print_findings(struct source *s)
{
    if (s->text.data)
        findings_locate(&s->findings, s->text.data, s->text.len);
    for (size_t i = 0; i < s->findings.count; i++) {
        const struct finding *it = &s->findings.items[i];
        if (it->status == FINDING_PASSED)
            continue;
        fprintf(stderr, "%s:%d:%d: %s: %s", s->path, it->line, it->column,
                it->status == FINDING_FAILED ? "error" : "warning", it->message);
        if (it->hint)
            fprintf(stderr, " (%s)", it->hint);
        fprintf(stderr, " [%s]\n", it->check);
    }
}

static int read_algorithm(struct run *r, struct source *s, struct err *err)
{
    const struct train_options *o = r->options;
    if (file_read(o->algorithm, ALGORITHM_FILE_MAX, &s->text, err))
        return -1;
    return algorithm_parse(s->text.data, s->text.len, o->sets, o->set_count, &r->algorithm, &s->findings)
               ? EXIT_VERIFICATION
               : 0;
}

static int read_model(struct run *r, struct source *s, struct err *err)
{
    const struct train_options *o = r->options;
    r->library = layer_library_create();
    for (int i = 0; i < o->layer_count; i++)
        if (layer_library_load(r->library, o->layers[i], &s->findings, err))
            return findings_failed(&s->findings) ? EXIT_VERIFICATION : -1;
    if (file_read(o->model, IMPORT_FILE_MAX, &s->text, err))
        return -1;
    if (import_in_place(&s->text, &r->imported, &s->findings))
        return EXIT_VERIFICATION;
    r->model = model_parse(s->text.data, s->text.len, r->library, &s->findings);
    r->graph = r->model ? graph_build(r->model, &s->findings) : NULL;
    return r->graph ? 0 : EXIT_VERIFICATION;
}

static int load(struct run *r, struct source *model, struct source *algorithm, struct err *err)
{
    int of_algorithm = read_algorithm(r, algorithm, err);
    int of_model = of_algorithm < 0 ? -1 : read_model(r, model, err);
    if (of_algorithm < 0 || of_model < 0)
        return -1;
    if (of_algorithm || of_model)
        return EXIT_VERIFICATION;
    r->data = dataset_open(r->options->data, false, err);
    if (!r->data)
        return err && err->code == ERR_UNPROCESSABLE ? EXIT_VERIFICATION : -1;
    if (fit_window(r->graph, r->data, &model->findings))
        return EXIT_VERIFICATION;
    return fit_check(r->graph, &r->algorithm, &r->data->info, r->dist->size, &model->findings,
                     &algorithm->findings)
               ? EXIT_VERIFICATION
               : 0;
}

/* All ranks end alike: with what the first failing rank has. It alone speaks, and the others wait until it has spoken: the first
 * rank to end makes mpirun end the rest. */
static int agree(struct run *r, int rc, struct source *model, struct source *algorithm, struct err *err)
{
    struct err lost = {0};
    int64_t *codes = xcalloc((size_t)r->dist->size, sizeof(*codes));
    codes[r->dist->rank] = rc;
    int failed = dist_sum(r->dist, codes, (size_t)r->dist->size, DIST_I64, &lost), first = -1;
    for (int i = r->dist->size - 1; i >= 0; i--)
        if (codes[i])
            first = i;
    if (first == r->dist->rank && rc == EXIT_VERIFICATION) {
        print_findings(algorithm);
        print_findings(model);
        if (err->code)
            fprintf(stderr, "%s: error: %s\n", r->options->data, err->text);
    }
    if (!failed && first >= 0) {
        rc = (int)codes[first];
        if (first != r->dist->rank)
            err_set(err, ERR_IO, "rank %d failed", first);
    }
    free(codes);
    return failed ? err_set(err, lost.code, "%s", lost.text) : rc;
}

int run_load(struct run *r, struct err *err)
{
    struct source model = {.path = r->options->model}, algorithm = {.path = r->options->algorithm};
    int rc = agree(r, load(r, &model, &algorithm, err), &model, &algorithm, err);
    source_free(&model);
    source_free(&algorithm);
    return rc;
}
