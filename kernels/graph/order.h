/* order: which layers a model needs and in what order. Private to graph/. */
#ifndef KERNELS_GRAPH_ORDER_H
#define KERNELS_GRAPH_ORDER_H

#include "base/finding.h"
#include "kernels/spec/model.h"

/* Where references lead: for each layer and input of it, the number of what it names: 0..input_count-1 a
 * model input, from there on layer number + input_count. */
struct references {
    int *first; /* of layer i: target[first[i]] ... target[first[i + 1] - 1] */
    int *target;
    int *outputs; /* of the model */
};

/* -1 after findings (unknown names, duplicates). */
int references_find(const struct model_spec *m, struct references *r, struct findings *f);
void references_free(struct references *r);

/* Layer numbers in execution order, those no output needs left out with a warning. Caller frees; NULL after a
 * finding (a cycle, with its path). */
int *order_layers(const struct model_spec *m, const struct references *r, int *count, struct findings *f);

#endif
