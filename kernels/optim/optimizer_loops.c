/* One loop a formula: reads each number once, writes it once. gi is the gradient of the mean loss: scaled, clipped. */
#include "kernels/optim/optimizer_loops.h"

#include <math.h>
#include "kernels/optim/vector.h"

static inline float clipped(float x, float limit)
{
    return x > limit ? limit : x < -limit ? -limit : x; /* a NaN stays one */
}

/* w -= rate * g */
VECTOR_CLONES static void sgd(float *restrict w, const float *restrict g, size_t n, float rate, float scale,
                              float decay, float clip)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * (clipped(scale * g[i], clip) + decay * w[i]);
}

/* v = momentum * v + g;  w -= rate * (nesterov ? g + momentum * v : v) */
VECTOR_CLONES static void sgd_momentum(float *restrict w, const float *restrict g, float *restrict v,
                                       size_t n, float rate, float scale, float decay, float clip,
                                       float momentum, float of_velocity, float of_gradient)
{
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip) + decay * w[i];
        v[i] = momentum * v[i] + gi;
        w[i] -= rate * (of_gradient * gi + of_velocity * v[i]);
    }
}

void run_sgd(const struct optimizer *o, const struct run_args *r)
{
    float momentum = (float)o->momentum;
    if (o->state_count == 0)
        sgd(r->w, r->g, r->n, o->rate, o->scale, r->decay, r->clip);
    else
        sgd_momentum(r->w, r->g, r->s[0], r->n, o->rate, o->scale, r->decay, r->clip, momentum,
                     o->nesterov ? momentum : 1, o->nesterov ? 1 : 0);
}

/* Kingma and Ba 2015 with L2 in the gradient (adam), or Loshchilov and Hutter 2019 with the decay beside it (adamw):
 * keep = 1 - rate * weight_decay there and decay = 0, the other way round here. */
VECTOR_CLONES static void adam(float *restrict w, const float *restrict g, float *restrict m,
                               float *restrict v, size_t n, float mean_rate, float variance_scale,
                               float scale, float decay, float clip, float keep, float b1, float b2,
                               float epsilon)
{
    float c1 = 1 - b1, c2 = 1 - b2;
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip) + decay * w[i];
        m[i] = b1 * m[i] + c1 * gi;
        v[i] = b2 * v[i] + c2 * gi * gi;
        w[i] = keep * w[i] - mean_rate * m[i] / (sqrtf(v[i]) * variance_scale + epsilon);
    }
}

void run_adam(const struct optimizer *o, const struct run_args *r)
{
    adam(r->w, r->g, r->s[0], r->s[1], r->n, o->mean_rate, o->variance_scale, o->scale, r->decay, r->clip, 1,
         (float)o->beta1, (float)o->beta2, (float)o->epsilon);
}

void run_adamw(const struct optimizer *o, const struct run_args *r, float share)
{
    adam(r->w, r->g, r->s[0], r->s[1], r->n, share * o->mean_rate, o->variance_scale, o->scale, 0, r->clip,
         1 - share * o->rate * r->decay, (float)o->beta1, (float)o->beta2, (float)o->epsilon);
}

/* Hinton 2012, lecture 6: a = alpha a + (1 - alpha) g^2; step = g / (sqrt(a - mean^2) + epsilon), mean the running mean of g, or 0;
 * with momentum v = momentum v + step, w -= rate v. */
VECTOR_CLONES static void rmsprop(float *restrict w, const float *restrict g, float *restrict a,
                                  float *restrict v, float *restrict mean, size_t n, float rate, float scale,
                                  float decay, float clip, float alpha, float momentum, float epsilon)
{
    float rest = 1 - alpha;
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip) + decay * w[i];
        a[i] = alpha * a[i] + rest * gi * gi;
        mean[i] = alpha * mean[i] + rest * gi;
        float around = a[i] - mean[i] * mean[i];
        v[i] = momentum * v[i] + gi / (sqrtf(around > 0 ? around : 0) + epsilon);
        w[i] -= rate * v[i];
    }
}

