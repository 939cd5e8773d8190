/* finding: what a verification found out. A list of checks, each passed, warned or failed, with its place in
 * the user's file. The JSON form is the `checks` array of every verification answer (docs/verification.md).
 */
#ifndef BASE_FINDING_H
#define BASE_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

enum finding_status { FINDING_PASSED, FINDING_WARNED, FINDING_FAILED };

struct finding {
    char *check; /* stable name: "model.shapes" */
    enum finding_status status;
    char *message; /* one sentence */
    const char
        *subject;     /* a literal: which of several files ("model", "algorithm", "override"); NULL: the one
                              * that was verified */
    char *pointer;    /* JSON pointer into the file, NULL when the file is not JSON */
    int line, column; /* from 1; 0: not known */
    int inside; /* the pointer names a string: the character in it that is meant, from 1; 0: its start */
    char *hint; /* what would be right; may be NULL */
    char *expected, *actual; /* may be NULL */
    double seconds;          /* how long the check took; 0 when not measured */
};

struct findings {
    struct finding *items;
    size_t count, cap;
};

/* Append one and return it for filling hint, expected, actual (set with xstrdup; the list owns them). */
struct finding *findings_add(struct findings *f, enum finding_status status, const char *check,
                             const char *pointer, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
bool findings_failed(const struct findings *f); /* any failed */
/* Fill line and column of every finding that has a pointer, from the text of the file. */
void findings_locate(struct findings *f, const char *text, size_t n);
void findings_write_json(const struct findings *f, struct buf *out); /* the array */
void findings_free(struct findings *f);

#endif
