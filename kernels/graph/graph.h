/* graph: a checked model, ready to plan: nodes in execution order with shapes, weights and cost. Built from a
 * model spec (spec/model.h) by graph_build, with composites expanded. Pure data; says nothing of a batch or a
 * backend. */
#ifndef KERNELS_GRAPH_GRAPH_H
#define KERNELS_GRAPH_GRAPH_H

#include "base/buf.h"
#include "base/finding.h"
#include "kernels/spec/layer_type.h"

struct model_spec;

struct graph {
    char *name;
    struct layer_node *nodes; /* inputs first, then layers in an order where every input precedes its user */
    int node_count;
    int input_count; /* nodes[0..input_count) are the model's inputs (type NULL) */
    int *outputs;    /* indices */
    int output_count;
};

struct graph_cost {
    int64_t parameters;                                     /* trainable */
    double forward_flops, backward_flops, activation_bytes; /* one sample */
    int64_t weight_bytes;                                   /* float32, states too */
};

/* Order, infer shapes, check. NULL when a finding failed; every finding names the layer and carries a
 * pointer. */
struct graph *graph_build(const struct model_spec *model, struct findings *f);
void graph_destroy(struct graph *g);
int graph_find(const struct graph *g, const char *name); /* index, -1 if none */
void graph_cost(const struct graph *g, struct graph_cost *out);
/* {"nodes": [{"name","type","shape","dtype","parameters","flops","bytes","config","inputs","group"}],
 * "edges":
 * [{"from","to","shape"}], "inputs", "outputs", "parameters", "flops", "weight_bytes", "activation_bytes"}:
 * what the console draws. */
void graph_write_json(const struct graph *g, struct buf *out);

#endif
