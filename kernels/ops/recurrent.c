/* lstm and gru: over a sequence (length, channels), giving the last state (units) or all of them (length, units). Names and the order of
 * gates are Keras's; gru applies the reset gate after the product, as PyTorch and Keras (reset_after) do. The fast ones are recurrent_cpu.c. */
#include "kernels/ops/recurrent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct param_def params[] = {
    {"units", PARAM_INT, .required = true, .min = 1, .max = 1 << 16, .help = "Size of the state."},
    {"return_sequences", PARAM_BOOL, .fallback = 0,
     .help = "Whether the state after every step is given out, or only the last."},
};

struct recurrent recurrent_of(const struct layer_node *n)
{
    return (struct recurrent){n->in_shapes[0].dim[0], n->in_shapes[0].dim[1],
                              (int64_t)layer_param(n, "units", 0), n->type == &layer_lstm ? 4 : 3,
                              layer_param(n, "return_sequences", 0) != 0};
}

static int infer(struct layer_node *n, struct err *err)
{
    if (row_need_float(n, err) < 0 || row_need_rank(n, 2, "a sequence (length, channels)",
                                                    "put an embedding or reshape layer before it", err) < 0)
        return -1;
    struct recurrent s = recurrent_of(n);
    n->dtype = DTYPE_F32;
    n->shape = s.sequences ? (struct shape){2, {s.length, s.units}} : (struct shape){1, {s.units}};
    int64_t wide = s.gates * s.units;
    struct weight_def *kernel = row_weight(n, "kernel", INIT_GLOROT_UNIFORM, true, true);
    kernel->shape = (struct shape){2, {s.channels, wide}};
    kernel->fan_in = s.channels;
    kernel->fan_out = wide;
    struct weight_def *recurrent = row_weight(n, "recurrent_kernel", INIT_GLOROT_UNIFORM, true, true);
    recurrent->shape = (struct shape){2, {s.units, wide}};
    recurrent->fan_in = s.units;
    recurrent->fan_out = wide;
    row_weight(n, "bias", INIT_ZEROS, true, false)->shape = (struct shape){1, {wide}};
    if (s.gates == 3) /* what is added to the state's product, before the reset gate */
        row_weight(n, "recurrent_bias", INIT_ZEROS, true, false)->shape = (struct shape){1, {wide}};
    return 0;
}

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    struct recurrent s = recurrent_of(n);
    double flops = 2.0 * (double)s.length * (double)(s.channels + s.units) * (double)(s.gates * s.units);
    double elements = (double)s.length * (double)s.units;
    *out = (struct layer_cost){flops + 12 * elements, 2 * flops + 24 * elements,
                               4 * elements * (double)(s.gates + 2)};
}

