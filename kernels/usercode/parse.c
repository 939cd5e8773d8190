/* The parser: recursive descent, one token ahead, types checked as it goes. The first mistake ends it (longjmp out of the depth; everything
 * is in the program's arena, so nothing leaks). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/usercode/lang.h"

struct visible {
    char name[LANG_NAME_MAX];
    struct symbol *symbol;
};

struct parser {
    jmp_buf out;
    struct lang_error *error;
    const struct lang_scope *scope;
    struct program *program;
    struct lexer lexer;
    struct token next;
    struct visible *names; /* innermost last */
    size_t name_count, name_cap;
    int depth, nodes, in_loop;
};

/* ---- saying what is wrong ---- */

static _Noreturn void fail(struct parser *p, int line, int column, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

static _Noreturn void fail(struct parser *p, int line, int column, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->error->message, sizeof(p->error->message), fmt, args);
    va_end(args);
    snprintf(p->error->hint, sizeof(p->error->hint), "%s", hint ? hint : "");
    p->error->line = line;
    p->error->column = column;
    longjmp(p->out, 1);
}

static bool token_is(const struct token *t, const char *text)
{
    return (t->kind == TOK_PUNCT || t->kind == TOK_NAME) && strlen(text) == t->n &&
           !strncmp(t->text, text, t->n);
}

static void token_text(const struct token *t, char *out, size_t n)
{
    if (t->kind == TOK_END)
        snprintf(out, n, "the end");
    else
        snprintf(out, n, "\"%.*s\"", (int)(t->n > 40 ? 40 : t->n), t->text);
}

static _Noreturn void unexpected(struct parser *p, const char *wanted)
{
    char text[48];
    token_text(&p->next, text, sizeof(text));
    fail(p, p->next.line, p->next.column, NULL, "expected %s, not %s", wanted, text);
}

static struct token advance(struct parser *p)
{
    struct token t = p->next;
    p->next = lexer_next(&p->lexer);
    if (p->next.kind == TOK_BAD && !strncmp(p->next.text, "/*", 2))
        fail(p, p->next.line, p->next.column, NULL, "a comment that does not end");
    if (p->next.kind == TOK_BAD) {
        char text[48];
        token_text(&p->next, text, sizeof(text));
        fail(p, p->next.line, p->next.column, NULL, "%s has no meaning here", text);
    }
    return t;
}

static bool at(const struct parser *p, const char *text)
{
    return token_is(&p->next, text);
}

static bool take(struct parser *p, const char *text)
{
    if (!at(p, text))
        return false;
    advance(p);
    return true;
}

static void want(struct parser *p, const char *text)
{
    char wanted[16];
    snprintf(wanted, sizeof(wanted), "\"%s\"", text);
    if (!take(p, text))
        unexpected(p, wanted);
}

static struct node *make(struct parser *p, const struct token *t, enum node_kind kind, enum lang_type type,
                         int count)
{
    if (++p->nodes > LANG_NODES_MAX)
        fail(p, t->line, t->column, NULL, "the program is too long");
    struct node *n = node_new(p->program, kind, type, count);
    n->line = t->line;
    n->column = t->column;
    return n;
}

static void deeper(struct parser *p)
{
    if (++p->depth > LANG_DEPTH_MAX)
        fail(p, p->next.line, p->next.column, NULL, "nested more than %d deep", LANG_DEPTH_MAX);
}

/* ---- names ---- */

static int tensor_index(const struct lang_scope *s, const struct token *t)
{
    for (int i = 0; i < s->tensor_count; i++)
        if (token_is(t, s->tensors[i].name))
            return i;
    return -1;
}

static const char *const forbidden[] = {"while",  "do",       "goto",     "switch", "return", "struct",
                                        "union",  "enum",     "void",     "char",   "short",  "unsigned",
                                        "static", "const",    "typedef",  "sizeof", "extern", "asm",
                                        "auto",   "volatile", "register", "inline", NULL};

static bool is_keyword(const struct token *t)
{
    static const char *const words[] = {"int", "long",  "float",    "double", "bool",  "if", "else",
                                        "for", "break", "continue", "true",   "false", NULL};
    for (int i = 0; words[i]; i++)
        if (token_is(t, words[i]))
            return true;
    for (int i = 0; forbidden[i]; i++)
        if (token_is(t, forbidden[i]))
            return true;
    return false;
}

