#include "kernels/usercode/emit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/usercode/run.h"

struct range {
    double low, high;
};

struct emitter {
    const struct program *program;
    const struct lang_scope *scope;
    const double *constants;
    const int64_t *grid;
    const struct emit_tensor *tensors;
    struct range *loops; /* of loop variables, while inside */
    struct buf *out;
    int depth;
    double flops;
};

static const struct range anything = {-INFINITY, INFINITY};

/* ---- what values an int can have ---- */

static struct range range_of(const struct emitter *e, const struct node *n);

static struct range hull(double a, double b, double c, double d)
{
    return (struct range){fmin(fmin(a, b), fmin(c, d)), fmax(fmax(a, b), fmax(c, d))};
}

static struct range range_binary(const struct emitter *e, const struct node *n)
{
    struct range a = range_of(e, n->args[0]), b = range_of(e, n->args[1]);
    bool finite = isfinite(a.low) && isfinite(a.high) && isfinite(b.low) && isfinite(b.high);
    switch (n->op) {
    case OP_ADD:
        return (struct range){a.low + b.low, a.high + b.high};
    case OP_SUB:
        return (struct range){a.low - b.high, a.high - b.low};
    case OP_MUL:
        return finite ? hull(a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high) : anything;
    case OP_DIV:
        if (!finite || (b.low <= 0 && b.high >= 0))
            return anything;
        a = hull(a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high);
        return (struct range){trunc(a.low), trunc(a.high)};
    case OP_MOD:
        if (!(b.low > 0) || !isfinite(b.high))
            return anything;
        return (struct range){a.low >= 0 ? 0 : 1 - b.high, fmin(fmax(a.high, 0), b.high - 1)};
    default:
        return anything;
    }
}

static struct range range_of(const struct emitter *e, const struct node *n)
{
    struct range a, b;
    switch (n->kind) {
    case N_INT:
        return (struct range){(double)n->integer, (double)n->integer};
    case N_SYMBOL:
        if (n->symbol->kind == SYM_GRID)
            return (struct range){0, (double)e->grid[n->symbol->index] - 1};
        if (n->symbol->kind == SYM_CONSTANT)
            return (struct range){e->constants[n->symbol->index], e->constants[n->symbol->index]};
        return n->symbol->kind == SYM_LOOP ? e->loops[n->symbol->index] : anything;
    case N_UNARY:
        a = range_of(e, n->args[0]);
        return (struct range){-a.high, -a.low};
    case N_BINARY:
        return range_binary(e, n);
    case N_SELECT:
        a = range_of(e, n->args[1]), b = range_of(e, n->args[2]);
        return (struct range){fmin(a.low, b.low), fmax(a.high, b.high)};
    case N_CALL:
        a = range_of(e, n->args[0]), b = n->count > 1 ? range_of(e, n->args[1]) : a;
        if (n->call == CALL_IMIN)
            return (struct range){fmin(a.low, b.low), fmin(a.high, b.high)};
        if (n->call == CALL_IMAX)
            return (struct range){fmax(a.low, b.low), fmax(a.high, b.high)};
        return anything;
    default:
        return anything;
    }
}

static int64_t extent(const struct emitter *e, const struct node *n, int i)
{
    return n->tensor >= 0 ? e->tensors[n->tensor].dim[i] : constant_value(n->symbol->size, e->constants);
}

static bool index_proven(const struct emitter *e, const struct node *n, int i)
{
    struct range r = range_of(e, n->args[i]);
    return r.low >= 0 && r.high <= (double)extent(e, n, i) - 1;
}

static bool element_proven(const struct emitter *e, const struct node *n)
{
    for (int i = 0; i < n->count; i++)
        if (!index_proven(e, n, i))
            return false;
    return true;
}

/* ---- expressions ---- */

static void expression(struct emitter *e, const struct node *n);

