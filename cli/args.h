/* args: a command line taken apart by the table of its verb. Options and words may stand in any order; "--" ends options. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "cli/verb.h"

struct args {
    const struct verb *verb; /* the innermost */
    const char *path[2];     /* "dataset", "add" (NULL) */
    const char **words;
    int count;
    struct given {
        const struct opt *opt;
        const char *value;
    } * given;
    int given_count;
    bool help; /* --help was there */
};

/* argv without the program's name. On -1 the err says what is wrong and what would be right. Caller args_free()s either way. */
int args_parse(const struct verb *table, int argc, char **argv, struct args *out, struct err *err);
void args_free(struct args *a);

bool args_flag(const struct args *a, const char *name);
const char *args_str(const struct args *a, const char *name);           /* the last one; NULL when absent */
const char *args_next(const struct args *a, const char *name, int *at); /* the list's next; *at starts at 0 */
/* A whole number between min and max; absent leaves *out. */
int args_int(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err);
int args_job(const struct args *a, int64_t *job, struct err *err); /* the first word is a job's number */

#endif
