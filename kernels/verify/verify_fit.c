/* Whether model, algorithm, dataset and number of ranks belong together. What must hold is train/fit.c's,
 * which the trainer asks too before it starts; here are the words of warning and the estimates. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "kernels/formats/import.h"
#include "base/mem.h"
#include "base/units.h"
#include "kernels/train/fit.h"
#include "kernels/verify/checks.h"
#include "kernels/verify/probe.h"

#define MEMORY_MAX (1024.0 * (1 << 30))

struct fit {
    struct buf model_text, algorithm_text;
    struct layer_library *library;
    struct model_spec *m;
    struct graph *g;
    struct algorithm a;
    struct dataset *d;
};

/* Whether an override set what the pointer names. Its place in the file would then mislead. */
static bool overridden(const struct verification *v, const char *pointer)
{
    for (int i = 0; pointer && i < v->o->set_count; i++) {
        size_t n = strcspn(v->o->set[i], "=");
        if (!strncmp(v->o->set[i], pointer, n) && (pointer[n] == '\0' || pointer[n] == '/'))
            return true;
    }
    return false;
}

static void take(struct verification *v, struct findings *from, const char *subject)
{
    for (size_t i = 0; i < from->count; i++) {
        struct finding *it = &from->items[i];
        it->subject = subject;
        if (!strcmp(subject, "algorithm") && overridden(v, it->pointer)) {
            it->subject = "override";
            it->line = it->column = 0;
        }
        v->f.items = vec_grow(v->f.items, &v->f.cap, v->f.count + 1, sizeof(*v->f.items));
        v->f.items[v->f.count++] = from->items[i];
    }
    free(from->items);
    *from = (struct findings){0};
}

/* ---- warnings ---- */

static void warn_batch(struct fit *x, int ranks, struct findings *f)
{
    int64_t train = x->d->info.samples[SPLIT_TRAIN], batch = x->a.batch_size;
    if (batch > train) {
        struct finding *it =
            findings_add(f, FINDING_WARNED, "fit.batch", "/batch_size",
                         "the batch of %lld is larger than the %lld training samples: an epoch is one step",
                         (long long)batch, (long long)train);
        it->hint = xstrdup("make batch_size smaller");
    } else if (batch % ranks) {
        findings_add(f, FINDING_WARNED, "fit.batch", "/batch_size",
                     "a batch of %lld over %d ranks: some get one sample more than others", (long long)batch,
                     ranks);
    }
    if (x->d->info.samples[SPLIT_TEST] < 1)
        findings_add(f, FINDING_WARNED, "fit.data", NULL,
                     "the dataset has no test samples: nothing will be evaluated");
}

static void warn_softmax(struct fit *x, struct findings *f)
{
    const struct layer_node *out = &x->g->nodes[x->g->outputs[0]];
    if (x->a.loss.type != LOSS_SOFTMAX_CROSS_ENTROPY || !out->type || strcmp(out->type->name, "softmax"))
        return;
    struct finding *it = findings_add(
        f, FINDING_WARNED, "fit.output", out->pointer,
        "the model ends in softmax, and softmax_cross_entropy applies it again: training will be slow");
    it->hint = xstrdup("remove the last softmax: the loss takes logits");
}

static void warn_balance(struct fit *x, struct findings *f)
{
    const struct dataset_info *info = &x->d->info;
    if (info->target != TARGET_CLASS || info->stream)
        return;
    int64_t *counts = xcalloc((size_t)info->classes, sizeof(*counts)), n = info->samples[SPLIT_TRAIN];
    int most = 0;
    for (int64_t i = 0; i < n; i++)
        counts[((const int32_t *)x->d->targets[SPLIT_TRAIN])[i]]++;
    for (int i = 1; i < info->classes; i++)
        if (counts[i] > counts[most])
            most = i;
    if (counts[most] * 10 >= n * 9)
        findings_add(f, FINDING_WARNED, "fit.balance", NULL,
                     "%.1f %% of the training samples are of class %s: accuracy will say little",
                     100.0 * (double)counts[most] / (double)n,
                     info->class_names ? info->class_names[most] : "0");
    free(counts);
}

/* ---- estimates ---- */

static double estimate_memory(struct verification *v, struct fit *x, int ranks)
{
    double bytes = trainer_memory_bytes(x->g, &x->a, (x->a.batch_size + ranks - 1) / ranks);
    char text[32];
    units_format_size((int64_t)fmin(bytes, 9e18), text, sizeof(text));
    if (bytes > MEMORY_MAX) {
        struct finding *it =
            findings_add(&v->f, FINDING_FAILED, "fit.memory", NULL, "one rank would need %s", text);
        it->hint = xstrdup("make batch_size or the model smaller");
    }
    check_passed(v, "fit.memory", "one rank needs about %s", text);
    return bytes;
}

