#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set_at(struct err *err, enum err_code code, const char *file, int line, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    /* The arguments may point into err->text (re-wrapping an error), so format aside first. */
    char text[sizeof(err->text)];
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err->code = code;
    err->file = file;
    err->line = line;
    memcpy(err->text, text, sizeof(text));
    return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char old[sizeof(err->text)];
    memcpy(old, err->text, sizeof(old));
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    /* What does not fit is cut at the end: the outermost context is in front. */
    size_t at = n < 0 ? 0 : (size_t)n;
    for (const char *from[] = {": ", old}, **f = from; f < from + 2; f++)
        for (const char *p = *f; *p && at < sizeof(err->text) - 1; p++)
            err->text[at++] = *p;
    if (at < sizeof(err->text))
        err->text[at] = 0;
    return -1;
}

/* One row a code: what the web sees, what a shell sees, how the problem is titled. */
static const struct {
    int http, exit;
    const char *title;
} code_table[] = {
    [ERR_NONE] = {200, 0, "OK"},
    [ERR_INVALID] = {400, 2, "Bad request"},
    [ERR_UNAUTHENTICATED] = {401, 4, "Not signed in"},
    [ERR_FORBIDDEN] = {403, 4, "Not allowed"},
    [ERR_NOT_FOUND] = {404, 5, "Not found"},
    [ERR_EXISTS] = {409, 6, "Already exists"},
    [ERR_CONFLICT] = {409, 6, "Not possible in this state"},
    [ERR_TOO_LARGE] = {413, 2, "Too large"},
    [ERR_UNSUPPORTED] = {415, 2, "Unsupported format"},
    [ERR_UNPROCESSABLE] = {422, 3, "Verification failed"},
    [ERR_LIMIT] = {429, 7, "Too many requests"},
    [ERR_IO] = {500, 1, "Input or output failed"},
    [ERR_INTERNAL] = {500, 1, "Internal error"},
    [ERR_UNAVAILABLE] = {503, 7, "Unavailable"},
    [ERR_TIMEOUT] = {504, 7, "Timed out"},
};

int err_http_status(enum err_code code)
{
    return code_table[code].http;
}

int err_exit_code(enum err_code code)
{
    return code_table[code].exit;
}

const char *err_title(enum err_code code)
{
    return code_table[code].title;
}