VECTOR_CLONES static void rmsprop_plain(float *restrict w, const float *restrict g, float *restrict a,
                                        size_t n, float rate, float scale, float decay, float clip,
                                        float alpha, float epsilon)
{
    float rest = 1 - alpha;
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip) + decay * w[i];
        a[i] = alpha * a[i] + rest * gi * gi;
        w[i] -= rate * (gi / (sqrtf(a[i]) + epsilon));
    }
}

VECTOR_CLONES static void rmsprop_momentum(float *restrict w, const float *restrict g, float *restrict a,
                                           float *restrict v, size_t n, float rate, float scale, float decay,
                                           float clip, float alpha, float momentum, float epsilon)
{
    float rest = 1 - alpha;
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip) + decay * w[i];
        a[i] = alpha * a[i] + rest * gi * gi;
        v[i] = momentum * v[i] + gi / (sqrtf(a[i]) + epsilon);
        w[i] -= rate * v[i];
    }
}

void run_rmsprop(const struct optimizer *o, const struct run_args *r)
{
    float alpha = (float)o->alpha, momentum = (float)o->momentum, epsilon = (float)o->epsilon;
    if (o->centered)
        rmsprop(r->w, r->g, r->s[0], r->s[1], r->s[2], r->n, o->rate, o->scale, r->decay, r->clip, alpha,
                momentum, epsilon);
    else if (o->momentum > 0)
        rmsprop_momentum(r->w, r->g, r->s[0], r->s[1], r->n, o->rate, o->scale, r->decay, r->clip, alpha,
                         momentum, epsilon);
    else
        rmsprop_plain(r->w, r->g, r->s[0], r->n, o->rate, o->scale, r->decay, r->clip, alpha, epsilon);
}

/* Duchi, Hazan and Singer 2011: s += g^2; w -= rate * g / (sqrt(s) + epsilon) */
VECTOR_CLONES static void adagrad(float *restrict w, const float *restrict g, float *restrict s, size_t n,
                                  float rate, float scale, float decay, float clip, float epsilon)
{
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip) + decay * w[i];
        s[i] += gi * gi;
        w[i] -= rate * gi / (sqrtf(s[i]) + epsilon);
    }
}

void run_adagrad(const struct optimizer *o, const struct run_args *r)
{
    double rate = (double)o->rate / (1 + (double)(o->step - 1) * o->rate_decay);
    adagrad(r->w, r->g, r->s[0], r->n, (float)rate, o->scale, r->decay, r->clip, (float)o->epsilon);
}

/* Chen et al. 2023, algorithm 2: w -= rate * (sign(b1 m + (1 - b1) g) + weight_decay * w);  m = b2 m + (1 - b2) g */
VECTOR_CLONES static void lion(float *restrict w, const float *restrict g, float *restrict m, size_t n,
                               float rate, float scale, float clip, float keep, float b1, float b2)
{
    float c1 = 1 - b1, c2 = 1 - b2;
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip), u = b1 * m[i] + c1 * gi;
        float sign = (float)((u > 0) - (u < 0)) + (u - u); /* a NaN stays one */
        m[i] = b2 * m[i] + c2 * gi;
        w[i] = keep * w[i] - rate * sign;
    }
}

void run_lion(const struct optimizer *o, const struct run_args *r)
{
    lion(r->w, r->g, r->s[0], r->n, o->rate, o->scale, r->clip, 1 - o->rate * r->decay, (float)o->beta1,
         (float)o->beta2);
}

/* ---- LAMB: You et al. 2020, algorithm 2 ---- */

enum { LANES = 16 }; /* sums side by side, so that their order does not depend on the instruction set */

struct lamb_args {
    float scale, clip, decay, b1, b2, epsilon, mean_scale, variance_scale;
};

