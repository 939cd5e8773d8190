/* dtypes, shapes, and access to a node's parameters. The rows themselves stand with their operation in ops/.
 */
#include "kernels/spec/layer_type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int size;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_F32] = {"float32", 4}, [DTYPE_BF16] = {"bfloat16", 2}, [DTYPE_F16] = {"float16", 2},
    [DTYPE_F64] = {"float64", 8}, [DTYPE_U8] = {"uint8", 1},      [DTYPE_I32] = {"int32", 4},
    [DTYPE_I64] = {"int64", 8},
};

const char *dtype_name(enum dtype t)
{
    return (unsigned)t < DTYPE_COUNT ? dtypes[t].name : "unknown";
}

int dtype_parse(const char *name, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (!strcmp(dtypes[i].name, name)) {
            *out = (enum dtype)i;
            return 0;
        }
    return -1;
}

int dtype_size(enum dtype t)
{
    return (unsigned)t < DTYPE_COUNT ? dtypes[t].size : 0;
}

int64_t shape_elements(const struct shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0 || __builtin_mul_overflow(n, s->dim[i], &n) || n > ((int64_t)1 << 47))
            return -1;
    }
    return n;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

void shape_format(const struct shape *s, char *out, int n)
{
    int at = snprintf(out, (size_t)n, "(");
    for (int i = 0; i < s->rank && at < n; i++)
        at += snprintf(out + at, (size_t)(n - at), "%s%lld", i ? ", " : "", (long long)s->dim[i]);
    if (at < n)
        snprintf(out + at, (size_t)(n - at), ")");
}

static const struct param_value *value_of(const struct layer_node *n, const char *name)
{
    for (int i = 0; n->type && i < n->type->param_count; i++)
        if (!strcmp(n->type->params[i].name, name))
            return &n->params[i];
    fprintf(stderr, "fatal: layer type %s has no parameter \"%s\"\n", n->type ? n->type->name : "(input)",
            name);
    abort();
}

double layer_param(const struct layer_node *n, const char *name, int index)
{
    const struct param_value *v = value_of(n, name);
    if (index < 0 || index >= SHAPE_MAX_RANK) {
        fprintf(stderr, "fatal: parameter \"%s\" has no element %d\n", name, index);
        abort();
    }
    return v->num[index];
}

const char *layer_param_text(const struct layer_node *n, const char *name)
{
    const char *text = value_of(n, name)->text;
    return *text ? text : NULL;
}
