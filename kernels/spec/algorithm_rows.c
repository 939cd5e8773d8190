/* THE table of what an algorithm file may say: members, limits, defaults, help. algorithm.c fills defaults and writes by it,
 * algorithm_json.c reads by it, schema.c publishes it. */
#include "kernels/spec/algorithm_table.h"

#include <stddef.h>

#include "base/mem.h"

#define AT(member) offsetof(struct algorithm, member)
#define EXACT      9007199254740991.0 /* integers that a double and JavaScript hold */

/* Rows: limits are inclusive; ABOVE0 excludes 0, SHARE is 0 <= x < 1. */
#define INT(name, at, fb, lo, hi, text)                                                                      \
    {                                                                                                        \
        .def = {name, PARAM_INT, false, fb, .min = lo, .max = hi, .help = text}, .offset = AT(at)            \
    }
#define REAL(name, at, fb, lo, hi, text)                                                                     \
    {                                                                                                        \
        .def = {name, PARAM_REAL, false, fb, .min = lo, .max = hi, .help = text}, .offset = AT(at)           \
    }
#define ABOVE0(name, at, fb, hi, text)                                                                       \
    {                                                                                                        \
        .def = {name, PARAM_REAL, false, fb, .max = hi, .min_open = true, .help = text}, .offset = AT(at)    \
    }
#define SHARE(name, at, fb, text)                                                                            \
    {                                                                                                        \
        .def = {name, PARAM_REAL, false, fb, .max = 1, .max_open = true, .help = text}, .offset = AT(at)     \
    }
#define BOOL(name, at, fb, text)                                                                             \
    {                                                                                                        \
        .def = {name, PARAM_BOOL, false, fb, .help = text}, .offset = AT(at)                                 \
    }
#define WATCH(at, text)                                                                                      \
    {                                                                                                        \
        .def = {"metric", PARAM_CHOICE, .fallback_text = "loss", .help = text}, .offset = AT(at),            \
        .form = FORM_WATCH                                                                                   \
    }
#define PATTERNS(name, at, text)                                                                             \
    {                                                                                                        \
        .def = {name, PARAM_CHOICE, .help = text}, .offset = AT(at), .form = FORM_TEXTS,                     \
        .most = ALGORITHM_MAX_PATTERNS                                                                       \
    }
#define VARIANT(n, text, f)                                                                                  \
    {                                                                                                        \
        n, text, f, ARRAY_LEN(f)                                                                             \
    }

/* ---- losses ---- */

static const struct field cross_entropy[] = {
    SHARE("label_smoothing", loss.label_smoothing, 0, "share of the target spread evenly over all classes"),
    {.def = {"class_weights", PARAM_REAL, .max = 1e6,
             .help =
                 "a factor for each class, in order; the loss is divided by the sum of the factors of the "
                 "targets"},
     .offset = AT(loss.class_weights),
     .form = FORM_REALS,
     .most = ALGORITHM_MAX_WEIGHTS,
     .count_offset = AT(loss.class_weight_count)},
    INT("ignore_index", loss.ignore_index, -100, -2147483648.0, 2147483647.0,
        "targets of this number count nothing, as do all outside the classes"),
};
static const struct field binary_cross_entropy[] = {
    ABOVE0("pos_weight", loss.pos_weight, 1, 1e6, "factor of targets that are 1"),
};
static const struct field huber[] = {
    ABOVE0("delta", loss.delta, 1, 1e9, "error from which on it counts in a line instead of squared"),
};
static const struct variant losses[LOSS_TYPE_COUNT] = {
    [LOSS_SOFTMAX_CROSS_ENTROPY] =
        VARIANT("softmax_cross_entropy", "softmax of the outputs (logits), then cross-entropy with the class",
                cross_entropy),
    [LOSS_BINARY_CROSS_ENTROPY] =
        VARIANT("binary_cross_entropy",
                "sigmoid of each output (a logit), then cross-entropy with a target of 0 or 1; the mean over "
                "the outputs",
                binary_cross_entropy),
    [LOSS_MEAN_SQUARED_ERROR] = {"mean_squared_error", "mean of the squared differences to the target values",
                                 NULL, 0},
    [LOSS_MEAN_ABSOLUTE_ERROR] = {"mean_absolute_error", "mean of the distances to the target values", NULL,
                                  0},
    [LOSS_HUBER] =
        VARIANT("huber", "half the squared difference up to delta, in a line from there (Huber 1964)", huber),
};

