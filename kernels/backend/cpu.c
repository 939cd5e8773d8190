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
static void convert(struct backend *b, const struct op_tensor *from, const void *src,
                    const struct op_tensor *to, void *dst, int64_t rows, bool accumulate)
{
    if (!from->layout && !to->layout) {
        host_convert(b, from, src, to, dst, rows, accumulate);
        return;
    }
    struct onednn *dnn = b->state;
    dnnl_memory_desc_t a = onednn_tensor(from, rows), z = onednn_tensor(to, rows);
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    dnnl_primitive_desc_t pd;
    struct onednn_call call;
    onednn_must(dnnl_primitive_attr_create(&attr), "attributes");
    onednn_must(dnnl_post_ops_create(&post), "post-operations");
    if (accumulate)
        onednn_must(dnnl_post_ops_append_sum(post, 1), "a sum");
    onednn_must(dnnl_primitive_attr_set_post_ops(attr, post), "post-operations");
    /* oneDNN keeps the primitives it made in a cache, so this is a look-up after the first time. */
    onednn_must(dnnl_reorder_primitive_desc_create(&pd, &a, dnn->engine, &z, dnn->engine, attr), "a reorder");
    onednn_call_init(&call, dnn, pd);
    onednn_call_arg(&call, dnn, DNNL_ARG_FROM, &a);
    onednn_call_arg(&call, dnn, DNNL_ARG_TO, &z);
    onednn_run(&call, dnn, (void *[]){(void *)(uintptr_t)src, dst});
    onednn_call_release(&call);
    dnnl_primitive_desc_destroy(pd);
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
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
    struct onednn *dnn = b->state;
    dnnl_stream_destroy(dnn->stream);
    dnnl_engine_destroy(dnn->engine);
    free(dnn);
    free(b);
}

static int start(struct backend *b, struct err *err)
{
    struct onednn *dnn = xcalloc(1, sizeof(*dnn));
    if (onednn_check(dnnl_engine_create(&dnn->engine, dnnl_cpu, 0), "an engine", err) < 0 ||
        onednn_check(dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags), "a stream",
                     err) < 0) {
        free(dnn);
        return -1;
    }
    b->state = dnn;
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
