/* The language: what it takes, what it refuses and where, what it computes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/usercode/run.h"

/* y[i][j] over x[i][j] and w[j], with N, M and the parameter beta. */
static const struct lang_tensor tensors[] = {
    {"x", 2, ACCESS_READ}, {"w", 1, ACCESS_READ}, {"y", 2, ACCESS_WRITE}};
static const struct lang_constant constants[] = {{"N", T_INT}, {"M", T_INT}, {"beta", T_FLOAT}};
static const char *const grid[] = {"i", "j"};
static const struct lang_scope scope = {tensors, 3, grid, 2, constants, 3};

enum { N = 3, M = 4 };

static double y[N * M], x[N * M], w[M];

static enum run_fault run(const char *source, struct lang_error *error)
{
    static const double values[] = {N, M, 0.5};
    static const int64_t extents[] = {N, M};
    struct program *p = program_parse(source, &scope, error);
    if (!p)
        fail_msg("%d:%d: %s", error->line, error->column, error->message);
    for (int i = 0; i < N * M; i++) {
        x[i] = 0.1 * i - 0.3;
        y[i] = 0;
    }
    for (int i = 0; i < M; i++)
        w[i] = i + 1;
    struct run_tensor t[] = {{x, {N, M}}, {w, {M}}, {y, {N, M}}};
    struct run r = {.program = p,
                    .scope = &scope,
                    .constants = values,
                    .grid = extents,
                    .tensors = t,
                    .max_steps = 100000};
    enum run_fault f = program_run(&r);
    *error = r.error;
    program_free(p);
    return f;
}

static void computes(const char *source, double (*expected)(int i, int j))
{
    struct lang_error error;
    if (run(source, &error) != RUN_OK)
        fail_msg("%s: %s", source, error.message);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++)
            if (fabs(y[i * M + j] - expected(i, j)) > 1e-12)
                fail_msg("%s: y[%d][%d] is %g, not %g", source, i, j, y[i * M + j], expected(i, j));
}

static double at(int i, int j)
{
    return 0.1 * (i * M + j) - 0.3;
}

static double scaled(int i, int j)
{
    return at(i, j) * (j + 1) + 0.5;
}

static double sums(int i, int j)
{
    double s = 0;
    for (int k = 0; k <= j; k++)
        s += k % 2 ? -at(i, k) : at(i, k);
    return s;
}

static double steps(int i, int j)
{
    (void)i;
    return j > 1 ? 10 + 7 / 2 : -1 - 7 % 3;
}

static double functions(int i, int j)
{
    double v = at(i, j);
    return fmax(exp(v), tanh(v)) + pow(2, v) + 1 / (1 + exp(-v)) + fabs(v) + (double)(int)(v * 10);
}

static double down(int i, int j)
{
    (void)i, (void)j;
    return 3 + 2 + 1 + 0 + (3 * 3 + 1 * 1);
}

static void it_computes_as_c_does(void **state)
{
    (void)state;
    computes("y[i][j] = x[i][j] * w[j] + beta;", scaled);
    computes("float s = 0;\nfor (int k = 0; k <= j; k++) { if (k % 2) s -= x[i][k]; else s += x[i][k]; "
             "}\ny[i][j] = s;",
             sums);
    computes("y[i][j] = j > 1 ? 10 + 7 / 2 : -1 - 7 % 3; // ints divide as ints", steps);
    computes("float v = x[i][j]; y[i][j] = fmaxf(expf(v), tanh(v)) + pow(2, v) + sigmoid(v) + abs(v) + "
             "(int)(v * 10);",
             functions);
    computes("float s = 0, q[4]; for (int k = 3; k >= 0; k--) { s += k; if (k == 2) continue; q[k] = k * k; }"
             "for (int k = 0; k < 4; ++k) { s += q[k]; } y[i][j] = s;",
             down);
}

static double once(int i, int j)
{
    (void)j;
    return i;
}