static int call_find(const struct token *t)
{
    for (int c = 0; c < CALL_COUNT; c++)
        if (token_is(t, call_name((enum call)c)) ||
            (call_c_name((enum call)c) && token_is(t, call_c_name((enum call)c))))
            return c;
    return -1;
}

static struct symbol *find_local(const struct parser *p, const struct token *t)
{
    for (size_t i = p->name_count; i-- > 0;)
        if (token_is(t, p->names[i].name))
            return p->names[i].symbol;
    return NULL;
}

/* A grid coordinate or constant, as a fresh symbol. */
static struct symbol *find_outer(struct parser *p, const struct token *t)
{
    const struct lang_scope *s = p->scope;
    struct symbol *found = NULL;
    for (int i = 0; i < s->grid_count && !found; i++)
        if (token_is(t, s->grid[i])) {
            found = symbol_new(p->program, s->grid[i], SYM_GRID, T_INT);
            found->index = i;
        }
    for (int i = 0; i < s->constant_count && !found; i++)
        if (token_is(t, s->constants[i].name)) {
            found = symbol_new(p->program, s->constants[i].name, SYM_CONSTANT, s->constants[i].type);
            found->index = i;
        }
    return found;
}

static struct symbol *declare(struct parser *p, const struct token *t, enum symbol_kind kind,
                              enum lang_type type)
{
    char name[LANG_NAME_MAX], unique[LANG_NAME_MAX];
    if (t->kind != TOK_NAME || is_keyword(t))
        unexpected(p, "a name");
    if (t->n >= LANG_NAME_MAX - 8)
        fail(p, t->line, t->column, NULL, "a name of more than %d characters", LANG_NAME_MAX - 9);
    snprintf(name, sizeof(name), "%.*s", (int)t->n, t->text);
    if (tensor_index(p->scope, t) >= 0 || find_outer(p, t) || call_find(t) >= 0)
        fail(p, t->line, t->column, "choose another name",
             "\"%s\" is the name of a tensor, dimension, parameter, coordinate or function", name);
    struct symbol *before = find_local(p, t);
    if (before)
        fail(p, t->line, t->column, "choose another name", "\"%s\" is already declared in line %d", name,
             before->line);
    /* Two blocks may use one name: their symbols differ. */
    snprintf(unique, sizeof(unique), "%s", name);
    for (int k = 2, again = 1; again; k++) {
        again = 0;
        for (int i = 0; i < p->program->local_count; i++)
            again |= !strcmp(p->program->locals[i]->name, unique);
        for (int i = 0; i < p->program->loop_count; i++)
            again |= !strcmp(p->program->loops[i]->name, unique);
        for (int i = 0; i < p->program->array_count; i++)
            again |= !strcmp(p->program->arrays[i]->name, unique);
        if (again)
            snprintf(unique, sizeof(unique), "%.50s_%d", name, k);
    }
    struct symbol *s = symbol_new(p->program, unique, kind, type);
    s->line = t->line;
    p->names = vec_grow(p->names, &p->name_cap, p->name_count + 1, sizeof(*p->names));
    snprintf(p->names[p->name_count].name, LANG_NAME_MAX, "%s", name);
    p->names[p->name_count++].symbol = s;
    return s;
}

/* ---- expressions ---- */

static struct node *expression(struct parser *p);

static const char *type_name(enum lang_type t)
{
    static const char *const names[] = {"an int", "a float", "a bool"};
    return names[t];
}

/* n as a float, where C converts by itself. */
static struct node *as_float(struct parser *p, struct node *n)
{
    if (n->type == T_FLOAT)
        return n;
    struct token t = {.line = n->line, .column = n->column};
    if (n->kind == N_INT) {
        struct node *real = make(p, &t, N_REAL, T_FLOAT, 0);
        real->real = (double)n->integer;
        return real;
    }
    struct node *cast = make(p, &t, N_CAST, T_FLOAT, 1);
    cast->args[0] = n;
    return cast;
}

static struct node *as_bool(struct parser *p, struct node *n)
{
    if (n->type == T_BOOL)
        return n;
    struct token t = {.line = n->line, .column = n->column};
    struct node *zero = make(p, &t, n->type == T_INT ? N_INT : N_REAL, n->type, 0),
                *test = make(p, &t, N_BINARY, T_BOOL, 2);
    test->op = OP_NE;
    test->args[0] = n;
    test->args[1] = zero;
    return test;
}

