/* Building and copying syntax trees. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/usercode/lang.h"

struct arena {
    void **blocks;
    size_t count, cap;
};

static void *arena_take(struct arena *a, size_t bytes)
{
    a->blocks = vec_grow(a->blocks, &a->cap, a->count + 1, sizeof(void *));
    return a->blocks[a->count++] = xcalloc(1, bytes);
}

struct program *program_new(void)
{
    struct program *p = xcalloc(1, sizeof(*p));
    p->arena = xcalloc(1, sizeof(*p->arena));
    return p;
}

void program_free(struct program *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->arena->count; i++)
        free(p->arena->blocks[i]);
    free(p->arena->blocks);
    free(p->arena);
    free(p->locals);
    free(p->loops);
    free(p->arrays);
    free(p);
}

struct node *node_new(struct program *p, enum node_kind kind, enum lang_type type, int count)
{
    struct node *n = arena_take(p->arena, sizeof(*n));
    n->kind = kind;
    n->type = type;
    n->count = count;
    n->tensor = -1;
    n->args = count ? arena_take(p->arena, (size_t)count * sizeof(struct node *)) : NULL;
    return n;
}

struct node *node_copy(struct program *p, const struct node *n)
{
    if (!n)
        return NULL;
    struct node *copy = node_new(p, n->kind, n->type, n->count);
    struct node **args = copy->args;
    *copy = *n;
    copy->args = args;
    for (int i = 0; i < n->count; i++)
        copy->args[i] = node_copy(p, n->args[i]);
    return copy;
}

struct symbol *symbol_new(struct program *p, const char *name, enum symbol_kind kind, enum lang_type type)
{
    struct symbol *s = arena_take(p->arena, sizeof(*s));
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->kind = kind;
    s->type = type;
    struct symbol ***list = kind == SYM_LOCAL   ? &p->locals
                            : kind == SYM_LOOP  ? &p->loops
                            : kind == SYM_ARRAY ? &p->arrays
                                                : NULL;
    int *count = kind == SYM_LOCAL ? &p->local_count : kind == SYM_LOOP ? &p->loop_count : &p->array_count;
    if (list) {
        *list = xreallocarray(*list, (size_t)*count + 1, sizeof(**list));
        (*list)[*count] = s;
        s->index = (*count)++;
    }
    return s;
}

static const struct {
    const char *name, *c_name; /* c_name: what C users also write */
    int arity;
} calls[CALL_COUNT] = {
    [CALL_EXP] = {"exp", "expf", 1},       [CALL_LOG] = {"log", "logf", 1},
    [CALL_SQRT] = {"sqrt", "sqrtf", 1},    [CALL_TANH] = {"tanh", "tanhf", 1},
    [CALL_SIN] = {"sin", "sinf", 1},       [CALL_COS] = {"cos", "cosf", 1},
    [CALL_ATAN] = {"atan", "atanf", 1},    [CALL_ERF] = {"erf", "erff", 1},
    [CALL_SIGMOID] = {"sigmoid", NULL, 1}, [CALL_FABS] = {"fabs", "fabsf", 1},
    [CALL_FLOOR] = {"floor", "floorf", 1}, [CALL_CEIL] = {"ceil", "ceilf", 1},
    [CALL_ROUND] = {"round", "roundf", 1}, [CALL_POW] = {"pow", "powf", 2},
    [CALL_FMIN] = {"fmin", "fminf", 2},    [CALL_FMAX] = {"fmax", "fmaxf", 2},
    [CALL_IMIN] = {"min", NULL, 2},        [CALL_IMAX] = {"max", NULL, 2},
    [CALL_IABS] = {"abs", NULL, 1},
};

const char *call_name(enum call c)
{
    return calls[c].name;
}

const char *call_c_name(enum call c)
{
    return calls[c].c_name;
}

int call_arity(enum call c)
{
    return calls[c].arity;
}

const char *op_text(enum lang_op o)
{
    static const char *const texts[] = {
        [OP_NONE] = "",  [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_MOD] = "%",
        [OP_LT] = "<",   [OP_LE] = "<=", [OP_GT] = ">",  [OP_GE] = ">=", [OP_EQ] = "==", [OP_NE] = "!=",
        [OP_AND] = "&&", [OP_OR] = "||", [OP_NEG] = "-", [OP_NOT] = "!",
    };
    return texts[o];
}

/* ---- printing ---- */

struct printer {
    const struct lang_scope *scope;
    struct buf *out;
    int depth;
};

static void expression(struct printer *w, const struct node *n);

static void list(struct printer *w, const struct node *n, const char *between, const char *open,
                 const char *close)
{
    for (int i = 0; i < n->count; i++) {
        buf_puts(w->out, i ? between : "");
        buf_puts(w->out, open);
        expression(w, n->args[i]);
        buf_puts(w->out, close);
    }
}

