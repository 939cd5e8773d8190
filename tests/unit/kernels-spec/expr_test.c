/* spec/expr: the expressions of composite layers. */
#include "expect.h"

#include <math.h>

#include "kernels/spec/expr.h"

static const struct expr_symbol symbols[] = {
    {"filters", {EXPR_NUMBER, 32, ""}},
    {"rate", {EXPR_NUMBER, 0.25, ""}},
    {"bias", {EXPR_BOOL, 1, ""}},
    {"padding", {EXPR_TEXT, 0, "same"}},
};

static void values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"1", 1},
        {"filters*2", 64},
        {" filters * 2 + 1 ", 65},
        {"1+2*3", 7},
        {"(1+2)*3", 9},
        {"10-4-3", 3},
        {"8/2/2", 2},
        {"7%3", 1},
        {"-7%3", 2},
        {"--2", 2},
        {"-filters", -32},
        {"min(3, 1, 2)", 1},
        {"max(3, filters)", 32},
        {"floor(7/2)", 3},
        {"ceil(7/2)", 4},
        {"round(2.4)", 2},
        {"if(filters>16, 1, 2)", 1},
        {"if(bias, 5, 6)", 5},
        {"filters==32", 1},
        {"filters!=32", 0},
        {"1<=1", 1},
        {"2<1", 0},
        {"1.5e2", 150},
        {".5", .5},
        {"25e-2", .25},
        {"rate*4", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct expr_value v;
        struct err err = {0};
        if (expr_eval(cases[i].text, symbols, 4, &v, &err))
            fail_msg("%s: %s", cases[i].text, err.text);
        if (fabs(v.num - cases[i].value) > 1e-12)
            fail_msg("%s is %g, not %g", cases[i].text, v.num, cases[i].value);
    }
}

static void texts_pass_through(void **state)
{
    (void)state;
    struct expr_value v;
    assert_int_equal(expr_eval("padding", symbols, 4, &v, NULL), 0);
    assert_int_equal(v.kind, EXPR_TEXT);
    assert_string_equal(v.text, "same");
    assert_int_equal(expr_eval("bias", symbols, 4, &v, NULL), 0);
    assert_int_equal(v.kind, EXPR_BOOL);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "it ends"},
        {"1+", "it ends"},
        {"1 2", "operator"},
        {"1/0", "division by zero"},
        {"1%0", "division by zero"},
        {"(1", "expected \")\""},
        {"filter*2", "did you mean \"filters\""},
        {"system(1)", "unknown function"},
        {"min()", "expected"},
        {"floor(1,2)", "too many"},
        {"if(1,2)", "too few"},
        {"padding*2", "a text"},
        {"1e999", "finite"},
        {"1e308*1e308", "finite"},
        {"0x10", "operator"},
        {"1;2", "operator"},
        {"filters)", "operator"},
        {"\"x\"", "expected a number"},
        {"((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))", "deeply"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct expr_value v;
        struct err err = {0};
        if (!expr_eval(cases[i].text, symbols, 4, &v, &err))
            fail_msg("\"%s\" was taken", cases[i].text);
        if (!strstr(err.text, cases[i].says))
            fail_msg("\"%s\": %s", cases[i].text, err.text);
    }
}

/* Whatever the text, it ends, and within the text. */
static void random_texts_never_crash(void **state)
{
    (void)state;
    static const char letters[] = "filters()+-*/%<>=!,. 0123456789eminaxfr";
    uint32_t x = 12345;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        x = x * 1664525 + 1013904223;
        size_t n = (x >> 16) % 60;
        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            text[i] = letters[(x >> 16) % (sizeof(letters) - 1)];
        }
        text[n] = 0;
        struct expr_value v;
        if (expr_eval(text, symbols, 4, &v, NULL) == 0 && v.kind == EXPR_NUMBER)
            assert_true(isfinite(v.num));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(texts_pass_through),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(random_texts_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
