/* impls: what each host backend has for a layer type. */
#ifndef KERNELS_OPS_IMPLS_H
#define KERNELS_OPS_IMPLS_H

#include "kernels/ops/reference.h"

const struct op_impl *op_cpu_find(const char *type); /* NULL if none */

#endif
