/* embed: files that the program carries with it, made by embed.cmake. */
#ifndef ORCHESTRATOR_EMBED_H
#define ORCHESTRATOR_EMBED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* without folder; NULL ends the list */
    const char *data; /* NUL-terminated after size bytes */
    size_t size;
};

extern const struct embedded_file embedded_schema[]; /* store/schema, in order of their number */
extern const struct embedded_file embedded_docs[];   /* openapi.json */

#endif
