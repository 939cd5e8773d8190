/* result: what a verification child printed, checked before anybody believes it. Pure. */
#ifndef ORCHESTRATOR_VERIFY_RESULT_H
#define ORCHESTRATOR_VERIFY_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define VERIFY_RESULT_MAX (4 << 20) /* bytes of output */
#define VERIFY_CHECKS_MAX 20000

/* Parse a verification document of this kind and hold it against its form: format, kind, ok as the exit code
 * says (0 or 3), checks with name, status, message and place. NULL and err (ERR_INTERNAL: the trainer broke
 * its contract). Caller json_decref()s. */
json_t *verify_result_parse(const char *text, size_t n, const char *kind, int exit_code, struct err *err);

/* The document of a verification that its limits ended: one failed check. */
json_t *verify_result_stopped(const char *kind, const char *message, const char *hint);

/* The errors[] of a problem: place, message and hint of every failed check. */
json_t *verify_result_errors(const json_t *doc);
/* The failed check that says most at once: the first; "" when none failed. Borrowed. */
const char *verify_result_first_failure(const json_t *doc);

#endif
