#include "kernels/train/start_weights.h"

#include <math.h>
#include <string.h>
#include "kernels/formats/safetensors.h"

enum { NAMED = 5 }; /* so many names are said, the rest is counted */

static float from_half(uint16_t h)
{
    int exponent = h >> 10 & 31;
    float fraction = (float)(h & 1023), sign = h >> 15 ? -1.0f : 1.0f;
    if (exponent == 31)
        return fraction > 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexpf(fraction + 1024, exponent - 25) : ldexpf(fraction, -24));
}

static float from_bfloat(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static bool is_number(enum dtype t)
{
    return t == DTYPE_F32 || t == DTYPE_F64 || t == DTYPE_BF16 || t == DTYPE_F16;
}

static float value_at(const struct tensor_entry *t, size_t i)
{
    switch (t->dtype) {
    case DTYPE_F64:
        return (float)((const double *)t->data)[i];
    case DTYPE_BF16:
        return from_bfloat(((const uint16_t *)t->data)[i]);
    case DTYPE_F16:
        return from_half(((const uint16_t *)t->data)[i]);
    default:
        return ((const float *)t->data)[i];
    }
}

/* Would this tensor do for the weight? */
static int check(const struct executor_weight *w, const struct tensor_entry *t, const char *path,
                 struct err *err)
{
    char have[96], want[96];
    if (!is_number(t->dtype))
        return err_set(err, ERR_CONFLICT, "%s: tensor %s is %s, a weight is a floating-point number", path,
                       t->name, dtype_name(t->dtype));
    if (!shape_equal(&t->shape, &w->def->shape)) {
        shape_format(&t->shape, have, sizeof(have));
        shape_format(&w->def->shape, want, sizeof(want));
        return err_set(
            err, ERR_CONFLICT,
            "%s: tensor %s is %s, the model's is %s: give the model the file's sizes, or the layer "
            "another name to let it begin anew",
            path, t->name, have, want);
    }
    for (size_t i = 0; i < w->count; i++)
        if (!isfinite(value_at(t, i)))
            return err_set(err, ERR_UNPROCESSABLE, "%s: tensor %s holds a value that is not finite", path,
                           t->name);
    return 0;
}

static void name_one(struct buf *names, size_t *count, const char *name)
{
    if (++*count <= NAMED)
        buf_printf(names, "%s%s", *count > 1 ? ", " : "", name);
    else if (*count == NAMED + 1)
        buf_puts(names, ", ...");
}

static bool in_model(const struct executor_weight *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return true;
    return false;
}

static void write_note(const struct executor_weight *list, size_t n, const struct safetensors *s,
                       const char *path, size_t taken, struct buf *note)
{
    struct buf lacked = {0}, spare = {0};
    size_t lacks = 0, spares = 0;
    for (size_t i = n; i-- > 0;)
        if (!safetensors_find(s, list[i].name))
            name_one(&lacked, &lacks, list[i].name);
    for (size_t i = 0; i < s->count; i++)
        if (!in_model(list, n, s->entries[i].name))
            name_one(&spare, &spares, s->entries[i].name);
    buf_printf(note, "%zu weights begin with those of %s", taken, path);
    if (lacks)
        buf_printf(note, "; %zu that it lacks begin anew: %s", lacks, buf_str(&lacked));
    if (spares)
        buf_printf(note, "; %zu of it are not in the model: %s", spares, buf_str(&spare));
    buf_free(&lacked);
    buf_free(&spare);
}

static int take(struct executor *x, const struct safetensors *s, const char *path, bool whole,
                struct buf *note, struct err *err)
{
    size_t n, count, taken = 0;
    const struct executor_weight *list = executor_weight_list(x, &n);
    float *weights = executor_weights(x, &count), *states = executor_states(x, &count);
    for (size_t i = 0; i < n; i++) {
        const struct tensor_entry *t = safetensors_find(s, list[i].name);
        if (t && check(&list[i], t, path, err))
            return -1;
        if (whole && !t)
            return err_set(err, ERR_CONFLICT, "%s: there is no %s, which the model has", path, list[i].name);
        taken += t != NULL;
    }
    if (taken == 0)
        return err_set(err, ERR_CONFLICT,
                       "%s: none of its %zu tensors has the name of a weight of the model (%s, ...)", path,
                       s->count, n ? list[n - 1].name : "which has none");
    for (size_t i = 0; i < n; i++) { /* all fit: now nothing can fail half-way */
        const struct tensor_entry *t = safetensors_find(s, list[i].name);
        float *to = (list[i].def->trainable ? weights : states) + list[i].first;
        for (size_t k = 0; t && k < list[i].count; k++)
            to[k] = value_at(t, k);
    }
    executor_weights_changed(x);
    write_note(list, n, s, path, taken, note);
    return 0;
}

int start_weights_load(struct executor *x, const char *path, bool whole, struct buf *note, struct err *err)
{
    struct safetensors *s = safetensors_open(path, err);
    if (!s)
        return err_prefix(err, "weights to begin with");
    int rc = take(x, s, path, whole, note, err);
    safetensors_close(s);
    return rc;
}
