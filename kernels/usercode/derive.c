#include "kernels/usercode/derive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct list {
    struct node **items;
    size_t count, cap;
};

struct derivation {
    const struct program *from;
    const struct lang_scope *scope;
    const struct derive_map *map;
    struct program *to;
    struct lang_error *error;
    struct symbol **adjoint_local, **adjoint_array; /* by index of from's; NULL: not varied */
    struct symbol **local, **array, **loop;         /* from's in to */
    bool *varied_local, *varied_array;
    bool *needed_local, *needed_array; /* of to: their values are read in the reverse sweep */
    int *assignments;                  /* of each of from's locals: how many there are */
    bool *kept, *recomputed;           /* its value is still there in the reverse sweep; or is made again */
    bool tape;                         /* this is the pass that knows what is needed */
    int loops;                         /* around the statement under way */
    int temps;
};

static void add(struct list *l, struct node *n)
{
    l->items = vec_grow(l->items, &l->cap, l->count + 1, sizeof(*l->items));
    l->items[l->count++] = n;
}

static struct node *block(struct derivation *d, struct list *l)
{
    struct node *n = node_new(d->to, N_BLOCK, T_INT, (int)l->count);
    if (l->count)
        memcpy(n->args, l->items, l->count * sizeof(*l->items));
    free(l->items);
    *l = (struct list){0};
    return n;
}

/* ---- making expressions ---- */

static struct node *real(struct derivation *d, double x)
{
    struct node *n = node_new(d->to, N_REAL, T_FLOAT, 0);
    n->real = x;
    return n;
}

static struct node *symbol(struct derivation *d, struct symbol *s)
{
    struct node *n = node_new(d->to, N_SYMBOL, s->type, 0);
    n->symbol = s;
    return n;
}

static bool is_real(const struct node *n, double x)
{
    return n->kind == N_REAL && n->real == x;
}

static struct node *binary(struct derivation *d, enum lang_op op, struct node *a, struct node *b)
{
    if (op == OP_MUL && is_real(a, 1))
        return b;
    if ((op == OP_MUL || op == OP_DIV) && is_real(b, 1))
        return a;
    struct node *n = node_new(d->to, N_BINARY, op >= OP_LT && op <= OP_NE ? T_BOOL : T_FLOAT, 2);
    n->op = op;
    n->args[0] = a;
    n->args[1] = b;
    return n;
}

static struct node *negative(struct derivation *d, struct node *a)
{
    if (a->kind == N_UNARY && a->op == OP_NEG)
        return a->args[0];
    struct node *n = node_new(d->to, N_UNARY, T_FLOAT, 1);
    n->op = OP_NEG;
    n->args[0] = a;
    return n;
}

static struct node *call1(struct derivation *d, enum call c, struct node *a)
{
    struct node *n = node_new(d->to, N_CALL, T_FLOAT, 1);
    n->call = c;
    n->args[0] = a;
    return n;
}

static struct node *call2(struct derivation *d, enum call c, struct node *a, struct node *b)
{
    struct node *n = node_new(d->to, N_CALL, T_FLOAT, 2);
    n->call = c;
    n->args[0] = a;
    n->args[1] = b;
    return n;
}

static struct node *assign(struct derivation *d, struct node *target, enum lang_op op, struct node *value)
{
    struct node *n = node_new(d->to, N_ASSIGN, target->type, 2);
    n->op = op;
    n->args[0] = target;
    n->args[1] = value;
    return n;
}

static struct node *tape(struct derivation *d, enum node_kind kind, struct node *what)
{
    struct node *n = node_new(d->to, kind, what->type, 1);
    n->args[0] = what;
    d->to->uses_tape = true;
    return n;
}

static struct symbol *temporary(struct derivation *d, const char *name, enum lang_type type)
{
    char text[LANG_NAME_MAX];
    snprintf(text, sizeof(text), "%s_%d", name, ++d->temps);
    return symbol_new(d->to, text, SYM_LOCAL, type);
}

