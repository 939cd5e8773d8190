/* csv_columns: what the first walk over a CSV learns of each column. Memory is bounded: a column remembers at
 * most so many different texts. Private to data/. */
#ifndef KERNELS_DATA_CSV_COLUMNS_H
#define KERNELS_DATA_CSV_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#define CSV_CATEGORIES_MAX 64    /* different texts of a feature column */
#define CSV_CLASSES_MAX    10000 /* of the target */
#define CSV_TEXT_MAX       128   /* characters of one that are kept */

enum cell_kind { CELL_NUMBER, CELL_MISSING, CELL_TEXT, CELL_INFINITE };
/* "", ?, NA, N/A, NaN, null and none are missing. */
enum cell_kind csv_cell_kind(const char *text, double *value);
#define CSV_NUMBER_TEXT "%.10g" /* a number as a category or class: 3 and 3.0 are the same */

/* Different texts, each with a number in order of arrival, up to a cap. */
struct text_set {
    char **texts;
    int64_t *counts;
    int count, cap;
    int *slots; /* hash: number + 1, 0 empty */
    int slot_count;
    bool full; /* one more came than the cap */
};
void text_set_init(struct text_set *s, int cap);
void text_set_free(struct text_set *s);
int text_set_add(struct text_set *s, const char *text);        /* its number; -1 when full */
int text_set_find(const struct text_set *s, const char *text); /* -1 if none */
/* Sorted: numbers by value when all are numbers, else by bytes. */
void text_set_sort(struct text_set *s);

enum column_role { COLUMN_NUMBER, COLUMN_CATEGORY, COLUMN_TARGET, COLUMN_DROPPED, COLUMN_TEXT };

struct column {
    char *name;
    enum column_role role;
    bool is_target;
    int64_t numbers, missing, texts, integers;
    int64_t longest; /* text, in bytes */
    double min, max, mean;
    int64_t train_numbers;  /* in the mean, when it is that of the train split */
    struct text_set values; /* texts, and numbers in shortest form (a column of both is categories) */
    struct {
        int64_t line;
        char *text;
    } odd;       /* the first text, for when nearly all are numbers */
    int feature; /* first of its features in the pack; of missing numbers the one after says where they are */
};
void column_init(struct column *c, bool is_target);
void column_free(struct column *c);
/* Take one cell in; the kind it is. */
enum cell_kind column_add(struct column *c, const char *text, int64_t line);
/* Nearly all numbers, and some texts: a mistake in the file rather than categories. */
bool column_is_stained(const struct column *c);

#endif
