/* csv_reader: rows of a CSV (RFC 4180: quotes, doubled quotes, line breaks in quotes) out of a stream; one
 * row in memory. */
#ifndef KERNELS_DATA_CSV_READER_H
#define KERNELS_DATA_CSV_READER_H

#include "base/buf.h"
#include "kernels/data/stream.h"

#define CSV_ROW_MAX     (1 << 20) /* bytes */
#define CSV_COLUMNS_MAX 16384

struct csv_reader {
    struct stream *s;
    char delimiter;
    int64_t line; /* of the row just read, from 1; a row may span lines */
    int64_t next_line;
    uint8_t *in; /* read but not looked at */
    size_t at, end;
    bool ended;
    struct buf row; /* the cells, each NUL-ended */
    size_t *cells;  /* where each begins */
    size_t cell_cap;
    int count;
};

/* The delimiter among , ; tab | that the first rows agree on. Reads nothing away. */
char csv_guess_delimiter(const uint8_t *head, size_t n);
void csv_reader_init(struct csv_reader *r, struct stream *s, char delimiter);
void csv_reader_free(struct csv_reader *r);
/* 1: a row is there (blank lines are skipped); 0: the end; -1: err says what and in which line. */
int csv_next(struct csv_reader *r, struct err *err);
const char *csv_cell(const struct csv_reader *r, int i);

#endif