/* An expression of the forward program, in the new one. */
static struct node *translate(struct derivation *d, const struct node *n)
{
    struct node *out = node_new(d->to, n->kind, n->type, n->count);
    struct node **args = out->args;
    *out = *n;
    out->args = args;
    for (int i = 0; i < n->count; i++)
        out->args[i] = n->args[i] ? translate(d, n->args[i]) : NULL;
    if (n->kind == N_ELEMENT && n->tensor >= 0)
        out->tensor = d->map->value[n->tensor];
    if (n->symbol && n->symbol->kind == SYM_LOCAL)
        out->symbol = d->local[n->symbol->index];
    else if (n->symbol && n->symbol->kind == SYM_LOOP)
        out->symbol = d->loop[n->symbol->index];
    else if (n->symbol && n->symbol->kind == SYM_ARRAY)
        out->symbol = d->array[n->symbol->index];
    else if (n->symbol) {
        out->symbol = symbol_new(d->to, n->symbol->name, n->symbol->kind, n->symbol->type);
        out->symbol->index = n->symbol->index;
    }
    return out;
}

/* ---- what depends on inputs and weights ---- */

static bool varied(const struct derivation *d, const struct node *n)
{
    if (n->type != T_FLOAT)
        return false;
    if (n->kind == N_SYMBOL)
        return n->symbol->kind == SYM_LOCAL && d->varied_local[n->symbol->index];
    if (n->kind == N_ELEMENT)
        return n->tensor < 0 ? d->varied_array[n->symbol->index] : d->map->gradient[n->tensor] >= 0;
    if (n->kind == N_CAST)
        return false;
    if (n->kind == N_CALL && (n->call == CALL_FLOOR || n->call == CALL_CEIL || n->call == CALL_ROUND))
        return false;
    for (int i = n->kind == N_SELECT; i < n->count; i++)
        if (varied(d, n->args[i]))
            return true;
    return false;
}

static bool spread(struct derivation *d, const struct node *n)
{
    bool changed = false;
    if (!n)
        return false;
    if (n->kind == N_ASSIGN) {
        const struct node *t = n->args[0];
        bool *known = t->kind == N_SYMBOL ? &d->varied_local[t->symbol->index]
                      : t->tensor < 0     ? &d->varied_array[t->symbol->index]
                                          : NULL;
        if (known && !*known && varied(d, n->args[1]))
            *known = changed = true;
        return changed;
    }
    for (int i = 0; i < n->count; i++)
        changed |= spread(d, n->args[i]);
    return changed;
}

static bool mentions(const struct node *n, const struct symbol *s)
{
    if (n->symbol == s)
        return true;
    for (int i = 0; i < n->count; i++)
        if (mentions(n->args[i], s))
            return true;
    return false;
}

static void count_assignments(struct derivation *d, const struct node *n, bool in_loop)
{
    if (!n)
        return;
    if (n->kind == N_ASSIGN && n->args[0]->kind == N_SYMBOL) {
        int i = n->args[0]->symbol->index;
        d->kept[i] = ++d->assignments[i] == 1 && !in_loop;
        return;
    }
    for (int i = 0; i < n->count; i++)
        count_assignments(d, n->args[i], in_loop || n->kind == N_FOR);
}

/* Whether n reads but what stays, so that it has the same value again in the same iteration. */
static bool repeatable(const struct derivation *d, const struct node *n)
{
    if (n->symbol && n->symbol->kind == SYM_ARRAY)
        return false;
    if (n->kind == N_SYMBOL && n->symbol->kind == SYM_LOCAL && !d->kept[n->symbol->index] &&
        !d->recomputed[n->symbol->index])
        return false;
    for (int i = 0; i < n->count; i++)
        if (!repeatable(d, n->args[i]))
            return false;
    return true;
}

/* A local with one assignment, made of what stays: cheaper made again than kept on the tape. In program order. */
static void find_recomputed(struct derivation *d, const struct node *n)
{
    if (!n)
        return;
    if (n->kind == N_ASSIGN && n->args[0]->kind == N_SYMBOL && n->op == OP_NONE) {
        int i = n->args[0]->symbol->index;
        d->recomputed[i] = d->assignments[i] == 1 && !d->kept[i] && repeatable(d, n->args[1]);
        return;
    }
    for (int i = 0; i < n->count; i++)
        find_recomputed(d, n->args[i]);
}

