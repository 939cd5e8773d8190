#ifndef KERNELS_OPS_DENSE_H
#define KERNELS_OPS_DENSE_H

#include "kernels/ops/reference.h"
#include "kernels/ops/row.h"

extern const struct layer_type layer_dense;
extern const struct op_ref dense_ref;
extern const struct op_impl dense_cpu; /* oneDNN; dense_cpu.c */

#endif
