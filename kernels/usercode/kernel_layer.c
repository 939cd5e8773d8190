#include "kernels/usercode/kernel_layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "kernels/spec/expr.h"
#include "kernels/usercode/build.h"
#include "kernels/usercode/derive.h"
#include "kernels/usercode/emit.h"

struct kernel_build {
    struct kernel_build *next;
    char digest[SHA256_HEX];
    struct built *built;
};

/* ---- scopes and programs ---- */

static void tensor(struct lang_tensor *list, int *count, const char *prefix, const struct kernel_tensor *t,
                   enum lang_access access)
{
    struct lang_tensor *to = &list[(*count)++];
    snprintf(to->name, sizeof(to->name), "%s%s", prefix, t->name);
    to->rank = t->rank;
    to->access = access;
}

static void make_scopes(struct kernel_layer *k)
{
    int n = 0, m = 0;
    for (int i = 0; i < k->input_count; i++)
        tensor(k->forward_tensors, &n, "", &k->inputs[i], ACCESS_READ);
    for (int i = 0; i < k->weight_count; i++)
        tensor(k->forward_tensors, &n, "", &k->weights[i], ACCESS_READ);
    memcpy(k->backward_tensors, k->forward_tensors, (size_t)n * sizeof(struct lang_tensor));
    m = n;
    tensor(k->forward_tensors, &n, "", &k->output, ACCESS_WRITE);
    tensor(k->backward_tensors, &m, "", &k->output, ACCESS_READ);
    tensor(k->backward_tensors, &m, "d", &k->output, ACCESS_READ);
    for (int i = 0; i < k->input_count; i++)
        tensor(k->backward_tensors, &m, "d", &k->inputs[i], ACCESS_ADD);
    for (int i = 0; i < k->weight_count; i++)
        tensor(k->backward_tensors, &m, "d", &k->weights[i], ACCESS_ADD);
    for (int i = 0; i < k->over_count; i++)
        k->forward_grid_names[i] = k->over[i];
    for (int i = 0; i < k->backward_over_count; i++)
        k->backward_grid_names[i] = k->backward_over[i];
    k->forward_scope = (struct lang_scope){
        k->forward_tensors, n, k->forward_grid_names, k->over_count, k->constants, k->constant_count};
    k->backward_scope = (struct lang_scope){k->backward_tensors,    m,
                                            k->backward_grid_names, k->backward_over_count,
                                            k->constants,           k->constant_count};
}

static int derive(struct kernel_layer *k, struct lang_error *error)
{
    struct derive_map map;
    int n = k->input_count + k->weight_count;
    for (int i = 0; i < n; i++) {
        map.value[i] = i;
        map.gradient[i] = n + 2 + i;
    }
    map.value[n] = n;
    map.gradient[n] = n + 1;
    /* The derived program runs over the forward program's grid. */
    memcpy(k->backward_over, k->over, sizeof(k->over));
    k->backward_over_count = k->over_count;
    k->backward_grid = -1;
    make_scopes(k);
    k->backward = program_derive(k->forward, &k->forward_scope, &map, error);
    k->derived = true;
    return k->backward ? 0 : -1;
}

int kernel_layer_compile(struct kernel_layer *k, const char *forward, const char *backward,
                         const char **which, struct lang_error *error)
{
    make_scopes(k);
    *which = "forward";
    k->forward = program_parse(forward, &k->forward_scope, error);
    if (!k->forward)
        return -1;
    if (!backward)
        return derive(k, error);
    *which = "backward";
    k->backward = program_parse(backward, &k->backward_scope, error);
    return k->backward ? 0 : -1;
}

void kernel_layer_free(struct kernel_layer *k)
{
    if (!k)
        return;
    while (k->builds) {
        struct kernel_build *next = k->builds->next;
        build_free(k->builds->built);
        free(k->builds);
        k->builds = next;
    }
    program_free(k->forward);
    program_free(k->backward);
    free(k->name);
    free(k);
}

static bool finds(const struct node *n, int tensor_index, bool set)
{
    if (!n)
        return false;
    if (n->kind == N_ASSIGN) {
        const struct node *t = n->args[0];
        if (t->kind == N_ELEMENT) {
            if (set && t->tensor == tensor_index && n->op == OP_NONE)
                return true;
            for (int i = 0; i < t->count; i++)
                if (finds(t->args[i], tensor_index, set))
                    return true;
        }
        return finds(n->args[1], tensor_index, set);
    }
    if (!set && n->kind == N_ELEMENT && n->tensor == tensor_index)
        return true;
    for (int i = 0; i < n->count; i++)
        if (finds(n->args[i], tensor_index, set))
            return true;
    return false;
}

bool program_reads(const struct program *p, int tensor_index)
{
    return finds(p->body, tensor_index, false);
}

bool program_sets(const struct program *p, int tensor_index)
{
    return finds(p->body, tensor_index, true);
}

/* ---- binding ---- */

struct binding {
    const struct kernel_layer *k;
    struct kernel_bound *out;
    int64_t sizes[KERNEL_CONSTANTS_MAX]; /* of dimension names; 0: not known yet */
};