/* ---- adjoints of expressions ---- */

static void adjoint(struct derivation *d, struct list *out, const struct node *e, struct node *seed);

static bool simple(const struct node *n)
{
    return n->count == 0 || (n->kind == N_UNARY && n->args[0]->count == 0);
}

/* The same value, cheap to write several times. */
static struct node *hold(struct derivation *d, struct list *out, const char *name, struct node *value)
{
    if (simple(value))
        return value;
    struct symbol *s = temporary(d, name, T_FLOAT);
    add(out, assign(d, symbol(d, s), OP_NONE, value));
    return symbol(d, s);
}

static struct node *again(struct derivation *d, struct node *n)
{
    return node_copy(d->to, n);
}

static void adjoint_product(struct derivation *d, struct list *out, const struct node *e, struct node *seed)
{
    const struct node *a = e->args[0], *b = e->args[1];
    if (varied(d, a) && varied(d, b))
        seed = hold(d, out, "g", seed);
    if (e->op == OP_MUL) {
        if (varied(d, a))
            adjoint(d, out, a, binary(d, OP_MUL, again(d, seed), translate(d, b)));
        if (varied(d, b))
            adjoint(d, out, b, binary(d, OP_MUL, again(d, seed), translate(d, a)));
        return;
    }
    if (varied(d, a))
        adjoint(d, out, a, binary(d, OP_DIV, again(d, seed), translate(d, b)));
    if (varied(d, b)) {
        struct node *low = hold(d, out, "q", translate(d, b));
        adjoint(d, out, b,
                negative(d, binary(d, OP_DIV, binary(d, OP_MUL, again(d, seed), translate(d, a)),
                                   binary(d, OP_MUL, low, again(d, low)))));
    }
}

static void adjoint_either(struct derivation *d, struct list *out, struct node *condition,
                           const struct node *a, const struct node *b, struct node *seed)
{
    struct list yes = {0}, no = {0};
    seed = hold(d, out, "g", seed);
    if (varied(d, a))
        adjoint(d, &yes, a, again(d, seed));
    if (varied(d, b))
        adjoint(d, &no, b, again(d, seed));
    struct node *n = node_new(d->to, N_IF, T_INT, 3);
    n->args[0] = condition;
    bool other = no.count > 0;
    n->args[1] = block(d, &yes);
    n->args[2] = other ? block(d, &no) : NULL;
    add(out, n);
}