static struct node *as_int(struct parser *p, struct node *n, const char *what)
{
    if (n->type == T_INT)
        return n;
    fail(p, n->line, n->column, "write (int) in front to cut a float off", "%s must be an int, not %s", what,
         type_name(n->type));
}

static struct node *element(struct parser *p, const struct token *name, int tensor, struct symbol *array)
{
    struct node *index[LANG_RANK_MAX];
    int rank = tensor >= 0 ? p->scope->tensors[tensor].rank : 1, n = 0;
    while (at(p, "[")) {
        struct token open = advance(p);
        if (n == rank)
            fail(p, open.line, open.column, NULL, "\"%.*s\" has %d dimension%s", (int)name->n, name->text,
                 rank, rank == 1 ? "" : "s");
        index[n++] = as_int(p, expression(p), "an index");
        want(p, "]");
    }
    if (n < rank)
        fail(p, name->line, name->column, NULL, "\"%.*s\" has %d dimension%s, and %d ind%s", (int)name->n,
             name->text, rank, rank == 1 ? "" : "s", n, n == 1 ? "ex is given" : "ices are given");
    struct node *e = make(p, name, N_ELEMENT, tensor >= 0 ? T_FLOAT : array->type, n);
    e->tensor = tensor;
    e->symbol = array;
    for (int i = 0; i < n; i++)
        e->args[i] = index[i];
    return e;
}

static struct node *call(struct parser *p, const struct token *name, int which)
{
    struct node *args[2];
    int n = 0, arity = call_arity((enum call)which);
    want(p, "(");
    while (!at(p, ")") && n < 2) {
        args[n++] = expression(p);
        if (!at(p, ")"))
            want(p, ",");
        else
            break;
    }
    if (n != arity || !at(p, ")"))
        fail(p, name->line, name->column, NULL, "%.*s takes %d argument%s", (int)name->n, name->text, arity,
             arity == 1 ? "" : "s");
    want(p, ")");
    bool ints = args[0]->type == T_INT && (arity == 1 || args[1]->type == T_INT);
    /* min, max and abs of floats are those of floats. */
    if (!ints && which == CALL_IMIN)
        which = CALL_FMIN;
    if (!ints && which == CALL_IMAX)
        which = CALL_FMAX;
    if (!ints && which == CALL_IABS)
        which = CALL_FABS;
    bool integer = which == CALL_IMIN || which == CALL_IMAX || which == CALL_IABS;
    struct node *c = make(p, name, N_CALL, integer ? T_INT : T_FLOAT, arity);
    c->call = (enum call)which;
    for (int i = 0; i < arity; i++) {
        if (args[i]->type == T_BOOL)
            fail(p, args[i]->line, args[i]->column, NULL, "%.*s takes numbers, not a bool", (int)name->n,
                 name->text);
        c->args[i] = integer ? args[i] : as_float(p, args[i]);
    }
    return c;
}

static _Noreturn void unknown_name(struct parser *p, const struct token *t)
{
    char text[LANG_NAME_MAX];
    snprintf(text, sizeof(text), "%.*s", (int)(t->n < LANG_NAME_MAX ? t->n : LANG_NAME_MAX - 1), t->text);
    for (int i = 0; forbidden[i]; i++)
        if (!strcmp(forbidden[i], text))
            fail(p, t->line, t->column, "use counted for loops, if, and local variables",
                 "\"%s\" is not part of the language", text);
    if (at(p, "("))
        fail(p, t->line, t->column,
             "functions: exp log sqrt tanh sin cos atan erf sigmoid fabs floor ceil round pow fmin fmax min "
             "max abs",
             "there is no function \"%s\"", text);
    fail(p, t->line, t->column,
         "names are those of inputs, weights, dimensions, parameters, coordinates and of what is declared "
         "before",
         "there is nothing named \"%s\"", text);
}