static int dimension_index(const struct kernel_layer *k, const char *name)
{
    for (int i = 0; i < k->dimension_count; i++)
        if (!strcmp(k->constants[i].name, name))
            return i;
    return -1;
}

static void set_parameters(struct binding *b, const struct param_value *params)
{
    for (int i = 0; i < b->k->param_count; i++) {
        double v = params[i].num[0];
        if (b->k->params[i].kind == PARAM_CHOICE) { /* a program knows a choice by its place in the list */
            const char *at = b->k->params[i].choices;
            size_t n = strlen(params[i].text);
            for (v = 0; *at; v++) {
                size_t m = strcspn(at, "|");
                if (m == n && !strncmp(at, params[i].text, n))
                    break;
                at += m + (at[m] == '|');
            }
        }
        b->out->constants[b->k->dimension_count + i] = v;
    }
}

static int evaluate(const struct binding *b, const char *text, const char *owner, int64_t *out,
                    struct err *err)
{
    struct expr_symbol symbols[KERNEL_CONSTANTS_MAX];
    struct expr_value v;
    int n = 0;
    for (int i = 0; i < b->k->constant_count; i++) {
        symbols[n] = (struct expr_symbol){.name = b->k->constants[i].name};
        symbols[n].value.kind = b->k->constants[i].type == T_BOOL ? EXPR_BOOL : EXPR_NUMBER;
        symbols[n].value.num = i < b->k->dimension_count ? (double)b->sizes[i] : b->out->constants[i];
        n++;
    }
    if (expr_eval(text + 1, symbols, n, &v, err) < 0)
        return err_prefix(err, "the shape of %s", owner);
    if (v.kind != EXPR_NUMBER || !(v.num >= 1 && v.num <= INT32_MAX) || v.num != (double)(int64_t)v.num)
        return err_set(err, ERR_INVALID, "a dimension of %s is %s = %g: it must be an integer above 0", owner,
                       text + 1, v.num);
    *out = (int64_t)v.num;
    return 0;
}

/* An input's actual shape against its description; names that are new get their size. */
static int match(struct binding *b, const struct kernel_tensor *t, const struct shape *actual,
                 struct err *err)
{
    char have[96], want[LANG_RANK_MAX * KERNEL_DIM_MAX] = "";
    size_t at = 0;
    for (int i = 0; i < t->rank; i++)
        at += (size_t)snprintf(want + at, sizeof(want) - at, "%s%s", i ? ", " : "", t->dim[i]);
    shape_format(actual, have, sizeof(have));
    if (actual->rank != t->rank)
        return err_set(err, ERR_INVALID, "%s expects %s of shape (%s), got %s", b->k->name, t->name, want,
                       have);
    for (int i = 0; i < t->rank; i++) {
        int d = dimension_index(b->k, t->dim[i]);
        int64_t fixed = d < 0 ? atoll(t->dim[i]) : b->sizes[d];
        if (d >= 0 && fixed == 0)
            b->sizes[d] = actual->dim[i];
        else if (fixed != actual->dim[i])
            return err_set(err, ERR_INVALID, "%s expects %s of shape (%s) with %s = %lld, got %s", b->k->name,
                           t->name, want, d < 0 ? "this dimension" : t->dim[i], (long long)fixed, have);
    }
    return 0;
}

static int describe(const struct binding *b, const struct kernel_tensor *t, struct shape *out,
                    struct err *err)
{
    out->rank = t->rank;
    for (int i = 0; i < t->rank; i++) {
        int d = dimension_index(b->k, t->dim[i]);
        if (t->dim[i][0] == '=') {
            if (evaluate(b, t->dim[i], t->name, &out->dim[i], err) < 0)
                return -1;
        } else {
            out->dim[i] = d < 0 ? atoll(t->dim[i]) : b->sizes[d];
        }
    }
    if (shape_elements(out) < 0)
        return err_set(err, ERR_TOO_LARGE, "%s of %s is too large", t->name, b->k->name);
    return 0;
}

int kernel_layer_bind(const struct kernel_layer *k, const struct param_value *params,
                      const struct shape *inputs, struct kernel_bound *out, struct err *err)
{
    struct binding b = {.k = k, .out = out};
    *out = (struct kernel_bound){0};
    set_parameters(&b, params);
    for (int i = 0; i < k->input_count; i++) {
        out->inputs[i] = inputs[i];
        if (match(&b, &k->inputs[i], &inputs[i], err) < 0)
            return -1;
    }
    for (int i = 0; i < k->dimension_count; i++)
        out->constants[i] = (double)b.sizes[i];
    for (int i = 0; i < k->weight_count; i++)
        if (describe(&b, &k->weights[i], &out->weights[i], err) < 0)
            return -1;
    if (describe(&b, &k->output, &out->output, err) < 0)
        return -1;
    for (int i = 0; i < k->over_count; i++)
        out->forward_grid[i] = out->output.dim[i];
    for (int i = 0; i < k->backward_over_count; i++)
        out->backward_grid[i] =
            k->backward_grid < 0 ? out->output.dim[i] : out->inputs[k->backward_grid].dim[i];
    return 0;
}