static void adjoint_call(struct derivation *d, struct list *out, const struct node *e, struct node *seed)
{
    const struct node *a = e->args[0], *b = e->count > 1 ? e->args[1] : NULL;
    struct node *x = translate(d, a), *y;
    switch (e->call) {
    case CALL_EXP:
        adjoint(d, out, a, binary(d, OP_MUL, seed, call1(d, CALL_EXP, x)));
        break;
    case CALL_LOG:
        adjoint(d, out, a, binary(d, OP_DIV, seed, x));
        break;
    case CALL_SQRT:
        adjoint(d, out, a, binary(d, OP_DIV, seed, binary(d, OP_MUL, real(d, 2), call1(d, CALL_SQRT, x))));
        break;
    case CALL_TANH:
        y = hold(d, out, "t", call1(d, CALL_TANH, x));
        adjoint(d, out, a,
                binary(d, OP_MUL, seed, binary(d, OP_SUB, real(d, 1), binary(d, OP_MUL, y, again(d, y)))));
        break;
    case CALL_SIGMOID:
        y = hold(d, out, "s", call1(d, CALL_SIGMOID, x));
        adjoint(d, out, a,
                binary(d, OP_MUL, seed, binary(d, OP_MUL, y, binary(d, OP_SUB, real(d, 1), again(d, y)))));
        break;
    case CALL_SIN:
        adjoint(d, out, a, binary(d, OP_MUL, seed, call1(d, CALL_COS, x)));
        break;
    case CALL_COS:
        adjoint(d, out, a, negative(d, binary(d, OP_MUL, seed, call1(d, CALL_SIN, x))));
        break;
    case CALL_ATAN:
        x = hold(d, out, "x", x);
        adjoint(d, out, a,
                binary(d, OP_DIV, seed, binary(d, OP_ADD, real(d, 1), binary(d, OP_MUL, x, again(d, x)))));
        break;
    case CALL_ERF: /* 2 / sqrt(pi) */
        x = hold(d, out, "x", x);
        adjoint(d, out, a,
                binary(d, OP_MUL, seed,
                       binary(d, OP_MUL, real(d, 1.1283791670955126),
                              call1(d, CALL_EXP, negative(d, binary(d, OP_MUL, x, again(d, x)))))));
        break;
    case CALL_FABS: { /* |a| is a or -a */
        seed = hold(d, out, "g", seed);
        struct node *sign = node_new(d->to, N_SELECT, T_FLOAT, 3);
        sign->args[0] = binary(d, OP_GE, x, real(d, 0));
        sign->args[1] = seed;
        sign->args[2] = negative(d, again(d, seed));
        adjoint(d, out, a, sign);
        break;
    }
    case CALL_POW:
        if (varied(d, a) && varied(d, b))
            seed = hold(d, out, "g", seed);
        if (varied(d, a)) {
            struct node *power =
                call2(d, CALL_POW, again(d, x), binary(d, OP_SUB, translate(d, b), real(d, 1)));
            adjoint(d, out, a, binary(d, OP_MUL, again(d, seed), binary(d, OP_MUL, translate(d, b), power)));
        }
        if (varied(d, b))
            adjoint(d, out, b,
                    binary(d, OP_MUL, again(d, seed),
                           binary(d, OP_MUL, call2(d, CALL_POW, again(d, x), translate(d, b)),
                                  call1(d, CALL_LOG, x))));
        break;
    case CALL_FMIN:
    case CALL_FMAX:
        adjoint_either(d, out, binary(d, e->call == CALL_FMIN ? OP_LE : OP_GE, x, translate(d, b)), a, b,
                       seed);
        break;
    default: /* floor, ceil, round: flat almost everywhere */
        break;
    }
}

/* Add seed times the derivative of e to the adjoints of what e reads. */
static void adjoint(struct derivation *d, struct list *out, const struct node *e, struct node *seed)
{
    if (!varied(d, e))
        return;
    switch (e->kind) {
    case N_SYMBOL:
        add(out, assign(d, symbol(d, d->adjoint_local[e->symbol->index]), OP_ADD, seed));
        return;
    case N_ELEMENT: {
        struct node *target = translate(d, e);
        if (e->tensor >= 0)
            target->tensor = d->map->gradient[e->tensor];
        else
            target->symbol = d->adjoint_array[e->symbol->index];
        add(out, assign(d, target, OP_ADD, seed));
        return;
    }
    case N_UNARY:
        adjoint(d, out, e->args[0], negative(d, seed));
        return;
    case N_SELECT:
        adjoint_either(d, out, translate(d, e->args[0]), e->args[1], e->args[2], seed);
        return;
    case N_CALL:
        adjoint_call(d, out, e, seed);
        return;
    default:
        break;
    }
    if (e->op == OP_MUL || e->op == OP_DIV) {
        adjoint_product(d, out, e, seed);
        return;
    }
    if (varied(d, e->args[0]) && varied(d, e->args[1]))
        seed = hold(d, out, "g", seed);
    adjoint(d, out, e->args[0], again(d, seed));
    adjoint(d, out, e->args[1], e->op == OP_ADD ? again(d, seed) : negative(d, again(d, seed)));
}

/* ---- statements: the forward sweep and, last first, the reverse one ---- */

static int sweep(struct derivation *d, const struct node *n, struct list *forward, struct list *reverse);

static int refuse(struct derivation *d, const struct node *n, const char *what)
{
    d->error->line = n->line;
    d->error->column = n->column;
    snprintf(d->error->message, sizeof(d->error->message), "a backward program cannot be derived: %s", what);
    snprintf(d->error->hint, sizeof(d->error->hint), "write \"backward\" yourself");
    return -1;
}

