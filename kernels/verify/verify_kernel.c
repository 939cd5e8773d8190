#include "kernels/verify/verify_kernel.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/optim/random.h"
#include "kernels/usercode/build.h"
#include "kernels/usercode/emit.h"
#include "kernels/usercode/run.h"

enum { TRIES = 40, WANTED = 3, ELEMENTS = 24, SEED = 7, STEPS_MAX = 20000000, ELEMENTS_MAX = 200000 };

/* One set of sizes, with everything the programs are given. Tensors are in the backward scope's order: inputs, weights, output, and the gradient
 * of each: output, inputs, weights. */
struct trial {
    struct verification *v;
    struct kernel_layer *k;
    struct kernel_bound b;
    int parts; /* inputs and weights */
    struct shape shapes[KERNEL_TENSORS_MAX * 2];
    double *values[KERNEL_TENSORS_MAX * 2];
    size_t counts[KERNEL_TENSORS_MAX * 2];
};

static size_t tensor_count(const struct trial *t)
{
    return (size_t)(2 * t->parts + 2);
}

static void trial_free(struct trial *t)
{
    for (size_t i = 0; i < tensor_count(t); i++)
        free(t->values[i]);
}

static struct finding *fail_kernel(struct trial *t, const char *check, const char *which, const char *fmt,
                                   ...) __attribute__((format(printf, 4, 5)));

static struct finding *fail_kernel(struct trial *t, const char *check, const char *which, const char *fmt,
                                   ...)
{
    char pointer[64];
    struct buf text = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    snprintf(pointer, sizeof(pointer), "/kernel/%s", which);
    struct finding *it = findings_add(&t->v->f, FINDING_FAILED, check, pointer, "%s", buf_str(&text));
    buf_free(&text);
    return it;
}

/* ---- sizes ---- */

static void sizes_text(const struct trial *t, char *out, size_t n)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < t->k->dimension_count && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%s = %lld", i ? ", " : "", t->k->constants[i].name,
                               (long long)t->b.constants[i]);
    if (!t->k->dimension_count)
        snprintf(out, n, "its fixed shapes");
}

static int bind_sizes(struct trial *t, const struct param_value *params, int try, struct err *err)
{
    static const int64_t table[] = {4, 6, 5, 3, 8, 7, 2, 9, 1, 12, 16, 10};
    int64_t sizes[KERNEL_CONSTANTS_MAX];
    struct shape inputs[KERNEL_INPUTS_MAX];
    const struct kernel_layer *k = t->k;
    for (int i = 0; i < k->dimension_count; i++)
        sizes[i] = table[((size_t)try * 5 + (size_t)i * (1 + (size_t)try % 3)) % ARRAY_LEN(table)];
    if (try < k->try_count)
        memcpy(sizes, k->tries[try], sizeof(sizes));
    if (kernel_layer_shapes(k, params, sizes, inputs, err) < 0 ||
        kernel_layer_bind(k, params, inputs, &t->b, err) < 0)
        return -1;
    int n = 0;
    for (int i = 0; i < k->input_count; i++)
        t->shapes[n++] = t->b.inputs[i];
    for (int i = 0; i < k->weight_count; i++)
        t->shapes[n++] = t->b.weights[i];
    t->shapes[n] = t->shapes[n + 1] = t->b.output;
    memcpy(&t->shapes[n + 2], t->shapes, (size_t)n * sizeof(*t->shapes));
    t->parts = n;
    for (size_t i = 0; i < tensor_count(t); i++) {
        t->counts[i] = (size_t)shape_elements(&t->shapes[i]);
        if (t->counts[i] > ELEMENTS_MAX)
            return err_set(err, ERR_TOO_LARGE, "%s would have more than %d numbers",
                           i < (size_t)n ? "a tensor" : "the output", ELEMENTS_MAX);
    }
    return 0;
}

static void fill(double *to, size_t n, double low, double high, uint64_t stream)
{
    for (size_t i = 0; i < n; i++) {
        double u = (double)random_philox(SEED, i, stream).v[0] / 4294967296.0;
        to[i] = (double)(float)(low + u * (high - low)); /* a value that float32 has, too */
    }
}

