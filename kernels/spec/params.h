/* params: values of a row's parameters: defaults, and writing them out. Without jansson; parse.h reads them.
 */
#ifndef KERNELS_SPEC_PARAMS_H
#define KERNELS_SPEC_PARAMS_H

#include "base/buf.h"
#include "kernels/spec/layer_type.h"

/* defs' values with every default filled in (given false). A PAIR and a PADDING in numbers hold both; a
 * required parameter has count 0. Caller frees. */
struct param_value *params_defaults(const struct param_def *defs, int count);
int params_index(const struct param_def *defs, int count, const char *name); /* -1 if none */
/* Whether text is one of def->choices ("valid|same"). */
bool params_is_choice(const struct param_def *def, const char *text);
/* The choices as a NULL-ended list of strings; caller frees each and the list. */
char **params_choices(const struct param_def *def);
void params_choices_free(char **list);
/* One value as JSON, and all as an object. */
void param_write_json(const struct param_def *def, const struct param_value *v, struct buf *out);
void params_write_json(const struct param_def *defs, int count, const struct param_value *values,
                       struct buf *out);

#endif
