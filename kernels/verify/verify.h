/* verify: `trainyard-train verify` and `trainyard-train layers` (docs/architecture.md 4.2,
 * docs/verification.md).
 *
 * One JSON object on stdout, findings in it, exit code 0, 3, 2 or 1. Nothing here allocates by a number from
 * a file before the number was checked. Needs jansson. What really runs a model or an optimizer is the
 * trainer's: probe.h.
 */
#ifndef KERNELS_VERIFY_VERIFY_H
#define KERNELS_VERIFY_VERIFY_H

#include "base/buf.h"
#include "base/finding.h"

/* Subcommands of trainyard-train; argv[0] is the subcommand's name. Return the exit code. */
int verify_main(int argc, char **argv);
int layers_main(int argc, char **argv);      /* THE table of layer types as JSON on stdout */
int make_digits_main(int argc, char **argv); /* data/digits.c: the project's own sample dataset */

void layer_types_write_json(struct buf *out);

#endif