static struct node *name_expression(struct parser *p)
{
    struct token t = advance(p);
    if (token_is(&t, "true") || token_is(&t, "false")) {
        struct node *n = make(p, &t, N_INT, T_BOOL, 0);
        n->integer = token_is(&t, "true");
        return n;
    }
    int tensor = tensor_index(p->scope, &t), which = call_find(&t);
    if (tensor >= 0) {
        struct node *e = element(p, &t, tensor, NULL);
        return e;
    }
    struct symbol *s = find_local(p, &t);
    if (!s)
        s = find_outer(p, &t);
    if (!s && which >= 0 && at(p, "("))
        return call(p, &t, which);
    if (!s)
        unknown_name(p, &t);
    if (s->kind == SYM_ARRAY)
        return element(p, &t, -1, s);
    struct node *n = make(p, &t, N_SYMBOL, s->type, 0);
    n->symbol = s;
    return n;
}

static void check_readable(struct parser *p, const struct node *n)
{
    if (n->kind != N_ELEMENT || n->tensor < 0)
        return;
    const struct lang_tensor *t = &p->scope->tensors[n->tensor];
    if (t->access == ACCESS_WRITE || t->access == ACCESS_ADD)
        fail(p, n->line, n->column, "gather the value in a local variable first",
             "\"%s\" is written here, and cannot be read", t->name);
}

static struct node *primary(struct parser *p)
{
    struct node *n;
    deeper(p);
    if (p->next.kind == TOK_INT || p->next.kind == TOK_REAL) {
        struct token t = advance(p);
        n = make(p, &t, t.kind == TOK_INT ? N_INT : N_REAL, t.kind == TOK_INT ? T_INT : T_FLOAT, 0);
        n->integer = t.integer;
        n->real = t.real;
    } else if (take(p, "(")) {
        enum lang_type to = at(p, "int") || at(p, "long")       ? T_INT
                            : at(p, "float") || at(p, "double") ? T_FLOAT
                                                                : T_BOOL;
        if (to != T_BOOL) {
            struct token t = advance(p);
            want(p, ")");
            struct node *inner = primary(p);
            check_readable(p, inner);
            n = make(p, &t, N_CAST, to, 1);
            n->args[0] = inner;
        } else {
            n = expression(p);
            want(p, ")");
        }
    } else if (at(p, "-") || at(p, "!") || at(p, "+")) {
        struct token t = advance(p);
        struct node *inner = primary(p);
        check_readable(p, inner);
        if (token_is(&t, "+")) {
            p->depth--;
            return inner;
        }
        bool not = token_is(&t, "!");
        if (!not &&inner->type == T_BOOL)
            fail(p, t.line, t.column, NULL, "a bool has no negative");
        n = make(p, &t, N_UNARY, not ? T_BOOL : inner->type, 1);
        n->op = not ? OP_NOT : OP_NEG;
        n->args[0] = not ? as_bool(p, inner) : inner;
    } else if (at(p, "&") || at(p, "*")) {
        fail(p, p->next.line, p->next.column, "tensors are indexed: x[i][j]",
             "there are no pointers in the language");
    } else if (p->next.kind == TOK_NAME) {
        n = name_expression(p);
    } else {
        unexpected(p, "a value");
    }
    p->depth--;
    return n;
}

static const struct {
    const char *text;
    enum lang_op op;
    int rank; /* binds tighter when larger */
} operators[] = {{"||", OP_OR, 1}, {"&&", OP_AND, 2}, {"==", OP_EQ, 3}, {"!=", OP_NE, 3}, {"<=", OP_LE, 4},
                 {">=", OP_GE, 4}, {"<", OP_LT, 4},   {">", OP_GT, 4},  {"+", OP_ADD, 5}, {"-", OP_SUB, 5},
                 {"*", OP_MUL, 6}, {"/", OP_DIV, 6},  {"%", OP_MOD, 6}};

static struct node *binary_node(struct parser *p, const struct token *t, enum lang_op op, struct node *a,
                                struct node *b)
{
    check_readable(p, a);
    check_readable(p, b);
    bool logic = op == OP_AND || op == OP_OR, compare = op >= OP_LT && op <= OP_NE;
    if (logic) {
        a = as_bool(p, a);
        b = as_bool(p, b);
    } else {
        if (a->type == T_BOOL || b->type == T_BOOL)
            fail(p, t->line, t->column, "compare or select: (c ? a : b)", "\"%s\" takes numbers, not a bool",
                 op_text(op));
        if (op == OP_MOD) {
            as_int(p, a, "the left of %");
            as_int(p, b, "the right of %");
        }
        if (a->type == T_FLOAT || b->type == T_FLOAT) {
            a = as_float(p, a);
            b = as_float(p, b);
        }
    }
    struct node *n = make(p, t, N_BINARY, logic || compare ? T_BOOL : a->type, 2);
    n->op = op;
    n->args[0] = a;
    n->args[1] = b;
    return n;
}

