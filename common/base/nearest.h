/* nearest: "did you mean". */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

/* The nearest of the NULL-ended list by edit distance (case ignored, a swap of neighbours is one edit), NULL
 * when none is near: at most a third of the name's length, at least 1. */
const char *nearest_name(const char *name, const char *const *known);

#endif
