/* directives: the #SBATCH and #TRAINYARD lines of a batch script, as words. Pure.
 *
 * A line that begins with one of the two marks holds options, quoted as in a shell; a # that begins a word ends the
 * line. The first line that is neither empty nor a comment ends them all, as with sbatch. */
#ifndef CLI_DIRECTIVES_H
#define CLI_DIRECTIVES_H

#include "base/err.h"

struct directives {
    char **words;
    int *lines; /* where each word stands, from 1 */
    int count;
};

#define DIRECTIVES_MAX 1000 /* words */

/* -1 and err, which names the line, for a quote that is not closed and for too many words. Caller frees either way. */
int directives_read(const char *script, struct directives *out, struct err *err);
void directives_free(struct directives *d);

#endif