/* Precedence climbing. */
static struct node *binary(struct parser *p, int least)
{
    deeper(p);
    struct node *left = primary(p);
    for (;;) {
        size_t found = ARRAY_LEN(operators);
        for (size_t i = 0; i < ARRAY_LEN(operators) && found == ARRAY_LEN(operators); i++)
            if (at(p, operators[i].text) && operators[i].rank >= least)
                found = i;
        if (found == ARRAY_LEN(operators))
            break;
        struct token t = advance(p);
        left = binary_node(p, &t, operators[found].op, left, binary(p, operators[found].rank + 1));
    }
    p->depth--;
    return left;
}

static struct node *expression(struct parser *p)
{
    struct node *c = binary(p, 1);
    if (!at(p, "?")) {
        check_readable(p, c);
        return c;
    }
    deeper(p);
    struct token t = advance(p);
    struct node *a = expression(p);
    want(p, ":");
    struct node *b = expression(p);
    if (a->type != b->type) {
        if (a->type == T_BOOL || b->type == T_BOOL)
            fail(p, t.line, t.column, NULL, "one side of ?: is a bool, the other is not");
        a = as_float(p, a);
        b = as_float(p, b);
    }
    struct node *n = make(p, &t, N_SELECT, a->type, 3);
    check_readable(p, c);
    n->args[0] = as_bool(p, c);
    n->args[1] = a;
    n->args[2] = b;
    p->depth--;
    return n;
}

/* ---- statements ---- */

static struct node *statement(struct parser *p);

static struct node *convert(struct parser *p, struct node *value, enum lang_type to)
{
    if (to == T_FLOAT && value->type != T_BOOL)
        return as_float(p, value);
    if (to == T_BOOL)
        return as_bool(p, value);
    if (to == T_INT && value->type == T_INT)
        return value;
    fail(p, value->line, value->column,
         to == T_INT ? "write (int) in front to cut a float off" : "select: (c ? 1.0 : 0.0)",
         "%s is assigned to %s", type_name(value->type), type_name(to));
}

static struct node *assignment(struct parser *p, const struct token *t, struct node *target, enum lang_op op,
                               struct node *value)
{
    struct node *n = make(p, t, N_ASSIGN, target->type, 2);
    n->op = op;
    n->args[0] = target;
    n->args[1] = convert(p, value, target->type);
    return n;
}

static bool is_constant(const struct node *n)
{
    if (n->kind == N_ELEMENT || (n->kind == N_SYMBOL && n->symbol->kind != SYM_CONSTANT))
        return false;
    for (int i = 0; i < n->count; i++)
        if (!is_constant(n->args[i]))
            return false;
    return true;
}

static struct node *zero_of(struct parser *p, const struct token *t, enum lang_type type)
{
    return make(p, t, type == T_FLOAT ? N_REAL : N_INT, type, 0);
}

static struct node *array_declaration(struct parser *p, const struct token *name, enum lang_type type)
{
    struct symbol *s = declare(p, name, SYM_ARRAY, type);
    want(p, "[");
    s->size = as_int(p, expression(p), "the size of an array");
    if (!is_constant(s->size))
        fail(p, s->size->line, s->size->column, NULL,
             "the size of a local array is made of numbers, dimensions and parameters only");
    want(p, "]");
    if (at(p, "="))
        fail(p, p->next.line, p->next.column, "it starts with zeros", "a local array has no initial value");
    /* Filled with zeros where it is declared: a loop over it. */
    struct symbol *i = symbol_new(p->program, "i", SYM_LOOP, T_INT);
    snprintf(i->name, sizeof(i->name), "fill_%d", i->index);
    struct node *loop = make(p, name, N_FOR, T_INT, 4), *e = make(p, name, N_ELEMENT, type, 1),
                *at_i = make(p, name, N_SYMBOL, T_INT, 0);
    struct node *one = make(p, name, N_INT, T_INT, 0);
    one->integer = 1;
    at_i->symbol = i;
    e->symbol = s;
    e->args[0] = at_i;
    loop->symbol = i;
    loop->op = OP_LT;
    loop->args[0] = zero_of(p, name, T_INT);
    loop->args[1] = node_copy(p->program, s->size);
    loop->args[2] = one;
    loop->args[3] = assignment(p, name, e, OP_NONE, zero_of(p, name, type));
    return loop;
}

