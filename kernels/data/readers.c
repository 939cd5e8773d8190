#include "kernels/data/readers.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

int reader_fail(struct findings *f, const char *check, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    findings_add(f, FINDING_FAILED, check, NULL, "%s", buf_str(&b));
    buf_free(&b);
    return -1;
}

bool name_ends(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && !strcasecmp(name + n - m, ending);
}