static void estimate(struct verification *v, struct fit *x, int ranks)
{
    int64_t train = x->d->info.samples[SPLIT_TRAIN];
    int64_t per_epoch = (train + x->a.batch_size - 1) / x->a.batch_size;
    double bytes = estimate_memory(v, x, ranks);
    struct graph_cost cost;
    graph_cost(x->g, &cost);
    check_passed(v, "fit.steps", "%lld epochs of %lld steps", (long long)x->a.epochs, (long long)per_epoch);
    buf_printf(
        &v->summary,
        "{\"steps\":%lld,\"steps_per_epoch\":%lld,\"epochs\":%lld,\"ranks\":%d,\"batch_size\":%lld,\"batch_"
        "per_rank\":%lld,"
        "\"train_samples\":%lld,\"test_samples\":%lld,\"parameters\":%lld,\"memory_bytes\":%.0f,\"flops\":",
        (long long)(x->a.epochs * per_epoch), (long long)per_epoch, (long long)x->a.epochs, ranks,
        (long long)x->a.batch_size, (long long)((x->a.batch_size + ranks - 1) / ranks), (long long)train,
        (long long)x->d->info.samples[SPLIT_TEST], (long long)cost.parameters, fmin(bytes, 9e18));
    buf_json_num(&v->summary,
                 (cost.forward_flops + cost.backward_flops) * (double)train * (double)x->a.epochs);
    buf_putc(&v->summary, '}');
}

/* ---- all together ---- */

static void check_together(struct verification *v, struct fit *x, int ranks)
{
    struct findings of_model = {0}, of_algorithm = {0};
    fit_check(x->g, &x->a, &x->d->info, ranks, &of_model, &of_algorithm);
    bool failed = findings_failed(&of_model) || findings_failed(&of_algorithm);
    if (!failed) {
        warn_batch(x, ranks, &of_algorithm);
        warn_softmax(x, &of_model);
        warn_balance(x, &of_model);
    }
    findings_locate(&of_model, buf_str(&x->model_text), x->model_text.len);
    findings_locate(&of_algorithm, buf_str(&x->algorithm_text), x->algorithm_text.len);
    take(v, &of_model, "model");
    take(v, &of_algorithm, "algorithm");
    if (failed)
        return;
    check_passed(v, "fit.input", "the model takes what the dataset gives");
    check_passed(v, "fit.output", "the model gives what the loss and the targets want");
    check_passed(v, "fit.loss", "%s fits the targets", loss_name(x->a.loss.type));
    check_passed(v, "fit.batch", "%lld samples a step on %d ranks", (long long)x->a.batch_size, ranks);
    estimate(v, x, ranks);
}

static void read_model(struct verification *v, struct fit *x)
{
    struct translation imported = {0};
    struct findings f = {0};
    if (import_in_place(&x->model_text, &imported, &f)) {
        translation_free(&imported);
        take(v, &f, "model");
        return;
    }
    translation_free(&imported);
    x->m = model_parse(buf_str(&x->model_text), x->model_text.len, x->library, &f);
    x->g = x->m ? graph_build(x->m, &f) : NULL;
    findings_locate(&f, buf_str(&x->model_text), x->model_text.len);
    take(v, &f, "model");
}

static bool read_algorithm(struct verification *v, struct fit *x)
{
    struct findings f = {0};
    int rc = algorithm_parse(buf_str(&x->algorithm_text), x->algorithm_text.len, v->o->set, v->o->set_count,
                             &x->a, &f);
    take(v, &f, "algorithm");
    return rc == 0;
}

static int read_files(struct verification *v, struct fit *x, struct err *err)
{
    if (file_read(v->o->model, IMPORT_FILE_MAX, &x->model_text, err) ||
        file_read(v->o->algorithm, ALGORITHM_FILE_MAX, &x->algorithm_text, err) ||
        !(x->library = load_layers(v, err)))
        return -1;
    return 0;
}

int verify_fit(struct verification *v, struct err *err)
{
    struct fit x = {0};
    struct err data = {0};
    int ranks = v->o->ranks > 0 ? v->o->ranks : 1;
    int rc = read_files(v, &x, err);
    if (!rc) {
        read_model(v, &x);
        bool algorithm = read_algorithm(v, &x);
        x.d = dataset_open(v->o->data, false, &data);
        if (!x.d && data.code == ERR_NOT_FOUND) {
            *err = data;
            rc = -1;
        } else if (!x.d) {
            findings_add(&v->f, FINDING_FAILED, "fit.data", NULL, "%s", data.text);
        }
        struct findings window = {0};
        bool fits = !x.g || !x.d || fit_window(x.g, x.d, &window) == 0;
        findings_locate(&window, buf_str(&x.model_text), x.model_text.len);
        take(v, &window, "model");
        if (x.g && algorithm && x.d && fits)
            check_together(v, &x, ranks);
    }
    dataset_close(x.d);
    graph_destroy(x.g);
    model_spec_destroy(x.m);
    layer_library_destroy(x.library);
    buf_free(&x.model_text);
    buf_free(&x.algorithm_text);
    return rc;
}