/* ---- optimizers ---- */

#define RATE(fb) ABOVE0("learning_rate", optimizer.learning_rate, fb, 1000, "step size before the schedule")
#define L2(fb)                                                                                               \
    REAL("weight_decay", optimizer.weight_decay, fb, 0, 10, "times the weight, added to its gradient")
#define DECOUPLED(fb)                                                                                        \
    REAL("weight_decay", optimizer.weight_decay, fb, 0, 10,                                                  \
         "times rate and weight, taken off the weight (decoupled)")
#define EXCLUDE                                                                                              \
    PATTERNS("weight_decay_exclude", optimizer.weight_decay_exclude,                                         \
             "weights that do not decay, beside biases and norms: patterns over LAYER.WEIGHT, * any "        \
             "characters, ? one")
#define BETA1(fb)   SHARE("beta1", optimizer.beta1, fb, "decay of the mean of gradients")
#define BETA2(fb)   SHARE("beta2", optimizer.beta2, fb, "decay of the mean of squared gradients")
#define EPSILON(fb) ABOVE0("epsilon", optimizer.epsilon, fb, 1, "added to the root, against division by zero")

static const struct field sgd[] = {
    RATE(0.01),
    SHARE("momentum", optimizer.momentum, 0, "share of the last step that is kept"),
    BOOL("nesterov", optimizer.nesterov, 0, "look ahead along the momentum (needs momentum above 0)"),
    L2(0),
    EXCLUDE,
};
static const struct field adam[] = {RATE(0.001), BETA1(0.9), BETA2(0.999), EPSILON(1e-8), L2(0), EXCLUDE};
static const struct field adamw[] = {RATE(0.001),   BETA1(0.9),      BETA2(0.999),
                                     EPSILON(1e-8), DECOUPLED(0.01), EXCLUDE};
static const struct field rmsprop[] = {
    RATE(0.01),
    SHARE("alpha", optimizer.alpha, 0.99, "decay of the mean of squared gradients"),
    SHARE("momentum", optimizer.momentum, 0, "share of the last step that is kept"),
    BOOL("centered", optimizer.centered, 0, "divide by the deviation around the mean gradient"),
    EPSILON(1e-8),
    L2(0),
    EXCLUDE,
};
static const struct field adagrad[] = {
    RATE(0.01),
    REAL("rate_decay", optimizer.rate_decay, 0, 0, 1, "the rate is divided by 1 + rate_decay * steps made"),
    REAL("initial_accumulator", optimizer.initial_accumulator, 0, 0, 1e6,
         "what the sums of squares begin with"),
    EPSILON(1e-10),
    L2(0),
    EXCLUDE,
};
static const struct field lamb[] = {
    RATE(0.001),
    BETA1(0.9),
    BETA2(0.999),
    EPSILON(1e-6),
    REAL("weight_decay", optimizer.weight_decay, 0.01, 0, 10,
         "times the weight, added to the step before its length is fitted to the weight's"),
    EXCLUDE,
};
static const struct field lion[] = {
    RATE(0.0001), BETA1(0.9), SHARE("beta2", optimizer.beta2, 0.99, "decay of the kept mean of gradients"),
    DECOUPLED(0.01), EXCLUDE};
