/* scope: one list of layers with its own names: the model's, or one use of a layer file. Names resolve to
 * flat names
 * ("block1/conv") without expanding anything, so layers may refer to later ones. Private to spec/. */
#ifndef KERNELS_SPEC_SCOPE_JSON_H
#define KERNELS_SPEC_SCOPE_JSON_H

#include "kernels/spec/layer_file_json.h"

struct binding {
    const char *name, *flat;
};

struct scope {
    struct parse *p;
    const struct layer_library *library;
    struct model_spec *m;
    const struct scope *parent;
    const struct layer_file *file; /* NULL: the model itself */
    const char *prefix;            /* "" or "block1/" */
    const char *base;              /* pointer of the list: "/layers" */
    const json_t *layers;
    json_t *index; /* name -> position */
    struct binding *bindings;
    int binding_count;
    struct expr_symbol symbols[LAYER_FILE_PARAMS];
    int symbol_count, depth;
    size_t *uses; /* layers looked at in the whole expansion */
};

/* scope_json.c: names and types. */
const struct binding *scope_binding(const struct scope *s, const char *name); /* NULL if none */
void scope_index(struct scope *s); /* fills index; findings for names given twice */
const struct layer_file *scope_file_of(const struct scope *s,
                                       const json_t *layer); /* NULL: built in, or unknown */
/* The flat name of a layer called `name`: of a composite (file), that of its output layer. Caller frees. */
char *scope_flat_name(const struct scope *s, const char *name, const struct layer_file *file);
/* The flat name that a reference means; NULL after a finding. Caller frees. */
char *scope_resolve(struct scope *s, const char *check, const char *pointer, const char *name);
void scope_unknown_type(struct scope *s, const char *pointer, const char *type); /* the finding */
struct binding *scope_bind_inputs(const struct model_spec *m); /* each to itself; caller frees */

/* expand_json.c: append the list's layers to s->m, composites expanded. The caller releases s->index after
 * it. */
void scope_expand(struct scope *s);

#endif
