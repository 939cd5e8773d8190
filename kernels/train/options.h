/* options: the flags of `trainyard-train [train]`, from one table that is also its --help. */
#ifndef KERNELS_TRAIN_OPTIONS_H
#define KERNELS_TRAIN_OPTIONS_H

#include <stdbool.h>
#include "base/err.h"

#define OPTIONS_MAX_REPEATS 64

struct train_options {
    const char *model, *algorithm, *data, *out; /* required */
    const char *metrics, *resume, *weights, *backend;
    const char *layers[OPTIONS_MAX_REPEATS], *sets[OPTIONS_MAX_REPEATS];
    int layer_count, set_count;
    int threads; /* 0: as many as the rank's share of the cores */
    bool progress, help;
};

/* Parse argv (without the program's and the subcommand's name). Strings point into argv. */
int options_parse(int argc, char **argv, struct train_options *out, struct err *err);
void options_print_help(void);

#endif
