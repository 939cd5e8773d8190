/* err: the one error type. A function that can fail takes a `struct err *` last and returns -1 or NULL.
 *
 *     if (fd < 0)
 *         return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
 *
 * Fill it low, add context on the way up with err_prefix(), log it once at the boundary. The code maps to an
 * HTTP status and to an exit code. What is wrong in a user's *file* is never an err but a list of findings
 * (finding.h). An err owns no memory; passing NULL is legal and drops the text.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,         /* the request makes no sense: 400, exit 2 */
    ERR_UNAUTHENTICATED, /* who are you: 401, exit 4 */
    ERR_FORBIDDEN,       /* not yours: 403, exit 4 */
    ERR_NOT_FOUND,       /* 404, exit 5 */
    ERR_EXISTS,          /* the name is taken: 409, exit 6 */
    ERR_CONFLICT,        /* the state does not allow it: 409, exit 6 */
    ERR_TOO_LARGE,       /* over a stated limit: 413, exit 2 */
    ERR_UNSUPPORTED,     /* media type or format: 415, exit 2 */
    ERR_UNPROCESSABLE,   /* a file failed verification: 422, exit 3 */
    ERR_LIMIT,           /* too many, try later: 429, exit 7 */
    ERR_IO,              /* disk, socket, child: 500, exit 1 */
    ERR_INTERNAL,        /* a bug of ours: 500, exit 1 */
    ERR_UNAVAILABLE,     /* a part is away, try later: 503, exit 7 */
    ERR_TIMEOUT,         /* 504, exit 7 */
};

struct err {
    enum err_code code;
    const char *file; /* source place that set it */
    int line;
    char text[480];
};

/* Set code and text; always returns -1. err may be NULL. */
#define err_set(err, code, ...) err_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)
int err_set_at(struct err *err, enum err_code code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Put context in front: "reading m.json: " + text. Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Map a code to an HTTP status, an exit code, and the short title used in problem+json. */
int err_http_status(enum err_code code);
int err_exit_code(enum err_code code);
const char *err_title(enum err_code code);

#endif
