#include "kernels/data/csv_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK 65536

void csv_reader_init(struct csv_reader *r, struct stream *s, char delimiter)
{
    *r = (struct csv_reader){.s = s, .delimiter = delimiter, .next_line = 1, .in = xmalloc(CHUNK)};
}

void csv_reader_free(struct csv_reader *r)
{
    free(r->in);
    free(r->cells);
    buf_free(&r->row);
    *r = (struct csv_reader){0};
}

const char *csv_cell(const struct csv_reader *r, int i)
{
    return r->row.data + r->cells[i];
}

/* The next byte without taking it; -1 at the end, -2 on error. */
static int look(struct csv_reader *r, struct err *err)
{
    if (r->at < r->end)
        return r->in[r->at];
    if (r->ended)
        return -1;
    ssize_t n = stream_read(r->s, r->in, CHUNK, err);
    if (n < 0)
        return -2;
    r->at = 0;
    r->end = (size_t)n;
    r->ended = n < CHUNK;
    if (r->s->offset == n && n >= 3 && !memcmp(r->in, "\xef\xbb\xbf", 3))
        r->at = 3; /* a byte order mark */
    return r->at < r->end ? r->in[r->at] : -1;
}

static int begin_cell(struct csv_reader *r, struct err *err)
{
    if (r->count == CSV_COLUMNS_MAX)
        return err_set(err, ERR_TOO_LARGE, "line %lld has more than %d cells", (long long)r->line,
                       CSV_COLUMNS_MAX);
    r->cells = vec_grow(r->cells, &r->cell_cap, (size_t)r->count + 1, sizeof(*r->cells));
    r->cells[r->count++] = r->row.len;
    return 0;
}

static int put(struct csv_reader *r, int c, struct err *err)
{
    if (r->row.len >= CSV_ROW_MAX)
        return err_set(err, ERR_TOO_LARGE,
                       "line %lld begins a row of more than %d bytes (a quote that is never closed?)",
                       (long long)r->line, CSV_ROW_MAX);
    if (c == 0)
        return err_set(err, ERR_INVALID, "line %lld holds a NUL byte: this is not text",
                       (long long)r->next_line);
    buf_putc(&r->row, (char)c);
    return 0;
}

/* After the opening quote, up to and with the closing one. */
static int quoted(struct csv_reader *r, struct err *err)
{
    for (;;) {
        int c = look(r, err);
        if (c == -2)
            return -1;
        if (c == -1)
            return err_set(err, ERR_INVALID, "the quote opened in line %lld is never closed",
                           (long long)r->line);
        r->at++;
        if (c == '"') {
            c = look(r, err);
            if (c == -2)
                return -1;
            if (c != '"')
                return 0;
            r->at++;
        }
        r->next_line += c == '\n';
        if (put(r, c, err))
            return -1;
    }
}

/* One cell and the delimiter after it. 1: more cells, 0: the row ended, -1: error. */
static int read_cell(struct csv_reader *r, struct err *err)
{
    int c;
    if (begin_cell(r, err))
        return -1;
    while ((c = look(r, err)) == ' ' || (c == '\t' && r->delimiter != '\t'))
        r->at++;
    bool was_quoted = c == '"';
    if (was_quoted) {
        r->at++;
        if (quoted(r, err))
            return -1;
    }
    size_t start = r->row.len;
    while ((c = look(r, err)) >= 0 && c != r->delimiter && c != '\n') {
        r->at++;
        if (was_quoted && (c == ' ' || c == '\r'))
            continue;
        if (put(r, c, err))
            return -1;
    }
    if (c == -2)
        return -1;
    while (r->row.len > start && strchr(" \t\r", r->row.data[r->row.len - 1]))
        r->row.len--;
    buf_putc(&r->row, 0);
    if (c >= 0)
        r->at++;
    r->next_line += c == '\n';
    return c == r->delimiter;
}

int csv_next(struct csv_reader *r, struct err *err)
{
    for (;;) {
        int c = look(r, err), more;
        if (c < 0)
            return c == -1 ? 0 : -1;
        r->line = r->next_line;
        r->count = 0;
        buf_clear(&r->row);
        while ((more = read_cell(r, err)) > 0)
            ;
        if (more < 0)
            return -1;
        if (r->count > 1 || *csv_cell(r, 0))
            return 1;
    }
}

char csv_guess_delimiter(const uint8_t *head, size_t n)
{
    static const char known[] = ",;\t|";
    int best = 0, best_score = 0;
    for (int k = 0; known[k]; k++) {
        int count = 0, first = -1, same = 0, rows = 0;
        bool quote = false;
        for (size_t i = 0; i < n; i++) {
            quote ^= head[i] == '"';
            count += !quote && head[i] == known[k];
            if (quote || head[i] != '\n')
                continue;
            if (first < 0)
                first = count;
            same += count == first;
            rows++;
            count = 0;
        }
        if (rows == 0) {
            first = count;
            rows = same = 1;
        }
        int score = first > 0 ? 1000 * same / rows + first : 0;
        if (score > best_score) {
            best = k;
            best_score = score;
        }
    }
    return known[best];
}
