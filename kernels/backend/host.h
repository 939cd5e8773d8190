/* host: what the two host backends share: aligned memory, plain copies, thread count. */
#ifndef KERNELS_BACKEND_HOST_H
#define KERNELS_BACKEND_HOST_H

#include "kernels/backend/backend.h"

void *host_alloc(struct backend *b, size_t bytes, struct err *err);
void host_free(struct backend *b, void *p);
int host_threads(int asked); /* 0: the cores this process may use */
/* Plain float32 to plain float32. */
void host_convert(struct backend *b, const struct op_tensor *from, const void *src,
                  const struct op_tensor *to, void *dst, int64_t rows, bool accumulate);

#endif