static bool value_needed(const struct derivation *d, const struct node *target)
{
    if (!d->tape || (target->kind == N_ELEMENT && target->tensor >= 0))
        return false;
    int i = target->symbol->index;
    if (target->kind == N_SYMBOL)
        return d->needed_local[i] && !d->kept[i] && !d->recomputed[i];
    return d->needed_array[i];
}

/* The adjoint of what is assigned to, as an lvalue. */
static struct node *target_adjoint(struct derivation *d, const struct node *target)
{
    if (target->kind == N_SYMBOL)
        return symbol(d, d->adjoint_local[target->symbol->index]);
    struct node *n = translate(d, target);
    if (target->tensor >= 0)
        n->tensor = d->map->gradient[target->tensor];
    else
        n->symbol = d->adjoint_array[target->symbol->index];
    return n;
}

static bool target_varied(const struct derivation *d, const struct node *target)
{
    if (target->type != T_FLOAT)
        return false;
    if (target->kind == N_SYMBOL)
        return d->varied_local[target->symbol->index];
    return target->tensor < 0 ? d->varied_array[target->symbol->index] : true;
}

static void reverse_assign(struct derivation *d, const struct node *n, struct list *reverse)
{
    const struct node *target = n->args[0], *e = n->args[1];
    bool tensor = target->kind == N_ELEMENT && target->tensor >= 0;
    bool itself = !tensor && (mentions(e, target->symbol) || n->op == OP_MUL || n->op == OP_DIV);
    if (!target_varied(d, target))
        return;
    if (tensor || ((n->op == OP_ADD || n->op == OP_SUB) && !itself)) { /* the target's adjoint stays */
        if (!varied(d, e))
            return;
        struct node *seed = hold(d, reverse, "g", target_adjoint(d, target));
        adjoint(d, reverse, e, n->op == OP_SUB ? negative(d, seed) : seed);
        return;
    }
    /* target = e, with e in the new value's place: its adjoint is taken away and given to what e reads. */
    struct symbol *g = temporary(d, "g", T_FLOAT);
    add(reverse, assign(d, symbol(d, g), OP_NONE, target_adjoint(d, target)));
    add(reverse, assign(d, target_adjoint(d, target), OP_NONE, real(d, 0)));
    if (n->op == OP_NONE) {
        adjoint(d, reverse, e, symbol(d, g));
        return;
    }
    struct node whole = {.kind = N_BINARY,
                         .type = T_FLOAT,
                         .op = n->op,
                         .count = 2,
                         .args = (struct node *[]){n->args[0], n->args[1]},
                         .tensor = -1};
    adjoint(d, reverse, &whole, symbol(d, g));
}

static void sweep_assign(struct derivation *d, const struct node *n, struct list *forward,
                         struct list *reverse)
{
    const struct node *target = n->args[0];
    bool tensor = target->kind == N_ELEMENT && target->tensor >= 0, keep = value_needed(d, target);
    if (keep)
        add(forward, tape(d, N_PUSH, translate(d, target)));
    if (!tensor) {
        struct node *copy = assign(d, translate(d, target), n->op, translate(d, n->args[1]));
        copy->line = n->line;
        copy->column = n->column;
        add(forward, copy);
    }
    if (keep)
        add(reverse, tape(d, N_POP, translate(d, target)));
    reverse_assign(d, n, reverse);
}

/* Make again, at the start of a reversed body, what its statements need. */
static void recompute(struct derivation *d, const struct node *n, struct list *out)
{
    if (n->kind == N_ASSIGN && n->args[0]->kind == N_SYMBOL && d->recomputed[n->args[0]->symbol->index])
        add(out, assign(d, translate(d, n->args[0]), OP_NONE, translate(d, n->args[1])));
    for (int i = 0; n->kind == N_BLOCK && i < n->count; i++)
        recompute(d, n->args[i], out);
}

/* A body of its own: a loop's, or a branch's. */
static int sweep_body(struct derivation *d, const struct node *n, struct list *forward, struct list *reverse)
{
    struct list own = {0};
    if (sweep(d, n, forward, &own))
        return -1;
    if (own.count && d->loops)
        recompute(d, n, reverse);
    for (size_t i = 0; i < own.count; i++)
        add(reverse, own.items[i]);
    free(own.items);
    return 0;
}

