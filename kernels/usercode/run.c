#include "kernels/usercode/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TAPE_MAX (1 << 24)

struct value {
    int64_t i;
    double f;
};

enum flow { GO_ON, BREAK, CONTINUE };

/* Who wrote an element. */
struct mark {
    int64_t set, added; /* 1 + the last point that did; 0: none */
};

struct machine {
    struct run *r;
    jmp_buf out;
    int64_t point, coordinate[LANG_RANK_MAX];
    struct value *locals;
    int64_t *loops;
    struct value **arrays;
    int64_t *array_size;
    struct value *tape;
    size_t tape_count, tape_cap;
    struct mark *marks[LANG_TENSORS_MAX];
};

static _Noreturn void fault(struct machine *m, enum run_fault kind, const struct node *n, const char *fmt,
                            ...) __attribute__((format(printf, 4, 5)));

static _Noreturn void fault(struct machine *m, enum run_fault kind, const struct node *n, const char *fmt,
                            ...)
{
    struct lang_error *e = &m->r->error;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    size_t at = strlen(e->message);
    for (int i = 0; i < m->r->scope->grid_count && at < sizeof(e->message); i++)
        at += (size_t)snprintf(e->message + at, sizeof(e->message) - at, "%s%s = %lld", i ? ", " : " (at ",
                               m->r->scope->grid[i], (long long)m->coordinate[i]);
    if (m->r->scope->grid_count && at < sizeof(e->message))
        snprintf(e->message + at, sizeof(e->message) - at, ")");
    e->line = n ? n->line : 0;
    e->column = n ? n->column : 0;
    m->r->fault = kind;
    longjmp(m->out, 1);
}

static struct value evaluate(struct machine *m, const struct node *n);

/* The place of an element, every index checked. */
static size_t place(struct machine *m, const struct node *n)
{
    size_t at = 0;
    for (int i = 0; i < n->count; i++) {
        int64_t index = evaluate(m, n->args[i]).i,
                extent = n->tensor >= 0 ? m->r->tensors[n->tensor].dim[i] : m->array_size[n->symbol->index];
        if (index < 0 || index >= extent)
            fault(m, RUN_BOUNDS, n, "index %lld of \"%s\" is outside 0..%lld%s", (long long)index,
                  n->tensor >= 0 ? m->r->scope->tensors[n->tensor].name : n->symbol->name,
                  (long long)extent - 1,
                  n->count > 1 ? (const char *[]){" in its first dimension", " in its second dimension",
                                                  " in its third dimension", " in its fourth dimension",
                                                  " in its fifth dimension", " in its sixth dimension"}[i]
                               : "");
        at = at * (size_t)extent + (size_t)index;
    }
    return at;
}

static struct value symbol_value(const struct machine *m, const struct node *n)
{
    const struct symbol *s = n->symbol;
    switch (s->kind) {
    case SYM_LOCAL:
        return m->locals[s->index];
    case SYM_LOOP:
        return (struct value){.i = m->loops[s->index]};
    case SYM_GRID:
        return (struct value){.i = m->coordinate[s->index]};
    default:
        return (struct value){.i = (int64_t)m->r->constants[s->index], .f = m->r->constants[s->index]};
    }
}

static double call_value(enum call c, double a, double b)
{
    switch (c) {
    case CALL_EXP:
        return exp(a);
    case CALL_LOG:
        return log(a);
    case CALL_SQRT:
        return sqrt(a);
    case CALL_TANH:
        return tanh(a);
    case CALL_SIN:
        return sin(a);
    case CALL_COS:
        return cos(a);
    case CALL_ATAN:
        return atan(a);
    case CALL_ERF:
        return erf(a);
    case CALL_SIGMOID:
        return 1 / (1 + exp(-a));
    case CALL_FABS:
        return fabs(a);
    case CALL_FLOOR:
        return floor(a);
    case CALL_CEIL:
        return ceil(a);
    case CALL_ROUND:
        return round(a);
    case CALL_POW:
        return pow(a, b);
    case CALL_FMIN:
        return fmin(a, b);
    default:
        return fmax(a, b);
    }
}

static struct value call_any(struct machine *m, const struct node *n)
{
    if (n->type == T_FLOAT)
        return (struct value){.f = call_value(n->call, evaluate(m, n->args[0]).f,
                                              n->count > 1 ? evaluate(m, n->args[1]).f : 0)};
    int64_t a = evaluate(m, n->args[0]).i, b = n->count > 1 ? evaluate(m, n->args[1]).i : 0;
    if (n->call == CALL_IMIN)
        return (struct value){.i = a < b ? a : b};
    if (n->call == CALL_IMAX)
        return (struct value){.i = a > b ? a : b};
    return (struct value){.i = a < 0 && a != INT64_MIN ? -a : a};
}

