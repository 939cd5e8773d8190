#include "base/nearest.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define LONGEST 63

/* Optimal string alignment distance over two short words. */
static int distance(const char *a, size_t n, const char *b, size_t m)
{
    int d[3][LONGEST + 1];
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            int best = up[j - 1] + (x != y);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                tolower((unsigned char)a[i - 2]) == y && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *nearest_name(const char *name, const char *const *known)
{
    size_t n = strlen(name);
    if (n == 0 || n > LONGEST)
        return NULL;
    const char *best = NULL;
    int least = (int)(n / 3 > 1 ? n / 3 : 1) + 1;
    for (; *known; known++) {
        size_t m = strlen(*known);
        if (m == 0 || m > LONGEST)
            continue;
        int d = distance(name, n, *known, m);
        if (d < least) {
            least = d;
            best = *known;
        }
    }
    return best;
}
