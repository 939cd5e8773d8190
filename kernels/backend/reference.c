/* The reference backend: every operation as plain loops with sums in float64, straight from the formula. Slow
 * on purpose: it is what the fast ones are checked against. The implementations stand with their operation
 * (ops/X.c, impl X_reference). */
#include <stdlib.h>

#include "base/mem.h"
#include "kernels/backend/host.h"
#include "kernels/ops/impls.h"
#include "kernels/usercode/kernel_op.h"

static const struct op_impl *find(const struct backend *b, const char *type)
{
    (void)b;
    return op_ref_impl(type);
}

static void destroy(struct backend *b)
{
    free(b);
}

struct backend *backend_reference_create(int threads, struct err *err)
{
    (void)err;
    struct backend *b = xcalloc(1, sizeof(*b));
    *b = (struct backend){.name = "reference",
                          .threads = host_threads(threads),
                          .find = find,
                          .user = &kernel_op_reference,
                          .alloc = host_alloc,
                          .free = host_free,
                          .convert = host_convert,
                          .destroy = destroy};
    return b;
}