int kernel_layer_shapes(const struct kernel_layer *k, const struct param_value *params, const int64_t *sizes,
                        struct shape *inputs, struct err *err)
{
    struct kernel_bound scratch = {0};
    struct binding b = {.k = k, .out = &scratch};
    set_parameters(&b, params);
    memcpy(b.sizes, sizes, (size_t)k->dimension_count * sizeof(*sizes));
    for (int i = 0; i < k->input_count; i++)
        if (describe(&b, &k->inputs[i], &inputs[i], err) < 0)
            return -1;
    return 0;
}

/* ---- as a layer type ---- */

int kernel_layer_infer(struct layer_node *n, struct err *err)
{
    const struct kernel_layer *k = n->type->kernel;
    struct kernel_bound b;
    for (int i = 0; i < n->input_count; i++)
        if (n->in_dtypes[i] != DTYPE_F32)
            return err_set(err, ERR_INVALID, "%s expects float32, got %s: put a rescale layer before it",
                           k->name, dtype_name(n->in_dtypes[i]));
    if (kernel_layer_bind(k, n->params, n->in_shapes, &b, err) < 0)
        return -1;
    n->shape = b.output;
    n->dtype = DTYPE_F32;
    n->weight_count = k->weight_count;
    for (int i = 0; i < k->weight_count; i++) {
        int64_t all = shape_elements(&b.weights[i]);
        n->weights[i] = (struct weight_def){.name = k->weights[i].name,
                                            .shape = b.weights[i],
                                            .init = k->weights[i].init,
                                            .scale = k->weights[i].scale,
                                            .fan_in = all / b.weights[i].dim[0],
                                            .fan_out = b.weights[i].dim[0],
                                            .trainable = true,
                                            .decay = k->weights[i].decay};
    }
    return 0;
}

void kernel_layer_cost(const struct layer_node *n, struct layer_cost *out)
{
    const struct kernel_layer *k = n->type->kernel;
    struct kernel_bound b;
    struct err err = {0};
    *out = (struct layer_cost){0};
    if (kernel_layer_bind(k, n->params, n->in_shapes, &b, &err) < 0)
        return;
    out->forward_flops = emit_flops(k->forward, &k->forward_scope, b.constants, b.forward_grid);
    out->backward_flops = emit_flops(k->backward, &k->backward_scope, b.constants, b.backward_grid);
    for (int i = 0; i < n->input_count; i++)
        out->activation_bytes += 4.0 * (double)shape_elements(&n->in_shapes[i]);
}

/* ---- compiling ---- */

static void emit_tensors(const struct kernel_layer *k, const struct kernel_bound *b, struct emit_tensor *out)
{
    int n = 0, parts = k->input_count + k->weight_count;
    memset(out, 0, KERNEL_TENSORS_MAX * 2 * sizeof(*out));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < k->input_count; i++, n++) {
            memcpy(out[n].dim, b->inputs[i].dim, sizeof(b->inputs[i].dim));
            out[n].per_sample = true;
        }
        for (int i = 0; i < k->weight_count; i++, n++)
            memcpy(out[n].dim, b->weights[i].dim, sizeof(b->weights[i].dim));
        for (int i = 0; pass == 0 && i < 2; i++, n++) { /* the output and its gradient */
            memcpy(out[n].dim, b->output.dim, sizeof(b->output.dim));
            out[n].per_sample = true;
        }
    }
    (void)parts;
}

void kernel_layer_c(const struct kernel_layer *k, const struct kernel_bound *b, struct buf *out)
{
    struct emit_tensor tensors[KERNEL_TENSORS_MAX * 2];
    emit_tensors(k, b, tensors);
    emit_prelude(out);
    emit_c(k->forward, &k->forward_scope, b->constants, b->forward_grid, tensors, "kernel_forward", out);
    emit_c(k->backward, &k->backward_scope, b->constants, b->backward_grid, tensors, "kernel_backward", out);
}

const struct built *kernel_layer_build(struct kernel_layer *k, const struct kernel_bound *b, struct err *err)
{
    struct buf text = {0};
    struct sha256 hash;
    char digest[SHA256_HEX];
    kernel_layer_c(k, b, &text);
    sha256_init(&hash);
    sha256_update(&hash, buf_str(&text), text.len);
    sha256_hex(&hash, digest);
    for (struct kernel_build *have = k->builds; have; have = have->next)
        if (!strcmp(have->digest, digest)) {
            buf_free(&text);
            return have->built;
        }
    struct built *built = build_c(buf_str(&text), err);
    buf_free(&text);
    if (!built)
        return NULL;
    struct kernel_build *keep = xcalloc(1, sizeof(*keep));
    memcpy(keep->digest, digest, sizeof(digest));
    keep->built = built;
    keep->next = k->builds;
    k->builds = keep;
    return built;
}
