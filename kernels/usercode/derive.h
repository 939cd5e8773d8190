/* derive: the backward program of a forward program, by reverse-mode differentiation.
 *
 * Source: Griewank and Walther, "Evaluating Derivatives", 2nd ed., SIAM 2008, chapters 3 (adjoints) and 6 (what to put on the tape). A
 * forward sweep repeats the program and puts every value that the reverse sweep will need on a tape just before it is lost; the reverse
 * sweep runs the statements backwards, takes the values from the tape, and adds to the gradients.
 */
#ifndef KERNELS_USERCODE_DERIVE_H
#define KERNELS_USERCODE_DERIVE_H

#include "kernels/usercode/lang.h"

/* Where the forward scope's tensors are in the backward scope. */
struct derive_map {
    int value[LANG_TENSORS_MAX]; /* the same tensor */
    int gradient
        [LANG_TENSORS_MAX]; /* its gradient: to be read (the output's) or added to; -1: none is wanted */
};

/* Both scopes have the same grid and constants. NULL with *error: the line that cannot be differentiated and why. Caller program_free()s. */
struct program *program_derive(const struct program *forward, const struct lang_scope *scope,
                               const struct derive_map *map, struct lang_error *error);

#endif