static const struct field muon[] = {
    RATE(0.02),
    SHARE("momentum", optimizer.momentum, 0.95, "share of the last step that is kept"),
    BOOL("nesterov", optimizer.nesterov, 1, "look ahead along the momentum"),
    INT("newton_schulz_steps", optimizer.newton_schulz_steps, 5, 1, 20,
        "iterations that make a matrix's step orthogonal"),
    ABOVE0("adamw_rate", optimizer.adamw_rate, 0.015, 100,
           "rate of what is no matrix, and of adamw_for: a share of learning_rate"),
    PATTERNS(
        "adamw_for", optimizer.adamw_for,
        "matrices that AdamW moves, beside embeddings: patterns over LAYER.WEIGHT, as the output layer's "
        "\"logits.kernel\""),
    BETA1(0.9),
    BETA2(0.95),
    EPSILON(1e-8),
    DECOUPLED(0.01),
    EXCLUDE,
};
static const struct variant optimizers[OPTIMIZER_TYPE_COUNT] = {
    [OPTIMIZER_SGD] = VARIANT("sgd", "stochastic gradient descent, with momentum if set", sgd),
    [OPTIMIZER_ADAM] = VARIANT("adam", "Adam (Kingma and Ba 2015)", adam),
    [OPTIMIZER_ADAMW] =
        VARIANT("adamw", "Adam with decoupled weight decay (Loshchilov and Hutter 2019)", adamw),
    [OPTIMIZER_RMSPROP] =
        VARIANT("rmsprop", "step over the root of a running mean of squares (Hinton 2012)", rmsprop),
    [OPTIMIZER_ADAGRAD] =
        VARIANT("adagrad", "step over the root of the sum of squares (Duchi, Hazan, Singer 2011)", adagrad),
    [OPTIMIZER_LAMB] = VARIANT(
        "lamb", "Adam whose step for each weight is as long as the weight: large batches (You et al. 2020)",
        lamb),
    [OPTIMIZER_LION] = VARIANT("lion", "the sign of a mean of gradients (Chen et al. 2023)", lion),
    [OPTIMIZER_MUON] = VARIANT(
        "muon", "momentum made orthogonal for matrices, AdamW for the rest (Jordan et al. 2024)", muon),
};

/* ---- schedules ---- */

#define WARMUP                                                                                               \
    INT("warmup_steps", schedule.warmup_steps, 0, 0, 1e9,                                                    \
        "steps in which the rate rises in a line from 0, before the schedule begins")
#define GAMMA(fb, text) ABOVE0("gamma", schedule.gamma, fb, 1, text)
#define MINIMUM(text)   REAL("minimum", schedule.minimum, 0, 0, 1000, text)

static const struct field constant[] = {WARMUP};
static const struct field step[] = {
    WARMUP,
    INT("every_epochs", schedule.every_epochs, 10, 1, 1e6, "epochs between two reductions"),
    GAMMA(0.1, "factor of each reduction"),
};
static const struct field multistep[] = {
    WARMUP,
    {.def = {"milestones", PARAM_INTS, true, 0, .min = 1, .max = 1e6,
             .help = "epochs (counted from 0) at whose start the rate is reduced, rising"},
     .offset = AT(schedule.milestones),
     .form = FORM_INTS,
     .most = ALGORITHM_MAX_MILESTONES,
     .count_offset = AT(schedule.milestone_count)},
    GAMMA(0.1, "factor of each reduction"),
};
static const struct field exponential[] = {WARMUP, GAMMA(0.95, "factor of every epoch")};
static const struct field cosine[] = {
    WARMUP,
    MINIMUM("learning rate at the end of a cycle"),
    INT("restart_epochs", schedule.restart_epochs, 0, 0, 1e6,
        "epochs of the first cycle, after which the rate begins again; 0: one cycle over all epochs"),
    REAL("restart_multiply", schedule.restart_multiply, 1, 1, 100,
         "each cycle is so many times as long as the one before"),
    {.def = {"restart_decay", PARAM_REAL, false, 1, .max = 1, .min_open = true,
             .help = "factor of the rate at each restart"},
     .offset = AT(schedule.restart_decay)},
};
static const struct field one_cycle[] = {
    {.def = {"rise_share", PARAM_REAL, false, 0.3, .max = 1, .min_open = true, .max_open = true,
             .help = "share of all steps in which the rate rises to learning_rate"},
     .offset = AT(schedule.rise_share)},
    REAL("start_divisor", schedule.start_divisor, 25, 1, 1e9, "the rate begins at learning_rate over this"),
    REAL("end_divisor", schedule.end_divisor, 10000, 1, 1e12, "and ends at its beginning over this"),
    BOOL("linear", schedule.linear, 0, "rise and fall in lines instead of half cosines"),
};
static const struct field polynomial[] = {
    WARMUP,
    MINIMUM("learning rate at the end of the last epoch"),
    ABOVE0("power", schedule.power, 1, 100, "1: a line"),
};
static const struct field reduce_on_plateau[] = {
    WARMUP,
    WATCH(schedule.watch, "what must get better: loss, or one of the metrics, of the test split"),
    {.def = {"factor", PARAM_REAL, false, 0.1, .max = 1, .min_open = true, .max_open = true,
             .help = "factor of each reduction"},
     .offset = AT(schedule.factor)},
    INT("patience_epochs", schedule.patience_epochs, 10, 0, 1e6, "epochs without a gain that are borne"),
    REAL("min_delta", schedule.min_delta, 0, 0, 1e9, "the least change that counts as a gain"),
    INT("cooldown_epochs", schedule.cooldown_epochs, 0, 0, 1e6, "epochs after a reduction that do not count"),
    MINIMUM("the rate does not fall below this"),
};
static const struct variant schedules[SCHEDULE_TYPE_COUNT] = {
    [SCHEDULE_CONSTANT] = VARIANT("constant", "the same rate throughout", constant),
    [SCHEDULE_STEP] = VARIANT("step", "reduced by a factor every few epochs", step),
    [SCHEDULE_MULTISTEP] = VARIANT("multistep", "reduced by a factor at given epochs", multistep),
    [SCHEDULE_EXPONENTIAL] = VARIANT("exponential", "reduced by a factor every epoch", exponential),
    [SCHEDULE_COSINE] = VARIANT("cosine",
                                "half a cosine from the rate down to a minimum, once or again and again "
                                "(Loshchilov and Hutter 2017)",
                                cosine),
    [SCHEDULE_ONE_CYCLE] = VARIANT(
        "one_cycle", "up to the rate and down to nearly nothing, once (Smith and Topin 2018)", one_cycle),
    [SCHEDULE_POLYNOMIAL] = VARIANT("polynomial", "falls as a power of the steps that are left", polynomial),
    [SCHEDULE_REDUCE_ON_PLATEAU] = VARIANT(
        "reduce_on_plateau", "reduced by a factor when a value no longer gets better", reduce_on_plateau),
};