static void name(struct emitter *e, const struct symbol *s)
{
    static const char letters[] = "vlgca";
    if (s->kind == SYM_CONSTANT && s->type == T_INT)
        buf_printf(e->out, "%lldL", (long long)e->constants[s->index]);
    else if (s->kind == SYM_CONSTANT && s->type == T_BOOL)
        buf_printf(e->out, "%d", e->constants[s->index] != 0);
    else if (s->kind == SYM_CONSTANT)
        buf_printf(e->out, "%af", e->constants[s->index]);
    else
        buf_printf(e->out, "%c%d", letters[s->kind], s->index);
}

/* The base and the flat index: t0[(i) * 4L + (j)]. */
static void address(struct emitter *e, const struct node *n)
{
    if (n->tensor >= 0)
        buf_printf(e->out, "t%d[", n->tensor);
    else
        buf_printf(e->out, "a%d[", n->symbol->index);
    for (int i = 0; i < n->count; i++) {
        int64_t stride = 1;
        for (int k = i + 1; k < n->count; k++)
            stride *= extent(e, n, k);
        buf_puts(e->out, i ? " + (" : "(");
        expression(e, n->args[i]);
        buf_puts(e->out, ")");
        if (stride != 1)
            buf_printf(e->out, " * %lldL", (long long)stride);
    }
    buf_putc(e->out, ']');
}

/* The tests that the analysis could not spare. */
static void tests(struct emitter *e, const struct node *n)
{
    const char *between = "";
    for (int i = 0; i < n->count; i++) {
        if (index_proven(e, n, i))
            continue;
        buf_printf(e->out, "%s(unsigned long)(", between);
        expression(e, n->args[i]);
        buf_printf(e->out, ") < %lldUL", (long long)extent(e, n, i));
        between = " && ";
    }
}

static void element(struct emitter *e, const struct node *n)
{
    if (element_proven(e, n)) {
        address(e, n);
        return;
    }
    buf_putc(e->out, '(');
    tests(e, n);
    buf_puts(e->out, " ? ");
    address(e, n);
    buf_printf(e->out, " : outside(k, %d, %d))", n->line, n->column);
}

static void call(struct emitter *e, const struct node *n)
{
    static const char *const names[CALL_COUNT] = {
        [CALL_SIGMOID] = "k_sigmoid", [CALL_IMIN] = "k_min", [CALL_IMAX] = "k_max", [CALL_IABS] = "k_abs"};
    const char *text = names[n->call] ? names[n->call] : call_c_name(n->call);
    e->flops += n->type == T_FLOAT;
    buf_printf(e->out, "%s(", text);
    for (int i = 0; i < n->count; i++) {
        buf_puts(e->out, i ? ", " : "");
        expression(e, n->args[i]);
    }
    buf_putc(e->out, ')');
}

static void binary(struct emitter *e, const struct node *n)
{
    bool ints = n->type == T_INT && (n->op == OP_DIV || n->op == OP_MOD);
    struct range b = ints ? range_of(e, n->args[1]) : anything;
    e->flops += n->type == T_FLOAT;
    if (ints && !(b.low > 0)) {
        buf_printf(e->out, "%s(k, ", n->op == OP_DIV ? "k_div" : "k_mod");
        expression(e, n->args[0]);
        buf_puts(e->out, ", ");
        expression(e, n->args[1]);
        buf_printf(e->out, ", %d, %d)", n->line, n->column);
        return;
    }
    buf_putc(e->out, '(');
    expression(e, n->args[0]);
    buf_printf(e->out, " %s ", op_text(n->op));
    expression(e, n->args[1]);
    buf_putc(e->out, ')');
}

