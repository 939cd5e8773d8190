#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "kernels/optim/metrics.h"

struct scored {
    float score;
    bool positive;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

/* Twice the number of pairs in order, and of all pairs. n is at most METRICS_MAX_KEPT, so both fit. */
static void count_pairs(const struct scored *list, size_t n, int64_t *in_order, int64_t *all)
{
    int64_t below = 0, positives = 0; /* negatives with a smaller score; positives so far */
    *in_order = 0;
    for (size_t i = 0, end; i < n; i = end) {
        int64_t plus = 0, minus = 0;
        for (end = i; end < n && list[end].score == list[i].score; end++) {
            plus += list[end].positive;
            minus += !list[end].positive;
        }
        *in_order += plus * (2 * below + minus);
        below += minus;
        positives += plus;
    }
    *all = 2 * positives * below;
}

double auc(const float *score, const float *truth, size_t n, size_t stride, float positive)
{
    int64_t in_order, all;
    struct scored *list = xcalloc(n ? n : 1, sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct scored){score[i * stride], truth[i * stride] == positive};
        if (isnan(list[i].score)) {
            free(list);
            return NAN;
        }
    }
    qsort(list, n, sizeof(*list), by_score);
    count_pairs(list, n, &in_order, &all);
    free(list);
    return all ? (double)in_order / (double)all : NAN;
}
