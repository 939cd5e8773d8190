#include "kernels/optim/loss.h"

#include <math.h>
#include <string.h>

/* One row: the loss, and softmax - t into gradient. */
static double row_loss(const float *score, int64_t truth, int64_t n, double smoothing, float *gradient)
{
    float top = score[0];
    double sum = 0, all = 0;
    for (int64_t i = 1; i < n; i++)
        top = score[i] > top ? score[i] : top;
    for (int64_t i = 0; i < n; i++) {
        float e = expf(score[i] - top);
        sum += (double)e;
        if (gradient)
            gradient[i] = e;
    }
    double log_sum = log(sum) + (double)top;
    if (gradient) {
        float scale = (float)(1 / sum), rest = (float)(smoothing / (double)n);
        for (int64_t i = 0; i < n; i++)
            gradient[i] = gradient[i] * scale - rest;
        gradient[truth] -= (float)(1 - smoothing);
    }
    double loss = (1 - smoothing) * (log_sum - (double)score[truth]);
    if (smoothing > 0) {
        for (int64_t i = 0; i < n; i++)
            all += log_sum - (double)score[i];
        loss += smoothing / (double)n * all;
    }
    return loss;
}

double loss_softmax_cross_entropy(const float *scores, const int32_t *classes, int64_t rows, int64_t n,
                                  double smoothing, float *gradient)
{
    double loss = 0;
    for (int64_t r = 0; r < rows; r++) {
        float *g = gradient ? gradient + r * n : NULL;
        if (classes[r] >= 0 && classes[r] < n)
            loss += row_loss(scores + r * n, classes[r], n, smoothing, g);
        else if (g)
            memset(g, 0, (size_t)n * sizeof(*g));
    }
    return loss;
}

double loss_mean_squared_error(const float *y, const float *t, int64_t rows, int64_t n, float *gradient)
{
    double loss = 0;
    float scale = 2 / (float)n;
    for (int64_t i = 0; i < rows * n; i++) {
        float e = y[i] - t[i];
        loss += (double)e * (double)e;
        if (gradient)
            gradient[i] = scale * e;
    }
    return loss / (double)n;
}