static void fill_all(struct trial *t, int try)
{
    const struct kernel_layer *k = t->k;
    for (size_t i = 0; i < tensor_count(t); i++)
        t->values[i] = xcalloc(t->counts[i] + 1, sizeof(double));
    for (int i = 0; i < t->parts; i++) {
        const struct kernel_tensor *d = i < k->input_count ? &k->inputs[i] : &k->weights[i - k->input_count];
        fill(t->values[i], t->counts[i], d->low, d->high, (uint64_t)(try * 100 + i));
    }
    fill(t->values[t->parts + 1], t->counts[t->parts + 1], -1, 1, (uint64_t)(try * 100 + 90));
}

/* ---- running ---- */

static enum run_fault run_program(struct trial *t, bool backward, struct run *r)
{
    struct run_tensor tensors[KERNEL_TENSORS_MAX * 2];
    const struct kernel_layer *k = t->k;
    for (size_t i = 0; i < tensor_count(t); i++) {
        tensors[i].data = t->values[i];
        memcpy(tensors[i].dim, t->shapes[i].dim, sizeof(tensors[i].dim));
        if (backward ? (int)i > t->parts + 1 : (int)i == t->parts)
            memset(t->values[i], 0, t->counts[i] * sizeof(double));
    }
    *r = (struct run){.program = backward ? k->backward : k->forward,
                      .scope = backward ? &k->backward_scope : &k->forward_scope,
                      .constants = t->b.constants,
                      .grid = backward ? t->b.backward_grid : t->b.forward_grid,
                      .tensors = tensors,
                      .max_steps = STEPS_MAX};
    return program_run(r);
}

static int check_run(struct trial *t, bool backward)
{
    struct run r;
    char sizes[300];
    const char *which = backward ? "backward" : "forward";
    enum run_fault fault = run_program(t, backward, &r);
    if (fault == RUN_OK)
        return 0;
    sizes_text(t, sizes, sizeof(sizes));
    const char *check = fault == RUN_TWICE || fault == RUN_UNWRITTEN ? "layer.writes" : "layer.run";
    struct finding *it;
    if (backward && t->k->derived)
        it = fail_kernel(t, check, "forward", "the backward program derived from it fails: %s; tried with %s",
                         r.error.message, sizes);
    else if (r.error.line)
        it = fail_kernel(t, check, which, "%s, line %d, column %d: %s; tried with %s", which, r.error.line,
                         r.error.column, r.error.message, sizes);
    else
        it = fail_kernel(t, check, which, "%s: %s; tried with %s", which, r.error.message, sizes);
    if (r.error.line && !(backward && t->k->derived) &&
        (backward ? t->k->backward_lines : t->k->forward_lines)) {
        free(it->pointer);
        it->pointer = xasprintf("/kernel/%s/%d", which, r.error.line - 1);
        it->inside = r.error.column;
    }
    if (fault == RUN_TWICE && backward)
        it->hint = xstrdup("add with += where several points contribute to one element");
    else if (fault == RUN_UNWRITTEN)
        it->hint = xstrdup("write every element of the output, also at the borders");
    return -1;
}

static void element_text(const struct trial *t, size_t tensor, size_t at, char *out, size_t n)
{
    const struct lang_tensor *d = &t->k->backward_tensors[tensor];
    int64_t index[LANG_RANK_MAX];
    for (int i = d->rank; i-- > 0;) {
        index[i] = (int64_t)at % t->shapes[tensor].dim[i];
        at /= (size_t)t->shapes[tensor].dim[i];
    }
    size_t used = (size_t)snprintf(out, n, "%s", d->name);
    for (int i = 0; i < d->rank && used < n; i++)
        used += (size_t)snprintf(out + used, n - used, "[%lld]", (long long)index[i]);
}

static int check_finite(struct trial *t, size_t tensor, const char *which)
{
    char name[160];
    for (size_t i = 0; i < t->counts[tensor]; i++) {
        if (isfinite(t->values[tensor][i]))
            continue;
        element_text(t, tensor, i, name, sizeof(name));
        struct finding *it = fail_kernel(t, "layer.finite", which, "%s is %g for inputs from %g to %g", name,
                                         t->values[tensor][i], t->k->inputs[0].low, t->k->inputs[0].high);
        it->expected = xstrdup("finite values");
        it->hint = xstrdup("guard the division, root or logarithm; or, if the layer is for such inputs only, "
                           "say their \"domain\": [low, high]");
        return -1;
    }
    return 0;
}

