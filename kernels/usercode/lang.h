/* lang: the language that users write layers and optimizers in, a C subset over tensors, as a checked syntax tree.
 *
 * A program is the body run once at every point of a grid (usually: for every element of the output). It has ints (64 bits), floats (float32;
 * the checked interpreter computes in float64), bools, local arrays, if, counted for loops and a fixed set of functions: no pointers, no
 * calls, no while. So it always ends, reaches nothing but its tensors, and can be differentiated (derive.h).
 *
 * Nothing here knows of JSON, layers or threads. Trees live in an arena and are freed together.
 */
#ifndef KERNELS_USERCODE_LANG_H
#define KERNELS_USERCODE_LANG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define LANG_NAME_MAX    64
#define LANG_SOURCE_MAX  65536
#define LANG_NODES_MAX   100000
#define LANG_DEPTH_MAX   100
#define LANG_RANK_MAX    6
#define LANG_TENSORS_MAX 64
#define LANG_ARRAY_MAX   4096 /* elements of a local array */

enum lang_type { T_INT, T_FLOAT, T_BOOL };

/* How a program may use a tensor. */
enum lang_access {
    ACCESS_READ,   /* x[i] */
    ACCESS_WRITE,  /* y[i] = ..., y[i] += ...: starts at 0; not read */
    ACCESS_ADD,    /* dx[i] += ... from any point of the grid, or = from one; starts at 0; not read */
    ACCESS_UPDATE, /* read and written, each element by one point only */
};

struct lang_tensor {
    char name[LANG_NAME_MAX];
    int rank;
    enum lang_access access;
};

enum symbol_kind { SYM_LOCAL, SYM_LOOP, SYM_GRID, SYM_CONSTANT, SYM_ARRAY };

/* A name with a number behind it. Locals and loop variables have one each, whatever block they stand in. */
struct symbol {
    char name[LANG_NAME_MAX];
    enum symbol_kind kind;
    enum lang_type type;
    int index; /* among those of its kind: grid coordinate, constant, or slot of locals, loops and arrays */
    struct node *size; /* ARRAY: elements, an expression of constants */
    int line;
};

enum node_kind {
    /* expressions */
    N_INT,
    N_REAL,
    N_SYMBOL,
    N_ELEMENT, /* tensor[args] or array symbol[args] */
    N_UNARY,
    N_BINARY,
    N_CALL,
    N_SELECT, /* args[0] ? args[1] : args[2] */
    N_CAST,
    /* statements */
    N_BLOCK,  /* args */
    N_ASSIGN, /* args[0] op= args[1] */
    N_IF,     /* args[0] condition, args[1] then, args[2] else or NULL */
    N_FOR,    /* symbol from args[0]; op args[1] (bound); step args[2]; body args[3] */
    N_BREAK,
    N_CONTINUE,
    N_PUSH,        /* derive: put args[0] on the tape */
    N_POP,         /* derive: take args[0] (an lvalue) from the tape */
    N_REVERSE_FOR, /* derive: as N_FOR, the same values of the variable in the opposite order */
};

enum lang_op {
    OP_NONE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_EQ,
    OP_NE,
    OP_AND,
    OP_OR,
    OP_NEG,
    OP_NOT,
};

enum call {
    CALL_EXP,
    CALL_LOG,
    CALL_SQRT,
    CALL_TANH,
    CALL_SIN,
    CALL_COS,
    CALL_ATAN,
    CALL_ERF,
    CALL_SIGMOID,
    CALL_FABS,
    CALL_FLOOR,
    CALL_CEIL,
    CALL_ROUND,
    CALL_POW,
    CALL_FMIN,
    CALL_FMAX,
    CALL_IMIN,
    CALL_IMAX,
    CALL_IABS,
    CALL_COUNT,
};

struct node {
    enum node_kind kind;
    enum lang_type type; /* of an expression */
    enum lang_op op;
    enum call call;
    int64_t integer;
    double real;
    struct symbol *symbol;
    int tensor; /* of ELEMENT: index, -1 for a local array (symbol) */
    int count;  /* of args */
    struct node **args;
    int line, column; /* in the source, from 1 */
};

struct lang_constant {
    char name[LANG_NAME_MAX];
    enum lang_type type;
};

/* What a program may name. Constants are dimensions and parameters: known before it runs. */
struct lang_scope {
    const struct lang_tensor *tensors;
    int tensor_count;
    const char *const *grid; /* names of the coordinates */
    int grid_count;
    const struct lang_constant *constants;
    int constant_count;
};

struct arena;

struct program {
    struct arena *arena;
    struct node *body;
    struct symbol **locals, **loops, **arrays;
    int local_count, loop_count, array_count;
    bool uses_tape;
};

/* Where a program is wrong. */
struct lang_error {
    int line, column;
    char message[256], hint[160];
};

/* Parse and check. NULL with *error filled. The program does not refer to the scope after the call, but its indices are the scope's. */
struct program *program_parse(const char *source, const struct lang_scope *scope, struct lang_error *error);
void program_free(struct program *p); /* NULL is legal */
/* The program as text that parses again (but for tape operations, which are shown as push() and pop()). */
void program_print(const struct program *p, const struct lang_scope *scope, struct buf *out);

const char *call_name(enum call c);
const char *call_c_name(enum call c); /* "expf": what C users write; NULL if there is none */
int call_arity(enum call c);
const char *op_text(enum lang_op o);

/* For derive.c: new parts. Everything lives as long as the program. */
struct program *program_new(void);
struct node *node_new(struct program *p, enum node_kind kind, enum lang_type type, int count);
struct symbol *symbol_new(struct program *p, const char *name, enum symbol_kind kind, enum lang_type type);
struct node *node_copy(struct program *p, const struct node *n);

/* For the parser: tokens. */
enum token_kind { TOK_END, TOK_NAME, TOK_INT, TOK_REAL, TOK_PUNCT, TOK_BAD };

struct token {
    enum token_kind kind;
    const char *text;
    size_t n;
    int line, column;
    int64_t integer;
    double real;
};

struct lexer {
    const char *at;
    int line, column;
};

/* The next token; comments of both kinds are skipped. BAD: a character or number that is none, or a comment that does not end. */
struct token lexer_next(struct lexer *l);

#endif
