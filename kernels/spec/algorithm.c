/* THE table of what an algorithm file may say, its defaults and its writing. algorithm_json.c reads files by
 * it. */
#include "kernels/spec/algorithm.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/spec/algorithm_table.h"

#define AT(member) offsetof(struct algorithm, member)
#define EXACT      9007199254740991.0 /* integers that a double and JavaScript hold */
#define RATE(at, fb)                                                                                         \
    {                                                                                                        \
        {"learning_rate",                                                                                    \
         PARAM_REAL,                                                                                         \
         false,                                                                                              \
         fb,                                                                                                 \
         .min = 0,                                                                                           \
         .max = 1000,                                                                                        \
         .min_open = true,                                                                                   \
         .help = "step size before the schedule"},                                                           \
            AT(at)                                                                                           \
    }
#define DECAY(fb, text)                                                                                      \
    {                                                                                                        \
        {"weight_decay", PARAM_REAL, false, fb, .min = 0, .max = 10, .help = text},                          \
            AT(optimizer.weight_decay)                                                                       \
    }
#define WARMUP                                                                                               \
    {                                                                                                        \
        {"warmup_steps",                                                                                     \
         PARAM_INT,                                                                                          \
         false,                                                                                              \
         0,                                                                                                  \
         .min = 0,                                                                                           \
         .max = 1e9,                                                                                         \
         .help = "steps in which the rate rises in a line from 0, before the schedule begins"},              \
            AT(schedule.warmup_steps)                                                                        \
    }
#define GAMMA(fb, text)                                                                                      \
    {                                                                                                        \
        {"gamma", PARAM_REAL, false, fb, .min = 0, .max = 1, .min_open = true, .help = text},                \
            AT(schedule.gamma)                                                                               \
    }
#define BETA1                                                                                                \
    {                                                                                                        \
        {"beta1",                                                                                            \
         PARAM_REAL,                                                                                         \
         false,                                                                                              \
         0.9,                                                                                                \
         .min = 0,                                                                                           \
         .max = 1,                                                                                           \
         .max_open = true,                                                                                   \
         .help = "decay of the mean of gradients"},                                                          \
            AT(optimizer.beta1)                                                                              \
    }
#define BETA2                                                                                                \
    {                                                                                                        \
        {"beta2",                                                                                            \
         PARAM_REAL,                                                                                         \
         false,                                                                                              \
         0.999,                                                                                              \
         .min = 0,                                                                                           \
         .max = 1,                                                                                           \
         .max_open = true,                                                                                   \
         .help = "decay of the mean of squared gradients"},                                                  \
            AT(optimizer.beta2)                                                                              \
    }
#define EPSILON                                                                                              \
    {                                                                                                        \
        {"epsilon",                                                                                          \
         PARAM_REAL,                                                                                         \
         false,                                                                                              \
         1e-8,                                                                                               \
         .min = 0,                                                                                           \
         .max = 1,                                                                                           \
         .min_open = true,                                                                                   \
         .help = "added to the root, against division by zero"},                                             \
            AT(optimizer.epsilon)                                                                            \
    }
#define VARIANT(n, text, f)                                                                                  \
    {                                                                                                        \
        n, text, f, ARRAY_LEN(f)                                                                             \
    }

/* ---- losses ---- */

static const struct field cross_entropy[] = {
    {{"label_smoothing", PARAM_REAL, false, 0, .min = 0, .max = 1, .max_open = true,
      .help = "share of the target spread evenly over all classes"},
     AT(loss.label_smoothing)},
};
static const struct variant losses[LOSS_TYPE_COUNT] = {
    [LOSS_SOFTMAX_CROSS_ENTROPY] =
        VARIANT("softmax_cross_entropy", "softmax of the outputs (logits), then cross-entropy with the class",
                cross_entropy),
    [LOSS_MEAN_SQUARED_ERROR] = {"mean_squared_error", "mean of the squared differences to the target values",
                                 NULL, 0},
};

/* ---- optimizers ---- */

static const struct field sgd[] = {
    RATE(optimizer.learning_rate, 0.01),
    {{"momentum", PARAM_REAL, false, 0, .min = 0, .max = 1, .max_open = true,
      .help = "share of the last step that is kept"},
     AT(optimizer.momentum)},
    {{"nesterov", PARAM_BOOL, false, 0, .help = "look ahead along the momentum (needs momentum above 0)"},
     AT(optimizer.nesterov)},
    DECAY(0, "times the weight, added to its gradient"),
};
static const struct field adam[] = {
    RATE(optimizer.learning_rate, 0.001),
    BETA1,
    BETA2,
    EPSILON,
    DECAY(0, "times the weight, added to its gradient"),
};
static const struct field adamw[] = {
    RATE(optimizer.learning_rate, 0.001),
    BETA1,
    BETA2,
    EPSILON,
    DECAY(0.01, "times rate and weight, taken off the weight (decoupled)"),
};
static const struct variant optimizers[OPTIMIZER_TYPE_COUNT] = {
    [OPTIMIZER_SGD] = VARIANT("sgd", "stochastic gradient descent, with momentum if set", sgd),
    [OPTIMIZER_ADAM] = VARIANT("adam", "Adam (Kingma and Ba 2015)", adam),
    [OPTIMIZER_ADAMW] =
        VARIANT("adamw", "Adam with decoupled weight decay (Loshchilov and Hutter 2019)", adamw),
};