static void expression(struct emitter *e, const struct node *n)
{
    switch (n->kind) {
    case N_INT:
        buf_printf(e->out,
                   n->type == T_BOOL ? "%lld"
                   : n->integer < 0  ? "(%lldL)"
                                     : "%lldL",
                   (long long)n->integer);
        break;
    case N_REAL:
        if (isfinite((float)n->real))
            buf_printf(e->out, "(%af)", n->real);
        else
            buf_puts(e->out, n->real > 0 ? "(1.0f / 0.0f)" : "(-1.0f / 0.0f)");
        break;
    case N_SYMBOL:
        name(e, n->symbol);
        break;
    case N_ELEMENT:
        element(e, n);
        break;
    case N_UNARY:
        buf_printf(e->out, "(%s", op_text(n->op));
        expression(e, n->args[0]);
        buf_putc(e->out, ')');
        break;
    case N_BINARY:
        binary(e, n);
        break;
    case N_CALL:
        call(e, n);
        break;
    case N_SELECT:
        buf_putc(e->out, '(');
        expression(e, n->args[0]);
        buf_puts(e->out, " ? ");
        expression(e, n->args[1]);
        buf_puts(e->out, " : ");
        expression(e, n->args[2]);
        buf_putc(e->out, ')');
        break;
    default:
        buf_puts(e->out, n->type == T_FLOAT            ? "((float)"
                         : n->args[0]->type == T_FLOAT ? "k_cut("
                                                       : "((long)");
        expression(e, n->args[0]);
        buf_putc(e->out, ')');
    }
}

/* ---- statements ---- */

static void statement(struct emitter *e, const struct node *n);

static void indent(struct emitter *e)
{
    for (int i = 0; i < e->depth; i++)
        buf_puts(e->out, "    ");
}

static void store(struct emitter *e, const struct node *target, enum lang_op op, const struct node *value)
{
    bool tested = target->kind == N_ELEMENT && !element_proven(e, target);
    indent(e);
    if (tested) {
        buf_puts(e->out, "if (");
        tests(e, target);
        buf_puts(e->out, ") ");
    }
    if (target->kind == N_ELEMENT)
        address(e, target);
    else
        name(e, target->symbol);
    if (op == OP_DIV && target->type == T_INT) { /* v /= e */
        buf_puts(e->out, " = k_div(k, ");
        expression(e, target);
        buf_puts(e->out, ", ");
        expression(e, value);
        buf_printf(e->out, ", %d, %d)", value->line, value->column);
    } else {
        buf_printf(e->out, " %s= ", op_text(op));
        if (value)
            expression(e, value);
        else
            buf_puts(e->out, target->type == T_FLOAT ? "(float)pop(k)" : "(long)pop(k)");
    }
    buf_puts(e->out, ";\n");
    if (tested) {
        indent(e);
        buf_printf(e->out, "else%s outside(k, %d, %d);\n", value ? "" : " pop(k),", target->line,
                   target->column);
    }
    e->flops += op != OP_NONE && target->type == T_FLOAT;
}

static void body(struct emitter *e, const struct node *n)
{
    buf_puts(e->out, "{\n");
    e->depth++;
    statement(e, n);
    e->depth--;
    indent(e);
    buf_puts(e->out, "}\n");
}

static double trips(const struct emitter *e, const struct node *n)
{
    struct range a = range_of(e, n->args[0]), b = range_of(e, n->args[1]), s = range_of(e, n->args[2]);
    double span = n->op == OP_LT || n->op == OP_LE ? b.high - a.low : a.high - b.low;
    return isfinite(span) && s.low == s.high && s.low != 0
               ? fmax(0, span / fabs(s.low) + (n->op == OP_LE || n->op == OP_GE))
               : 16;
}

static void loop(struct emitter *e, const struct node *n)
{
    struct range a = range_of(e, n->args[0]), b = range_of(e, n->args[1]), old = e->loops[n->symbol->index];
    bool up = n->op == OP_LT || n->op == OP_LE;
    double times = trips(e, n), before = e->flops;
    int id = n->symbol->index;
    e->loops[id] = up ? (struct range){a.low, b.high - (n->op == OP_LT)}
                      : (struct range){b.low + (n->op == OP_GT), a.high};
    e->flops = 0;
    indent(e);
    if (n->kind == N_FOR) {
        buf_printf(e->out, "for (long l%d = ", id);
        expression(e, n->args[0]);
        buf_printf(e->out, "; l%d %s ", id, op_text(n->op));
        expression(e, n->args[1]);
        buf_printf(e->out, "; l%d += ", id);
        expression(e, n->args[2]);
        buf_puts(e->out, ") ");
    } else { /* from the last value that the forward loop had */
        buf_printf(e->out, "for (long f%d = ", id);
        expression(e, n->args[0]);
        buf_printf(e->out, ", s%d = ", id);
        expression(e, n->args[2]);
        buf_printf(e->out, ", n%d = k_trips(f%d, ", id, id);
        expression(e, n->args[1]);
        buf_printf(e->out, " %s, s%d), l%d = f%d + (n%d - 1) * s%d; n%d > 0; n%d--, l%d -= s%d) ",
                   n->op == OP_LT   ? "- 1"
                   : n->op == OP_GT ? "+ 1"
                                    : "",
                   id, id, id, id, id, id, id, id, id);
    }
    body(e, n->args[3]);
    e->loops[id] = old;
    e->flops = before + e->flops * times;
}

