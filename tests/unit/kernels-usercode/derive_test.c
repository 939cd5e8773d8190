/* Derived backward programs against finite differences of the forward program. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/usercode/derive.h"
#include "kernels/usercode/run.h"

enum { N = 3, M = 4 };

/* Forward: y[i][j] from x[i][j], w[j]. Backward: dx, dw from x, w, y, dy. */
static const struct lang_tensor forward_tensors[] = {
    {"x", 2, ACCESS_READ}, {"w", 1, ACCESS_READ}, {"y", 2, ACCESS_WRITE}};
static const struct lang_tensor backward_tensors[] = {{"x", 2, ACCESS_READ}, {"w", 1, ACCESS_READ},
                                                      {"y", 2, ACCESS_READ}, {"dy", 2, ACCESS_READ},
                                                      {"dx", 2, ACCESS_ADD}, {"dw", 1, ACCESS_ADD}};
static const struct lang_constant constants[] = {{"N", T_INT}, {"M", T_INT}, {"beta", T_FLOAT}};
static const double values[] = {N, M, 0.7};
static const struct derive_map map = {.value = {0, 1, 2}, .gradient = {4, 5, 3}};

struct point {
    double x[N * M], w[M], y[N * M];
};

static void forward(const struct program *p, const struct lang_scope *s, struct point *at)
{
    static const int64_t extents[] = {N, M};
    memset(at->y, 0, sizeof(at->y));
    struct run_tensor t[] = {{at->x, {N, M}}, {at->w, {M}}, {at->y, {N, M}}};
    struct run r = {
        .program = p, .scope = s, .constants = values, .grid = extents, .tensors = t, .max_steps = 1000000};
    if (program_run(&r) != RUN_OK)
        fail_msg("forward: %s", r.error.message);
}

static double loss(const struct program *p, const struct lang_scope *s, struct point *at, const double *dy)
{
    double sum = 0;
    forward(p, s, at);
    for (int i = 0; i < N * M; i++)
        sum += at->y[i] * dy[i];
    return sum;
}

static void check(const char *source, const char *const *grid, int grid_count, bool tape)
{
    const struct lang_scope fs = {forward_tensors, 3, grid, grid_count, constants, 3},
                            bs = {backward_tensors, 6, grid, grid_count, constants, 3};
    static const int64_t extents[] = {N, M};
    struct lang_error error;
    struct program *f = program_parse(source, &fs, &error);
    if (!f)
        fail_msg("%s: %d:%d %s", source, error.line, error.column, error.message);
    struct program *b = program_derive(f, &fs, &map, &error);
    if (!b)
        fail_msg("%s: %d:%d %s", source, error.line, error.column, error.message);
    struct buf text = {0};
    program_print(b, &bs, &text);
    struct point at;
    double dy[N * M], dx[N * M] = {0}, dw[M] = {0};
    for (int i = 0; i < N * M; i++) {
        at.x[i] = sin(1.7 * i + 0.4) * 1.3;
        dy[i] = cos(2.3 * i);
    }
    for (int i = 0; i < M; i++)
        at.w[i] = 0.6 + 0.3 * i;
    forward(f, &fs, &at);
    struct run_tensor t[] = {{at.x, {N, M}}, {at.w, {M}},  {at.y, {N, M}},
                             {dy, {N, M}},   {dx, {N, M}}, {dw, {M}}};
    struct run r = {
        .program = b, .scope = &bs, .constants = values, .grid = extents, .tensors = t, .max_steps = 1000000};
    if (program_run(&r) != RUN_OK)
        fail_msg("backward: %s\n%s", r.error.message, buf_str(&text));
    for (int k = 0; k < N * M + M; k++) {
        double *v = k < N * M ? &at.x[k] : &at.w[k - N * M], derived = k < N * M ? dx[k] : dw[k - N * M],
               old = *v, h = 1e-5;
        *v = old + h;
        double up = loss(f, &fs, &at, dy);
        *v = old - h;
        double down = loss(f, &fs, &at, dy);
        *v = old;
        double difference = (up - down) / (2 * h);
        if (fabs(difference - derived) > 1e-6 * (1 + fabs(difference)))
            fail_msg("%s\n%s\nelement %d: derived %g, differences %g", source, buf_str(&text), k, derived,
                     difference);
    }
    if (tape != b->uses_tape)
        fail_msg("%s the tape:\n%s", tape ? "needs" : "does not need", buf_str(&text));
    buf_free(&text);
    program_free(b);
    program_free(f);
}

static const char *const both[] = {"i", "j"}, *const rows[] = {"i"};

