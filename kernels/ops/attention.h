/* attention: the sizes of a multi-head attention, read off its node. Private to attention*.c. */
#ifndef KERNELS_OPS_ATTENTION_H
#define KERNELS_OPS_ATTENTION_H

#include "kernels/ops/sequence.h"

enum { ATTENTION_Q, ATTENTION_K, ATTENTION_V, ATTENTION_OUT };

struct attention {
    int64_t queries, keys;      /* positions */
    int64_t channels[3];        /* of what queries, keys and values are made from */
    int input[3];               /* which input that is */
    int64_t heads, groups, dim; /* groups: heads of keys and values */
    bool causal, bias, rotary;
    double rotary_base, scale;
};

struct attention attention_of(const struct layer_node *n);

/* Columns of the projections: heads * dim, or groups * dim. */
static inline int64_t attention_width(const struct attention *a, int which)
{
    return (which == ATTENTION_Q || which == ATTENTION_OUT ? a->heads : a->groups) * a->dim;
}

/* A key at or before this many is seen by the query: its place counted from the end of both, so that a short query continues a long past. */
static inline int64_t attention_seen(const struct attention *a, int64_t query)
{
    int64_t seen = query + 1 + a->keys - a->queries;
    return !a->causal || seen > a->keys ? a->keys : seen;
}

#endif
