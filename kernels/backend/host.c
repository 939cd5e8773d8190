#include "kernels/backend/host.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

void *host_alloc(struct backend *b, size_t bytes, struct err *err)
{
    (void)b;
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!p)
        err_set(err, ERR_LIMIT, "cannot get %zu bytes of memory", bytes);
    return p;
}

void host_free(struct backend *b, void *p)
{
    (void)b;
    free(p);
}

int host_threads(int asked)
{
    if (asked > 0)
        return asked;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return CPU_COUNT(&set);
    return 1;
}

void host_convert(struct backend *b, const struct op_tensor *from, const void *src,
                  const struct op_tensor *to, void *dst, int64_t rows, bool accumulate)
{
    (void)b;
    (void)to;
    size_t n = (size_t)rows * (size_t)shape_elements(&from->shape);
    if (!accumulate) {
        memcpy(dst, src, n * sizeof(float));
        return;
    }
    const float *s = src;
    float *d = dst;
    for (size_t i = 0; i < n; i++)
        d[i] += s[i];
}
