/* place: where a JSON pointer stands in the text it came from. Apart from json.h so that it needs no jansson.
 */
#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Find the place of a pointer ("/layers/2/config/kernel", RFC 6901): line and column, from 1 (columns count
 * bytes), of the value (want_key: of the member's name). False when the pointer is not there; then the place
 * of the nearest existing parent is given. */
bool json_locate(const char *text, size_t n, const char *pointer, bool want_key, int *line, int *column);

#endif
