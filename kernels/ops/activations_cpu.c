/* Elementwise in float32 over whatever layout the input has: padding elements are zero or never read. Threads
 * by OpenMP, vectors by the compiler. */
#include "kernels/ops/activations.h"

#include <math.h>
#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/optim/vector.h"

static int plan(struct op *op, struct err *err)
{
    (void)err;
    op->out.layout = op->in[0].layout;
    op->out.bytes = op->in[0].bytes;
    op->backward_needs_out = false;
    return 0;
}

#define ELEMENTWISE(NAME, FORWARD, DERIVATIVE)                                                               \
    VECTOR_CLONES static void NAME##_map(const float *restrict in, float *restrict out, size_t n)            \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            float x = in[i];                                                                                 \
            out[i] = FORWARD;                                                                                \
        }                                                                                                    \
    }                                                                                                        \
    VECTOR_CLONES static void NAME##_map_back(const float *restrict in, const float *restrict g,             \
                                              float *restrict gi, size_t n, bool add)                        \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            float x = in[i], d = g[i] * (DERIVATIVE);                                                        \
            gi[i] = add ? gi[i] + d : d;                                                                     \
        }                                                                                                    \
    }                                                                                                        \
    static void NAME##_forward(struct op *op, const struct op_call *c)                                       \
    {                                                                                                        \
        CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)                               \
        NAME##_map((const float *)c->in[0] + from, (float *)c->out + from, count);                           \
        CPU_PARALLEL_END                                                                                     \
    }                                                                                                        \
    static void NAME##_backward(struct op *op, const struct op_call *c)                                      \
    {                                                                                                        \
        if (!c->grad_in[0])                                                                                  \
            return;                                                                                          \
        CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)                               \
        NAME##_map_back((const float *)c->in[0] + from, (const float *)c->grad_out + from,                   \
                        (float *)c->grad_in[0] + from, count, c->accumulate[0]);                             \
        CPU_PARALLEL_END                                                                                     \
    }

ELEMENTWISE(relu, x > 0 ? x : 0, x > 0 ? 1.0f : 0.0f)
ELEMENTWISE(tanh, tanhf(x), 1 - tanhf(x) * tanhf(x))
ELEMENTWISE(sigmoid, 1 / (1 + expf(-x)), (1 / (1 + expf(-x))) * (1 - 1 / (1 + expf(-x))))
ELEMENTWISE(gelu_erf, x * 0.5f * (1 + erff(x * 0.70710678f)),
            0.5f * (1 + erff(x * 0.70710678f)) + x * expf(-0.5f * x * x) * 0.39894228f)

static inline float tanh_arm(float x)
{
    return tanhf(0.79788456f * (x + 0.044715f * x * x * x));
}

ELEMENTWISE(gelu_tanh, 0.5f * x * (1 + tanh_arm(x)),
            0.5f * (1 + tanh_arm(x)) +
                0.5f * x * (1 - tanh_arm(x) * tanh_arm(x)) * 0.79788456f * (1 + 3 * 0.044715f * x * x))

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

const struct op_impl relu_cpu = {"relu", .any_layout = true, .plan = plan, .forward = relu_forward,
                                 .backward = relu_backward};
const struct op_impl tanh_cpu = {"tanh", .any_layout = true, .plan = plan, .forward = tanh_forward,
                                 .backward = tanh_backward};
const struct op_impl sigmoid_cpu = {"sigmoid", .plan = plan, .forward = sigmoid_forward,
                                    .backward = sigmoid_backward};
const struct op_impl gelu_cpu = {"gelu", .any_layout = true, .plan = plan, .forward = gelu_forward,
                                 .backward = gelu_backward};