/* ---- schedules ---- */

static const struct field constant[] = {WARMUP};
static const struct field step[] = {
    WARMUP,
    {{"every_epochs", PARAM_INT, false, 10, .min = 1, .max = 1e6, .help = "epochs between two reductions"},
     AT(schedule.every_epochs)},
    GAMMA(0.1, "factor of each reduction"),
};
static const struct field multistep[] = {
    WARMUP,
    {{"milestones", PARAM_INTS, true, 0, .min = 1, .max = 1e6,
      .help = "epochs (counted from 0) at whose start the rate is reduced, rising"},
     AT(schedule.milestones)},
    GAMMA(0.1, "factor of each reduction"),
};
static const struct field exponential[] = {WARMUP, GAMMA(0.95, "factor of every epoch")};
static const struct field cosine[] = {
    WARMUP,
    {{"minimum", PARAM_REAL, false, 0, .min = 0, .max = 1000,
      .help = "learning rate at the end of the last epoch"},
     AT(schedule.minimum)},
};
static const struct variant schedules[SCHEDULE_TYPE_COUNT] = {
    [SCHEDULE_CONSTANT] = VARIANT("constant", "the same rate throughout", constant),
    [SCHEDULE_STEP] = VARIANT("step", "reduced by a factor every few epochs", step),
    [SCHEDULE_MULTISTEP] = VARIANT("multistep", "reduced by a factor at given epochs", multistep),
    [SCHEDULE_EXPONENTIAL] = VARIANT("exponential", "reduced by a factor every epoch", exponential),
    [SCHEDULE_COSINE] = VARIANT("cosine", "half a cosine from the rate down to a minimum at the end", cosine),
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
    {{"batch_size", PARAM_INT, true, 32, .min = 1, .max = 1048576,
      .help = "samples a step over all ranks together"},
     AT(batch_size)},
    {{"epochs", PARAM_INT, true, 1, .min = 1, .max = 1e6, .help = "passes over the training samples"},
     AT(epochs)},
    {{"seed", PARAM_INT, false, 1, .min = 0, .max = EXACT,
      .help = "of initial weights, order of samples, dropout"},
     AT(seed)},
    {{"gradient_clip_norm", PARAM_REAL, false, 0, .min = 0, .max = 1e9,
      .help = "largest norm of all gradients together; 0: no limit"},
     AT(gradient_clip_norm)},
    {{"report_every_steps", PARAM_INT, false, 0, .min = 0, .max = 1e9,
      .help = "steps between two metric lines; 0: about 100 lines an epoch"},
     AT(report_every_steps)},
};
const int algorithm_field_count = ARRAY_LEN(algorithm_fields);

static const struct field early_stopping[] = {
    {{"patience_epochs", PARAM_INT, false, 5, .min = 1, .max = 1e6,
      .help = "stop after so many epochs without a gain"},
     AT(early_stopping.patience_epochs)},
    {{"min_delta", PARAM_REAL, false, 0, .min = 0, .max = 1e9,
      .help = "the least change that counts as a gain"},
     AT(early_stopping.min_delta)},
};
static const struct field checkpoint[] = {
    {{"every_steps", PARAM_INT, false, 0, .min = 0, .max = 1e9,
      .help = "steps between two checkpoints; 0: at the end of every epoch"},
     AT(checkpoint.every_steps)},
    {{"keep", PARAM_INT, false, 2, .min = 1, .max = 1000, .help = "how many of the newest stay"},
     AT(checkpoint.keep)},
};
const struct group algorithm_groups[] = {
    {"early_stopping", "end before the last epoch when a value of the test split no longer gets better",
     early_stopping, ARRAY_LEN(early_stopping)},
    {"checkpoint", "how often the whole training state is written", checkpoint, ARRAY_LEN(checkpoint)},
};
const int algorithm_group_count = ARRAY_LEN(algorithm_groups);

const struct metric_row algorithm_metrics[METRIC_TYPE_COUNT] = {
    [METRIC_ACCURACY] = {"accuracy", "share of samples whose largest output is the class", true},
    [METRIC_MEAN_ABSOLUTE_ERROR] = {"mean_absolute_error", "mean distance to the target values", false},
    [METRIC_R2] = {"r2", "share of the targets' variance that is explained", true},
};

/* ---- names ---- */

const char *loss_name(enum loss_type t)
{
    return (unsigned)t < LOSS_TYPE_COUNT ? losses[t].name : "unknown";
}

const char *optimizer_name(enum optimizer_type t)
{
    return (unsigned)t < OPTIMIZER_TYPE_COUNT ? optimizers[t].name : "unknown";
}

