#include "kernels/train/fit.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/mem.h"
#include "kernels/optim/loss.h"

static void check_input(const struct graph *g, const struct dataset_info *d, struct findings *f)
{
    char data[96], model[96];
    if (g->input_count != 1) {
        findings_add(f, FINDING_FAILED, "fit.input", "/inputs",
                     "the model has %d inputs, a dataset gives one", g->input_count);
        return;
    }
    const struct layer_node *in = &g->nodes[0];
    shape_format(&d->feature_shape, data, sizeof(data));
    shape_format(&in->shape, model, sizeof(model));
    if (!shape_equal(&in->shape, &d->feature_shape)) {
        struct finding *it =
            findings_add(f, FINDING_FAILED, "fit.input", "/inputs/0/shape",
                         "a sample of the dataset is %s, the model's input %s is %s", data, in->name, model);
        it->expected = xstrdup(data);
        it->actual = xstrdup(model);
        it->hint = xasprintf("set the input's shape to that of the data");
    }
    if (in->dtype != d->feature_dtype && !(in->dtype == DTYPE_F32 && d->feature_dtype == DTYPE_U8)) {
        struct finding *it = findings_add(f, FINDING_FAILED, "fit.input", "/inputs/0/dtype",
                                          "the dataset holds %s, the model's input %s is %s",
                                          dtype_name(d->feature_dtype), in->name, dtype_name(in->dtype));
        it->expected = xstrdup(dtype_name(d->feature_dtype));
        it->actual = xstrdup(dtype_name(in->dtype));
    }
}

/* A loss over classes takes the classes of the data, binary_cross_entropy one output for two of them, or one for each. */
static void check_output(const struct graph *g, const struct algorithm *a, const struct dataset_info *d,
                         struct findings *f)
{
    if (g->output_count != 1) {
        findings_add(f, FINDING_FAILED, "fit.output", "/outputs",
                     "the model has %d outputs, a loss takes one", g->output_count);
        return;
    }
    const struct layer_node *out = &g->nodes[g->outputs[0]];
    bool classes = d->target == TARGET_CLASS;
    int64_t want = classes ? d->classes : d->target_width, have = loss_width(a->loss.type, &out->shape);
    bool one_for_two = a->loss.type == LOSS_BINARY_CROSS_ENTROPY && classes && d->classes == 2;
    int64_t positions = have > 0 ? shape_elements(&out->shape) / have : 0,
            targets = d->stream ? d->target_length : 1;
    if ((have == want || (one_for_two && have == 1)) && positions != targets) {
        findings_add(f, FINDING_FAILED, "fit.output", out->pointer,
                     "the output %s has %" PRId64 " positions, the dataset %" PRId64 " %s a sample",
                     out->name, positions, targets, d->stream ? "tokens to predict" : "target");
        return;
    }
    if (have == want || (one_for_two && have == 1))
        return;
    char shape[96];
    want = one_for_two ? 1 : want;
    shape_format(&out->shape, shape, sizeof(shape));
    struct finding *it = findings_add(
        f, FINDING_FAILED, "fit.output", out->pointer, "the dataset has %" PRId64 " %s, the output %s is %s",
        classes ? (int64_t)d->classes : want, classes ? "classes" : "target columns", out->name, shape);
    it->expected = xasprintf("(%" PRId64 ")", want);
    it->actual = xstrdup(shape);
    it->hint = xasprintf("let the last layer have %" PRId64 " unit%s", want, want == 1 ? "" : "s");
}

/* Losses over classes and over values; binary_cross_entropy takes both. */
static bool check_target(const struct algorithm *a, const struct dataset_info *d, struct findings *f)
{
    static const char *const targets[] = {"no target", "class labels", "values"};
    enum target_kind want = a->loss.type == LOSS_SOFTMAX_CROSS_ENTROPY ? TARGET_CLASS : TARGET_VALUE;
    if (d->target == want || (a->loss.type == LOSS_BINARY_CROSS_ENTROPY && d->target == TARGET_CLASS))
        return true;
    struct finding *it =
        findings_add(f, FINDING_FAILED, "fit.loss", "/loss/type", "%s expects %s, the dataset has %s",
                     loss_name(a->loss.type), targets[want], targets[d->target]);
    it->expected = xstrdup(targets[want]);
    it->actual = xstrdup(targets[d->target]);
    it->hint = xasprintf(d->target == TARGET_CLASS
                             ? "use softmax_cross_entropy"
                             : "use mean_squared_error, or pack the dataset with a class target");
    return false;
}

static void check_class_weights(const struct algorithm *a, const struct dataset_info *d, struct findings *f)
{
    int have = a->loss.class_weight_count;
    if (a->loss.type != LOSS_SOFTMAX_CROSS_ENTROPY || have == 0 || have == d->classes)
        return;
    struct finding *it =
        findings_add(f, FINDING_FAILED, "fit.loss", "/loss/class_weights",
                     "there are %d class weights, the dataset has %d classes", have, d->classes);
    it->expected = xasprintf("%d numbers", d->classes);
    it->actual = xasprintf("%d", have);
}

static void check_batch(const struct algorithm *a, const struct dataset_info *d, int ranks,
                        struct findings *f)
{
    if (a->batch_size < ranks)
        findings_add(f, FINDING_FAILED, "fit.batch", "/batch_size",
                     "a batch of %" PRId64 " cannot be divided over %d ranks", a->batch_size, ranks);
    if (a->augment.on && (d->feature_dtype != DTYPE_U8 || d->feature_shape.rank != 3))
        findings_add(f, FINDING_FAILED, "fit.augment", "/augment",
                     "only images can be augmented, and a sample of the dataset is no image");
    if (d->samples[SPLIT_TRAIN] < 1)
        findings_add(f, FINDING_FAILED, "fit.data", NULL, "the dataset has no training samples");
}

int fit_window(const struct graph *g, struct dataset *d, struct findings *of_model)
{
    const struct layer_node *in = &g->nodes[0];
    struct err err = {0};
    if (!d->info.stream || g->input_count != 1 || in->shape.rank != 1 ||
        dataset_set_window(d, in->shape.dim[0], &err) == 0)
        return 0;
    findings_add(of_model, FINDING_FAILED, "fit.input", "/inputs/0/shape", "%s", err.text);
    return -1;
}

int fit_check(const struct graph *g, const struct algorithm *a, const struct dataset_info *d, int ranks,
              struct findings *of_model, struct findings *of_algorithm)
{
    check_input(g, d, of_model);
    if (check_target(a, d, of_algorithm))
        check_output(g, a, d, of_model);
    check_class_weights(a, d, of_algorithm);
    check_batch(a, d, ranks, of_algorithm);
    return findings_failed(of_model) || findings_failed(of_algorithm) ? -1 : 0;
}