static void statement(struct emitter *e, const struct node *n)
{
    switch (n->kind) {
    case N_BLOCK:
        for (int i = 0; i < n->count; i++)
            statement(e, n->args[i]);
        return;
    case N_ASSIGN:
        store(e, n->args[0], n->op, n->args[1]);
        return;
    case N_POP:
        store(e, n->args[0], OP_NONE, NULL);
        return;
    case N_PUSH:
        indent(e);
        buf_puts(e->out, "push(k, (double)");
        expression(e, n->args[0]);
        buf_puts(e->out, ");\n");
        return;
    case N_IF:
        indent(e);
        buf_puts(e->out, "if (");
        expression(e, n->args[0]);
        buf_puts(e->out, ") ");
        body(e, n->args[1]);
        if (n->args[2]) {
            indent(e);
            buf_puts(e->out, "else ");
            body(e, n->args[2]);
        }
        return;
    case N_FOR:
    case N_REVERSE_FOR:
        loop(e, n);
        return;
    default:
        indent(e);
        buf_puts(e->out, n->kind == N_BREAK ? "break;\n" : "continue;\n");
    }
}

/* ---- the function ---- */

void emit_prelude(struct buf *out)
{
    buf_puts(
        out,
        "struct context {\n"
        "    long line, column, index;\n"
        "    double *tape;\n"
        "    long tape_count, tape_cap;\n"
        "    void *(*grow)(void *tape, unsigned long bytes);\n"
        "    long full;\n"
        "};\n"
        "#ifdef __TINYC__\n"
        "#define restrict\n"
        "float expf(float), logf(float), sqrtf(float), tanhf(float), sinf(float), cosf(float), atanf(float), "
        "erff(float), fabsf(float), floorf(float),\n"
        "    ceilf(float), roundf(float), powf(float, float), fminf(float, float), fmaxf(float, float);\n"
        "#else\n"
        "#include <math.h>\n"
        "#endif\n"
        "static float outside(struct context *k, long line, long column)\n"
        "{\n"
        "    if (!k->line) {\n"
        "        k->line = line;\n"
        "        k->column = column;\n"
        "    }\n"
        "    return 0;\n"
        "}\n"
        "static inline void push(struct context *k, double v)\n"
        "{\n"
        "    if (k->tape_count == k->tape_cap) {\n"
        "        long cap = k->tape_cap ? 2 * k->tape_cap : 1024;\n"
        "        double *more = k->full ? 0 : k->grow(k->tape, (unsigned long)cap * 8);\n"
        "        if (!more) {\n"
        "            k->full = 1;\n"
        "            return; /* the result is thrown away */\n"
        "        } else {\n"
        "            k->tape = more;\n"
        "            k->tape_cap = cap;\n"
        "        }\n"
        "    }\n"
        "    k->tape[k->tape_count++] = v;\n"
        "}\n"
        "static inline double pop(struct context *k) { return k->tape_count > 0 ? k->tape[--k->tape_count] : "
        "0; }\n"
        "static inline long k_min(long a, long b) { return a < b ? a : b; }\n"
        "static inline long k_max(long a, long b) { return a > b ? a : b; }\n"
        "static inline long k_abs(long a) { return a < 0 ? -a : a; }\n"
        "static inline long k_div(struct context *k, long a, long b, long line, long column)\n"
        "{\n"
        "    return b == 0 ? (long)outside(k, line, column) : b == -1 ? -a : a / b;\n"
        "}\n"
        "static inline long k_mod(struct context *k, long a, long b, long line, long column)\n"
        "{\n"
        "    return b == 0 || b == -1 ? (b == 0 ? (long)outside(k, line, column) : 0) : a % b;\n"
        "}\n"
        "static inline long k_cut(float x) { return x > -9e15f && x < 9e15f ? (long)x : 0; }\n"
        "static inline long k_trips(long first, long last, long step)\n"
        "{\n"
        "    return step > 0 ? (last < first ? 0 : (last - first) / step + 1) : (last > first ? 0 : (first - "
        "last) / -step + 1);\n"
        "}\n"
        "static inline float k_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }\n\n");
}

