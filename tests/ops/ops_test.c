/* ops_test: every operation of the cpu backend against its float64 reference, and every reference's gradient
 * against finite differences. (After ggml's test-backend-ops: one program, a case table, modes.)
 *
 *   ops_test check|gradient|performance|support [TYPE [SEED]]
 *
 * Tolerances. check: both sides see the same float32 numbers, so they differ by float32 rounding of sums of
 * at most a few hundred products of size one: 2e-5 of the largest value of the tensor. gradient: central
 * differences of the float64 reference with h = 1e-5 have an error of about 1e-10 f''' and 1e-16 / h; 1e-6 of
 * the largest gradient.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cases.h"
#include "kernels/backend/backend.h"
#include "kernels/ops/reference.h"
#include "kernels/spec/params.h"
#ifdef HAVE_ONEDNN
#include "kernels/ops/onednn.h"
#endif

#define CHECK_TOLERANCE    2e-5
#define GRADIENT_TOLERANCE 1e-6

static uint64_t random_state;

static double random_value(void) /* uniform in -1..1, never near 0 (kinks), splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    double u = (double)(z >> 11) / 9007199254740992.0;
    return u < 0.5 ? -0.01 - u * 1.98 : 0.01 + (u - 0.5) * 1.98;
}

static struct layer_node *node_of(const struct op_case *c)
{
    struct layer_node *n = xcalloc(1, sizeof(*n));
    n->type = layer_type_find(c->type);
    n->name = xstrdup("layer");
    n->input_count = c->inputs;
    for (int i = 0; i < c->inputs; i++) {
        n->in_shapes[i] = c->in[i];
        n->in_dtypes[i] = c->dtype;
    }
    struct param_value *v = params_defaults(n->type->params, n->type->param_count);
    for (const struct param_set *p = c->params; p < c->params + 6 && p->name; p++) {
        int k = params_index(n->type->params, n->type->param_count, p->name);
        snprintf(v[k].text, sizeof(v[k].text), "%s", p->text ? p->text : "");
        v[k].num[0] = p->a;
        v[k].num[1] = p->b < 0 && p->a >= 0 ? p->a : p->b;
        v[k].count = p->text ? 0 : p->count ? p->count : 2;
        for (int i = 0; i < p->count; i++)
            v[k].num[i] = (double)p->ints[i];
    }
    memcpy(n->params, v, sizeof(*v) * (size_t)n->type->param_count);
    free(v);
    struct err err = {0};
    if (n->type->infer(n, &err) < 0) {
        printf("FAILED %s: %s\n", c->type, err.text);
        exit(1);
    }
    return n;
}

/* One case's tensors in float64 (what the reference takes) and float32 (what the backend takes, plain). */
struct tensors {
    struct layer_node *node;
    int64_t rows;
    size_t in_n[3], out_n, weight_n[LAYER_MAX_WEIGHTS];
    double *in[3], *out, *grad_out, *grad_in[3], *weights[LAYER_MAX_WEIGHTS],
        *weight_grads[LAYER_MAX_WEIGHTS];
};

static double *filled(size_t n)
{
    double *p = xcalloc(n, sizeof(double));
    for (size_t i = 0; i < n; i++)
        p[i] = (double)(float)random_value();
    return p;
}