static void expression(struct printer *w, const struct node *n)
{
    static const char *const types[] = {"int", "float", "bool"};
    switch (n->kind) {
    case N_INT:
        buf_printf(w->out, n->integer < 0 ? "(%lld)" : "%lld", (long long)n->integer);
        break;
    case N_REAL: {
        char text[40];
        snprintf(text, sizeof(text), "%.9g", n->real);
        buf_printf(w->out, n->real < 0 ? "(%s%s)" : "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
        break;
    }
    case N_SYMBOL:
        buf_puts(w->out, n->symbol->name);
        break;
    case N_ELEMENT:
        buf_puts(w->out, n->tensor >= 0 ? w->scope->tensors[n->tensor].name : n->symbol->name);
        list(w, n, "", "[", "]");
        break;
    case N_UNARY:
        buf_puts(w->out, op_text(n->op));
        expression(w, n->args[0]);
        break;
    case N_BINARY:
        buf_putc(w->out, '(');
        expression(w, n->args[0]);
        buf_printf(w->out, " %s ", op_text(n->op));
        expression(w, n->args[1]);
        buf_putc(w->out, ')');
        break;
    case N_CALL:
        buf_printf(w->out, "%s(", call_name(n->call));
        list(w, n, ", ", "", "");
        buf_putc(w->out, ')');
        break;
    case N_SELECT:
        buf_putc(w->out, '(');
        expression(w, n->args[0]);
        buf_puts(w->out, " ? ");
        expression(w, n->args[1]);
        buf_puts(w->out, " : ");
        expression(w, n->args[2]);
        buf_putc(w->out, ')');
        break;
    default:
        buf_printf(w->out, "(%s)", types[n->type]);
        expression(w, n->args[0]);
    }
}

static void indent(const struct printer *w)
{
    for (int i = 0; i < w->depth; i++)
        buf_puts(w->out, "    ");
}

static void statement(struct printer *w, const struct node *n);

static void body(struct printer *w, const struct node *n)
{
    buf_puts(w->out, " {\n");
    w->depth++;
    if (n->kind == N_BLOCK)
        for (int i = 0; i < n->count; i++)
            statement(w, n->args[i]);
    else
        statement(w, n);
    w->depth--;
    indent(w);
    buf_puts(w->out, "}");
}

static void loop(struct printer *w, const struct node *n)
{
    buf_printf(w->out, "for (int %s = ", n->symbol->name);
    expression(w, n->args[0]);
    buf_printf(w->out, "; %s %s ", n->symbol->name, op_text(n->op));
    expression(w, n->args[1]);
    buf_printf(w->out, "; %s += ", n->symbol->name);
    expression(w, n->args[2]);
    buf_puts(w->out, n->kind == N_REVERSE_FOR ? ") /* backwards */" : ")");
    body(w, n->args[3]);
    buf_putc(w->out, '\n');
}

static void statement(struct printer *w, const struct node *n)
{
    if (n->kind == N_BLOCK) {
        for (int i = 0; i < n->count; i++)
            statement(w, n->args[i]);
        return;
    }
    indent(w);
    switch (n->kind) {
    case N_ASSIGN:
        expression(w, n->args[0]);
        buf_printf(w->out, " %s= ", op_text(n->op));
        expression(w, n->args[1]);
        buf_puts(w->out, ";\n");
        break;
    case N_IF:
        buf_puts(w->out, "if (");
        expression(w, n->args[0]);
        buf_putc(w->out, ')');
        body(w, n->args[1]);
        if (n->args[2]) {
            buf_puts(w->out, " else");
            body(w, n->args[2]);
        }
        buf_putc(w->out, '\n');
        break;
    case N_FOR:
    case N_REVERSE_FOR:
        loop(w, n);
        break;
    case N_PUSH:
    case N_POP:
        buf_puts(w->out, n->kind == N_PUSH ? "push(" : "pop(");
        expression(w, n->args[0]);
        buf_puts(w->out, ");\n");
        break;
    default:
        buf_puts(w->out, n->kind == N_BREAK ? "break;\n" : "continue;\n");
    }
}

void program_print(const struct program *p, const struct lang_scope *scope, struct buf *out)
{
    static const char *const types[] = {"int", "float", "bool"};
    struct printer w = {.scope = scope, .out = out};
    for (int i = 0; i < p->local_count; i++)
        buf_printf(out, "%s %s = 0;\n", types[p->locals[i]->type], p->locals[i]->name);
    for (int i = 0; i < p->array_count; i++) {
        buf_printf(out, "%s %s[", types[p->arrays[i]->type], p->arrays[i]->name);
        expression(&w, p->arrays[i]->size);
        buf_puts(out, "];\n");
    }
    statement(&w, p->body);
}
