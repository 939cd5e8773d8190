/* Recursive descent over the text, evaluating as it goes: comparison < sum < product < unary < atom. */
#include "kernels/spec/expr.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"

#define DEPTH_MAX   32
#define SYMBOLS_MAX 64

struct eval {
    const char *text, *p;
    const struct expr_symbol *symbols;
    int count, depth;
    struct err *err;
};

static int comparison(struct eval *e, struct expr_value *out);

static int fail(struct eval *e, const char *what)
{
    return err_set(e->err, ERR_INVALID, "expression \"=%s\", character %d: %s", e->text,
                   (int)(e->p - e->text) + 1, what);
}

static void skip(struct eval *e)
{
    while (*e->p == ' ')
        e->p++;
}

static bool take(struct eval *e, const char *token)
{
    skip(e);
    size_t n = strlen(token);
    if (strncmp(e->p, token, n))
        return false;
    e->p += n;
    return true;
}

static int number_of(struct eval *e, const struct expr_value *v, double *out)
{
    if (v->kind == EXPR_TEXT)
        return fail(e, "a text has no value to calculate with");
    *out = v->num;
    return 0;
}

static int set_number(struct eval *e, struct expr_value *out, double v)
{
    if (!isfinite(v))
        return fail(e, "the result is not a finite number");
    *out = (struct expr_value){.kind = EXPR_NUMBER, .num = v};
    return 0;
}

static const struct function {
    const char *name;
    int least, most;
} functions[] = {{"min", 1, 8},  {"max", 1, 8},   {"floor", 1, 1},
                 {"ceil", 1, 1}, {"round", 1, 1}, {"if", 3, 3}};

static int apply(struct eval *e, const struct function *fn, const struct expr_value *args, int n,
                 struct expr_value *out)
{
    if (!strcmp(fn->name, "if")) {
        double c = 0;
        if (number_of(e, &args[0], &c))
            return -1;
        *out = args[c != 0 ? 1 : 2];
        return 0;
    }
    double best = 0;
    for (int i = 0; i < n; i++) {
        double v = 0;
        if (number_of(e, &args[i], &v))
            return -1;
        best = i == 0 ? v : fn->name[1] == 'i' ? fmin(best, v) : fmax(best, v);
    }
    if (fn->name[0] == 'f')
        best = floor(best);
    if (fn->name[0] == 'c')
        best = ceil(best);
    if (fn->name[0] == 'r')
        best = round(best);
    return set_number(e, out, best);
}

static int call(struct eval *e, const char *name, struct expr_value *out)
{
    const struct function *fn = NULL;
    for (size_t i = 0; i < ARRAY_LEN(functions) && !fn; i++)
        if (!strcmp(functions[i].name, name))
            fn = &functions[i];
    if (!fn)
        return fail(e, "unknown function; there are min, max, floor, ceil, round, if");
    struct expr_value args[8];
    int n = 0;
    do {
        if (n == fn->most)
            return fail(e, "too many arguments");
        if (comparison(e, &args[n++]))
            return -1;
    } while (take(e, ","));
    if (!take(e, ")"))
        return fail(e, "expected \",\" or \")\"");
    if (n < fn->least)
        return fail(e, "too few arguments");
    return apply(e, fn, args, n, out);
}

