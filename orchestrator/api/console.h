/* console: the web console's files. Whatever GET is not for the API is one of them, or the application itself
 * (a deep link). */
#ifndef ORCHESTRATOR_API_CONSOLE_H
#define ORCHESTRATOR_API_CONSOLE_H

#include "base/err.h"
#include "orchestrator/api/call.h"

struct console;

/* dir NULL or without index.html: there is no console, and its paths say so. */
struct console *console_create(const char *dir, struct err *err);
void console_destroy(struct console *c);
void console_serve(struct console *con, struct call *c);

/* The content type of a file name, by its ending; "application/octet-stream" when unknown. */
const char *content_type_of(const char *name);

#endif