#define SECTION(n, at, rows, must, text)                                                                     \
    {                                                                                                        \
        n, text, offsetof(struct algorithm, at), rows, ARRAY_LEN(rows), must                                 \
    }
const struct section algorithm_sections[] = {
    SECTION("loss", loss.type, losses, true, "what is minimised"),
    SECTION("optimizer", optimizer.type, optimizers, true, "how weights follow their gradients"),
    SECTION("schedule", schedule.type, schedules, false,
            "how the learning rate changes; constant when absent"),
};
const int algorithm_section_count = ARRAY_LEN(algorithm_sections);

/* ---- plain members ---- */

const struct field algorithm_fields[] = {
    {.def = {"batch_size", PARAM_INT, true, 32, .min = 1, .max = 1048576,
             .help = "samples a step over all ranks together"},
     .offset = AT(batch_size)},
    {.def = {"epochs", PARAM_INT, true, 1, .min = 1, .max = 1e6, .help = "passes over the training samples"},
     .offset = AT(epochs)},
    INT("seed", seed, 1, 0, EXACT, "of initial weights, order of samples, dropout"),
    REAL("gradient_clip_norm", gradient_clip_norm, 0, 0, 1e9,
         "largest norm of all gradients together; 0: no limit"),
    REAL("gradient_clip_value", gradient_clip_value, 0, 0, 1e9,
         "largest absolute value of each gradient, after the norm's limit; 0: no limit"),
    INT("gradient_accumulation", gradient_accumulation, 1, 1, 65536,
        "batches whose gradients are averaged for one update of the weights"),
    INT("top_k", top_k, 5, 1, 1024, "of the metric top_k: the class is among so many largest outputs"),
    INT("report_every_steps", report_every_steps, 0, 0, 1e9,
        "steps between two metric lines; 0: about 100 lines an epoch"),
};
const int algorithm_field_count = ARRAY_LEN(algorithm_fields);

