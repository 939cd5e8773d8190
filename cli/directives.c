#include "cli/directives.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

static void add(struct directives *d, const char *word, int line)
{
    d->words = xreallocarray(d->words, (size_t)d->count + 1, sizeof(*d->words));
    d->lines = xreallocarray(d->lines, (size_t)d->count + 1, sizeof(*d->lines));
    d->words[d->count] = xstrdup(word);
    d->lines[d->count++] = line;
}

/* Where a word that begins at p ends, its text in b; NULL: a quote is not closed. */
static const char *take_word(const char *p, const char *end, struct buf *b)
{
    char quote = 0;
    for (; p < end && (quote || (*p != ' ' && *p != '\t')); p++) {
        if (*p == quote)
            quote = 0;
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else if (*p == '\\' && quote != '\'' && p + 1 < end)
            buf_putc(b, *++p);
        else
            buf_putc(b, *p);
    }
    return quote ? NULL : p;
}

static int take_line(struct directives *d, const char *p, const char *end, int line, struct err *err)
{
    for (;;) {
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (p == end || *p == '#')
            return 0;
        struct buf word = {0};
        p = take_word(p, end, &word);
        if (p)
            add(d, buf_str(&word), line);
        buf_free(&word);
        if (!p)
            return err_set(err, ERR_INVALID, "line %d: a quote is not closed", line);
        if (d->count > DIRECTIVES_MAX)
            return err_set(err, ERR_INVALID, "line %d: more than %d words of options", line, DIRECTIVES_MAX);
    }
}

/* The text after a mark, NULL if the line has none. */
static const char *after_mark(const char *line, size_t n)
{
    static const char *const marks[] = {"#SBATCH", "#TRAINYARD"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t m = strlen(marks[i]);
        if (n > m && memcmp(line, marks[i], m) == 0 && (line[m] == ' ' || line[m] == '\t'))
            return line + m;
    }
    return NULL;
}

int directives_read(const char *script, struct directives *out, struct err *err)
{
    *out = (struct directives){0};
    int number = 0;
    for (const char *p = script; *p;) {
        size_t n = strcspn(p, "\n");
        const char *next = p[n] ? p + n + 1 : p + n;
        if (n && p[n - 1] == '\r')
            n--;
        number++;
        const char *options = after_mark(p, n);
        if (options && take_line(out, options, p + n, number, err))
            return -1;
        size_t blank = strspn(p, " \t");
        if (blank < n && p[blank] != '#')
            break;
        p = next;
    }
    return 0;
}

void directives_free(struct directives *d)
{
    for (int i = 0; i < d->count; i++)
        free(d->words[i]);
    free(d->words);
    free(d->lines);
    *d = (struct directives){0};
}