static int unknown_symbol(struct eval *e, const char *name)
{
    const char *known[SYMBOLS_MAX + 1] = {0};
    for (int i = 0; i < e->count && i < SYMBOLS_MAX; i++)
        known[i] = e->symbols[i].name;
    const char *near = nearest_name(name, known);
    return err_set(e->err, ERR_INVALID, "expression \"=%s\": the layer has no parameter \"%s\"%s%s%s",
                   e->text, name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int symbol(struct eval *e, struct expr_value *out)
{
    char name[65];
    size_t n = 0;
    const char *start = e->p;
    while (isalnum((unsigned char)*e->p) || *e->p == '_') {
        if (n == sizeof(name) - 1)
            return fail(e, "the name is too long");
        name[n++] = *e->p++;
    }
    name[n] = 0;
    if (take(e, "("))
        return call(e, name, out);
    if (!strcmp(name, "true") || !strcmp(name, "false")) {
        *out = (struct expr_value){.kind = EXPR_BOOL, .num = name[0] == 't'};
        return 0;
    }
    for (int i = 0; i < e->count; i++)
        if (!strcmp(e->symbols[i].name, name)) {
            *out = e->symbols[i].value;
            return 0;
        }
    e->p = start;
    return unknown_symbol(e, name);
}

static int literal(struct eval *e, struct expr_value *out)
{
    /* strtod would also take hexadecimal, "inf" and the locale's point; digits come first here, and this is
     * rarely long. */
    double v = 0, place = 1;
    while (isdigit((unsigned char)*e->p))
        v = v * 10 + (*e->p++ - '0');
    if (*e->p == '.')
        for (e->p++; isdigit((unsigned char)*e->p); e->p++)
            v += (*e->p - '0') * (place /= 10);
    if (*e->p == 'e' || *e->p == 'E') {
        bool minus = e->p[1] == '-';
        const char *d = e->p + 1 + (minus || e->p[1] == '+');
        int exponent = 0;
        if (!isdigit((unsigned char)*d))
            return fail(e, "expected digits of the exponent");
        for (; isdigit((unsigned char)*d); d++)
            exponent = exponent < 1000 ? exponent * 10 + (*d - '0') : exponent;
        e->p = d;
        v *= pow(10, minus ? -exponent : exponent);
    }
    return set_number(e, out, v);
}

static int atom(struct eval *e, struct expr_value *out)
{
    skip(e);
    if (++e->depth > DEPTH_MAX)
        return fail(e, "nested too deeply");
    int rc;
    if (take(e, "(")) {
        rc = comparison(e, out);
        if (!rc && !take(e, ")"))
            rc = fail(e, "expected \")\"");
    } else if (isdigit((unsigned char)*e->p) || *e->p == '.') {
        rc = literal(e, out);
    } else if (isalpha((unsigned char)*e->p) || *e->p == '_') {
        rc = symbol(e, out);
    } else {
        rc = fail(e, *e->p ? "expected a number, a parameter or \"(\"" : "it ends where a value is expected");
    }
    e->depth--;
    return rc;
}

static int unary(struct eval *e, struct expr_value *out)
{
    bool minus = false, any = false;
    for (skip(e); *e->p == '-' || *e->p == '+'; e->p++, skip(e)) {
        minus ^= *e->p == '-';
        any = true;
    }
    if (atom(e, out))
        return -1;
    double v = 0;
    if (!any)
        return 0;
    return number_of(e, out, &v) ? -1 : set_number(e, out, minus ? -v : v);
}

static int product(struct eval *e, struct expr_value *out)
{
    if (unary(e, out))
        return -1;
    for (;;) {
        skip(e);
        char op = *e->p;
        if (op != '*' && op != '/' && op != '%')
            return 0;
        e->p++;
        struct expr_value right;
        double a = 0, b = 0;
        if (unary(e, &right) || number_of(e, out, &a) || number_of(e, &right, &b))
            return -1;
        if (op != '*' && b == 0)
            return fail(e, "division by zero");
        if (set_number(e, out, op == '*' ? a * b : op == '/' ? a / b : a - b * floor(a / b)))
            return -1;
    }
}

static int sum(struct eval *e, struct expr_value *out)
{
    if (product(e, out))
        return -1;
    for (;;) {
        skip(e);
        char op = *e->p;
        if (op != '+' && op != '-')
            return 0;
        e->p++;
        struct expr_value right;
        double a = 0, b = 0;
        if (product(e, &right) || number_of(e, out, &a) || number_of(e, &right, &b) ||
            set_number(e, out, op == '+' ? a + b : a - b))
            return -1;
    }
}

static int comparison(struct eval *e, struct expr_value *out)
{
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
    if (sum(e, out))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (!take(e, operators[i]))
            continue;
        struct expr_value right;
        double a = 0, b = 0;
        if (sum(e, &right) || number_of(e, out, &a) || number_of(e, &right, &b))
            return -1;
        bool results[] = {a == b, a != b, a <= b, a >= b, a<b, a> b};
        *out = (struct expr_value){.kind = EXPR_BOOL, .num = results[i]};
        return 0;
    }
    return 0;
}

int expr_eval(const char *text, const struct expr_symbol *symbols, int count, struct expr_value *out,
              struct err *err)
{
    if (strlen(text) > EXPR_MAX)
        return err_set(err, ERR_INVALID, "an expression has at most %d characters", EXPR_MAX);
    struct eval e = {.text = text, .p = text, .symbols = symbols, .count = count, .err = err};
    if (comparison(&e, out))
        return -1;
    skip(&e);
    return *e.p ? fail(&e, "expected an operator or the end") : 0;
}
