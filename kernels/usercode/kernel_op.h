/* kernel_op: a user's layer as an operation of the host backends. */
#ifndef KERNELS_USERCODE_KERNEL_OP_H
#define KERNELS_USERCODE_KERNEL_OP_H

#include "kernels/backend/backend.h"

extern const struct op_impl
    kernel_op_cpu; /* compiled; where nothing can compile, the interpreter, and says so once */
extern const struct op_impl kernel_op_reference; /* the checked interpreter in float64 */

#endif