static struct lamb_args lamb_args(const struct optimizer *o, const struct run_args *r)
{
    return (struct lamb_args){.scale = o->scale,
                              .clip = r->clip,
                              .decay = r->decay,
                              .b1 = (float)o->beta1,
                              .b2 = (float)o->beta2,
                              .epsilon = (float)o->epsilon,
                              .mean_scale = (float)(1 / (1 - pow(o->beta1, (double)o->step))),
                              .variance_scale = o->variance_scale};
}

VECTOR_CLONES static void lamb_states(const float *restrict w, const float *restrict g, float *restrict m,
                                      float *restrict v, size_t n, const struct lamb_args *restrict a,
                                      double *restrict weights, double *restrict steps)
{
    float c1 = 1 - a->b1, c2 = 1 - a->b2;
    for (size_t at = 0; at < n; at += LANES) {
        size_t some = n - at < LANES ? n - at : LANES;
        for (size_t j = 0; j < some; j++) {
            size_t i = at + j;
            float gi = clipped(a->scale * g[i], a->clip);
            m[i] = a->b1 * m[i] + c1 * gi;
            v[i] = a->b2 * v[i] + c2 * gi * gi;
            float u = a->mean_scale * m[i] / (sqrtf(v[i]) * a->variance_scale + a->epsilon) + a->decay * w[i];
            weights[j] += (double)w[i] * (double)w[i];
            steps[j] += (double)u * (double)u;
        }
    }
}

void run_lamb_states(const struct optimizer *o, const struct run_args *r, double sums[2])
{
    double weights[LANES] = {0}, steps[LANES] = {0};
    const struct lamb_args a = lamb_args(o, r);
    lamb_states(r->w, r->g, r->s[0], r->s[1], r->n, &a, weights, steps);
    sums[0] = sums[1] = 0;
    for (int j = 0; j < LANES; j++) {
        sums[0] += weights[j];
        sums[1] += steps[j];
    }
}

VECTOR_CLONES static void lamb_weights(float *restrict w, const float *restrict m, const float *restrict v,
                                       size_t n, float rate, float mean_scale, float variance_scale,
                                       float epsilon, float decay)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * (mean_scale * m[i] / (sqrtf(v[i]) * variance_scale + epsilon) + decay * w[i]);
}

void run_lamb_weights(const struct optimizer *o, const struct run_args *r, float ratio)
{
    const struct lamb_args a = lamb_args(o, r);
    lamb_weights(r->w, r->s[0], r->s[1], r->n, o->rate * ratio, a.mean_scale, a.variance_scale, a.epsilon,
                 a.decay);
}

/* ---- Muon: Jordan et al. 2024 ---- */

/* v += (1 - momentum) (g - v);  out = nesterov ? g + momentum (v - g) : v */
VECTOR_CLONES static void muon_momentum(const float *restrict g, float *restrict v, float *restrict out,
                                        size_t n, float scale, float clip, float momentum, float look)
{
    for (size_t i = 0; i < n; i++) {
        float gi = clipped(scale * g[i], clip);
        v[i] += (1 - momentum) * (gi - v[i]);
        out[i] = gi + look * (v[i] - gi);
    }
}

void run_muon_momentum(const struct optimizer *o, const struct run_args *r, float *out)
{
    float momentum = (float)o->momentum;
    muon_momentum(r->g, r->s[0], out, r->n, o->scale, r->clip, momentum, o->nesterov ? momentum : 1);
}

VECTOR_CLONES static void muon_weights(float *restrict w, const float *restrict step, size_t n, float rate,
                                       float keep)
{
    for (size_t i = 0; i < n; i++)
        w[i] = keep * w[i] - rate * step[i];
}

void run_muon_weights(const struct optimizer *o, const struct run_args *r, const float *step, float lengthen)
{
    muon_weights(r->w, step, r->n, o->rate * lengthen, 1 - o->rate * r->decay);
}