static struct tensors make(const struct op_case *c)
{
    struct tensors t = {.node = node_of(c), .rows = c->rows};
    for (int i = 0; i < c->inputs; i++) {
        t.in_n[i] = (size_t)(c->rows * shape_elements(&c->in[i]));
        t.in[i] = filled(t.in_n[i]);
        for (size_t k = 0; c->scale > 0 && k < t.in_n[i]; k++)
            t.in[i][k] = (double)(float)(t.in[i][k] * c->scale);
        for (size_t k = 0; c->dtype == DTYPE_U8 && k < t.in_n[i]; k++)
            t.in[i][k] = floor(fabs(t.in[i][k]) * 255);
        for (size_t k = 0; c->dtype == DTYPE_I32 && k < t.in_n[i];
             k++) /* tokens, some of them outside 0..9 */
            t.in[i][k] = floor(fabs(t.in[i][k]) * 12) - 1;
        t.grad_in[i] = xcalloc(t.in_n[i], sizeof(double));
    }
    t.out_n = (size_t)(c->rows * shape_elements(&t.node->shape));
    t.out = xcalloc(t.out_n, sizeof(double));
    t.grad_out = filled(t.out_n);
    for (int i = 0; i < t.node->weight_count; i++) {
        t.weight_n[i] = (size_t)shape_elements(&t.node->weights[i].shape);
        t.weights[i] = filled(t.weight_n[i]);
        if (strstr(t.node->weights[i].name, "variance"))
            for (size_t k = 0; k < t.weight_n[i]; k++)
                t.weights[i][k] = fabs(t.weights[i][k]) + 0.5;
        t.weight_grads[i] = xcalloc(t.weight_n[i], sizeof(double));
    }
    return t;
}

static void drop(struct tensors *t)
{
    for (int i = 0; i < t->node->input_count; i++) {
        free(t->in[i]);
        free(t->grad_in[i]);
    }
    for (int i = 0; i < t->node->weight_count; i++) {
        free(t->weights[i]);
        free(t->weight_grads[i]);
    }
    free(t->out);
    free(t->grad_out);
    free(t->node->name);
    free(t->node);
}

static struct ref_call call_of(const struct tensors *t, bool training)
{
    struct ref_call c = {.rows = t->rows,
                         .training = training,
                         .out = t->out,
                         .grad_out = t->grad_out,
                         .seed = 5,
                         .step = 3,
                         .first_sample = 11};
    for (int i = 0; i < t->node->input_count; i++) {
        c.in[i] = t->in[i];
        c.grad_in[i] = t->grad_in[i];
    }
    for (int i = 0; i < t->node->weight_count; i++) {
        c.weights[i] = t->weights[i];
        c.weight_grads[i] = t->weight_grads[i];
    }
    return c;
}

/* Forward and backward of the reference; states keep the values they had. */
static void run_reference(struct tensors *t, const struct op_ref *ref, bool training, bool relu)
{
    struct ref_call c = call_of(t, training);
    ref->forward(t->node, &c);
    double *masked = NULL;
    if (relu) {
        masked = xcalloc(t->out_n, sizeof(double));
        for (size_t i = 0; i < t->out_n; i++) {
            masked[i] = t->out[i] > 0 ? t->grad_out[i] : 0;
            t->out[i] = t->out[i] > 0 ? t->out[i] : 0;
        }
        c.grad_out = masked;
    }
    if (training)
        ref->backward(t->node, &c);
    free(masked);
}

