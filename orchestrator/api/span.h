/* span: where the value of a top-level member stands in the text of a JSON object. Pure. */
#ifndef ORCHESTRATOR_API_SPAN_H
#define ORCHESTRATOR_API_SPAN_H

#include <stddef.h>

/* text must be valid JSON (parsed before) and an object. [*start, *end) is the value's text. -1 when there is
 * no such member. Names written with escapes are not recognised: the parser's and this one's views must
 * agree, so then it is -1 too. */
int json_span(const char *text, size_t n, const char *member, size_t *start, size_t *end);

#endif
