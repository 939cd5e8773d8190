#include "cli/problem.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "cli/api.h"

#define SHOWN 100 /* bytes of a line that are shown */

/* The text of one line; NULL when the file has no such line (or is no text). */
static const char *line_of(const struct buf *text, int line, size_t *n)
{
    const char *p = buf_str(text), *end = p + text->len;
    if (text->len && memchr(p, '\0', text->len))
        return NULL;
    for (int i = 1; i < line && p; i++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    if (!p || p > end)
        return NULL;
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    *n = (size_t)((nl ? nl : end) - p);
    return p;
}

void problem_print_place(const char *file, int line, int column, bool color, FILE *out)
{
    struct buf text = {0};
    size_t n = 0;
    if (line <= 0)
        return;
    const char *p = file && file_read(file, 16 << 20, &text, NULL) == 0 ? line_of(&text, line, &n) : NULL;
    if (p) {
        size_t at = column > 0 ? (size_t)column - 1 : 0;
        size_t from = at > SHOWN - 20 ? at - (SHOWN - 20) : 0; /* long lines: the part around the place */
        size_t len = n > from ? n - from : 0;
        len = len > SHOWN ? SHOWN : len;
        fprintf(out, "%s%6d |%s %s", C_DIM(color), line, C_OFF(color), from ? "..." : "");
        for (size_t i = 0; i < len; i++)
            fputc((unsigned char)p[from + i] < 0x20 ? ' ' : p[from + i], out);
        fprintf(out, "\n%s       |%s %s", C_DIM(color), C_OFF(color), from ? "   " : "");
        for (size_t i = from; i < at && i < from + len; i++)
            if ((p[i] & 0xc0) != 0x80)
                fputc(' ', out);
        fprintf(out, "%s^%s\n", C_RED(color), C_OFF(color));
    }
    buf_free(&text);
}

static void print_location(const json_t *e, const char *file, bool color, FILE *out)
{
    int line = (int)jint(e, "line"), column = (int)jint(e, "column");
    const char *pointer = jstr(e, "pointer"), *subject = jstr(e, "subject");
    if (line > 0 && file) {
        fprintf(out, "  %s%s:%d:%d%s", C_BOLD(color), file, line, column, C_OFF(color));
        fprintf(out, "%s%s%s\n", *pointer ? " (" : "", pointer, *pointer ? ")" : "");
        problem_print_place(file, line, column, color, out);
    } else if (line > 0) {
        fprintf(out, "  %s%s%sline %d, column %d", *subject ? "in the " : "", subject, *subject ? ", " : "",
                line, column);
        fprintf(out, "%s%s%s\n", *pointer ? " (" : "", pointer, *pointer ? ")" : "");
    } else if (!strcmp(subject, "override")) {
        fprintf(out, "  by --set %s\n", pointer);
    } else if (*pointer) {
        fprintf(out, "  at %s\n", pointer);
    }
}

static void print_detail(const json_t *e, bool color, FILE *out)
{
    const char *expected = jstr(e, "expected"), *actual = jstr(e, "actual"), *hint = jstr(e, "hint");
    if (*expected)
        fprintf(out, "         expected: %s\n", expected);
    if (*actual)
        fprintf(out, "         found:    %s\n", actual);
    if (*hint)
        fprintf(out, "         %shint:%s %s\n", C_GREEN(color), C_OFF(color), hint);
}

void problem_print_verification(const json_t *verification, const char *local_file, bool all, bool color,
                                FILE *out)
{
    size_t i;
    json_t *check;
    json_array_foreach(json_object_get(verification, "checks"), i, check)
    {
        const char *status = jstr(check, "status");
        bool failed = strcmp(status, "failed") == 0, warned = strcmp(status, "warned") == 0;
        if (!failed && !warned && !all)
            continue;
        fprintf(out, "%s%s%s %s: %s\n",
                failed   ? C_RED(color)
                : warned ? C_YELLOW(color)
                         : C_GREEN(color),
                failed   ? "FAILED"
                : warned ? "warned"
                         : "passed",
                C_OFF(color), jstr(check, "name"), jstr(check, "message"));
        if (failed || warned) {
            print_location(check, local_file, color, out);
            print_detail(check, color, out);
        }
    }
}

void problem_print(const struct cli *cli, const struct err *err)
{
    bool color = cli->color_err;
    if (cli->json && cli->problem)
        api_print(cli->problem);
    fprintf(stderr, "%serror:%s %s\n", C_RED(color), C_OFF(color), err->text);
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(cli->problem, "errors"), i, e)
    {
        fprintf(stderr, "%s-%s %s\n", C_RED(color), C_OFF(color), jstr(e, "message"));
        print_location(e, cli->local_file, color, stderr);
        print_detail(e, color, stderr);
    }
}