static int compare(const struct op_case *c, const char *what, const double *want, const float *got, size_t n)
{
    /* Without rotary a bias of all keys changes no probability: its gradient is 0, and rounding is all there is. */
    double largest = !strcmp(what, "key_bias") ? 1 : 1e-3, worst = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabs(want[i]) > largest ? fabs(want[i]) : largest;
    for (size_t i = 0; i < n; i++) {
        double d = fabs(want[i] - (double)got[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    if (worst <= CHECK_TOLERANCE * largest)
        return 0;
    printf("FAILED %s (%lld rows): %s differs by %g of %g\n", c->type, (long long)c->rows, what, worst,
           largest);
    return 1;
}

static float *plain32(const double *from, size_t n)
{
    float *p = xcalloc(n + 16, sizeof(float));
    for (size_t i = 0; i < n; i++)
        p[i] = (float)from[i];
    return p;
}

/* How the inputs lie in memory: as they are, or by blocks of 8 channels as convolutions hand them on. */
enum form { FORM_PLAIN, FORM_BLOCKED, FORM_FIRST_BLOCKED, FORM_COUNT };
static const char *const form_names[] = {"", ", blocked", ", first input blocked"};

static bool form_applies(const struct backend *b, const struct op_case *c, enum form form)
{
    if (form == FORM_PLAIN)
        return true;
#ifdef HAVE_ONEDNN
    return b->find(b, c->type)->any_layout && c->in[0].rank >= 2 && c->in[0].rank <= 3 &&
           c->dtype == DTYPE_F32 && (form == FORM_BLOCKED || c->inputs > 1);
#else
    (void)b, (void)c;
    return false;
#endif
}

static void set_form(struct op_tensor *t, int64_t rows, enum form form, int index)
{
#ifdef HAVE_ONEDNN
    dnnl_dims_t dims = {rows};
    if (form == FORM_PLAIN || (form == FORM_FIRST_BLOCKED && index > 0))
        return;
    for (int a = 0; a < t->shape.rank; a++)
        dims[1 + a] = t->shape.dim[a];
    t->layout = xcalloc(1, sizeof(struct layout));
    onednn_must(dnnl_memory_desc_init_by_tag(&t->layout->md, 1 + t->shape.rank, dims, dnnl_f32,
                                             t->shape.rank == 2 ? dnnl_aBc8b : dnnl_aBcd8b),
                "a layout by blocks");
    t->bytes = dnnl_memory_desc_get_size(&t->layout->md);
#else
    (void)t, (void)rows, (void)form, (void)index;
#endif
}

/* A planned op of the backend with all its buffers; in and out are plain here and converted where the op
 * wants otherwise. */
struct machine {
    enum form form;
    struct layout *layouts[3];
    struct backend *b;
    struct op op;
    struct op_call call;
    struct op_tensor plain_out;
    void *in[3], *out, *grad_out, *kept, *scratch;
    float *grad_in[3], *weights[LAYER_MAX_WEIGHTS], *weight_grads[LAYER_MAX_WEIGHTS];
};

static void machine_make(struct machine *m, struct backend *b, const struct op_case *c,
                         const struct tensors *t, bool relu, enum form form)
{
    struct err err = {0};
    *m = (struct machine){
        .b = b, .form = form, .op = {.node = t->node, .rows = c->rows + 2, .training = true, .relu = relu}};
    for (int i = 0; i < c->inputs; i++) {
        m->op.in[i] = (struct op_tensor){.shape = c->in[i], .dtype = c->dtype};
        m->op.in[i].bytes = (size_t)(m->op.rows * shape_elements(&c->in[i])) * (size_t)dtype_size(c->dtype);
        set_form(&m->op.in[i], m->op.rows, form, i);
        m->layouts[i] = m->op.in[i].layout;
        m->op.wants_input_grad[i] = c->dtype == DTYPE_F32;
    }
    if (op_plan(b, &m->op, &err) < 0) {
        printf("FAILED %s: %s\n", c->type, err.text);
        exit(1);
    }
    m->plain_out = m->op.out;
    m->plain_out.layout = NULL;
    m->out = b->alloc(b, m->op.out.bytes, &err);
    m->grad_out = b->alloc(b, m->op.out.bytes, &err);
    m->kept = b->alloc(b, m->op.kept_bytes, &err);
    m->scratch = b->alloc(b, m->op.scratch_bytes, &err);
    memset(m->grad_out, 0, m->op.out.bytes);
    m->call = (struct op_call){.rows = c->rows,
                               .training = true,
                               .out = m->out,
                               .weights_version = 1,
                               .kept = m->kept,
                               .scratch = m->scratch,
                               .seed = 5,
                               .step = 3,
                               .first_sample = 11,
                               .grad_out = m->grad_out};
    for (int i = 0; i < c->inputs; i++) {
        m->in[i] = plain32(t->in[i], t->in_n[i]);
        for (size_t k = 0; c->dtype == DTYPE_U8 && k < t->in_n[i]; k++)
            ((uint8_t *)m->in[i])[k] = (uint8_t)t->in[i][k];
        for (size_t k = 0; c->dtype == DTYPE_I32 && k < t->in_n[i]; k++)
            ((int32_t *)m->in[i])[k] = (int32_t)t->in[i][k];
        m->grad_in[i] = xcalloc(t->in_n[i] + m->op.in[i].bytes / sizeof(float) + 4096, sizeof(float));
        if (m->op.in[i].layout) {
            struct op_tensor from = m->op.in[i];
            void *blocked = b->alloc(b, m->op.in[i].bytes, &err);
            from.layout = NULL;
            memset(blocked, 0, m->op.in[i].bytes);
            b->convert(b, &from, m->in[i], &m->op.in[i], blocked, c->rows, false);
            free(m->in[i]);
            m->in[i] = blocked;
        }
        m->call.in[i] = m->in[i];
        m->call.grad_in[i] = m->op.wants_input_grad[i] ? m->grad_in[i] : NULL;
    }
    for (int i = 0; i < t->node->weight_count; i++) {
        m->call.weights[i] = m->weights[i] = plain32(t->weights[i], t->weight_n[i]);
        m->weight_grads[i] = xcalloc(t->weight_n[i], sizeof(float));
        m->call.weight_grads[i] = t->node->weights[i].trainable ? m->weight_grads[i] : NULL;
    }
    float *g = plain32(t->grad_out, t->out_n);
    b->convert(b, &m->plain_out, g, &m->op.out, m->grad_out, c->rows, false);
    free(g);
}

static void machine_drop(struct machine *m)
{
    for (int i = 0; i < m->op.node->input_count; i++) {
        free(m->in[i]);
        free(m->grad_in[i]);
        free(m->layouts[i]);
    }
    for (int i = 0; i < m->op.node->weight_count; i++) {
        free(m->weights[i]);
        free(m->weight_grads[i]);
    }
    struct backend *b = m->b;
    b->free(b, m->out);
    b->free(b, m->grad_out);
    b->free(b, m->kept);
    b->free(b, m->scratch);
    op_release(&m->op);
}

static int check_gradients(const struct op_case *c, const struct tensors *t, struct machine *m, double times)
{
    int failed = 0;
    for (int i = 0; i < c->inputs; i++) {
        double *want = xcalloc(t->in_n[i], sizeof(double));
        for (size_t k = 0; k < t->in_n[i]; k++)
            want[k] = t->grad_in[i][k] * times;
        float *got = xcalloc(t->in_n[i] + 16, sizeof(float));
        struct op_tensor to = m->op.in[i];
        to.layout = NULL;
        if (m->op.wants_input_grad[i]) {
            m->b->convert(m->b, &m->op.in[i], m->grad_in[i], &to, got, c->rows, false);
            failed += compare(c, times > 1 ? "accumulated input gradient" : "input gradient", want, got,
                              t->in_n[i]);
        }
        free(got);
        free(want);
    }
    for (int i = 0; i < t->node->weight_count; i++)
        if (t->node->weights[i].trainable)
            failed +=
                compare(c, t->node->weights[i].name, t->weight_grads[i], m->weight_grads[i], t->weight_n[i]);
    return failed;
}

static int check(struct backend *b, const struct op_case *c, bool relu, enum form form)
{
    struct tensors t = make(c);
    struct machine m;
    machine_make(&m, b, c, &t, relu, form);
    float *out = xcalloc(t.out_n + 16, sizeof(float));
    int failed = 0;
    m.op.impl->forward(&m.op, &m.call);
    b->convert(b, &m.op.out, m.out, &m.plain_out, out, c->rows, false);
    run_reference(&t, op_ref_find(c->type), true, relu);
    failed += compare(c, "output", t.out, out, t.out_n);
    for (int i = 0; i < t.node->weight_count; i++)
        if (!t.node->weights[i].trainable)
            failed += compare(c, t.node->weights[i].name, t.weights[i], m.weights[i], t.weight_n[i]);
    if (m.op.wants_input_grad[0] && m.op.impl->backward) {
        m.op.impl->backward(&m.op, &m.call);
        failed += check_gradients(c, &t, &m, 1);
        for (int i = 0; i < c->inputs; i++)
            m.call.accumulate[i] = true;
        m.op.impl->backward(&m.op, &m.call);
        failed += check_gradients(c, &t, &m, 2);
    }
    m.call.training = false; /* evaluation: states instead of batch statistics, nothing dropped */
    m.op.impl->forward(&m.op, &m.call);
    b->convert(b, &m.op.out, m.out, &m.plain_out, out, c->rows, false);
    run_reference(&t, op_ref_find(c->type), false, relu);
    failed += compare(c, "output in evaluation", t.out, out, t.out_n);
    free(out);
    machine_drop(&m);
    drop(&t);
    if (failed)
        printf("  in the form: %s%s\n", relu ? "relu fused" : "as it is", form_names[form]);
    return failed;
}

/* sum(out * grad_out), the function whose gradient backward gives. */
static double objective(struct tensors *t, const struct op_ref *ref)
{
    double *states[LAYER_MAX_WEIGHTS] = {0}; /* forward moves the states; put them back */
    for (int i = 0; i < t->node->weight_count; i++) {
        states[i] = xcalloc(t->weight_n[i], sizeof(double));
        memcpy(states[i], t->weights[i], t->weight_n[i] * sizeof(double));
    }
    struct ref_call c = call_of(t, true);
    ref->forward(t->node, &c);
    double sum = 0;
    for (size_t i = 0; i < t->out_n; i++)
        sum += t->out[i] * t->grad_out[i];
    for (int i = 0; i < t->node->weight_count; i++) {
        if (!t->node->weights[i].trainable)
            memcpy(t->weights[i], states[i], t->weight_n[i] * sizeof(double));
        free(states[i]);
    }
    return sum;
}

static int differences(struct tensors *t, const struct op_ref *ref, const char *what, double *x,
                       const double *gradient, size_t n)
{
    const double h = 1e-5;
    double largest = !strcmp(what, "key_bias") ? 1 : 1e-3; /* see compare() */
    for (size_t i = 0; i < n; i++)
        largest = fabs(gradient[i]) > largest ? fabs(gradient[i]) : largest;
    for (size_t i = 0; i<n; i += n> 200 ? 7 : 1) {
        double at = x[i];
        x[i] = at + h;
        double up = objective(t, ref);
        x[i] = at - h;
        double down = objective(t, ref);
        x[i] = at;
        double numeric = (up - down) / (2 * h);
        if (!(fabs(numeric - gradient[i]) <= GRADIENT_TOLERANCE * largest)) {
            printf("FAILED %s: gradient of %s[%zu] is %.9g, differences say %.9g\n", t->node->type->name,
                   what, i, gradient[i], numeric);
            return 1;
        }
    }
    return 0;
}

/* Whether its input is a number of something, which has no derivative (rescale's bytes do). */
static bool ref_by_number(const struct op_case *c)
{
    return !strcmp(c->type, "embedding");
}

static int gradient(const struct op_case *c)
{
    const struct op_ref *ref = op_ref_find(c->type);
    struct tensors t = make(c);
    objective(&t, ref); /* the output that backward may look at */
    struct ref_call call = call_of(&t, true);
    ref->backward(t.node, &call);
    int failed = 0;
    for (int i = 0; i < c->inputs && !ref_by_number(c); i++)
        failed += differences(&t, ref, "the input", t.in[i], t.grad_in[i], t.in_n[i]);
    for (int i = 0; i < t.node->weight_count; i++)
        if (t.node->weights[i].trainable)
            failed +=
                differences(&t, ref, t.node->weights[i].name, t.weights[i], t.weight_grads[i], t.weight_n[i]);
    drop(&t);
    return failed;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double best_time(struct machine *m, void (*f)(struct op *, const struct op_call *))
{
    double best = 1e9;
    for (double end = seconds() + 0.4; seconds() < end;) {
        double start = seconds();
        f(&m->op, &m->call);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void performance(struct backend *b, const struct op_case *c)
{
    struct tensors t = make(c);
    struct machine m;
    machine_make(&m, b, c, &t, c->relu && b->find(b, c->type)->fuses_relu,
                 c->blocked ? FORM_BLOCKED : FORM_PLAIN);
    struct layer_cost cost;
    t.node->type->cost(t.node, &cost);
    double forward = best_time(&m, m.op.impl->forward), backward = best_time(&m, m.op.impl->backward);
    double moved = (double)(t.out_n + t.in_n[0]) * 4;
    char in[96], out[96];
    shape_format(&c->in[0], in, sizeof(in));
    shape_format(&t.node->shape, out, sizeof(out));
    printf("%-11s %5lld x %-13s -> %-13s forward %8.3f ms %6.1f GFLOP/s %5.1f GB/s   backward %8.3f ms %6.1f "
           "GFLOP/s\n",
           c->type, (long long)c->rows, in, out, forward * 1e3,
           cost.forward_flops * (double)c->rows / forward / 1e9, moved / forward / 1e9, backward * 1e3,
           cost.backward_flops * (double)c->rows / backward / 1e9);
    machine_drop(&m);
    drop(&t);
}

/* Every row has a reference, an implementation in the backend, and a case here. */
static int support(struct backend *b)
{
    int count, failed = 0;
    const struct layer_type *const *types = layer_types(&count);
    for (int i = 0; i < count; i++) {
        const char *name = types[i]->name;
        bool tried = false;
        for (int k = 0; k < op_case_count; k++)
            tried |= !strcmp(op_cases[k].type, name);
        bool all = op_ref_find(name) && b->find(b, name) && tried && types[i]->summary && types[i]->formula &&
                   types[i]->source;
        printf("%-12s %-14s %s\n", name, types[i]->group,
               all ? "reference, cpu, cases, documented" : "INCOMPLETE");
        failed += !all;
    }
    return failed;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "check", *type = argc > 2 ? argv[2] : NULL;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL);
    struct err err = {0};
#if defined(__SANITIZE_THREAD__)
    int threads = 1; /* the thread sanitizer does not see how OpenMP's own library synchronises */
#else
    int threads = 0;
#endif
    struct backend *b = backend_create("cpu", threads, &err);
    if (!b) {
        printf("FAILED: %s\n", err.text);
        return 1;
    }
    printf("mode %s, backend %s, %d threads, seed %llu\n", mode, b->name, b->threads,
           (unsigned long long)seed);
    random_state = seed;
    int failed = !strcmp(mode, "support") ? support(b) : 0, ran = 0;
    for (int i = 0; i < op_case_count && strcmp(mode, "support"); i++) {
        const struct op_case *c = &op_cases[i];
        if ((type && strcmp(type, c->type)) || c->speed != !strcmp(mode, "performance") ||
            (c->large && !strcmp(mode, "gradient")))
            continue;
        ran++;
        if (!strcmp(mode, "check")) {
            for (int form = 0; form < FORM_COUNT; form++) {
                if (!form_applies(b, c, (enum form)form))
                    continue;
                failed += check(b, c, false, (enum form)form);
                failed += c->relu && b->find(b, c->type)->fuses_relu ? check(b, c, true, (enum form)form) : 0;
            }
        } else if (!strcmp(mode, "gradient")) {
            failed += gradient(c);
        } else {
            performance(b, c);
        }
    }
    backend_destroy(b);
    printf("%d cases, %d failures\n", ran, failed);
    return failed > 0;
}
