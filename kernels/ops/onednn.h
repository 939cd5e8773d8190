/* onednn: the few pieces of oneDNN's C API (2.6) that the CPU operations share. A layout of the cpu backend
 * is a oneDNN memory descriptor for op->rows rows. Primitives are made for one number of rows; an op keeps a
 * few variants (variant_of).
 */
#ifndef KERNELS_OPS_ONEDNN_H
#define KERNELS_OPS_ONEDNN_H

#include <dnnl.h>

#include "kernels/backend/backend.h"

struct layout {
    dnnl_memory_desc_t md;
};

struct onednn { /* backend->state of the cpu backend */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

static inline struct onednn *onednn_of(const struct op *op)
{
    return op->backend->state;
}

int onednn_check(dnnl_status_t status, const char *what, struct err *err);
void onednn_must(dnnl_status_t status, const char *what); /* aborts: for what worked at plan time */

/* Plain row-major descriptor of float32 dims. */
dnnl_memory_desc_t onednn_plain(int rank, const int64_t *dims);
dnnl_memory_desc_t onednn_any(int rank, const int64_t *dims);
dnnl_memory_desc_t onednn_tensor(const struct op_tensor *t,
                                 int64_t rows);                      /* its layout, or plain, for rows */
dnnl_memory_desc_t onednn_rows(dnnl_memory_desc_t md, int64_t rows); /* the same layout with another batch */
const dnnl_memory_desc_t *onednn_query(const_dnnl_primitive_desc_t pd, dnnl_query_t what);

/* One primitive with its memories; args in the order given at creation. */
#define ONEDNN_MAX_ARGS 6
struct onednn_call {
    dnnl_primitive_t primitive;
    int count;
    dnnl_exec_arg_t args[ONEDNN_MAX_ARGS];
};
void onednn_call_init(struct onednn_call *c, const struct onednn *dnn, const_dnnl_primitive_desc_t pd);
void onednn_call_arg(struct onednn_call *c, const struct onednn *dnn, int arg, const dnnl_memory_desc_t *md);
/* data: one pointer an argument, in order. */
void onednn_run(const struct onednn_call *c, const struct onednn *dnn, void *const *data);
void onednn_call_release(struct onednn_call *c);
/* from -> to; false (and nothing made) when they are the same. */
bool onednn_reorder_init(struct onednn_call *c, const struct onednn *dnn, const dnnl_memory_desc_t *from,
                         const dnnl_memory_desc_t *to);

/* Floats: out[i] = out_of_relu[i] > 0 ? g[i] : 0; to[i] += from[i]. */
void onednn_relu_mask(const struct op *op, const float *out_of_relu, const float *g, float *to, size_t n);
void onednn_add(const struct op *op, const float *from, float *to, size_t n);

#endif