static void locals(struct emitter *e)
{
    static const char *const types[] = {"long", "float", "long"};
    const struct program *p = e->program;
    for (int i = 0; i < p->local_count; i++) {
        indent(e);
        buf_printf(e->out, "%s v%d = 0;\n", types[p->locals[i]->type], i);
    }
    for (int i = 0; i < p->array_count; i++) {
        long long size = (long long)constant_value(p->arrays[i]->size, e->constants);
        indent(e);
        buf_printf(e->out, "%s a%d[%lld];\n", types[p->arrays[i]->type], i, size);
        indent(e);
        buf_printf(e->out, "for (long i = 0; i < %lldL; i++) a%d[i] = 0;\n", size, i);
    }
    if (p->uses_tape) {
        indent(e);
        buf_puts(e->out, "k->tape_count = 0;\n");
    }
}

void emit_c(const struct program *p, const struct lang_scope *scope, const double *constants,
            const int64_t *grid, const struct emit_tensor *tensors, const char *function, struct buf *out)
{
    struct emitter e = {p,    scope,   constants,
                        grid, tensors, xcalloc((size_t)p->loop_count + 1, sizeof(struct range)),
                        out,  1,       0};
    for (int i = 0; i < p->loop_count; i++)
        e.loops[i] = anything;
    buf_printf(out, "void %s(long first, long last, float *const *tensors, struct context *k)\n{\n",
               function);
    buf_puts(out, "    for (long r = first; r < last; r++) {\n");
    e.depth = 2;
    for (int t = 0; t < scope->tensor_count; t++) {
        int64_t n = 1;
        for (int i = 0; i < scope->tensors[t].rank; i++)
            n *= tensors[t].dim[i];
        indent(&e);
        buf_printf(out, "%sfloat *restrict t%d = tensors[%d]%s",
                   scope->tensors[t].access == ACCESS_READ ? "const " : "", t, t,
                   tensors[t].per_sample ? "" : ";\n");
        if (tensors[t].per_sample)
            buf_printf(out, " + r * %lldL;\n", (long long)n);
        indent(&e);
        buf_printf(out, "(void)t%d;\n", t);
    }
    for (int i = 0; i < scope->grid_count; i++) {
        indent(&e);
        buf_printf(out, "for (long g%d = 0; g%d < %lldL; g%d++) {\n", i, i, (long long)grid[i], i);
        e.depth++;
    }
    locals(&e);
    statement(&e, p->body);
    while (e.depth > 1) {
        e.depth--;
        indent(&e);
        buf_puts(out, "}\n");
    }
    buf_puts(out, "}\n\n");
    free(e.loops);
}

double emit_flops(const struct program *p, const struct lang_scope *scope, const double *constants,
                  const int64_t *grid)
{
    struct buf nowhere = {0};
    struct emit_tensor *none = xcalloc((size_t)scope->tensor_count + 1, sizeof(*none));
    struct emitter e = {p,        scope, constants,
                        grid,     none,  xcalloc((size_t)p->loop_count + 1, sizeof(struct range)),
                        &nowhere, 0,     0};
    double points = 1;
    for (int i = 0; i < p->loop_count; i++)
        e.loops[i] = anything;
    for (int i = 0; i < scope->grid_count; i++)
        points *= (double)grid[i];
    statement(&e, p->body);
    free(e.loops);
    free(none);
    buf_free(&nowhere);
    return e.flops * points;
}