const char *schedule_name(enum schedule_type t)
{
    return (unsigned)t < SCHEDULE_TYPE_COUNT ? schedules[t].name : "unknown";
}

const char *metric_name(enum metric_type t)
{
    return (unsigned)t < METRIC_TYPE_COUNT ? algorithm_metrics[t].name : "unknown";
}

bool metric_higher_is_better(enum metric_type t)
{
    return (unsigned)t < METRIC_TYPE_COUNT && algorithm_metrics[t].higher_is_better;
}

/* ---- defaults ---- */

static void set_field(struct algorithm *a, const struct field *f)
{
    char *at = (char *)a + f->offset;
    int64_t i = (int64_t)f->def.fallback;
    double d = f->def.fallback;
    bool b = f->def.fallback != 0;
    if (f->def.kind == PARAM_INT)
        memcpy(at, &i, sizeof(i));
    else if (f->def.kind == PARAM_REAL)
        memcpy(at, &d, sizeof(d));
    else if (f->def.kind == PARAM_BOOL)
        memcpy(at, &b, sizeof(b));
}

static void set_fields(struct algorithm *a, const struct field *f, int count)
{
    for (int i = 0; i < count; i++)
        set_field(a, &f[i]);
}

void algorithm_default(struct algorithm *a)
{
    *a = (struct algorithm){.precision = DTYPE_F32};
    snprintf(a->name, sizeof(a->name), "default");
    a->optimizer.type = OPTIMIZER_ADAM;
    set_fields(a, cross_entropy, ARRAY_LEN(cross_entropy));
    set_fields(a, sgd, ARRAY_LEN(sgd));
    set_fields(a, adam, ARRAY_LEN(adam)); /* after sgd: its learning rate is the default's */
    set_fields(a, cosine, ARRAY_LEN(cosine));
    set_fields(a, step, ARRAY_LEN(step));
    set_fields(a, algorithm_fields, algorithm_field_count);
    for (int i = 0; i < algorithm_group_count; i++)
        set_fields(a, algorithm_groups[i].fields, algorithm_groups[i].field_count);
    a->early_stopping.by_loss = true;
}

/* ---- writing ---- */

static void write_field(const struct algorithm *a, const struct field *f, struct buf *out)
{
    const char *at = (const char *)a + f->offset;
    int64_t i;
    double d;
    bool b;
    buf_json_str(out, f->def.name);
    buf_puts(out, ": ");
    switch (f->def.kind) {
    case PARAM_INT:
        memcpy(&i, at, sizeof(i));
        buf_printf(out, "%lld", (long long)i);
        break;
    case PARAM_BOOL:
        memcpy(&b, at, sizeof(b));
        buf_puts(out, b ? "true" : "false");
        break;
    case PARAM_INTS:
        buf_putc(out, '[');
        for (int k = 0; k < a->schedule.milestone_count; k++)
            buf_printf(out, "%s%lld", k ? ", " : "", (long long)a->schedule.milestones[k]);
        buf_putc(out, ']');
        break;
    default:
        memcpy(&d, at, sizeof(d));
        buf_json_num(out, d);
    }
}

static void write_fields(const struct algorithm *a, const struct field *f, int count, const char *between,
                         struct buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_puts(out, i ? between : "");
        write_field(a, &f[i], out);
    }
}

static void write_section(const struct algorithm *a, const struct section *s, struct buf *out)
{
    int type;
    memcpy(&type, (const char *)a + s->offset, sizeof(type));
    const struct variant *v = &s->variants[type];
    buf_printf(out, ",\n \"%s\": {\"type\": \"%s\"%s", s->name, v->name, v->field_count ? ", " : "");
    write_fields(a, v->fields, v->field_count, ", ", out);
    buf_putc(out, '}');
}

void algorithm_write_json(const struct algorithm *a, struct buf *out)
{
    buf_puts(out, "{\"format\": \"trainyard.algorithm/1\",\n \"name\": ");
    buf_json_str(out, a->name);
    for (int i = 0; i < algorithm_section_count; i++)
        write_section(a, &algorithm_sections[i], out);
    buf_puts(out, ",\n ");
    write_fields(a, algorithm_fields, algorithm_field_count, ",\n ", out);
    buf_printf(out, ",\n \"precision\": \"%s\",\n \"metrics\": [", dtype_name(a->precision));
    for (int i = 0; i < a->metric_count; i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : "", metric_name(a->metrics[i]));
    buf_putc(out, ']');
    if (a->early_stopping.on) {
        buf_printf(out, ",\n \"early_stopping\": {\"metric\": \"%s\", ",
                   a->early_stopping.by_loss ? "loss" : metric_name(a->early_stopping.metric));
        write_fields(a, early_stopping, ARRAY_LEN(early_stopping), ", ", out);
        buf_putc(out, '}');
    }
    buf_puts(out, ",\n \"checkpoint\": {");
    write_fields(a, checkpoint, ARRAY_LEN(checkpoint), ", ", out);
    buf_puts(out, "}}\n");
}
