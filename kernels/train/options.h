/* options: the flags of the commands, each from one table that is also its --help. */
#ifndef KERNELS_TRAIN_OPTIONS_H
#define KERNELS_TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define OPTIONS_MAX_REPEATS 64

struct train_options {
    const char *model, *algorithm, *data, *out; /* required */
    const char *metrics, *resume, *weights, *backend, *shard;
    const char *layers[OPTIONS_MAX_REPEATS], *sets[OPTIONS_MAX_REPEATS];
    int layer_count, set_count;
    int threads; /* 0: as many as the rank's share of the cores */
    bool progress, help;
};

/* Parse argv (without the program's and the subcommand's name). Strings point into argv. */
int options_parse(int argc, char **argv, struct train_options *out, struct err *err);
void options_print_help(void);

/* A command's flags. */
enum option_kind { OPTION_TEXT, OPTION_REPEATED, OPTION_NUMBER, OPTION_REAL, OPTION_FLAG };

struct option_row {
    const char *name;
    enum option_kind kind;
    bool required;
    size_t offset,
        count_offset; /* of the value (const char *, const char *[OPTIONS_MAX_REPEATS], int, double, bool) in the command's
                                    struct, and of the int that counts a REPEATED */
    const char *placeholder, *choices, *help;
    double min, max; /* of a number; both 0: 1 to 1024 */
};

/* Parse argv into the struct at out, which holds the defaults. When `help` is among the flags given, nothing is required. */
int options_parse_rows(const struct option_row *rows, size_t count, int argc, char **argv, void *out,
                       struct err *err);
void options_print_rows(const struct option_row *rows, size_t count);

#endif