const struct layer_type layer_lstm = {
    .name = "lstm",
    .group = "sequence",
    .summary = "A long short-term memory: reads a sequence step by step into a state.",
    .formula = "[i f g o] = in[t] kernel + h recurrent_kernel + bias; c = sigmoid(f) c + sigmoid(i) tanh(g); "
               "h = sigmoid(o) tanh(c)",
    .source =
        "Hochreiter and Schmidhuber, Neural Computation 9(8), 1997; gates as in Keras LSTM and PyTorch LSTM",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

const struct layer_type layer_gru = {
    .name = "gru",
    .group = "sequence",
    .summary = "A gated recurrent unit: reads a sequence step by step into a state.",
    .formula = "a = in[t] kernel + bias, b = h recurrent_kernel + recurrent_bias; z = sigmoid(a_z + b_z), r "
               "= sigmoid(a_r + b_r), n = tanh(a_n + r b_n); "
               "h = z h + (1 - z) n",
    .source = "Cho et al., arXiv:1406.1078; with the reset gate after the product as in cuDNN, PyTorch GRU "
              "and Keras GRU(reset_after)",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = infer,
    .cost = cost,
};

/* ---- the references: one sample ---- */

struct steps {
    struct recurrent s;
    double *a, *b, *h,
        *c; /* (length, gates units) twice; (length + 1, units) twice, the first of them the start */
};

static struct steps steps_make(const struct layer_node *n)
{
    struct steps t = {.s = recurrent_of(n)};
    size_t wide = (size_t)(t.s.length * t.s.gates * t.s.units),
           state = (size_t)((t.s.length + 1) * t.s.units);
    t.a = xcalloc(wide, sizeof(double)), t.b = xcalloc(wide, sizeof(double));
    t.h = xcalloc(state, sizeof(double)), t.c = xcalloc(state, sizeof(double));
    return t;
}

static void steps_free(struct steps *t)
{
    free(t->a), free(t->b), free(t->h), free(t->c);
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static void row_product(const double *x, int64_t n, const double *kernel, const double *bias, int64_t wide,
                        double *out)
{
    for (int64_t k = 0; k < wide; k++) {
        out[k] = bias ? bias[k] : 0;
        for (int64_t i = 0; i < n; i++)
            out[k] += x[i] * kernel[i * wide + k];
    }
}

/* a: the gates after their function. c of an LSTM: the memory; b of a GRU: the state's product. */
static void run(struct steps *t, const struct ref_call *c, const double *in)
{
    int64_t u = t->s.units, wide = t->s.gates * u;
    for (int64_t k = 0; k < t->s.length; k++) {
        double *a = t->a + k * wide, *b = t->b + k * wide, *h = t->h + k * u, *next = h + u,
               *m = t->c + k * u;
        row_product(in + k * t->s.channels, t->s.channels, c->weights[0], c->weights[2], wide, a);
        row_product(h, u, c->weights[1], t->s.gates == 3 ? c->weights[3] : NULL, wide, b);
        for (int64_t i = 0; i < u; i++) {
            if (t->s.gates == 4) {
                for (int g = 0; g < 4; g++)
                    a[g * u + i] =
                        g == 2 ? tanh(a[g * u + i] + b[g * u + i]) : logistic(a[g * u + i] + b[g * u + i]);
                m[u + i] = a[u + i] * m[i] + a[i] * a[2 * u + i];
                next[i] = a[3 * u + i] * tanh(m[u + i]);
            } else {
                a[i] = logistic(a[i] + b[i]);
                a[u + i] = logistic(a[u + i] + b[u + i]);
                a[2 * u + i] = tanh(a[2 * u + i] + a[u + i] * b[2 * u + i]);
                next[i] = a[i] * h[i] + (1 - a[i]) * a[2 * u + i];
            }
        }
    }
}

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    for (int64_t row = 0; row < c->rows; row++) {
        struct steps t = steps_make(n);
        size_t out = (size_t)shape_elements(&n->shape);
        run(&t, c, c->in[0] + row * t.s.length * t.s.channels);
        memcpy(c->out + (size_t)row * out, t.h + (t.s.sequences ? t.s.units : t.s.length * t.s.units),
               out * sizeof(double));
        steps_free(&t);
    }
}

/* Gradients before the gates' functions, of the input's product (ga) and the state's (gb), and what the state before gets directly. */
static void step_back(const struct steps *t, int64_t k, const double *gh, double *gc, double *ga, double *gb,
                      double *before)
{
    int64_t u = t->s.units, wide = t->s.gates * u;
    const double *a = t->a + k * wide, *b = t->b + k * wide, *h = t->h + k * u, *m = t->c + k * u;
    for (int64_t i = 0; i < u; i++) {
        if (t->s.gates == 4) {
            double in = a[i], f = a[u + i], g = a[2 * u + i], o = a[3 * u + i], th = tanh(m[u + i]);
            double gm = gc[i] + gh[i] * o * (1 - th * th);
            ga[i] = gb[i] = gm * g * in * (1 - in);
            ga[u + i] = gb[u + i] = gm * m[i] * f * (1 - f);
            ga[2 * u + i] = gb[2 * u + i] = gm * in * (1 - g * g);
            ga[3 * u + i] = gb[3 * u + i] = gh[i] * th * o * (1 - o);
            gc[i] = gm * f;
            before[i] = 0;
        } else {
            double z = a[i], r = a[u + i], g = a[2 * u + i], gn = gh[i] * (1 - z) * (1 - g * g);
            ga[i] = gb[i] = gh[i] * (h[i] - g) * z * (1 - z);
            ga[u + i] = gb[u + i] = gn * b[2 * u + i] * r * (1 - r);
            ga[2 * u + i] = gn;
            gb[2 * u + i] = gn * r;
            before[i] = gh[i] * z;
        }
    }
}

static void product_back(const double *x, int64_t n, const double *kernel, int64_t wide, const double *g,
                         double *gx, double *gkernel, double *gbias)
{
    for (int64_t k = 0; k < wide; k++) {
        if (gbias)
            gbias[k] += g[k];
        for (int64_t i = 0; i < n; i++) {
            gkernel[i * wide + k] += x[i] * g[k];
            if (gx)
                gx[i] += kernel[i * wide + k] * g[k];
        }
    }
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    for (int64_t row = 0; row < c->rows; row++) {
        struct steps t = steps_make(n);
        int64_t u = t.s.units, wide = t.s.gates * u, in_at = row * t.s.length * t.s.channels;
        double *gh = xcalloc((size_t)u, sizeof(double)), *gc = xcalloc((size_t)u, sizeof(double)),
               *before = xcalloc((size_t)u, sizeof(double));
        double *ga = xcalloc((size_t)wide, sizeof(double)), *gb = xcalloc((size_t)wide, sizeof(double));
        const double *g = c->grad_out + row * shape_elements(&n->shape);
        run(&t, c, c->in[0] + in_at);
        for (int64_t k = t.s.length; k-- > 0;) {
            for (int64_t i = 0; i < u; i++)
                gh[i] += t.s.sequences ? g[k * u + i] : k == t.s.length - 1 ? g[i] : 0;
            step_back(&t, k, gh, gc, ga, gb, before);
            memcpy(gh, before, (size_t)u * sizeof(double));
            product_back(t.h + k * u, u, c->weights[1], wide, gb, gh, c->weight_grads[1],
                         t.s.gates == 3 ? c->weight_grads[3] : NULL);
            product_back(c->in[0] + in_at + k * t.s.channels, t.s.channels, c->weights[0], wide, ga,
                         c->grad_in[0] ? c->grad_in[0] + in_at + k * t.s.channels : NULL, c->weight_grads[0],
                         c->weight_grads[2]);
        }
        free(gh), free(gc), free(before), free(ga), free(gb);
        steps_free(&t);
    }
}

const struct op_ref lstm_ref = {"lstm", forward, backward};
const struct op_ref gru_ref = {"gru", forward, backward};