static struct node *declaration(struct parser *p)
{
    struct token word = advance(p);
    enum lang_type type = token_is(&word, "float") || token_is(&word, "double") ? T_FLOAT
                          : token_is(&word, "bool")                             ? T_BOOL
                                                                                : T_INT;
    struct node *made[64];
    int n = 0;
    do {
        struct token name = p->next;
        if (n == 64)
            fail(p, name.line, name.column, NULL, "too many names in one declaration");
        if (at(p, "*"))
            fail(p, name.line, name.column, "tensors are indexed: x[i][j]",
                 "there are no pointers in the language");
        if (name.kind != TOK_NAME)
            unexpected(p, "a name");
        advance(p);
        if (at(p, "(")) /* float f(float x) {...} */
            fail(p, name.line, name.column, "write it where it is used",
                 "there are no functions of one's own in the language");
        if (at(p, "[")) {
            made[n++] = array_declaration(p, &name, type);
            continue;
        }
        struct node *value = take(p, "=") ? expression(p) : zero_of(p, &name, type);
        struct symbol *s = declare(p, &name, SYM_LOCAL, type);
        struct node *target = make(p, &name, N_SYMBOL, type, 0);
        target->symbol = s;
        made[n++] = assignment(p, &name, target, OP_NONE, value);
    } while (take(p, ","));
    want(p, ";");
    struct node *block = make(p, &word, N_BLOCK, T_INT, n);
    memcpy(block->args, made, (size_t)n * sizeof(*made));
    return block;
}

static void check_target(struct parser *p, const struct node *n, enum lang_op op)
{
    if (n->kind == N_SYMBOL && n->symbol->kind == SYM_LOCAL)
        return;
    if (n->kind == N_SYMBOL) {
        static const char *const what[] = {"", "the variable of a for loop", "a coordinate of the grid",
                                           "a dimension or parameter", ""};
        fail(p, n->line, n->column, NULL, "\"%s\" is %s, and cannot be changed", n->symbol->name,
             what[n->symbol->kind]);
    }
    if (n->kind != N_ELEMENT)
        fail(p, n->line, n->column, NULL, "this cannot be assigned to");
    if (n->tensor < 0)
        return;
    const struct lang_tensor *t = &p->scope->tensors[n->tensor];
    if (t->access == ACCESS_READ)
        fail(p, n->line, n->column, NULL, "\"%s\" is given, and cannot be written", t->name);
    if (t->access != ACCESS_UPDATE && op != OP_NONE && op != OP_ADD && op != OP_SUB)
        fail(p, n->line, n->column, "gather the value in a local variable first",
             "\"%s\" takes = and += only", t->name);
}

/* target = value; target += value; target++; ++target. */
static struct node *assign_statement(struct parser *p)
{
    static const struct {
        const char *text;
        enum lang_op op;
    } kinds[] = {{"=", OP_NONE}, {"+=", OP_ADD}, {"-=", OP_SUB}, {"*=", OP_MUL}, {"/=", OP_DIV}};
    struct token first = p->next;
    bool before = at(p, "++") || at(p, "--");
    enum lang_op step = at(p, "--") ? OP_SUB : OP_ADD;
    if (before)
        advance(p);
    struct node *target = primary(p), *one = make(p, &first, N_INT, T_INT, 0);
    one->integer = 1;
    if (!before && (at(p, "++") || at(p, "--"))) {
        step = at(p, "--") ? OP_SUB : OP_ADD;
        advance(p);
        before = true;
    }
    if (before) {
        check_target(p, target, step);
        return assignment(p, &first, target, step, one);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!at(p, kinds[i].text))
            continue;
        struct token t = advance(p);
        check_target(p, target, kinds[i].op);
        if (target->type == T_BOOL && kinds[i].op != OP_NONE)
            fail(p, t.line, t.column, NULL, "a bool takes = only");
        return assignment(p, &first, target, kinds[i].op, expression(p));
    }
    if (at(p, "%=") || at(p, "&=") || at(p, "|=") || at(p, "^="))
        fail(p, p->next.line, p->next.column, NULL, "the language has = += -= *= and /=");
    unexpected(p, "an assignment");
}