static int64_t integer_op(struct machine *m, const struct node *n, enum lang_op op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool over = false;
    if (op == OP_ADD)
        over = __builtin_add_overflow(a, b, &out);
    else if (op == OP_SUB)
        over = __builtin_sub_overflow(a, b, &out);
    else if (op == OP_MUL)
        over = __builtin_mul_overflow(a, b, &out);
    else if (b == 0)
        fault(m, RUN_DIVISION, n, "an int is divided by 0");
    else if (b == -1)
        over = op == OP_DIV && __builtin_sub_overflow((int64_t)0, a, &out);
    else
        out = op == OP_DIV ? a / b : a % b;
    if (over)
        fault(m, RUN_DIVISION, n, "an int is too large");
    return out;
}

static double real_op(enum lang_op op, double a, double b)
{
    return op == OP_ADD ? a + b : op == OP_SUB ? a - b : op == OP_MUL ? a * b : a / b;
}

#define COMPARE(a, b)                                                                                        \
    (op == OP_LT   ? (a) < (b)                                                                               \
     : op == OP_LE ? (a) <= (b)                                                                              \
     : op == OP_GT ? (a) > (b)                                                                               \
     : op == OP_GE ? (a) >= (b)                                                                              \
     : op == OP_EQ ? (a) == (b)                                                                              \
                   : (a) != (b))

static struct value binary_value(struct machine *m, const struct node *n)
{
    enum lang_op op = n->op;
    struct value a = evaluate(m, n->args[0]);
    if (op == OP_AND || op == OP_OR)
        return (struct value){.i = op == OP_AND ? a.i && evaluate(m, n->args[1]).i
                                                : a.i || evaluate(m, n->args[1]).i};
    struct value b = evaluate(m, n->args[1]);
    bool real = n->args[0]->type == T_FLOAT;
    if (op >= OP_LT)
        return (struct value){.i = real ? COMPARE(a.f, b.f) : COMPARE(a.i, b.i)};
    if (real)
        return (struct value){.f = real_op(op, a.f, b.f)};
    return (struct value){.i = integer_op(m, n, op, a.i, b.i)};
}

static struct value cast_value(struct machine *m, const struct node *n)
{
    struct value v = evaluate(m, n->args[0]);
    bool real = n->args[0]->type == T_FLOAT;
    if (n->type == T_FLOAT)
        return (struct value){.f = real ? v.f : (double)v.i};
    if (!real)
        return v;
    if (!(v.f > -9e15 && v.f < 9e15))
        fault(m, RUN_DIVISION, n, "%g cannot be cut to an int", v.f);
    return (struct value){.i = (int64_t)v.f};
}

static struct value evaluate(struct machine *m, const struct node *n)
{
    if (++m->r->steps > m->r->max_steps)
        fault(m, RUN_STEPS, n, "more than %lld steps for a tiny input: a loop is far too long",
              (long long)m->r->max_steps);
    switch (n->kind) {
    case N_INT:
        return (struct value){.i = n->integer};
    case N_REAL:
        return (struct value){.f = n->real};
    case N_SYMBOL:
        return symbol_value(m, n);
    case N_ELEMENT: {
        size_t at = place(m, n);
        return n->tensor >= 0 ? (struct value){.f = m->r->tensors[n->tensor].data[at]}
                              : m->arrays[n->symbol->index][at];
    }
    case N_UNARY: {
        struct value v = evaluate(m, n->args[0]);
        if (n->op == OP_NOT)
            return (struct value){.i = !v.i};
        return n->type == T_FLOAT ? (struct value){.f = -v.f}
                                  : (struct value){.i = integer_op(m, n, OP_SUB, 0, v.i)};
    }
    case N_BINARY:
        return binary_value(m, n);
    case N_CALL:
        return call_any(m, n);
    case N_SELECT:
        return evaluate(m, n->args[evaluate(m, n->args[0]).i ? 1 : 2]);
    default:
        return cast_value(m, n);
    }
}

/* ---- writing ---- */