/* ---- the gradient ---- */

static double loss(struct trial *t)
{
    struct run r;
    double sum = 0;
    run_program(t, false, &r);
    for (size_t i = 0; i < t->counts[t->parts]; i++)
        sum += t->values[t->parts][i] * t->values[t->parts + 1][i];
    return sum;
}

/* Central differences; false where they say nothing (a kink nearby: two step lengths disagree). */
static bool difference(struct trial *t, size_t tensor, size_t at, double *out)
{
    double *x = &t->values[tensor][at], old = *x, found[2];
    for (int i = 0; i < 2; i++) {
        double h = (i ? 0.3e-5 : 1e-5) * fmax(1, fabs(old)), up, down;
        *x = old + h;
        up = loss(t);
        *x = old - h;
        down = loss(t);
        *x = old;
        found[i] = (up - down) / (2 * h);
    }
    *out = found[0];
    return fabs(found[0] - found[1]) <= 1e-4 * (1e-3 + fabs(found[0]) + fabs(found[1]));
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static int check_gradient(struct trial *t, int *checked)
{
    char name[160], sizes[300];
    for (size_t p = 0; p < (size_t)t->parts; p++) {
        size_t gradient = (size_t)t->parts + 2 + p, n = t->counts[p], all = n < ELEMENTS ? n : ELEMENTS;
        double *copy = xcalloc(n + 1, sizeof(double)), scale;
        memcpy(copy, t->values[gradient], n * sizeof(double)); /* kept from later runs */
        scale = largest(copy, n);
        for (size_t e = 0; e < all; e++) {
            size_t at = n <= ELEMENTS ? e : random_philox(SEED, e, 1000 + p).v[1] % n;
            double differences;
            if (!difference(t, p, at, &differences))
                continue;
            (*checked)++;
            if (fabs(differences - copy[at]) <= 1e-4 * (1e-2 + scale + fabs(differences)))
                continue;
            element_text(t, gradient, at, name, sizeof(name));
            sizes_text(t, sizes, sizeof(sizes));
            struct finding *it =
                fail_kernel(t, "layer.gradient", t->k->derived ? "forward" : "backward",
                            "%s is %.6g, but finite differences of the forward program give %.6g (with %s)",
                            name, copy[at], differences, sizes);
            it->expected = xasprintf("%.6g", differences);
            it->actual = xasprintf("%.6g", copy[at]);
            double ratio = differences != 0 ? copy[at] / differences : 0;
            if (t->k->derived)
                it->hint =
                    xstrdup("a program whose result jumps has no gradient; write \"backward\" yourself");
            else if (copy[at] == 0)
                it->hint = xasprintf("nothing is added to %s", name);
            else if (fabs(ratio - rint(ratio)) < 1e-3 || fabs(1 / ratio - rint(1 / ratio)) < 1e-3)
                it->hint = xasprintf("the factor between them is %.4g", ratio);
            else
                it->hint = xstrdup("leave \"backward\" out to have it derived, and compare");
            free(copy);
            return -1;
        }
        free(copy);
    }
    return 0;
}

/* ---- compiled ---- */

static int compare(struct trial *t, size_t tensor, const float *got, const char *which)
{
    double scale = largest(t->values[tensor], t->counts[tensor]);
    char name[160];
    for (size_t i = 0; i < t->counts[tensor]; i++) {
        double want = t->values[tensor][i];
        if (fabs((double)got[i] - want) <= 2e-4 * (1e-3 + scale))
            continue;
        element_text(t, tensor, i, name, sizeof(name));
        struct finding *it =
            fail_kernel(t, "layer.compiled", which, "compiled, %s is %.7g in float32; in float64 it is %.7g",
                        name, (double)got[i], want);
        it->hint = xstrdup(
            "numbers of very different size are subtracted, or exp() overflows: rearrange the computation");
        return -1;
    }
    return 0;
}

static void *grow(void *tape, unsigned long bytes)
{
    return bytes > (1ul << 28) ? NULL : realloc(tape, bytes);
}

static int check_compiled(struct trial *t, const char **compiler)
{
    struct err err = {0};
    float *tensors[KERNEL_TENSORS_MAX * 2];
    int rc = 0;
    const struct built *built = kernel_layer_build(t->k, &t->b, &err);
    if (!built) {
        struct finding *it =
            findings_add(&t->v->f, FINDING_WARNED, "layer.compiled", NULL, "not compiled here: %s", err.text);
        it->hint = xstrdup("the layer is interpreted, which is slow");
        return -1;
    }
    *compiler = build_compiler(built);
    for (size_t i = 0; i < tensor_count(t); i++) {
        bool given = (int)i < t->parts || (int)i == t->parts + 1;
        tensors[i] = xcalloc(t->counts[i] + 16, sizeof(float));
        for (size_t e = 0; given && e < t->counts[i]; e++)
            tensors[i][e] = (float)t->values[i][e];
    }
    struct emit_context k = {.tape = xcalloc(4096, sizeof(double)), .tape_cap = 4096, .grow = grow};
    ((emit_function *)build_symbol(built, "kernel_forward"))(0, 1, tensors, &k);
    rc = compare(t, (size_t)t->parts, tensors[t->parts], "forward");
    if (!rc) {
        ((emit_function *)build_symbol(built, "kernel_backward"))(0, 1, tensors, &k);
        for (size_t i = (size_t)t->parts + 2; i < tensor_count(t) && !rc; i++)
            rc = compare(t, i, tensors[i], t->k->derived ? "forward" : "backward");
    }
    free(k.tape);
    for (size_t i = 0; i < tensor_count(t); i++)
        free(tensors[i]);
    return rc;
}

/* ---- all together ---- */

/* 0: passed; -1: a finding says why not. */
static int check_trial(struct trial *t, int *checked, const char **compiler)
{
    if (check_run(t, false) || check_finite(t, (size_t)t->parts, "forward") || check_run(t, true))
        return -1;
    for (size_t i = (size_t)t->parts + 2; i < tensor_count(t); i++)
        if (check_finite(t, i, t->k->derived ? "forward" : "backward"))
            return -1;
    if (check_gradient(t, checked))
        return -1;
    /* The checks above ran it with other inputs: once more with the first ones. */
    struct run r;
    run_program(t, false, &r);
    run_program(t, true, &r);
    return check_compiled(t, compiler);
}

void verify_kernel(struct verification *v, struct kernel_layer *k, const struct param_value *params)
{
    struct err err = {0};
    struct buf tried = {0};
    const char *compiler = NULL;
    char sizes[300];
    int done = 0, failed = 0, checked = 0, most = k->dimension_count ? TRIES : 1;
    for (int try = 0; try < most && done < WANTED && !failed; try++) {
        struct trial t = {.v = v, .k = k};
        if (bind_sizes(&t, params, try, &err) < 0)
            continue;
        fill_all(&t, try);
        failed = check_trial(&t, &checked, &compiler) != 0;
        sizes_text(&t, sizes, sizeof(sizes));
        buf_printf(&tried, "%s%s", done ? "; " : "", sizes);
        done++;
        trial_free(&t);
    }
    if (!done) {
        struct finding *it = findings_add(&v->f, FINDING_FAILED, "layer.shapes", "/kernel/inputs",
                                          "no sizes were found that fit: %s", err.text);
        it->hint = xstrdup("say which: \"try\": [{\"C\": 8, \"H\": 6}]");
    } else {
        check_passed(v, "layer.shapes", "tried with %s", buf_str(&tried));
    }
    if (done && !failed) {
        check_passed(v, "layer.run", "it stays inside its tensors");
        check_passed(v, "layer.writes", "every element of the output is written once");
        check_passed(v, "layer.finite", "finite values");
        check_passed(v, "layer.gradient",
                     "the %s backward program agrees with finite differences in %d places",
                     k->derived ? "derived" : "given", checked);
        check_passed(v, "layer.compiled", "compiled by %s it does the same", compiler ? compiler : "nothing");
    }
    buf_free(&tried);
}