/* Whether something in n may change what e is made of. */
static bool changes(const struct node *n, const struct node *e)
{
    if (!n)
        return false;
    if (n->kind == N_ASSIGN) {
        const struct node *t = n->args[0];
        if (e->kind == N_SYMBOL && t->kind == N_SYMBOL && t->symbol == e->symbol)
            return true;
        if (e->kind == N_ELEMENT && t->kind == N_ELEMENT && t->tensor == e->tensor && t->symbol == e->symbol)
            return true;
        for (int i = 0; i < e->count; i++)
            if (changes(n, e->args[i]))
                return true;
        return false;
    }
    for (int i = 0; i < n->count; i++)
        if (changes(n->args[i], e))
            return true;
    return false;
}

/* i++, i--, ++i, --i, i += 2, i -= 2; the step as a number that is not 0. */
static struct node *loop_step(struct parser *p, const struct token *name, const struct symbol *symbol)
{
    bool before = at(p, "++") || at(p, "--"), minus = at(p, "--");
    if (before)
        advance(p);
    struct token t = p->next;
    if (t.kind != TOK_NAME || find_local(p, &t) != symbol)
        unexpected(p, "a step of the loop's variable, such as i++ or i += 2");
    advance(p);
    struct node *step = make(p, &t, N_INT, T_INT, 0);
    step->integer = minus ? -1 : 1;
    if (before)
        return step;
    if (at(p, "++") || at(p, "--")) {
        struct token which = advance(p);
        step->integer = token_is(&which, "--") ? -1 : 1;
        return step;
    }
    minus = at(p, "-=");
    if (!minus && !at(p, "+="))
        unexpected(p, "a step of the loop's variable, such as i++ or i += 2");
    advance(p);
    struct node *by = as_int(p, expression(p), "the step");
    if (!is_constant(by))
        fail(p, by->line, by->column, "so that every loop ends",
             "the step of \"%.*s\" is made of numbers, dimensions and parameters only", (int)name->n,
             name->text);
    if (!minus)
        return by;
    struct node *negative = make(p, &t, N_UNARY, T_INT, 1);
    negative->op = OP_NEG;
    negative->args[0] = by;
    return negative;
}

static struct node *for_statement(struct parser *p)
{
    struct token word = advance(p);
    struct node *n = make(p, &word, N_FOR, T_INT, 4);
    size_t names = p->name_count;
    want(p, "(");
    if (!at(p, "int") && !at(p, "long"))
        fail(p, p->next.line, p->next.column, "for (int i = 0; i < N; i++)",
             "a for loop declares its variable");
    advance(p);
    struct token name = p->next;
    if (name.kind != TOK_NAME)
        unexpected(p, "a name");
    advance(p);
    want(p, "=");
    n->args[0] = as_int(p, expression(p), "the start of a loop");
    n->symbol = declare(p, &name, SYM_LOOP, T_INT);
    want(p, ";");
    struct token left = p->next;
    if (left.kind != TOK_NAME || find_local(p, &left) != n->symbol)
        fail(p, left.line, left.column, "for (int i = 0; i < N; i++)",
             "a for loop compares its variable with a bound");
    advance(p);
    n->op = at(p, "<") ? OP_LT : at(p, "<=") ? OP_LE : at(p, ">") ? OP_GT : at(p, ">=") ? OP_GE : OP_NONE;
    if (n->op == OP_NONE)
        unexpected(p, "<, <=, > or >=");
    advance(p);
    n->args[1] = as_int(p, expression(p), "the bound of a loop");
    want(p, ";");
    n->args[2] = loop_step(p, &name, n->symbol);
    want(p, ")");
    p->in_loop++;
    n->args[3] = statement(p);
    p->in_loop--;
    p->name_count = names;
    if (changes(n->args[3], n->args[1]))
        fail(p, n->args[1]->line, n->args[1]->column, "so that every loop ends",
             "the bound of a loop is changed inside it");
    if (n->args[2]->kind == N_INT &&
        ((n->args[2]->integer > 0) != (n->op == OP_LT || n->op == OP_LE) || n->args[2]->integer == 0))
        fail(p, word.line, word.column, NULL, "the loop's step leads away from its bound");
    return n;
}