static void element_name(const struct machine *m, int tensor, size_t at, char *out, size_t n)
{
    int64_t index[LANG_RANK_MAX];
    const struct lang_tensor *t = &m->r->scope->tensors[tensor];
    for (int i = t->rank; i-- > 0;) {
        index[i] = (int64_t)at % m->r->tensors[tensor].dim[i];
        at /= (size_t)m->r->tensors[tensor].dim[i];
    }
    size_t used = (size_t)snprintf(out, n, "%s", t->name);
    for (int i = 0; i < t->rank && used < n; i++)
        used += (size_t)snprintf(out + used, n - used, "[%lld]", (long long)index[i]);
}

static void record_write(struct machine *m, const struct node *target, size_t at, bool set)
{
    struct mark *k = &m->marks[target->tensor][at];
    enum lang_access access = m->r->scope->tensors[target->tensor].access;
    int64_t me = m->point + 1;
    bool other_set = k->set && k->set != me, other_added = k->added && k->added != me;
    bool clash = set ? other_set || other_added : access == ACCESS_ADD ? other_set : other_set || other_added;
    bool again = set && access == ACCESS_WRITE && (k->set || k->added);
    if (clash || again) {
        char name[120];
        element_name(m, target->tensor, at, name, sizeof(name));
        if (clash)
            fault(m, RUN_TWICE, target, "%s is written by two points of the grid", name);
        fault(m, RUN_TWICE, target, "%s is written twice", name);
    }
    if (set)
        k->set = me;
    else
        k->added = me;
}

static double apply(enum lang_op op, double old, double value)
{
    return op == OP_NONE ? value : real_op(op, old, value);
}

static void store(struct machine *m, const struct node *target, enum lang_op op, struct value v,
                  const struct node *n)
{
    if (target->kind == N_ELEMENT && target->tensor >= 0) {
        size_t at = place(m, target);
        double *to = &m->r->tensors[target->tensor].data[at];
        record_write(m, target, at, op == OP_NONE);
        *to = apply(op, *to, v.f);
        return;
    }
    struct value *to = target->kind == N_ELEMENT ? &m->arrays[target->symbol->index][place(m, target)]
                                                 : &m->locals[target->symbol->index];
    if (target->type == T_FLOAT)
        to->f = apply(op, to->f, v.f);
    else
        to->i = op == OP_NONE ? v.i : integer_op(m, n, op, to->i, v.i);
}

static void push(struct machine *m, const struct node *n)
{
    if (m->tape_count == TAPE_MAX)
        fault(m, RUN_STEPS, n, "more than %d values to keep for the backward pass", TAPE_MAX);
    m->tape = vec_grow(m->tape, &m->tape_cap, m->tape_count + 1, sizeof(*m->tape));
    m->tape[m->tape_count++] = evaluate(m, n->args[0]);
}

/* ---- statements ---- */

static enum flow execute(struct machine *m, const struct node *n);

static bool inside(const struct node *n, int64_t i, int64_t bound)
{
    return n->op == OP_LT ? i < bound : n->op == OP_LE ? i <= bound : n->op == OP_GT ? i > bound : i >= bound;
}

static enum flow loop(struct machine *m, const struct node *n)
{
    int64_t first = evaluate(m, n->args[0]).i, bound = evaluate(m, n->args[1]).i,
            step = evaluate(m, n->args[2]).i;
    bool up = n->op == OP_LT || n->op == OP_LE;
    if ((step > 0) != up || step == 0)
        fault(m, RUN_STEPS, n, "the loop's step is %lld: it never ends", (long long)step);
    if (n->kind == N_FOR) {
        for (int64_t i = first; inside(n, i, bound); i += step) {
            m->loops[n->symbol->index] = i;
            enum flow f = execute(m, n->args[3]);
            if (f == BREAK)
                break;
            if (++m->r->steps > m->r->max_steps)
                fault(m, RUN_STEPS, n, "more than %lld steps for a tiny input: a loop is far too long",
                      (long long)m->r->max_steps);
        }
        return GO_ON;
    }
    if (!inside(n, first, bound))
        return GO_ON;
    int64_t last = bound + (n->op == OP_LT ? -1 : n->op == OP_GT ? 1 : 0), count = (last - first) / step;
    for (int64_t k = count; k >= 0; k--) {
        m->loops[n->symbol->index] = first + k * step;
        execute(m, n->args[3]);
    }
    return GO_ON;
}