static int sweep_if(struct derivation *d, const struct node *n, struct list *forward, struct list *reverse)
{
    struct list yes = {0}, no = {0}, back_yes = {0}, back_no = {0};
    struct node *condition = translate(d, n->args[0]);
    struct symbol *held = !repeatable(d, n->args[0]) ? temporary(d, "c", T_BOOL) : NULL;
    if (sweep_body(d, n->args[1], &yes, &back_yes) ||
        (n->args[2] && sweep_body(d, n->args[2], &no, &back_no)))
        return -1;
    if (held)
        add(forward, assign(d, symbol(d, held), OP_NONE, condition));
    struct node *f = node_new(d->to, N_IF, T_INT, 3), *r = node_new(d->to, N_IF, T_INT, 3);
    f->args[0] = held ? symbol(d, held) : condition;
    r->args[0] = held ? symbol(d, held) : again(d, condition);
    bool back = back_yes.count + back_no.count > 0;
    f->args[1] = block(d, &yes);
    f->args[2] = no.count ? block(d, &no) : NULL;
    r->args[1] = block(d, &back_yes);
    r->args[2] = back_no.count ? block(d, &back_no) : NULL;
    add(forward, f);
    if (!back)
        return 0;
    if (held) {
        add(forward, tape(d, N_PUSH, symbol(d, held)));
        add(reverse, tape(d, N_POP, symbol(d, held)));
    }
    add(reverse, r);
    return 0;
}

static int sweep_for(struct derivation *d, const struct node *n, struct list *forward, struct list *reverse)
{
    struct list there = {0}, back = {0};
    d->loops++;
    int rc = sweep_body(d, n->args[3], &there, &back);
    d->loops--;
    if (rc)
        return -1;
    struct node *f = node_new(d->to, N_FOR, T_INT, 4), *r = node_new(d->to, N_REVERSE_FOR, T_INT, 4);
    bool changing = !repeatable(d, n->args[0]) || !repeatable(d, n->args[1]), any = back.count > 0;
    f->symbol = r->symbol = d->loop[n->symbol->index];
    f->op = r->op = n->op;
    struct symbol *ends[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (changing) {
            ends[i] = temporary(d, "n", T_INT);
            add(forward, assign(d, symbol(d, ends[i]), OP_NONE, translate(d, n->args[i])));
        }
        f->args[i] = changing ? symbol(d, ends[i]) : translate(d, n->args[i]);
        r->args[i] = changing ? symbol(d, ends[i]) : translate(d, n->args[i]);
    }
    f->args[2] = translate(d, n->args[2]);
    r->args[2] = translate(d, n->args[2]);
    f->args[3] = block(d, &there);
    r->args[3] = block(d, &back);
    add(forward, f);
    if (!any)
        return 0;
    for (int i = 0; changing && i < 2; i++)
        add(forward, tape(d, N_PUSH, symbol(d, ends[i])));
    for (int i = 1; changing && i >= 0; i--)
        add(reverse, tape(d, N_POP, symbol(d, ends[i])));
    add(reverse, r);
    return 0;
}

static int sweep(struct derivation *d, const struct node *n, struct list *forward, struct list *reverse)
{
    if (n->kind == N_ASSIGN) {
        sweep_assign(d, n, forward, reverse);
        return 0;
    }
    if (n->kind == N_IF)
        return sweep_if(d, n, forward, reverse);
    if (n->kind == N_FOR)
        return sweep_for(d, n, forward, reverse);
    if (n->kind == N_BREAK || n->kind == N_CONTINUE)
        return refuse(d, n, n->kind == N_BREAK ? "it has a break" : "it has a continue");
    struct list *parts = xcalloc((size_t)n->count + 1, sizeof(*parts));
    int rc = 0;
    for (int i = 0; i < n->count && !rc; i++)
        rc = sweep(d, n->args[i], forward, &parts[i]);
    for (int i = n->count; i-- > 0;) {
        for (size_t k = 0; !rc && k < parts[i].count; k++)
            add(reverse, parts[i].items[k]);
        free(parts[i].items);
    }
    free(parts);
    return rc;
}

