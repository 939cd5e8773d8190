/* impls: the operations each backend has. One list a backend; NULL-ended. */
#ifndef KERNELS_OPS_IMPLS_H
#define KERNELS_OPS_IMPLS_H

#include "kernels/backend/backend.h"

extern const struct op_impl *const ops_reference[];
extern const struct op_impl *const ops_cpu[];

const struct op_impl *ops_find(const struct op_impl *const *list, const char *type);

#endif
