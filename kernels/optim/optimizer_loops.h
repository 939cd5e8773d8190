/* optimizer_loops: the arithmetic of one run of weights, one function a formula. Private to optim/. */
#ifndef KERNELS_OPTIM_OPTIMIZER_LOOPS_H
#define KERNELS_OPTIM_OPTIMIZER_LOOPS_H

#include "kernels/optim/optimizer.h"

/* Weights w (n) with gradients g and states s[0..] at the same place. decay is 0 for a weight that does not decay. */
struct run_args {
    float *w;
    const float *g;
    float *s[OPTIMIZER_MAX_STATES];
    size_t n;
    float decay, clip; /* clip: INFINITY for none */
};

void run_sgd(const struct optimizer *o, const struct run_args *r);
void run_adam(const struct optimizer *o, const struct run_args *r);
/* As run_adam decoupled, at share times the rate: muon's other weights too. */
void run_adamw(const struct optimizer *o, const struct run_args *r, float share);
void run_rmsprop(const struct optimizer *o, const struct run_args *r);
void run_adagrad(const struct optimizer *o, const struct run_args *r);
void run_lion(const struct optimizer *o, const struct run_args *r);

/* LAMB in two passes: the first moves the states and sums the squares of weights and steps, the second takes the steps times ratio. */
void run_lamb_states(const struct optimizer *o, const struct run_args *r, double sums[2]);
void run_lamb_weights(const struct optimizer *o, const struct run_args *r, float ratio);

/* Muon: momentum, and the step before it is made orthogonal into out (n); then the orthogonal step. */
void run_muon_momentum(const struct optimizer *o, const struct run_args *r, float *out);
void run_muon_weights(const struct optimizer *o, const struct run_args *r, const float *step, float lengthen);

/* x (rows, columns) becomes about the nearest matrix with orthogonal rows or columns: the quintic Newton-Schulz iteration of Jordan et
 * al. (2024). Work of rows * columns and twice min(rows, columns)^2 floats is given. */
void newton_schulz(float *x, size_t rows, size_t columns, int steps, float *turned, float *square,
                   float *work);

/* c (m, n) = alpha * a * b + beta * c; a is (m, k), b (k, n) or, transposed, (n, k). All row-major, c apart from a and b. */
void product(bool transposed, size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
             float beta, float *c);

#endif
