#include "kernels/ops/activations.h"

#include <math.h>
#include <string.h>

static const struct param_def gelu_params[] = {
    {"approximate", PARAM_CHOICE, .fallback_text = "none", .choices = "none|tanh",
     .help = "none: by the error function; tanh: its usual approximation."},
};

static const struct param_def leaky_params[] = {
    {"negative_slope", PARAM_REAL, .fallback = 0.01, .min = -1e6, .max = 1e6,
     .help = "Factor below zero (PyTorch's default; Keras's is 0.3)."},
};

static const struct param_def elu_params[] = {
    {"alpha", PARAM_REAL, .fallback = 1, .min = 0, .max = 1e6,
     .help = "The output far below zero is minus this."},
};

static void cost_cheap(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 1, out);
}

static void cost_transcendental(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 8, out);
}

#define ACTIVATION(NAME, COST, SUMMARY, FORMULA, SOURCE)                                                     \
    .name = NAME, .group = "activation", .summary = SUMMARY, .formula = FORMULA, .source = SOURCE,           \
    .min_inputs = 1, .max_inputs = 1, .infer = row_infer_same, .cost = COST

const struct layer_type layer_relu = {ACTIVATION("relu", cost_cheap, "Rectified linear unit.",
                                                 "out = max(in, 0)", "Nair and Hinton, ICML 2010")};
const struct layer_type layer_gelu = {ACTIVATION("gelu", cost_transcendental, "Gaussian error linear unit.",
                                                 "out = in Phi(in), Phi the normal distribution function",
                                                 "Hendrycks and Gimpel, arXiv:1606.08415"),
                                      PARAMS(gelu_params)};
const struct layer_type layer_tanh = {
    ACTIVATION("tanh", cost_transcendental, "Hyperbolic tangent.", "out = tanh(in)", "PyTorch Tanh")};
const struct layer_type layer_sigmoid = {ACTIVATION("sigmoid", cost_transcendental, "Logistic function.",
                                                    "out = 1 / (1 + exp(-in))", "PyTorch Sigmoid")};

const struct layer_type layer_leaky_relu = {
    ACTIVATION("leaky_relu", cost_cheap, "Rectified linear unit with a slope below zero.",
               "out = in if in > 0 else negative_slope in", "Maas, Hannun, Ng, ICML 2013"),
    PARAMS(leaky_params)};
const struct layer_type layer_relu6 = {
    ACTIVATION("relu6", cost_cheap, "Rectified linear unit that ends at 6.", "out = min(max(in, 0), 6)",
               "Howard et al., arXiv:1704.04861")};
const struct layer_type layer_elu = {ACTIVATION("elu", cost_transcendental, "Exponential linear unit.",
                                                "out = in if in > 0 else alpha (exp(in) - 1)",
                                                "Clevert, Unterthiner, Hochreiter, arXiv:1511.07289"),
                                     PARAMS(elu_params)};
const struct layer_type layer_silu = {
    ACTIVATION("silu", cost_transcendental, "Sigmoid linear unit, also called swish.",
               "out = in / (1 + exp(-in))", "Elfwing, Uchibe, Doya, arXiv:1702.03118")};
const struct layer_type layer_hard_sigmoid = {
    ACTIVATION("hard_sigmoid", cost_cheap, "The logistic function in three pieces.",
               "out = min(max(in / 6 + 1/2, 0), 1)", "PyTorch Hardsigmoid")};
const struct layer_type layer_hard_swish = {
    ACTIVATION("hard_swish", cost_cheap, "The sigmoid linear unit in three pieces.",
               "out = in min(max(in / 6 + 1/2, 0), 1)", "Howard et al., arXiv:1905.02244")};

static double f_leaky(double x, double k)
{
    return x > 0 ? x : k * x;
}

static double d_leaky(double x, double k)
{
    return x > 0 ? 1 : k;
}

static double f_relu6(double x)
{
    return x < 0 ? 0 : x > 6 ? 6 : x;
}

static double d_relu6(double x)
{
    return x > 0 && x < 6;
}

static double f_elu(double x, double k)
{
    return x > 0 ? x : k * expm1(x);
}

static double d_elu(double x, double k)
{
    return x > 0 ? 1 : k * exp(x);
}

static double f_hard_sigmoid(double x)
{
    return f_relu6(x + 3) / 6;
}

