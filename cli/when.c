#include "cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/units.h"

double when_parse(const char *rfc3339)
{
    struct tm tm = {0};
    const char *p = rfc3339 ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!p)
        return -1;
    double fraction = *p == '.' ? strtod(p, NULL) : 0;
    return (double)timegm(&tm) + fraction;
}

const char *when_ago(const char *rfc3339, char *out, size_t n)
{
    double t = when_parse(rfc3339);
    char text[32];
    if (t < 0)
        return "-";
    double d = time_now() - t;
    units_format_duration(d < 0 ? 0 : d, text, sizeof text);
    snprintf(out, n, "%s ago", text);
    return out;
}

const char *when_took(const char *from, const char *to, char *out, size_t n)
{
    double a = when_parse(from), b = to ? when_parse(to) : time_now();
    if (a < 0 || b < 0)
        return "-";
    units_format_duration(b < a ? 0 : b - a, out, n);
    return out;
}