static void expressions(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "y[i][j] = x[i][j] * w[j] + beta;",
        "y[i][j] = x[i][j] / (w[j] * w[j]) - x[i][j];",
        "y[i][j] = -x[i][j] * exp(-x[i][j]) + log(w[j]) + sqrt(w[j]);",
        "y[i][j] = tanh(x[i][j]) * sigmoid(beta * x[i][j]) + erf(x[i][j] * w[j]) + atan(x[i][j]);",
        "y[i][j] = sin(x[i][j]) * cos(w[j]) + pow(w[j], x[i][j]) + pow(w[j], 3) + fabs(x[i][j] * w[j]);",
        "y[i][j] = fmax(x[i][j], w[j] * 0.5) + fmin(x[i][j] * x[i][j], w[j]) + floor(x[i][j]);",
        "y[i][j] = x[i][j] > 0.1 ? x[i][j] * w[j] : beta * (exp(x[i][j]) - 1);",
        "float v = x[i][j]; float u = v * v; y[i][j] = u * v + w[M - 1 - j];",
    };
    for (size_t k = 0; k < ARRAY_LEN(sources); k++)
        check(sources[k], both, 2, false);
}

static void a_product_needs_no_tape(void **state)
{
    (void)state;
    check("float s = 0; for (int k = 0; k < M; k++) s += x[i][k] * w[(j + k) % M]; y[i][j] = s;", both, 2,
          false);
}

static void loops_and_branches(void **state)
{
    (void)state;
    check("float s = 1; for (int k = 0; k < M; k++) s *= x[i][k] + w[k]; y[i][j] = s;", both, 2, true);
    check("float s = 0.3; for (int k = 0; k < 5; k++) { if (s > 0.2) s = s * x[i][j]; else s = s - w[j] * s; "
          "} y[i][j] = s;",
          both, 2, true);
    check("float s = 0; for (int k = M - 1; k >= 0; k -= 2) { float t = x[i][k]; t = tanh(t) * t; s += t * "
          "w[k]; } y[i][j] = s * s;",
          both, 2, true);
    check("float s = 0; int n = 1; for (int a = 0; a < 3; a++) { for (int k = 0; k < n; k++) s = s * 0.5 + "
          "x[i][k] * s + w[k]; n = n + 1; } y[i][j] = s;",
          both, 2, true);
}

static void what_can_be_made_again_is_not_kept(void **state)
{
    (void)state;
    check("float s = 0; for (int k = 0; k < M; k++) { float t = x[i][k] * w[k]; if (t > 0) { float u = "
          "exp(t) * t; s += u * w[k]; } } y[i][j] = s;",
          both, 2, false);
}

static void a_softmax_and_a_norm_over_rows(void **state)
{
    (void)state;
    check("float top = x[i][0]; for (int k = 1; k < M; k++) top = fmax(top, x[i][k]);"
          "float sum = 0; for (int k = 0; k < M; k++) sum += exp(x[i][k] - top);"
          "for (int k = 0; k < M; k++) y[i][k] = w[k] * exp(x[i][k] - top) / sum;",
          rows, 1, true);
    check(
        "float mean = 0; for (int k = 0; k < M; k++) mean += x[i][k] / M;"
        "float var = 0; for (int k = 0; k < M; k++) { float d = x[i][k] - mean; var += d * d / M; }"
        "float r = 1 / sqrt(var + 1e-5); for (int k = 0; k < M; k++) y[i][k] = (x[i][k] - mean) * r * w[k];",
        rows, 1, true);
}

static void local_arrays(void **state)
{
    (void)state;
    check("float h[M]; for (int k = 0; k < M; k++) h[k] = k > 0 ? tanh(h[k - 1] + x[i][k]) * w[k] : x[i][0];"
          "for (int k = 0; k < M; k++) y[i][k] = h[k] * h[M - 1 - k];",
          rows, 1, true);
}

static void what_cannot_be_derived_says_where(void **state)
{
    (void)state;
    const struct lang_scope fs = {forward_tensors, 3, both, 2, constants, 3};
    struct lang_error error;
    struct program *f = program_parse(
        "float s = 0;\nfor (int k = 0; k < 3; k++) {\n  if (s > 1) break;\n  s += x[i][k];\n}\ny[i][j] = s;",
        &fs, &error);
    assert_non_null(f);
    assert_null(program_derive(f, &fs, &map, &error));
    assert_int_equal(error.line, 3);
    assert_non_null(strstr(error.message, "break"));
    program_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions),
        cmocka_unit_test(a_product_needs_no_tape),
        cmocka_unit_test(loops_and_branches),
        cmocka_unit_test(a_softmax_and_a_norm_over_rows),
        cmocka_unit_test(local_arrays),
        cmocka_unit_test(what_can_be_made_again_is_not_kept),
        cmocka_unit_test(what_cannot_be_derived_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
