/* table: columns for people. Cells are copied; control characters in them become blanks. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

struct table;

struct table *table_create(int columns,
                           ...);      /* the titles; a title that begins with '>' is set to the right */
void table_row(struct table *t, ...); /* as many strings; NULL is "-" */
void table_print(const struct table *t, FILE *out, bool color);
int table_rows(const struct table *t);
void table_destroy(struct table *t);
/* How many columns of a terminal a UTF-8 text takes. */
int text_width(const char *s);

#endif
