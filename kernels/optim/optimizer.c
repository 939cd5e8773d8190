#include "kernels/optim/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kernels/optim/vector.h"

struct optimizer *optimizer_create(const struct algorithm *a, size_t count,
                                   const struct optimizer_range *ranges, size_t range_count)
{
    struct optimizer *o = xcalloc(1, sizeof(*o));
    o->type = a->optimizer.type;
    o->weight_decay = a->optimizer.weight_decay;
    o->momentum = a->optimizer.momentum;
    o->nesterov = a->optimizer.nesterov;
    o->beta1 = a->optimizer.beta1;
    o->beta2 = a->optimizer.beta2;
    o->epsilon = a->optimizer.epsilon;
    o->count = count;
    o->ranges = xcalloc(range_count ? range_count : 1, sizeof(*ranges));
    if (range_count)
        memcpy(o->ranges, ranges, range_count * sizeof(*ranges));
    o->range_count = range_count;
    if (o->type == OPTIMIZER_SGD) {
        o->state_count = o->momentum > 0 ? 1 : 0;
        o->state_name[0] = "momentum";
    } else {
        o->state_count = 2;
        o->state_name[0] = "mean";
        o->state_name[1] = "variance";
    }
    for (int i = 0; i < o->state_count; i++)
        o->state[i] = xcalloc(count ? count : 1, sizeof(float));
    return o;
}

void optimizer_destroy(struct optimizer *o)
{
    if (!o)
        return;
    for (int i = 0; i < o->state_count; i++)
        free(o->state[i]);
    free(o->ranges);
    free(o);
}

void optimizer_begin(struct optimizer *o, double rate, double gradient_scale)
{
    o->step++;
    o->rate = (float)rate;
    o->scale = (float)gradient_scale;
    if (o->type != OPTIMIZER_SGD) {
        o->mean_rate = (float)(rate / (1 - pow(o->beta1, (double)o->step)));
        o->variance_scale = (float)(1 / sqrt(1 - pow(o->beta2, (double)o->step)));
    }
}

/* g = scale * g + decay * w;  w -= rate * g */
VECTOR_CLONES static void sgd(float *restrict w, const float *restrict g, size_t n, float rate, float scale,
                              float decay)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * (scale * g[i] + decay * w[i]);
}

/* v = momentum * v + g;  w -= rate * (nesterov ? g + momentum * v : v) */
VECTOR_CLONES static void sgd_momentum(float *restrict w, const float *restrict g, float *restrict v,
                                       size_t n, float rate, float scale, float decay, float momentum,
                                       float of_velocity, float of_gradient)
{
    for (size_t i = 0; i < n; i++) {
        float gi = scale * g[i] + decay * w[i];
        v[i] = momentum * v[i] + gi;
        w[i] -= rate * (of_gradient * gi + of_velocity * v[i]);
    }
}

/* Kingma and Ba 2015 with L2 in the gradient (adam), or Loshchilov and Hutter 2019 with the decay beside it (adamw):
 * keep = 1 - rate * weight_decay there and decay = 0, the other way round here. */
VECTOR_CLONES static void adam(float *restrict w, const float *restrict g, float *restrict m,
                               float *restrict v, size_t n, float mean_rate, float variance_scale,
                               float scale, float decay, float keep, float b1, float b2, float epsilon)
{
    float c1 = 1 - b1, c2 = 1 - b2;
    for (size_t i = 0; i < n; i++) {
        float gi = scale * g[i] + decay * w[i];
        m[i] = b1 * m[i] + c1 * gi;
        v[i] = b2 * v[i] + c2 * gi * gi;
        w[i] = keep * w[i] - mean_rate * m[i] / (sqrtf(v[i]) * variance_scale + epsilon);
    }
}

static void update_run(struct optimizer *o, float *w, const float *g, size_t at, size_t n, bool decayed)
{
    float decay = decayed ? (float)o->weight_decay : 0;
    w += at;
    g += at;
    switch (o->type) {
    case OPTIMIZER_SGD:
        if (o->state_count == 0)
            sgd(w, g, n, o->rate, o->scale, decay);
        else
            sgd_momentum(w, g, o->state[0] + at, n, o->rate, o->scale, decay, (float)o->momentum,
                         o->nesterov ? (float)o->momentum : 1, o->nesterov ? 1 : 0);
        break;
    case OPTIMIZER_ADAM:
        adam(w, g, o->state[0] + at, o->state[1] + at, n, o->mean_rate, o->variance_scale, o->scale, decay, 1,
             (float)o->beta1, (float)o->beta2, (float)o->epsilon);
        break;
    case OPTIMIZER_ADAMW:
        adam(w, g, o->state[0] + at, o->state[1] + at, n, o->mean_rate, o->variance_scale, o->scale, 0,
             1 - o->rate * decay, (float)o->beta1, (float)o->beta2, (float)o->epsilon);
        break;
    case OPTIMIZER_TYPE_COUNT:
        break;
    }
}

void optimizer_update(struct optimizer *o, float *weights, const float *gradients, size_t first, size_t count)
{
    for (size_t i = 0; i < o->range_count; i++) {
        const struct optimizer_range *r = &o->ranges[i];
        size_t from = r->first > first ? r->first : first;
        size_t to = r->first + r->count < first + count ? r->first + r->count : first + count;
        if (from < to)
            update_run(o, weights, gradients, from, to - from, r->decay);
    }
}

void optimizer_step(struct optimizer *o, float *weights, const float *gradients, double rate,
                    double gradient_scale)
{
    optimizer_begin(o, rate, gradient_scale);
    optimizer_update(o, weights, gradients, 0, o->count);
}

/* 16 sums side by side, so that the order does not depend on the instruction set. */
VECTOR_CLONES static void add_squares(double *restrict acc, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        for (size_t j = 0; j < 16; j++)
            acc[j] += (double)x[i + j] * (double)x[i + j];
}

double optimizer_sum_of_squares(const float *x, size_t count)
{
    double acc[16] = {0}, sum = 0;
    size_t whole = count / 16 * 16;
    add_squares(acc, x, whole);
    for (size_t i = whole; i < count; i++)
        acc[i - whole] += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < 16; j++)
        sum += acc[j];
    return sum;
}