static enum flow execute(struct machine *m, const struct node *n)
{
    switch (n->kind) {
    case N_BLOCK:
        for (int i = 0; i < n->count; i++) {
            enum flow f = execute(m, n->args[i]);
            if (f != GO_ON)
                return f;
        }
        return GO_ON;
    case N_ASSIGN:
        store(m, n->args[0], n->op, evaluate(m, n->args[1]), n);
        return GO_ON;
    case N_IF:
        if (evaluate(m, n->args[0]).i)
            return execute(m, n->args[1]);
        return n->args[2] ? execute(m, n->args[2]) : GO_ON;
    case N_PUSH:
        push(m, n);
        return GO_ON;
    case N_POP:
        store(m, n->args[0], OP_NONE, m->tape[--m->tape_count], n);
        return GO_ON;
    case N_BREAK:
        return BREAK;
    case N_CONTINUE:
        return CONTINUE;
    default:
        return loop(m, n);
    }
}

static void clear_locals(struct machine *m)
{
    const struct program *p = m->r->program;
    memset(m->locals, 0, (size_t)p->local_count * sizeof(*m->locals));
    for (int i = 0; i < p->array_count; i++)
        memset(m->arrays[i], 0, (size_t)m->array_size[i] * sizeof(**m->arrays));
}

static void run_grid(struct machine *m)
{
    int64_t points = 1, rest;
    for (int i = 0; i < m->r->scope->grid_count; i++)
        points *= m->r->grid[i];
    for (m->point = 0; m->point < points; m->point++) {
        rest = m->point;
        for (int i = m->r->scope->grid_count; i-- > 0;) {
            m->coordinate[i] = rest % m->r->grid[i];
            rest /= m->r->grid[i];
        }
        clear_locals(m);
        m->tape_count = 0;
        execute(m, m->r->program->body);
    }
}

static void check_written(struct machine *m)
{
    for (int t = 0; t < m->r->scope->tensor_count; t++) {
        if (m->r->scope->tensors[t].access != ACCESS_WRITE)
            continue;
        size_t n = 1;
        for (int i = 0; i < m->r->scope->tensors[t].rank; i++)
            n *= (size_t)m->r->tensors[t].dim[i];
        for (size_t i = 0; i < n; i++) {
            if (m->marks[t][i].set || m->marks[t][i].added)
                continue;
            element_name(m, t, i, m->r->error.message, 100);
            size_t at = strlen(m->r->error.message);
            snprintf(m->r->error.message + at, sizeof(m->r->error.message) - at, " is never written");
            m->r->fault = RUN_UNWRITTEN;
            return;
        }
    }
}

int64_t constant_value(const struct node *n, const double *constants)
{
    struct lang_scope scope = {0};
    struct program empty = {0};
    struct run r = {.program = &empty, .scope = &scope, .constants = constants, .max_steps = 100000};
    struct machine m = {.r = &r};
    if (setjmp(m.out) == 0)
        return evaluate(&m, n).i;
    return -1;
}

enum run_fault program_run(struct run *r)
{
    const struct program *p = r->program;
    struct machine *m = xcalloc(1, sizeof(*m));
    m->r = r;
    r->fault = RUN_OK;
    r->steps = 0;
    r->error = (struct lang_error){0};
    m->locals = xcalloc((size_t)p->local_count + 1, sizeof(*m->locals));
    m->loops = xcalloc((size_t)p->loop_count + 1, sizeof(*m->loops));
    m->arrays = xcalloc((size_t)p->array_count + 1, sizeof(*m->arrays));
    m->array_size = xcalloc((size_t)p->array_count + 1, sizeof(*m->array_size));
    for (int t = 0; t < r->scope->tensor_count; t++) {
        size_t n = 1;
        for (int i = 0; i < r->scope->tensors[t].rank; i++)
            n *= (size_t)r->tensors[t].dim[i];
        if (r->scope->tensors[t].access != ACCESS_READ)
            m->marks[t] = xcalloc(n + 1, sizeof(struct mark));
    }
    if (setjmp(m->out) == 0) {
        for (int i = 0; i < p->array_count; i++) {
            int64_t size = constant_value(p->arrays[i]->size, r->constants);
            if (size < 1 || size > LANG_ARRAY_MAX)
                fault(m, RUN_BOUNDS, p->arrays[i]->size,
                      "the array \"%s\" has %lld elements; it may have 1 to %d", p->arrays[i]->name,
                      (long long)size, LANG_ARRAY_MAX);
            m->array_size[i] = size;
            m->arrays[i] = xcalloc((size_t)size, sizeof(struct value));
        }
        run_grid(m);
        check_written(m);
    }
    for (int i = 0; i < p->array_count; i++)
        free(m->arrays[i]);
    for (int t = 0; t < LANG_TENSORS_MAX; t++)
        free(m->marks[t]);
    free(m->arrays), free(m->array_size), free(m->locals), free(m->loops), free(m->tape);
    free(m);
    return r->fault;
}
