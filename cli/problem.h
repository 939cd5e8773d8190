/* problem: errors and findings for people: sentence, place, the line of the file with a caret, hint. */
#ifndef CLI_PROBLEM_H
#define CLI_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include "base/err.h"
#include "cli/cli.h"

/* The error that ended a command, on stderr; with --json also the server's problem on stdout. */
void problem_print(const struct cli *cli, const struct err *err);
/* A verification (trainyard.verification/1). local_file: its source, to show lines of; may be NULL. all: passed checks too. */
void problem_print_verification(const json_t *verification, const char *local_file, bool all, bool color,
                                FILE *out);
/* One place in a file: "  file:4:17", the line, a caret. Nothing when line is 0. */
void problem_print_place(const char *file, int line, int column, bool color, FILE *out);

#endif