/* ---- leaving out what no one reads ---- */

struct live {
    bool *local, *array;
};

static void mark(struct live *l, const struct node *n)
{
    if (!n)
        return;
    if (n->symbol && n->symbol->kind == SYM_LOCAL)
        l->local[n->symbol->index] = true;
    if (n->symbol && n->symbol->kind == SYM_ARRAY)
        l->array[n->symbol->index] = true;
    for (int i = 0; i < n->count; i++)
        mark(l, n->args[i]);
}

static bool target_live(const struct live *l, const struct node *target)
{
    if (target->kind == N_SYMBOL)
        return l->local[target->symbol->index];
    return target->tensor >= 0 || l->array[target->symbol->index];
}

/* Mark what the statements that matter read; true when n is a statement that matters. */
static bool flow(struct live *l, const struct node *n)
{
    bool any = false;
    if (!n)
        return false;
    if (n->kind == N_ASSIGN) {
        if (!target_live(l, n->args[0]))
            return false;
        mark(l, n->args[1]);
        for (int i = 0; n->args[0]->kind == N_ELEMENT && i < n->args[0]->count; i++)
            mark(l, n->args[0]->args[i]);
        return true;
    }
    if (n->kind == N_PUSH || n->kind == N_POP) {
        mark(l, n->args[0]);
        return true;
    }
    if (n->kind == N_BLOCK) {
        for (int i = 0; i < n->count; i++)
            any |= flow(l, n->args[i]);
    } else if (n->kind == N_IF) {
        any = flow(l, n->args[1]);
        any |= flow(l, n->args[2]);
        if (any)
            mark(l, n->args[0]);
    } else {
        any = flow(l, n->args[3]);
        for (int i = 0; any && i < 3; i++)
            mark(l, n->args[i]);
    }
    return any;
}

static struct node *prune(const struct live *l, struct node *n)
{
    if (!n || (n->kind == N_ASSIGN && !target_live(l, n->args[0])))
        return NULL;
    if (n->kind == N_BLOCK) {
        int kept = 0;
        for (int i = 0; i < n->count; i++) {
            struct node *k = prune(l, n->args[i]);
            if (k)
                n->args[kept++] = k;
        }
        n->count = kept;
        return kept ? n : NULL;
    }
    if (n->kind == N_IF) {
        struct node *yes = prune(l, n->args[1]), *no = prune(l, n->args[2]);
        if (!yes && !no)
            return NULL;
        if (yes)
            n->args[1] = yes;
        else
            n->args[1]->count = 0;
        n->args[2] = no;
    } else if (n->kind == N_FOR || n->kind == N_REVERSE_FOR) {
        n->args[3] = prune(l, n->args[3]);
        if (!n->args[3])
            return NULL;
    }
    return n;
}

static int count_live(const struct derivation *d, const struct live *l)
{
    int n = 0;
    for (int i = 0; i < d->to->local_count; i++)
        n += l->local[i];
    for (int i = 0; i < d->to->array_count; i++)
        n += l->array[i];
    return n;
}

static void clean(struct derivation *d)
{
    struct live l = {xcalloc((size_t)d->to->local_count + 1, sizeof(bool)),
                     xcalloc((size_t)d->to->array_count + 1, sizeof(bool))};
    int before;
    do {
        before = count_live(d, &l);
        flow(&l, d->to->body);
    } while (count_live(d, &l) != before);
    struct node *body = prune(&l, d->to->body);
    if (body)
        d->to->body = body;
    else
        d->to->body->count = 0;
    free(l.local);
    free(l.array);
}

/* ---- all together ---- */