static void blocks_have_their_own_names(void **state)
{
    (void)state;
    computes("float s = 0; for (int k = 0; k < i; k++) { float t = 1; s += t; } for (int k = 0; k < 3; k++) "
             "{ float t = 0; s += t; } y[i][j] = s;",
             once);
}

static void every_fault_is_found_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum run_fault fault;
        int line;
        const char *says;
    } cases[] = {
        {"y[i][j] = 0;\ny[i][j] += x[i][j + 1];", RUN_BOUNDS, 2,
         "index 4 of \"x\" is outside 0..3 in its second dimension (at i = 0, j = 3)"},
        {"float q[3];\n\nq[j] = 1; y[i][j] = 0;", RUN_BOUNDS, 3, "index 3 of \"q\""},
        {"int z = i - i;\ny[i][j] = 1 / z;", RUN_DIVISION, 2, "divided by 0"},
        {"float s = 0;\nfor (int a = 0; a < 1000000000; a++)\n  s += 1;\ny[i][j] = s;", RUN_STEPS, 3,
         "far too long"},
        {"y[0][j] = 1;", RUN_TWICE, 1, "y[0][0] is written by two points"},
        {"y[i][j] = 1; y[i][j] = 2;", RUN_TWICE, 1, "y[0][0] is written twice"},
        {"if (j > 0) y[i][j] = 1;", RUN_UNWRITTEN, 0, "y[0][0] is never written"},
        {"y[i][j] = (int)(x[i][j] / 0.0);", RUN_DIVISION, 1, "cannot be cut to an int"},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct lang_error error;
        assert_int_equal(run(cases[k].source, &error), cases[k].fault);
        assert_int_equal(error.line, cases[k].line);
        if (!strstr(error.message, cases[k].says))
            fail_msg("%s: \"%s\"", cases[k].source, error.message);
    }
}

static void what_is_not_the_language_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        int line, column;
        const char *says;
    } cases[] = {
        {"y[i][j] = z;", 1, 11, "nothing named \"z\""},
        {"y[i][j] = x[i];", 1, 11, "\"x\" has 2 dimensions, and 1 index is given"},
        {"y[i][j] = x[i][j][0];", 1, 18, "has 2 dimensions"},
        {"y[i][j] = x[i][0.5];", 1, 16, "an index must be an int, not a float"},
        {"x[i][j] = 1;", 1, 1, "\"x\" is given"},
        {"y[i][j] *= 2;", 1, 1, "takes = and += only"},
        {"y[i][j] = y[i][j] + 1;", 1, 11, "cannot be read"},
        {"while (1) y[i][j] = 0;", 1, 1, "\"while\" is not part of the language"},
        {"float *p = x;", 1, 7, "no pointers"},
        {"y[i][j] = system(1);", 1, 11, "there is no function \"system\""},
        {"float f(float a) { return a; }", 1, 7, "no functions of one's own"},
        {"for (int k = 0; k < 3; k--) y[i][j] += k;", 1, 1, "leads away"},
        {"for (int k = 0; k < N; k += 0) y[i][j] += k;", 1, 1, "leads away"},
        {"int n = 3;\nfor (int k = 0; k < n; k++) n++;", 2, 21, "changed inside"},
        {"for (int k = 0; k < 3; k++) k = 0;", 1, 29, "cannot be changed"},
        {"i = 3;", 1, 1, "coordinate of the grid"},
        {"N = 3;", 1, 1, "dimension or parameter"},
        {"int a = 1.5;", 1, 9, "a float is assigned to an int"},
        {"float a = x[i][j] > 0;", 1, 19, "a bool is assigned"},
        {"float a; float a;", 1, 16, "already declared in line 1"},
        {"float exp;", 1, 7, "choose another name"},
        {"y[i][j] = 1", 1, 12, "expected \";\", not the end"},
        {"{ y[i][j] = 1;", 1, 1, "has no }"},
        {"y[i][j] = 1; /* and on", 1, 13, "does not end"},
        {"y[i][j] = 1 @ 2;", 1, 13, "no meaning"},
        {"y[i][j] = pow(1);", 1, 11, "takes 2 arguments"},
        {"break;", 1, 1, "outside of a loop"},
        {"float q[i]; y[i][j] = 0;", 1, 9, "numbers, dimensions and parameters only"},
        {"", 1, 1, "no statement"},
        {"#include <stdio.h>", 1, 1, "expected"},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct lang_error error;
        struct program *p = program_parse(cases[k].source, &scope, &error);
        if (p || error.line != cases[k].line || error.column != cases[k].column ||
            !strstr(error.message, cases[k].says)) {
            if (!strstr(error.hint, cases[k].says))
                fail_msg("%s: %d:%d \"%s\" (%s)", cases[k].source, error.line, error.column, error.message,
                         error.hint);
        }
        program_free(p);
    }
}

