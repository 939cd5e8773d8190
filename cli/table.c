#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"

struct table {
    int columns, rows;
    bool *right;
    char **cells; /* row 0 are the titles */
};

/* Good enough for what people name things: every code point is one column, East Asian wide ones two. */
int text_width(const char *s)
{
    int width = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if ((*p & 0xc0) == 0x80)
            continue;
        bool wide = *p >= 0xe3 && *p <= 0xed; /* U+3000 to U+D7FF */
        width += wide || *p >= 0xf0 ? 2 : 1;
    }
    return width;
}

static char *clean(const char *s)
{
    char *copy = xstrdup(s ? s : "-");
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return copy;
}

static void add_row(struct table *t, va_list ap)
{
    t->cells = xreallocarray(t->cells, (size_t)(t->rows + 1) * (size_t)t->columns, sizeof *t->cells);
    for (int i = 0; i < t->columns; i++)
        t->cells[t->rows * t->columns + i] = clean(va_arg(ap, const char *));
    t->rows++;
}

struct table *table_create(int columns, ...)
{
    struct table *t = xcalloc(1, sizeof *t);
    t->columns = columns;
    t->right = xcalloc((size_t)columns, sizeof *t->right);
    va_list ap;
    va_start(ap, columns);
    add_row(t, ap);
    va_end(ap);
    for (int i = 0; i < columns; i++) {
        t->right[i] = t->cells[i][0] == '>';
        if (t->right[i])
            memmove(t->cells[i], t->cells[i] + 1, strlen(t->cells[i]));
    }
    return t;
}

void table_row(struct table *t, ...)
{
    va_list ap;
    va_start(ap, t);
    add_row(t, ap);
    va_end(ap);
}

void table_print(const struct table *t, FILE *out, bool color)
{
    int *width = xcalloc((size_t)t->columns, sizeof *width);
    for (int i = 0; i < t->rows * t->columns; i++) {
        int w = text_width(t->cells[i]);
        if (w > width[i % t->columns])
            width[i % t->columns] = w;
    }
    for (int r = 0; r < t->rows; r++) {
        fputs(r == 0 ? C_BOLD(color) : "", out);
        for (int c = 0; c < t->columns; c++) {
            const char *cell = t->cells[r * t->columns + c];
            int pad = width[c] - text_width(cell);
            bool last = c == t->columns - 1;
            fprintf(out, "%*s%s%*s%s", t->right[c] ? pad : 0, "", cell, t->right[c] || last ? 0 : pad, "",
                    last ? "" : "  ");
        }
        fputs(r == 0 ? C_OFF(color) : "", out);
        fputc('\n', out);
    }
    free(width);
}

int table_rows(const struct table *t)
{
    return t->rows - 1;
}

void table_destroy(struct table *t)
{
    for (int i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t->right);
    free(t);
}
