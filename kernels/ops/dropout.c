/* dropout: in training each element is kept with probability 1 - rate and scaled by 1 / (1 - rate), else
 * zero; otherwise nothing happens. Which elements is a Philox number of (seed, layer name, step, sample in
 * the global batch, element), so it depends neither on the number of ranks nor on threads, and the backward
 * pass asks the same counters instead of keeping a mask. */
#include "kernels/ops/norms.h"

#include <string.h>

#include "kernels/ops/cpu.h"
#include "kernels/optim/random.h"

static const struct param_def params[] = {
    {"rate", PARAM_REAL, .fallback = 0.5, .min = 0, .max = 1, .max_open = true,
     .help = "Share of elements that are dropped in training."},
};

static void cost(const struct layer_node *n, struct layer_cost *out)
{
    row_cost_elementwise(n, 2, out);
}

const struct layer_type layer_dropout = {
    .name = "dropout",
    .group = "core",
    .summary = "Drops a share of the elements in training.",
    .formula = "out = in m / (1 - rate), m = 1 with probability 1 - rate, else 0; in evaluation out = in",
    .source = "Srivastava et al., JMLR 15 (2014); Philox: Salmon et al., SC 2011",
    .min_inputs = 1,
    .max_inputs = 1,
    PARAMS(params),
    .infer = row_infer_same,
    .cost = cost,
};

struct drop {
    uint64_t seed, stream, step, first; /* first: element index of this call's first in the global batch */
    uint32_t below;                     /* dropped when the number is below */
    double scale;
};

static struct drop drop_of(const struct layer_node *n, uint64_t seed, uint64_t step, int64_t first_sample)
{
    double rate = layer_param(n, "rate", 0);
    return (struct drop){seed,
                         random_stream(n->name),
                         step,
                         (uint64_t)(first_sample * shape_elements(&n->shape)),
                         (uint32_t)(rate * 4294967296.0),
                         1 / (1 - rate)};
}

/* The factors of elements [at, at+4) of the global batch; at is a multiple of 4. */
static inline void factors(const struct drop *d, uint64_t at, double out[4])
{
    struct random_block b = random_philox(d->seed ^ d->stream, at >> 2, d->step);
    for (int k = 0; k < 4; k++)
        out[k] = b.v[k] < d->below ? 0 : d->scale;
}

#define DROP(T, NAME)                                                                                        \
    static void NAME(const struct drop *d, const T *in, T *out, size_t from, size_t count, bool add)         \
    {                                                                                                        \
        double f[4];                                                                                         \
        for (size_t i = from; i < from + count;) {                                                           \
            uint64_t at = d->first + i;                                                                      \
            factors(d, at & ~(uint64_t)3, f);                                                                \
            do {                                                                                             \
                T v = in[i] * (T)f[at & 3];                                                                  \
                out[i] = add ? out[i] + v : v;                                                               \
                i++;                                                                                         \
                at++;                                                                                        \
            } while (at & 3 && i < from + count);                                                            \
        }                                                                                                    \
    }

DROP(double, drop_ref)
DROP(float, drop_cpu)

static void forward(const struct layer_node *n, const struct ref_call *c)
{
    size_t count = (size_t)(c->rows * shape_elements(&n->shape));
    struct drop d = drop_of(n, c->seed, c->step, c->first_sample);
    if (c->training)
        drop_ref(&d, c->in[0], c->out, 0, count, false);
    else
        memcpy(c->out, c->in[0], count * sizeof(double));
}

static void backward(const struct layer_node *n, const struct ref_call *c)
{
    struct drop d = drop_of(n, c->seed, c->step, c->first_sample);
    if (c->grad_in[0])
        drop_ref(&d, c->grad_out, c->grad_in[0], 0, (size_t)(c->rows * shape_elements(&n->shape)), true);
}

const struct op_ref dropout_ref = {"dropout", forward, backward};

static int cpu_plan(struct op *op, struct err *err)
{
    (void)err;
    op->backward_needs_in = op->backward_needs_out = false;
    return 0;
}

static void cpu_forward(struct op *op, const struct op_call *c)
{
    size_t n = cpu_floats(&op->out, op->rows, c->rows);
    struct drop d = drop_of(op->node, c->seed, c->step, c->first_sample);
    if (!c->training) {
        memcpy(c->out, c->in[0], n * sizeof(float));
        return;
    }
    CPU_PARALLEL(op, n, from, count)
    drop_cpu(&d, c->in[0], c->out, from, count, false);
    CPU_PARALLEL_END
}

static void cpu_backward(struct op *op, const struct op_call *c)
{
    if (!c->grad_in[0])
        return;
    struct drop d = drop_of(op->node, c->seed, c->step, c->first_sample);
    CPU_PARALLEL(op, cpu_floats(&op->out, op->rows, c->rows), from, count)
    drop_cpu(&d, c->grad_out, c->grad_in[0], from, count, c->accumulate[0]);
    CPU_PARALLEL_END
}

const struct op_impl dropout_cpu = {"dropout", .plan = cpu_plan, .forward = cpu_forward,
                                    .backward = cpu_backward};