static struct node *block_statement(struct parser *p)
{
    struct token open = advance(p);
    struct node **list = NULL;
    size_t n = 0, cap = 0, names = p->name_count;
    /* The list grows in the arena's care: its last form is copied into the node. */
    struct node *chain = make(p, &open, N_BLOCK, T_INT, 0);
    while (!at(p, "}")) {
        if (p->next.kind == TOK_END)
            fail(p, open.line, open.column, NULL, "this { has no }");
        struct node *s = statement(p);
        if (n == cap) {
            cap = cap ? cap * 2 : 8;
            struct node *bigger = make(p, &open, N_BLOCK, T_INT, (int)cap);
            if (n)
                memcpy(bigger->args, list, n * sizeof(*list));
            list = bigger->args;
            chain->args = list;
        }
        list[n++] = s;
    }
    advance(p);
    chain->count = (int)n;
    p->name_count = names;
    return chain;
}

static struct node *if_statement(struct parser *p)
{
    struct token word = advance(p);
    struct node *n = make(p, &word, N_IF, T_INT, 3);
    size_t names = p->name_count;
    want(p, "(");
    n->args[0] = as_bool(p, expression(p));
    want(p, ")");
    n->args[1] = statement(p);
    p->name_count = names;
    if (take(p, "else"))
        n->args[2] = statement(p);
    p->name_count = names;
    return n;
}

static struct node *statement(struct parser *p)
{
    struct node *n;
    deeper(p);
    if (at(p, "{")) {
        n = block_statement(p);
    } else if (at(p, "int") || at(p, "long") || at(p, "float") || at(p, "double") || at(p, "bool")) {
        n = declaration(p);
    } else if (at(p, "if")) {
        n = if_statement(p);
    } else if (at(p, "for")) {
        n = for_statement(p);
    } else if (at(p, "break") || at(p, "continue")) {
        struct token t = advance(p);
        if (!p->in_loop)
            fail(p, t.line, t.column, NULL, "\"%.*s\" outside of a loop", (int)t.n, t.text);
        n = make(p, &t, token_is(&t, "break") ? N_BREAK : N_CONTINUE, T_INT, 0);
        want(p, ";");
    } else if (at(p, ";")) {
        struct token t = advance(p);
        n = make(p, &t, N_BLOCK, T_INT, 0);
    } else {
        if (p->next.kind == TOK_NAME)
            for (int i = 0; forbidden[i]; i++)
                if (token_is(&p->next, forbidden[i])) {
                    struct token t = advance(p);
                    unknown_name(p, &t);
                }
        n = assign_statement(p);
        want(p, ";");
    }
    p->depth--;
    return n;
}

struct program *program_parse(const char *source, const struct lang_scope *scope, struct lang_error *error)
{
    struct parser *p = xcalloc(1, sizeof(*p));
    struct program *volatile made = program_new();
    *error = (struct lang_error){0};
    *p = (struct parser){
        .error = error, .scope = scope, .program = made, .lexer = {.at = source, .line = 1, .column = 1}};
    if (setjmp(p->out) == 0) {
        if (strlen(source) > LANG_SOURCE_MAX)
            fail(p, 1, 1, NULL, "more than %d characters", LANG_SOURCE_MAX);
        advance(p);
        struct token start = p->next;
        struct node **list = NULL;
        int n = 0, cap = 0;
        while (p->next.kind != TOK_END) {
            struct node *s = statement(p);
            if (n == cap) {
                cap = cap ? cap * 2 : 8;
                struct node *bigger = make(p, &start, N_BLOCK, T_INT, cap);
                if (n)
                    memcpy(bigger->args, list, (size_t)n * sizeof(*list));
                list = bigger->args;
            }
            list[n++] = s;
        }
        if (n == 0)
            fail(p, 1, 1, NULL, "there is no statement");
        made->body = make(p, &start, N_BLOCK, T_INT, 0);
        made->body->args = list;
        made->body->count = n;
    } else {
        program_free(made);
        made = NULL;
    }
    free(p->names);
    free(p);
    return made;
}
