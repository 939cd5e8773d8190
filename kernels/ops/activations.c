#include "kernels/ops/activations.h"

#include <math.h>
#include <string.h>

static const struct param_def gelu_params[] = {
    {"approximate", PARAM_CHOICE, .fallback_text = "none", .choices = "none|tanh",
     .help = "none: by the error function; tanh: its usual approximation."},
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
