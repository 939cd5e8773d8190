/* translation: a foreign model on its way to a model file. Layers are added in order; each layer's shape is inferred at once by its
 * type's own rule, so an importer knows the shape of every value. What comes out is the text of a trainyard.model/1 file, which is
 * then parsed and checked like any other, and the weights. */
#ifndef KERNELS_FORMATS_TRANSLATION_H
#define KERNELS_FORMATS_TRANSLATION_H

#include "base/buf.h"
#include "base/err.h"
#include "kernels/formats/names.h"
#include "kernels/formats/safetensors.h"
#include "kernels/spec/layer_type.h"

#define TRANSLATION_MAX_LAYERS 20000

struct translated_value { /* a model input or a layer's output */
    char *name;
    struct shape shape;
    enum dtype dtype;
};

struct translation {
    struct translated_value *values;
    size_t count, cap;
    struct tensor_entry *weights; /* float32; names and data belong to the translation */
    size_t weight_count, weight_cap;
    /* private */
    struct buf inputs, layers, outputs;
    struct names names;
    struct layer_node draft;
    char *draft_name;
    struct err draft_err;
};

void translation_free(struct translation *t);

/* All return the number of the value, or -1 with err. Names are made to fit our rules, and unique. */
int translation_input(struct translation *t, const char *name, const struct shape *shape, enum dtype dtype,
                      struct err *err);
/* A layer: begin, set, read its inputs, add. A type or parameter that does not exist, or a value outside its limits, is told by add. */
void translation_begin(struct translation *t, const char *type, const char *name);
void translation_from(struct translation *t, int value);
void translation_set(struct translation *t, const char *param, int index, double v);
void translation_set_text(struct translation *t, const char *param, const char *v);
int translation_add(struct translation *t, struct err *err);
/* A weight of the layer that was added last; values (owned from here on) has count of them in the order of our layout. */
int translation_weight(struct translation *t, const char *name, float *values, int64_t count,
                       struct err *err);
int translation_output(struct translation *t, int value, struct err *err);
/* The model file. */
void translation_write(const struct translation *t, const char *model_name, struct buf *out);

#endif