static void begin(struct derivation *d)
{
    const struct program *f = d->from;
    char name[LANG_NAME_MAX];
    d->to = program_new();
    d->temps = 0;
    for (int i = 0; i < f->local_count; i++) {
        d->local[i] = symbol_new(d->to, f->locals[i]->name, SYM_LOCAL, f->locals[i]->type);
    }
    for (int i = 0; i < f->loop_count; i++)
        d->loop[i] = symbol_new(d->to, f->loops[i]->name, SYM_LOOP, T_INT);
    for (int i = 0; i < f->array_count; i++) {
        d->array[i] = symbol_new(d->to, f->arrays[i]->name, SYM_ARRAY, f->arrays[i]->type);
        d->array[i]->size = translate(d, f->arrays[i]->size);
    }
    for (int i = 0; i < f->local_count; i++) {
        snprintf(name, sizeof(name), "d_%.60s", f->locals[i]->name);
        d->adjoint_local[i] = d->varied_local[i] ? symbol_new(d->to, name, SYM_LOCAL, T_FLOAT) : NULL;
    }
    for (int i = 0; i < f->array_count; i++) {
        snprintf(name, sizeof(name), "d_%.60s", f->arrays[i]->name);
        d->adjoint_array[i] = d->varied_array[i] ? symbol_new(d->to, name, SYM_ARRAY, T_FLOAT) : NULL;
        if (d->adjoint_array[i])
            d->adjoint_array[i]->size = translate(d, f->arrays[i]->size);
    }
}

static int sweep_all(struct derivation *d, struct list *reverse)
{
    struct list forward = {0};
    begin(d);
    int rc = sweep(d, d->from->body, &forward, reverse);
    for (size_t i = 0; i < reverse->count; i++)
        add(&forward, reverse->items[i]);
    d->to->body = block(d, &forward);
    return rc;
}

/* Which of the forward program's locals the reverse statements read. */
static void find_needed(struct derivation *d, const struct list *reverse)
{
    struct live l = {xcalloc((size_t)d->to->local_count + 1, sizeof(bool)),
                     xcalloc((size_t)d->to->array_count + 1, sizeof(bool))};
    for (size_t i = 0; i < reverse->count; i++)
        mark(&l, reverse->items[i]);
    for (int i = 0; i < d->from->local_count; i++)
        d->needed_local[i] = l.local[d->local[i]->index];
    for (int i = 0; i < d->from->array_count; i++)
        d->needed_array[i] = l.array[d->array[i]->index];
    free(l.local);
    free(l.array);
}

struct program *program_derive(const struct program *forward, const struct lang_scope *scope,
                               const struct derive_map *map, struct lang_error *error)
{
    size_t locals = (size_t)forward->local_count + 1, arrays = (size_t)forward->array_count + 1,
           loops = (size_t)forward->loop_count + 1;
    struct derivation d = {.from = forward, .scope = scope, .map = map, .error = error};
    struct list reverse = {0};
    *error = (struct lang_error){0};
    d.adjoint_local = xcalloc(locals, sizeof(struct symbol *));
    d.adjoint_array = xcalloc(arrays, sizeof(struct symbol *));
    d.local = xcalloc(locals, sizeof(struct symbol *));
    d.array = xcalloc(arrays, sizeof(struct symbol *));
    d.loop = xcalloc(loops, sizeof(struct symbol *));
    d.varied_local = xcalloc(locals, sizeof(bool));
    d.varied_array = xcalloc(arrays, sizeof(bool));
    d.needed_local = xcalloc(locals, sizeof(bool));
    d.needed_array = xcalloc(arrays, sizeof(bool));
    d.assignments = xcalloc(locals, sizeof(int));
    d.kept = xcalloc(locals, sizeof(bool));
    d.recomputed = xcalloc(locals, sizeof(bool));
    while (spread(&d, forward->body))
        ;
    count_assignments(&d, forward->body, false);
    find_recomputed(&d, forward->body);
    /* Once to learn what the reverse sweep reads, once more to put just that on the tape. */
    int rc = sweep_all(&d, &reverse);
    if (!rc) {
        find_needed(&d, &reverse);
        program_free(d.to);
        free(reverse.items);
        reverse = (struct list){0};
        d.tape = true;
        rc = sweep_all(&d, &reverse);
    }
    free(reverse.items);
    if (!rc)
        clean(&d);
    free(d.adjoint_local), free(d.adjoint_array), free(d.local), free(d.array), free(d.loop);
    free(d.assignments), free(d.kept), free(d.recomputed);
    free(d.varied_local), free(d.varied_array), free(d.needed_local), free(d.needed_array);
    if (rc) {
        program_free(d.to);
        return NULL;
    }
    return d.to;
}
