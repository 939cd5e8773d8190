/* Elementwise in float32 over whatever layout the input has: padding elements are zero or never read. Threads
 * by OpenMP, vectors by the compiler. */
#include "kernels/ops/activations.h"

#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/ops/vmath.h"
#include "kernels/optim/vector.h"

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->out.layout = op->in[0].layout;
    op->out.bytes = op->in[0].bytes;
    op->backward_needs_out = false;
    return 0;
}

/* x is the input, k the layer's parameter where it has one; FORWARD and DERIVATIVE are expressions of them. */
#define ELEMENTWISE(NAME, PARAM, FORWARD, DERIVATIVE)                                                        \
    VECTOR_CLONES static void NAME##_map(const float *restrict in, float *restrict out, size_t n, float k)   \
    {                                                                                                        \
        (void)k;                                                                                             \
        for (size_t i = 0; i < n; i++) {                                                                     \
            float x = in[i];                                                                                 \
            out[i] = FORWARD;                                                                                \
        }                                                                                                    \
    }                                                                                                        \
    VECTOR_CLONES static void NAME##_map_back(const float *restrict in, const float *restrict g,             \
                                              float *restrict gi, size_t n, float k, bool add)               \
    {                                                                                                        \
        (void)k;                                                                                             \
        for (size_t i = 0; i < n && !add; i++) {                                                             \
            float x = in[i];                                                                                 \
            gi[i] = g[i] * (DERIVATIVE);                                                                     \
        }                                                                                                    \
        for (size_t i = 0; i < n && add; i++) {                                                              \
            float x = in[i];                                                                                 \
            gi[i] += g[i] * (DERIVATIVE);                                                                    \
        }                                                                                                    \
    }                                                                                                        \
    static void NAME##_forward(struct op *op, const struct op_call *c)                                       \
    {                                                                                                        \
        float k = PARAM;                                                                                     \
        CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)                               \
        NAME##_map((const float *)c->in[0] + from, (float *)c->out + from, count, k);                        \
        CPU_PARALLEL_END                                                                                     \
    }                                                                                                        \
    static void NAME##_backward(struct op *op, const struct op_call *c)                                      \
    {                                                                                                        \
        if (!c->grad_in[0])                                                                                  \
            return;                                                                                          \
        float k = PARAM;                                                                                     \
        CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)                               \
        NAME##_map_back((const float *)c->in[0] + from, (const float *)c->grad_out + from,                   \
                        (float *)c->grad_in[0] + from, count, k, c->accumulate[0]);                          \
        CPU_PARALLEL_END                                                                                     \
    }

static inline float least_most(float x, float least, float most)
{
    x = x < least ? least : x;
    return x > most ? most : x;
}

static inline float between(float x, float least, float most, float value)
{
    float y = x > least ? value : 0;
    return x < most ? y : 0;
}

static inline float d_tanh(float x)
{
    float t = v_tanh(x);
    return 1 - t * t;
}

static inline float d_sigmoid(float x)
{
    float s = v_sigmoid(x);
    return s * (1 - s);
}

static inline float d_silu(float x)
{
    float s = v_sigmoid(x);
    return s + x * s * (1 - s);
}

static inline float gelu_erf(float x)
{
    return 0.5f * x * (1 + v_erf(x * 0.70710678f));
}

static inline float d_gelu_erf(float x)
{
    return 0.5f * (1 + v_erf(x * 0.70710678f)) + x * v_exp(-0.5f * x * x) * 0.39894228f;
}

static inline float tanh_arm(float x)
{
    return v_tanh(0.79788456f * (x + 0.044715f * x * x * x));
}

static inline float d_gelu_tanh(float x)
{
    float t = tanh_arm(x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
}

/* min(x, 0) without a branch that the compiler would pull the rest into. */
static inline float below_zero(float x)
{
    return 0.5f * (x - __builtin_fabsf(x));
}

/* exp(x) - 1 for x <= 0: near 0 the polynomial, where the difference would lose digits. */
static inline float minus_one(float x)
{
    float small = x * (1 + x * (0.5f + x * (1 / 6.0f + x * (1 / 24.0f + x * (1 / 120.0f))))),
          large = v_exp(x) - 1;
    return x > -0.25f ? small : large;
}

static inline float elu(float x, float k)
{
    float below = k * minus_one(below_zero(x));
    return x > 0 ? x : below;
}

static inline float d_elu(float x, float k)
{
    float below = k * v_exp(below_zero(x));
    return x > 0 ? 1 : below;
}

ELEMENTWISE(relu, 0, x > 0 ? x : 0, x > 0 ? 1.0f : 0.0f)
ELEMENTWISE(leaky_relu, (float)layer_param(op->node, "negative_slope", 0), x > 0 ? x : k * x,
            x > 0 ? 1.0f : k)
ELEMENTWISE(relu6, 0, least_most(x, 0, 6), between(x, 0, 6, 1))
ELEMENTWISE(elu, (float)layer_param(op->node, "alpha", 0), elu(x, k), d_elu(x, k))
ELEMENTWISE(silu, 0, x *v_sigmoid(x), d_silu(x))
ELEMENTWISE(tanh, 0, v_tanh(x), d_tanh(x))
ELEMENTWISE(sigmoid, 0, v_sigmoid(x), d_sigmoid(x))
ELEMENTWISE(hard_sigmoid, 0, least_most(x + 3, 0, 6) * (1 / 6.0f), between(x, -3, 3, 1 / 6.0f))
ELEMENTWISE(hard_swish, 0, x *least_most(x + 3, 0, 6) * (1 / 6.0f),
            least_most(x + 3, 0, 6) * (1 / 6.0f) + x * between(x, -3, 3, 1 / 6.0f))
ELEMENTWISE(gelu_erf, 0, gelu_erf(x), d_gelu_erf(x))
ELEMENTWISE(gelu_tanh, 0, 0.5f * x * (1 + tanh_arm(x)), d_gelu_tanh(x))

static bool by_tanh(const struct op *op)
{
    return !strcmp(layer_param_text(op->node, "approximate"), "tanh");
}

static void gelu_forward(struct op *op, const struct op_call *c)
{
    (by_tanh(op) ? gelu_tanh_forward : gelu_erf_forward)(op, c);
}

static void gelu_backward(struct op *op, const struct op_call *c)
{
    (by_tanh(op) ? gelu_tanh_backward : gelu_erf_backward)(op, c);
}

#define IMPL(NAME)                                                                                           \
    const struct op_impl NAME##_cpu = {#NAME, .any_layout = true, .plan = plan, .forward = NAME##_forward,   \
                                       .backward = NAME##_backward}

IMPL(relu);
IMPL(leaky_relu);
IMPL(relu6);
IMPL(elu);
IMPL(silu);
IMPL(tanh);
IMPL(sigmoid);
IMPL(hard_sigmoid);
IMPL(hard_swish);
IMPL(gelu);
