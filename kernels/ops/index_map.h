/* index_map: operations that only say where each output element comes from, axis by axis: permute, slice, pad,
 * nearest upsample. A map has a table an output axis, of offsets into the input sample; an element's place is
 * the sum of its axes' offsets, and an axis that answers -1 gives the fill value.
 */
#ifndef KERNELS_OPS_INDEX_MAP_H
#define KERNELS_OPS_INDEX_MAP_H

#include "kernels/ops/reference.h"

struct index_map {
    int rank;
    int64_t dim[SHAPE_MAX_RANK];
    int64_t *offsets[SHAPE_MAX_RANK];
    double fill;
};

/* A map of the output's dims (n->shape) with all offsets 0; caller fills and index_map_frees. Aborts without
 * memory: dims of a graph that was checked are bounded. */
struct index_map index_map_make(const struct layer_node *n);
void index_map_free(struct index_map *m);
/* Elements that lie beside each other on an axis of the input are this far apart. */
int64_t index_map_stride(const struct shape *in, int axis);

typedef struct index_map index_map_f(const struct layer_node *n);

/* The reference and the cpu form of an operation that is such a map. */
void index_map_ref_forward(const struct layer_node *n, const struct ref_call *c, index_map_f *make);
void index_map_ref_backward(const struct layer_node *n, const struct ref_call *c, index_map_f *make);
int index_map_plan(struct op *op, index_map_f *make);
void index_map_forward(struct op *op, const struct op_call *c);
void index_map_backward(struct op *op, const struct op_call *c);
void index_map_release(struct op *op);

/* All of an operation NAME whose map is made by MAKE. */
#define INDEX_MAP_OPERATION(NAME, MAKE)                                                                      \
    static void NAME##_forward(const struct layer_node *n, const struct ref_call *c)                         \
    {                                                                                                        \
        index_map_ref_forward(n, c, MAKE);                                                                   \
    }                                                                                                        \
    static void NAME##_backward(const struct layer_node *n, const struct ref_call *c)                        \
    {                                                                                                        \
        index_map_ref_backward(n, c, MAKE);                                                                  \
    }                                                                                                        \
    static int NAME##_plan(struct op *op, struct err *err)                                                   \
    {                                                                                                        \
        (void)err;                                                                                           \
        return index_map_plan(op, MAKE);                                                                     \
    }                                                                                                        \
    const struct op_ref NAME##_ref = {#NAME, NAME##_forward, NAME##_backward};                               \
    const struct op_impl NAME##_cpu = {#NAME, .plan = NAME##_plan, .forward = index_map_forward,             \
                                       .backward = index_map_backward, .release = index_map_release}

#endif
