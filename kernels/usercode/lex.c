#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/usercode/lang.h"

static void step(struct lexer *l)
{
    if (*l->at == '\n') {
        l->line++;
        l->column = 0;
    }
    l->column++;
    l->at++;
}

/* False when a comment does not end. */
static bool skip_space(struct lexer *l)
{
    for (;;) {
        if (*l->at && isspace((unsigned char)*l->at)) {
            step(l);
        } else if (l->at[0] == '/' && l->at[1] == '/') {
            while (*l->at && *l->at != '\n')
                step(l);
        } else if (l->at[0] == '/' && l->at[1] == '*') {
            step(l), step(l);
            while (*l->at && !(l->at[0] == '*' && l->at[1] == '/'))
                step(l);
            if (!*l->at)
                return false;
            step(l), step(l);
        } else {
            return true;
        }
    }
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* A decimal number, 1e-5, 0x10, with an f, F, l or L after it as C has. */
static void number(struct lexer *l, struct token *t)
{
    const char *p = l->at;
    bool real = false, hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    while (is_name(*p) || *p == '.' || ((*p == '+' || *p == '-') && !hex && (p[-1] == 'e' || p[-1] == 'E'))) {
        real |= !hex && (*p == '.' || *p == 'e' || *p == 'E');
        p++;
    }
    char text[64], *end;
    size_t n = (size_t)(p - l->at), digits = n;
    if (n < sizeof(text)) {
        if (digits > 1 && strchr("fFlL", l->at[digits - 1]) && !hex) {
            real |= l->at[digits - 1] == 'f' || l->at[digits - 1] == 'F';
            digits--;
        }
        memcpy(text, l->at, digits);
        text[digits] = '\0';
        errno = 0;
        t->real = real ? strtod(text, &end) : 0;
        t->integer = real ? 0 : strtoll(text, &end, hex ? 16 : 10);
        t->kind = *end || errno == ERANGE ? TOK_BAD : real ? TOK_REAL : TOK_INT;
    }
    t->n = n;
}

struct token lexer_next(struct lexer *l)
{
    static const char *const pairs[] = {"<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=",
                                        "%=", "++", "--", "->", "<<", ">>", "&=", "|=", "^=", NULL};
    int line = l->line, column = l->column;
    if (!skip_space(l))
        return (struct token){.kind = TOK_BAD, .text = "/*", .n = 2, .line = line, .column = column};
    struct token t = {.kind = TOK_BAD, .text = l->at, .n = 1, .line = l->line, .column = l->column};
    if (!*l->at) {
        t.kind = TOK_END;
        t.n = 0;
    } else if (isdigit((unsigned char)*l->at) || (*l->at == '.' && isdigit((unsigned char)l->at[1]))) {
        number(l, &t);
    } else if (is_name(*l->at)) {
        t.kind = TOK_NAME;
        for (t.n = 0; is_name(l->at[t.n]);)
            t.n++;
    } else if (strchr("+-*/%<>=!&|(){}[];,?:.^~#", *l->at)) {
        t.kind = TOK_PUNCT;
        for (int i = 0; pairs[i]; i++)
            if (!strncmp(l->at, pairs[i], 2))
                t.n = 2;
    }
    for (size_t i = 0; i < t.n; i++)
        step(l);
    return t;
}
