/* The cpu backend: oneDNN for convolutions, pooling and products, vector loops with OpenMP for the rest
 * (ops/X_cpu.c or ops/X.c); without oneDNN the reference takes its place. */
#include <stdlib.h>

#include "base/mem.h"
#include "kernels/backend/host.h"
#include "kernels/ops/impls.h"
#include "kernels/usercode/kernel_op.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef HAVE_ONEDNN
#include "kernels/ops/onednn.h"
#endif

static const struct op_impl *find(const struct backend *b, const char *type)
{
    (void)b;
    return op_cpu_find(type);
}

#ifdef HAVE_ONEDNN
/* Reorders that were made, so that a step makes none: a network has few, each for a whole batch and an epoch's last one. */
enum { REORDERS = 128 };

struct reorder {
    dnnl_memory_desc_t from, to;
    bool accumulate;
    struct onednn_call call;
};

struct cpu {
    struct onednn dnn; /* first: what the operations take backend->state for */
    struct reorder *reorders;
    int count, oldest; /* of the table; when it is full the oldest goes */
};

static void make_reorder(struct cpu *cpu, struct reorder *r)
{
    struct onednn *dnn = &cpu->dnn;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    dnnl_primitive_desc_t pd;
    onednn_must(dnnl_primitive_attr_create(&attr), "attributes");
    onednn_must(dnnl_post_ops_create(&post), "post-operations");
    if (r->accumulate)
        onednn_must(dnnl_post_ops_append_sum(post, 1), "a sum");
    onednn_must(dnnl_primitive_attr_set_post_ops(attr, post), "post-operations");
    onednn_must(dnnl_reorder_primitive_desc_create(&pd, &r->from, dnn->engine, &r->to, dnn->engine, attr),
                "a reorder");
    onednn_call_init(&r->call, dnn, pd);
    onednn_call_arg(&r->call, dnn, DNNL_ARG_FROM, &r->from);
    onednn_call_arg(&r->call, dnn, DNNL_ARG_TO, &r->to);
    dnnl_primitive_desc_destroy(pd);
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
}

static struct reorder *reorder_of(struct cpu *cpu, const dnnl_memory_desc_t *from,
                                  const dnnl_memory_desc_t *to, bool accumulate)
{
    for (int i = 0; i < cpu->count; i++) {
        struct reorder *r = &cpu->reorders[i];
        if (r->accumulate == accumulate && dnnl_memory_desc_equal(&r->from, from) &&
            dnnl_memory_desc_equal(&r->to, to))
            return r;
    }
    if (!cpu->reorders)
        cpu->reorders = xcalloc(REORDERS, sizeof(*cpu->reorders));
    struct reorder *r = &cpu->reorders[cpu->count];
    if (cpu->count < REORDERS) {
        cpu->count++;
    } else {
        r = &cpu->reorders[cpu->oldest++ % REORDERS];
        onednn_call_release(&r->call);
    }
    *r = (struct reorder){.from = *from, .to = *to, .accumulate = accumulate};
    make_reorder(cpu, r);
    return r;
}

static void convert(struct backend *b, const struct op_tensor *from, const void *src,
                    const struct op_tensor *to, void *dst, int64_t rows, bool accumulate)
{
    if (!from->layout && !to->layout) {
        host_convert(b, from, src, to, dst, rows, accumulate);
        return;
    }
    struct cpu *cpu = b->state;
    dnnl_memory_desc_t a = onednn_tensor(from, rows), z = onednn_tensor(to, rows);
    onednn_run(&reorder_of(cpu, &a, &z, accumulate)->call, &cpu->dnn,
               (void *[]){(void *)(uintptr_t)src, dst});
}

/* The default of the whole process: an executor says what it wants before it plans, and primitives keep what they were made with. */
static void set_precision(struct backend *b, enum dtype t)
{
    (void)b;
    onednn_must(
        dnnl_set_default_fpmath_mode(t == DTYPE_BF16 ? dnnl_fpmath_mode_bf16 : dnnl_fpmath_mode_strict),
        "the arithmetic");
}

static void destroy(struct backend *b)
{
    struct cpu *cpu = b->state;
    for (int i = 0; i < cpu->count; i++)
        onednn_call_release(&cpu->reorders[i].call);
    free(cpu->reorders);
    dnnl_stream_destroy(cpu->dnn.stream);
    dnnl_engine_destroy(cpu->dnn.engine);
    free(cpu);
    free(b);
}

static int start(struct backend *b, struct err *err)
{
    struct cpu *cpu = xcalloc(1, sizeof(*cpu));
    struct onednn *dnn = &cpu->dnn;
    if (onednn_check(dnnl_engine_create(&dnn->engine, dnnl_cpu, 0), "an engine", err) < 0 ||
        onednn_check(dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags), "a stream",
                     err) < 0) {
        free(cpu);
        return -1;
    }
    b->state = cpu;
    b->convert = convert;
    b->set_precision = set_precision;
    b->destroy = destroy;
    return 0;
}
#else
static void destroy(struct backend *b)
{
    free(b);
}

static int start(struct backend *b, struct err *err)
{
    (void)err;
    b->convert = host_convert;
    b->destroy = destroy;
    return 0;
}
#endif

struct backend *backend_cpu_create(int threads, struct err *err)
{
    struct backend *b = xcalloc(1, sizeof(*b));
    *b = (struct backend){.name = "cpu",
                          .threads = host_threads(threads),
                          .find = find,
                          .user = &kernel_op_cpu,
                          .alloc = host_alloc,
                          .free = host_free};
#ifdef _OPENMP
    omp_set_num_threads(b->threads);
#else
    b->threads = 1;
#endif
    if (start(b, err) < 0) {
        free(b);
        return NULL;
    }
    return b;
}
