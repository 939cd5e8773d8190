#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int units_parse_size(const char *text, int64_t *bytes, struct err *err)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    static const char letters[] = "kmgtp";
    double scale = 1;
    const char *p = end;
    if (p > text && *p && *p != 'b' && *p != 'B') {
        const char *l = strchr(letters, tolower((unsigned char)*p));
        if (!l)
            return err_set(err, ERR_INVALID,
                           "\"%s\" is not a size: write bytes, or a number with K, M, G or T", text);
        scale = ldexp(1, 10 * (int)(l - letters + 1));
        p++;
        if (*p == 'i')
            p++;
    }
    if (*p == 'b' || *p == 'B')
        p++;
    if (end == text || *p || errno || !isfinite(v) || v < 0 || v * scale > 9e18)
        return err_set(err, ERR_INVALID, "\"%s\" is not a size: write bytes, or a number with K, M, G or T",
                       text);
    *bytes = (int64_t)(v * scale);
    return 0;
}

int units_parse_duration(const char *text, int64_t *seconds, struct err *err)
{
    static const struct {
        char letter;
        int64_t scale;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t total = 0;
    const char *p = text;
    bool any = false;
    while (isdigit((unsigned char)*p)) {
        char *end;
        errno = 0;
        long long v = strtoll(p, &end, 10);
        int64_t scale = 1;
        if (*end) {
            scale = 0;
            for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (units[i].letter == *end)
                    scale = units[i].scale;
            end++;
        }
        int64_t part;
        if (errno || !scale || __builtin_mul_overflow((int64_t)v, scale, &part) ||
            __builtin_add_overflow(total, part, &total))
            break;
        any = true;
        p = end;
    }
    if (!any || *p)
        return err_set(err, ERR_INVALID, "\"%s\" is not a duration: write seconds, or 90s, 5m, 2h, 1d", text);
    *seconds = total;
    return 0;
}

void units_format_size(int64_t bytes, char *out, size_t n)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    int i = 0;
    while (v >= 1024 && i < 5) {
        v /= 1024;
        i++;
    }
    snprintf(out, n, i == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, names[i]);
}

void units_format_duration(double seconds, char *out, size_t n)
{
    if (seconds < 60) {
        snprintf(out, n, seconds < 10 ? "%.1fs" : "%.0fs", seconds);
        return;
    }
    long long s = llround(seconds);
    if (s < 3600)
        snprintf(out, n, "%lldm %02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, n, "%lldh %02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(out, n, "%lldd %02lldh", s / 86400, s / 3600 % 24);
}

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

double time_now(void)
{
    return (double)clock_us(CLOCK_REALTIME) / 1e6;
}

int64_t time_now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

double time_monotonic(void)
{
    return (double)clock_us(CLOCK_MONOTONIC) / 1e6;
}

void time_format_rfc3339(double t, char *out, size_t n)
{
    int64_t ms = (int64_t)floor(t * 1000 + 0.5);
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t len = strftime(out, n, "%Y-%m-%dT%H:%M:%S", &tm);
    if (len && len < n)
        snprintf(out + len, n - len, ".%03dZ", (int)(ms % 1000));
}