static const struct field weight_average[] = {
    {.def = {"decay", PARAM_REAL, false, 0.999, .max = 1, .min_open = true, .max_open = true,
             .help = "share of the average that is kept at each addition"},
     .offset = AT(weight_average.decay)},
    INT("every_steps", weight_average.every_steps, 1, 1, 1e6, "steps between two additions"),
    BOOL("warmup", weight_average.warmup, 1,
         "begin with a smaller decay, (1 + n) / (10 + n) at the n-th addition"),
};
static const struct field augment[] = {
    INT("crop_padding", augment.crop_padding, 0, 0, 1024,
        "pixels of black put around; a crop of the image's size is taken at a random place"),
    {.def = {"flip", PARAM_REAL, false, 0, .max = 1, .help = "probability that left and right change places"},
     .offset = AT(augment.flip)},
    REAL("brightness", augment.brightness, 0, 0, 1, "a factor between 1 - brightness and 1 + brightness"),
    REAL("contrast", augment.contrast, 0, 0, 1, "the same for the distance from the mean grey"),
    REAL("saturation", augment.saturation, 0, 0, 1, "the same for the distance of colours from grey"),
    INT("cutout", augment.cutout, 0, 0, 4096,
        "side of a square, somewhere, that becomes the image's mean; 0: none"),
};
static const struct field early_stopping[] = {
    WATCH(early_stopping.watch, "what must get better: loss, or one of the metrics"),
    INT("patience_epochs", early_stopping.patience_epochs, 5, 1, 1e6,
        "stop after so many epochs without a gain"),
    REAL("min_delta", early_stopping.min_delta, 0, 0, 1e9, "the least change that counts as a gain"),
};
static const struct field checkpoint[] = {
    INT("every_steps", checkpoint.every_steps, 0, 0, 1e9,
        "steps between two checkpoints; 0: at the end of every epoch"),
    INT("keep", checkpoint.keep, 2, 1, 1000, "how many of the newest stay"),
    BOOL("keep_best", checkpoint.keep_best, 0, "keep the checkpoint of the best epoch too"),
    BOOL("export_best", checkpoint.export_best, 0,
         "end with the weights of the best epoch instead of the last (needs keep_best)"),
    WATCH(checkpoint.watch, "what the best epoch is best in: loss, or one of the metrics"),
};
const struct group algorithm_groups[] = {
    {"weight_average",
     "a moving average of the weights beside them, which is what is evaluated and exported (Polyak and "
     "Juditsky 1992)",
     AT(weight_average.on), weight_average, ARRAY_LEN(weight_average)},
    {"augment", "change the training images a little, each epoch in another way", AT(augment.on), augment,
     ARRAY_LEN(augment)},
    {"early_stopping", "end before the last epoch when a value of the test split no longer gets better",
     AT(early_stopping.on), early_stopping, ARRAY_LEN(early_stopping)},
    {"checkpoint", "how often the whole training state is written", NO_SWITCH, checkpoint,
     ARRAY_LEN(checkpoint)},
};
const int algorithm_group_count = ARRAY_LEN(algorithm_groups);

const struct metric_row algorithm_metrics[METRIC_TYPE_COUNT] = {
    [METRIC_ACCURACY] = {"accuracy", "share of samples whose largest output is the class", true,
                         FITS_CLASSES | FITS_BINARY},
    [METRIC_TOP_K] = {"top_k", "share of samples whose class is among the top_k largest outputs", true,
                      FITS_CLASSES},
    [METRIC_PRECISION] = {"precision",
                          "of the samples taken for a class, the share that are; mean over classes", true,
                          FITS_CLASSES | FITS_BINARY},
    [METRIC_RECALL] = {"recall", "of the samples of a class, the share taken for it; mean over classes", true,
                       FITS_CLASSES | FITS_BINARY},
    [METRIC_F1] = {"f1", "harmonic mean of precision and recall; mean over classes", true,
                   FITS_CLASSES | FITS_BINARY},
    [METRIC_AUC] = {"auc",
                    "area under the receiver operating curve, each class against the rest; mean over "
                    "classes",
                    true, FITS_CLASSES | FITS_BINARY},
    [METRIC_PERPLEXITY] = {"perplexity", "e to the mean cross-entropy", false, FITS_CLASSES},
    [METRIC_BITS_PER_BYTE] = {"bits_per_byte", "cross-entropy in bits for each byte of text", false,
                              FITS_CLASSES},
    [METRIC_MEAN_ABSOLUTE_ERROR] = {"mean_absolute_error", "mean distance to the target values", false,
                                    FITS_VALUES},
    [METRIC_MEAN_SQUARED_ERROR] = {"mean_squared_error", "mean squared distance to the target values", false,
                                   FITS_VALUES},
    [METRIC_ROOT_MEAN_SQUARED_ERROR] = {"root_mean_squared_error", "its root", false, FITS_VALUES},
    [METRIC_R2] = {"r2", "share of the targets' variance that is explained", true, FITS_VALUES},
};