static double d_hard_sigmoid(double x)
{
    return d_relu6(x + 3) / 6;
}

static double f_hard_swish(double x)
{
    return x * f_hard_sigmoid(x);
}

static double d_hard_swish(double x)
{
    return f_hard_sigmoid(x) + x * d_hard_sigmoid(x);
}

static double f_relu(double x)
{
    return x > 0 ? x : 0;
}

static double d_relu(double x)
{
    return x > 0;
}

static double f_tanh(double x)
{
    return tanh(x);
}

static double d_tanh(double x)
{
    return 1 - tanh(x) * tanh(x);
}

static double f_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double d_sigmoid(double x)
{
    return f_sigmoid(x) * (1 - f_sigmoid(x));
}

static double f_silu(double x)
{
    return x * f_sigmoid(x);
}

static double d_silu(double x)
{
    return f_sigmoid(x) + x * d_sigmoid(x);
}

static double f_gelu(double x)
{
    return x * 0.5 * (1 + erf(x / M_SQRT2));
}

static double d_gelu(double x)
{
    return 0.5 * (1 + erf(x / M_SQRT2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
}

static double f_gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double d_gelu_tanh(double x)
{
    double k = sqrt(2 / M_PI), t = tanh(k * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
}

static void forward(const struct layer_node *n, const struct ref_call *c, double (*f)(double))
{
    int64_t count = c->rows * shape_elements(&n->shape);
    for (int64_t i = 0; i < count; i++)
        c->out[i] = f(c->in[0][i]);
}

static void backward(const struct layer_node *n, const struct ref_call *c, double (*d)(double))
{
    int64_t count = c->rows * shape_elements(&n->shape);
    for (int64_t i = 0; c->grad_in[0] && i < count; i++)
        c->grad_in[0][i] += c->grad_out[i] * d(c->in[0][i]);
}

#define REFERENCE(NAME, F, D)                                                                                \
    static void NAME##_forward(const struct layer_node *n, const struct ref_call *c)                         \
    {                                                                                                        \
        forward(n, c, F);                                                                                    \
    }                                                                                                        \
    static void NAME##_backward(const struct layer_node *n, const struct ref_call *c)                        \
    {                                                                                                        \
        backward(n, c, D);                                                                                   \
    }                                                                                                        \
    const struct op_ref NAME##_ref = {#NAME, NAME##_forward, NAME##_backward};

REFERENCE(relu, f_relu, d_relu)
REFERENCE(tanh, f_tanh, d_tanh)
REFERENCE(sigmoid, f_sigmoid, d_sigmoid)

static bool by_tanh(const struct layer_node *n)
{
    return !strcmp(layer_param_text(n, "approximate"), "tanh");
}

REFERENCE(gelu, by_tanh(n) ? f_gelu_tanh : f_gelu, by_tanh(n) ? d_gelu_tanh : d_gelu)
REFERENCE(relu6, f_relu6, d_relu6)
REFERENCE(silu, f_silu, d_silu)
REFERENCE(hard_sigmoid, f_hard_sigmoid, d_hard_sigmoid)
REFERENCE(hard_swish, f_hard_swish, d_hard_swish)

/* With a parameter. */
#define REFERENCE_OF(NAME, PARAM, F, D)                                                                      \
    static void NAME##_forward(const struct layer_node *n, const struct ref_call *c)                         \
    {                                                                                                        \
        double k = layer_param(n, PARAM, 0);                                                                 \
        for (int64_t i = 0; i < c->rows * shape_elements(&n->shape); i++)                                    \
            c->out[i] = F(c->in[0][i], k);                                                                   \
    }                                                                                                        \
    static void NAME##_backward(const struct layer_node *n, const struct ref_call *c)                        \
    {                                                                                                        \
        double k = layer_param(n, PARAM, 0);                                                                 \
        for (int64_t i = 0; c->grad_in[0] && i < c->rows * shape_elements(&n->shape); i++)                   \
            c->grad_in[0][i] += c->grad_out[i] * D(c->in[0][i], k);                                          \
    }                                                                                                        \
    const struct op_ref NAME##_ref = {#NAME, NAME##_forward, NAME##_backward};

REFERENCE_OF(leaky_relu, "negative_slope", f_leaky, d_leaky)
REFERENCE_OF(elu, "alpha", f_elu, d_elu)