static void depth_and_length_are_bounded(void **state)
{
    (void)state;
    struct lang_error error;
    struct buf deep = {0};
    buf_puts(&deep, "y[i][j] = ");
    for (int k = 0; k < 60000; k++)
        buf_putc(&deep, '(');
    assert_null(program_parse(buf_str(&deep), &scope, &error));
    assert_non_null(strstr(error.message, "deep"));
    buf_free(&deep);
    for (int k = 0; k < 70000; k++)
        buf_putc(&deep, ' ');
    assert_null(program_parse(buf_str(&deep), &scope, &error));
    buf_free(&deep);
}

/* Any mutation of a program is refused or parsed; never a crash. What parses can be run or faults. */
static void no_text_crashes_it(void **state)
{
    (void)state;
    static const char seedling[] = "float s = 0, q[4]; for (int k = 3; k >= 0; k--) { s += x[i][k] * w[k]; "
                                   "if (k == 2) continue; q[k] = k % 3 ? s : -1.5e2f; }"
                                   "y[i][j] = fmax(s, q[1]) / (beta + 1); /* end */";
    static const char alphabet[] = "(){}[];,?:+-*/%<>=!&|.0123456789abijkqswxyNM \n";
    unsigned long long random = 1;
    int parsed = 0;
    for (int k = 0; k < 20000; k++) {
        char text[sizeof(seedling)];
        memcpy(text, seedling, sizeof(text));
        for (int e = 0; e < 1 + k % 3; e++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            text[(random >> 33) % (sizeof(text) - 1)] = alphabet[(random >> 20) % (sizeof(alphabet) - 1)];
        }
        struct lang_error error;
        struct program *p = program_parse(text, &scope, &error);
        if (!p) {
            assert_true(error.line >= 1 && error.column >= 1 && error.message[0]);
            continue;
        }
        parsed++;
        program_free(p);
        run(text, &error);
    }
    assert_true(parsed > 100);
}

static void a_printed_program_is_the_same_program(void **state)
{
    (void)state;
    struct lang_error error;
    struct program *p = program_parse("float s = 0; for (int k = 0; k <= j; k += 2) { s += x[i][k] * -w[k]; "
                                      "if (s > 1e3 && k != 2) s = 0.25; } y[i][j] = s / (2 + j);",
                                      &scope, &error);
    struct buf first = {0}, second = {0};
    assert_non_null(p);
    program_print(p, &scope, &first);
    /* Declarations are printed first, all of them; then come the same assignments. */
    struct program *q = program_parse(buf_str(&first), &scope, &error);
    if (!q)
        fail_msg("%s\n%d:%d %s", buf_str(&first), error.line, error.column, error.message);
    program_print(q, &scope, &second);
    assert_non_null(strstr(buf_str(&second), strstr(buf_str(&first), "for (")));
    program_free(p);
    program_free(q);
    buf_free(&first);
    buf_free(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_computes_as_c_does),
        cmocka_unit_test(blocks_have_their_own_names),
        cmocka_unit_test(every_fault_is_found_with_its_line),
        cmocka_unit_test(what_is_not_the_language_is_refused_with_its_place),
        cmocka_unit_test(depth_and_length_are_bounded),
        cmocka_unit_test(no_text_crashes_it),
        cmocka_unit_test(a_printed_program_is_the_same_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
