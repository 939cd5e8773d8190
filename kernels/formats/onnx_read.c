#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/formats/onnx_fields.h"
#include "kernels/formats/onnx_model.h"

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_UNPROCESSABLE,
                   "the file is damaged or no ONNX model: %s ends too early or is malformed", what);
}

static void *own(struct onnx_model *m, void *p)
{
    m->owned = vec_grow(m->owned, &m->owned_cap, m->owned_count + 1, sizeof(*m->owned));
    return m->owned[m->owned_count++] = p;
}

static char *text(struct onnx_model *m, struct pb_bytes b)
{
    static char empty[1];
    return b.n ? own(m, xstrndup((const char *)b.at, b.n)) : empty;
}

/* Counts n more parts; so a small file cannot become a large structure. */
static int count_parts(struct onnx_model *m, size_t n, struct err *err)
{
    if (n > ONNX_MAX_PARTS || (m->parts += n) > ONNX_MAX_PARTS)
        return err_set(err, ERR_UNPROCESSABLE, "the file has more than %d nodes, names and attribute values",
                       ONNX_MAX_PARTS);
    return 0;
}

/* How many fields of a number a message has. */
static size_t count_fields(struct pb_bytes message, uint32_t number)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f;
    size_t n = 0;
    while (pb_next(&r, &f))
        n += f.number == number;
    return n;
}

/* One number, or a packed list of them, appended. */
static int add_ints(struct onnx_model *m, struct onnx_attribute *a, const struct pb_field *f, struct err *err)
{
    struct pb_reader list = {.rest = f->bytes};
    size_t more = f->wire == PB_BYTES ? f->bytes.n : 1;
    uint64_t v = f->value;
    if (count_parts(m, more, err))
        return -1;
    a->ints = xreallocarray(a->ints, (size_t)a->int_count + more, sizeof(*a->ints));
    if (f->wire != PB_BYTES)
        a->ints[a->int_count++] = (int64_t)v;
    while (f->wire == PB_BYTES && pb_varint(&list, &v))
        a->ints[a->int_count++] = (int64_t)v;
    return list.bad ? bad(err, "a list of numbers") : 0;
}

static int add_floats(struct onnx_model *m, struct onnx_attribute *a, const struct pb_field *f,
                      struct err *err)
{
    size_t more = f->wire == PB_BYTES ? f->bytes.n / 4 : 1;
    if (count_parts(m, more, err))
        return -1;
    a->floats = xreallocarray(a->floats, (size_t)a->float_count + more, sizeof(*a->floats));
    if (f->wire == PB_BYTES)
        memcpy(a->floats + a->float_count, f->bytes.at, more * 4);
    else
        a->floats[a->float_count] = pb_float(f);
    a->float_count += (int)more;
    return 0;
}

static int read_attribute(struct onnx_model *m, struct pb_bytes message, struct onnx_attribute *a,
                          struct err *err)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f;
    int rc = 0;
    a->name = a->text = text(m, (struct pb_bytes){0});
    while (!rc && pb_next(&r, &f)) {
        if (f.number == ATTR_NAME)
            a->name = text(m, f.bytes);
        else if (f.number == ATTR_S)
            a->text = text(m, f.bytes);
        else if (f.number == ATTR_F)
            a->f = pb_float(&f);
        else if (f.number == ATTR_I)
            a->i = (int64_t)f.value;
        else if (f.number == ATTR_T)
            a->tensor = f.bytes;
        else if (f.number == ATTR_TYPE)
            a->type = (int)f.value;
        else if (f.number == ATTR_INTS)
            rc = add_ints(m, a, &f, err);
        else if (f.number == ATTR_FLOATS)
            rc = add_floats(m, a, &f, err);
    }
    if (a->ints)
        own(m, a->ints);
    if (a->floats)
        own(m, a->floats);
    return rc ? rc : r.bad ? bad(err, "an attribute") : 0;
}

static int read_node(struct onnx_model *m, struct pb_bytes message, struct onnx_node *n, struct err *err)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f;
    size_t in = count_fields(message, NODE_INPUT), out = count_fields(message, NODE_OUTPUT),
           attributes = count_fields(message, NODE_ATTRIBUTE);
    if (count_parts(m, in + out + attributes + 1, err))
        return -1;
    n->name = n->op = n->domain = text(m, (struct pb_bytes){0});
    n->in = own(m, xcalloc(in + 1, sizeof(*n->in)));
    n->out = own(m, xcalloc(out + 1, sizeof(*n->out)));
    n->attributes = own(m, xcalloc(attributes + 1, sizeof(*n->attributes)));
    while (pb_next(&r, &f)) {
        if (f.number == NODE_INPUT)
            n->in[n->in_count++] = text(m, f.bytes);
        else if (f.number == NODE_OUTPUT)
            n->out[n->out_count++] = text(m, f.bytes);
        else if (f.number == NODE_NAME)
            n->name = text(m, f.bytes);
        else if (f.number == NODE_OP_TYPE)
            n->op = text(m, f.bytes);
        else if (f.number == NODE_DOMAIN)
            n->domain = text(m, f.bytes);
        else if (f.number == NODE_ATTRIBUTE &&
                 read_attribute(m, f.bytes, &n->attributes[n->attribute_count++], err))
            return -1;
    }
    return r.bad ? bad(err, "a node") : 0;
}

static int add_dim(int64_t *dims, int *rank, uint64_t v, struct err *err)
{
    if (*rank == ONNX_MAX_RANK)
        return err_set(err, ERR_UNPROCESSABLE, "a tensor has more than %d dimensions", ONNX_MAX_RANK);
    dims[(*rank)++] = (int64_t)v;
    return 0;
}

/* Bytes of one element in raw form; 0: a type that is not read. */
static size_t element_size(int type)
{
    switch (type) {
    case ONNX_FLOAT:
    case ONNX_INT32:
        return 4;
    case ONNX_DOUBLE:
    case ONNX_INT64:
        return 8;
    case ONNX_FLOAT16:
    case ONNX_BFLOAT16:
        return 2;
    case ONNX_UINT8:
    case ONNX_INT8:
    case ONNX_BOOL:
        return 1;
    }
    return 0;
}

static int check_tensor(const struct onnx_tensor *t, bool external, struct err *err)
{
    if (external)
        return err_set(err, ERR_UNPROCESSABLE,
                       "tensor %.80s keeps its data in another file: save the model as one file", t->name);
    if (!element_size(t->type))
        return err_set(
            err, ERR_UNPROCESSABLE,
            "tensor %.80s is of ONNX's type %d, which is not read (float, double, float16, bfloat16 and "
            "integers are)",
            t->name, t->type);
    if (t->raw.at && t->raw.n != (uint64_t)t->count * element_size(t->type))
        return err_set(err, ERR_UNPROCESSABLE,
                       "tensor %.80s has %zu bytes of data, and its shape says %lld numbers", t->name,
                       t->raw.n, (long long)t->count);
    if (!t->raw.at && (uint64_t)t->count > t->list.n) /* every number takes a byte at least */
        return err_set(err, ERR_UNPROCESSABLE, "tensor %.80s has fewer numbers than its shape says (%lld)",
                       t->name, (long long)t->count);
    return 0;
}

int onnx_tensor_read(struct onnx_model *m, struct pb_bytes message, struct onnx_tensor *t, struct err *err)
{
    struct pb_reader r = {.rest = message}, packed;
    struct pb_field f;
    uint64_t v;
    bool external = false;
    *t = (struct onnx_tensor){.name = text(m, (struct pb_bytes){0}), .count = 1, .list = message};
    if (count_parts(m, 1, err))
        return -1;
    while (pb_next(&r, &f)) {
        if (f.number == TENSOR_NAME)
            t->name = text(m, f.bytes);
        else if (f.number == TENSOR_DATA_TYPE)
            t->type = (int)f.value;
        else if (f.number == TENSOR_RAW)
            t->raw = f.bytes;
        else if (f.number == TENSOR_EXTERNAL || (f.number == TENSOR_LOCATION && f.value == 1))
            external = true;
        else if (f.number == TENSOR_DIMS && f.wire == PB_VARINT && add_dim(t->dims, &t->rank, f.value, err))
            return -1;
        packed = (struct pb_reader){.rest = f.bytes};
        while (f.number == TENSOR_DIMS && f.wire == PB_BYTES && pb_varint(&packed, &v))
            if (add_dim(t->dims, &t->rank, v, err))
                return -1;
    }
    if (r.bad)
        return bad(err, "a tensor");
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] < 0 || __builtin_mul_overflow(t->count, t->dims[i], &t->count) ||
            t->count > (int64_t)1 << 47)
            return err_set(err, ERR_UNPROCESSABLE, "tensor %.80s has a shape that no file can hold", t->name);
    return check_tensor(t, external, err);
}

static float from_half(uint16_t h)
{
    int exponent = h >> 10 & 31;
    float fraction = (float)(h & 1023), sign = h >> 15 ? -1.0f : 1.0f;
    if (exponent == 31)
        return fraction > 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexpf(fraction + 1024, exponent - 25) : ldexpf(fraction, -24));
}

static double raw_number(const uint8_t *p, int type)
{
    float f;
    double d;
    int32_t i;
    int64_t l;
    uint16_t h;
    uint32_t bits;
    switch (type) {
    case ONNX_FLOAT:
        return memcpy(&f, p, 4), (double)f;
    case ONNX_DOUBLE:
        return memcpy(&d, p, 8), d;
    case ONNX_INT32:
        return memcpy(&i, p, 4), i;
    case ONNX_INT64:
        return memcpy(&l, p, 8), (double)l;
    case ONNX_FLOAT16:
        return memcpy(&h, p, 2), (double)from_half(h);
    case ONNX_BFLOAT16:
        memcpy(&h, p, 2);
        bits = (uint32_t)h << 16;
        return memcpy(&f, &bits, 4), (double)f;
    case ONNX_INT8:
        return (int8_t)*p;
    }
    return *p;
}

/* The numbers of a tensor that has no raw form: float_data, int64_data, ... which may be packed. */
static int64_t listed_numbers(const struct onnx_tensor *t, double *out)
{
    struct pb_reader r = {.rest = t->list}, in;
    struct pb_field f;
    uint64_t v;
    int64_t n = 0;
    while (pb_next(&r, &f)) {
        in = (struct pb_reader){.rest = f.bytes};
        size_t size = f.number == TENSOR_FLOATS ? 4 : 8;
        int type = f.number == TENSOR_FLOATS ? ONNX_FLOAT : ONNX_DOUBLE;
        if (f.number == TENSOR_FLOATS || f.number == TENSOR_DOUBLES) {
            if (f.wire != PB_BYTES && n < t->count)
                out[n++] = raw_number((const uint8_t *)&f.value, type);
            for (; f.wire == PB_BYTES && in.rest.n >= size && n < t->count;
                 in.rest.at += size, in.rest.n -= size)
                out[n++] = raw_number(in.rest.at, type);
        } else if (f.number == TENSOR_INT32S || f.number == TENSOR_INT64S) {
            bool half = t->type == ONNX_FLOAT16 || t->type == ONNX_BFLOAT16; /* their bits, in int32_data */
            if (f.wire == PB_VARINT && n < t->count)
                out[n++] = (double)(int64_t)f.value;
            while (f.wire == PB_BYTES && n < t->count && pb_varint(&in, &v)) {
                uint16_t bits = (uint16_t)v;
                out[n++] = half ? raw_number((const uint8_t *)&bits, t->type) : (double)(int64_t)v;
            }
        }
    }
    return n;
}

static double *numbers(const struct onnx_tensor *t, struct err *err)
{
    double *all = xcalloc((size_t)t->count + 1, sizeof(*all)); /* count was compared with the file's length */
    size_t size = element_size(t->type);
    int64_t have = t->raw.at ? t->count : listed_numbers(t, all);
    for (int64_t i = 0; t->raw.at && i < t->count; i++)
        all[i] = raw_number(t->raw.at + (size_t)i * size, t->type);
    if (have == t->count)
        return all;
    free(all);
    err_set(err, ERR_UNPROCESSABLE, "tensor %.80s has %lld numbers, and its shape says %lld", t->name,
            (long long)have, (long long)t->count);
    return NULL;
}

float *onnx_tensor_floats(const struct onnx_tensor *t, struct err *err)
{
    float *out;
    if (t->raw.at && t->type == ONNX_FLOAT) {
        out = xcalloc((size_t)t->count + 1, sizeof(*out));
        memcpy(out, t->raw.at, t->raw.n);
        return out;
    }
    double *all = numbers(t, err);
    if (!all)
        return NULL;
    out = xcalloc((size_t)t->count + 1, sizeof(*out));
    for (int64_t i = 0; i < t->count; i++)
        out[i] = (float)all[i];
    free(all);
    return out;
}

int64_t *onnx_tensor_ints(const struct onnx_tensor *t, struct err *err)
{
    double *all = numbers(t, err);
    int64_t *out = all ? xcalloc((size_t)t->count + 1, sizeof(*out)) : NULL;
    for (int64_t i = 0; all && i < t->count;
         i++) /* the end of a slice may be INT64_MAX: what no double holds is held */
        out[i] = all[i] >= 9e18 ? INT64_MAX : all[i] <= -9e18 ? INT64_MIN : (int64_t)all[i];
    free(all);
    return out;
}

/* A dimension is a number, or free. */
static int read_shape(struct pb_bytes message, struct onnx_value *v, struct err *err)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f, d;
    v->rank = 0;
    while (pb_next(&r, &f)) {
        struct pb_reader dim = {.rest = f.bytes};
        int64_t size = -1;
        while (f.number == SHAPE_DIM && pb_next(&dim, &d))
            if (d.number == DIM_VALUE && d.wire == PB_VARINT)
                size = (int64_t)d.value;
        if (f.number == SHAPE_DIM && add_dim(v->dims, &v->rank, (uint64_t)(size > 0 ? size : -1), err))
            return -1;
    }
    return r.bad ? bad(err, "a shape") : 0;
}

static int read_type(struct pb_bytes message, struct onnx_value *v, struct err *err)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f, g;
    while (pb_next(&r, &f)) {
        struct pb_reader tensor = {.rest = f.bytes};
        while (f.number == TYPE_TENSOR && pb_next(&tensor, &g)) {
            if (g.number == TENSOR_TYPE_ELEM)
                v->type = (int)g.value;
            else if (g.number == TENSOR_TYPE_SHAPE && read_shape(g.bytes, v, err))
                return -1;
        }
    }
    return 0;
}

static int read_value(struct onnx_model *m, struct pb_bytes message, struct onnx_value *v, struct err *err)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f;
    *v = (struct onnx_value){.name = text(m, (struct pb_bytes){0}), .rank = -1};
    if (count_parts(m, 1, err))
        return -1;
    while (pb_next(&r, &f)) {
        if (f.number == VALUE_NAME)
            v->name = text(m, f.bytes);
        else if (f.number == VALUE_TYPE && read_type(f.bytes, v, err))
            return -1;
    }
    return r.bad ? bad(err, "an input or output") : 0;
}

static int read_graph(struct onnx_model *m, struct pb_bytes message, struct err *err)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f;
    size_t nodes = count_fields(message, GRAPH_NODE), tensors = count_fields(message, GRAPH_INITIALIZER),
           in = count_fields(message, GRAPH_INPUT), out = count_fields(message, GRAPH_OUTPUT);
    if (nodes > ONNX_MAX_NODES || tensors > ONNX_MAX_NODES || in > ONNX_MAX_NODES || out > ONNX_MAX_NODES)
        return err_set(err, ERR_UNPROCESSABLE, "the graph has more than %d nodes", ONNX_MAX_NODES);
    m->nodes = own(m, xcalloc(nodes + 1, sizeof(*m->nodes)));
    m->tensors = own(m, xcalloc(tensors + 1, sizeof(*m->tensors)));
    m->inputs = own(m, xcalloc(in + 1, sizeof(*m->inputs)));
    m->outputs = own(m, xcalloc(out + 1, sizeof(*m->outputs)));
    int rc = 0;
    while (!rc && pb_next(&r, &f)) {
        if (f.number == GRAPH_NODE)
            rc = read_node(m, f.bytes, &m->nodes[m->node_count++], err);
        else if (f.number == GRAPH_INITIALIZER)
            rc = onnx_tensor_read(m, f.bytes, &m->tensors[m->tensor_count++], err);
        else if (f.number == GRAPH_INPUT)
            rc = read_value(m, f.bytes, &m->inputs[m->input_count++], err);
        else if (f.number == GRAPH_OUTPUT)
            rc = read_value(m, f.bytes, &m->outputs[m->output_count++], err);
        else if (f.number == GRAPH_NAME)
            m->graph_name = text(m, f.bytes);
        else if (f.number == GRAPH_SPARSE)
            rc = err_set(err, ERR_UNPROCESSABLE, "the graph has sparse tensors, which are not read");
    }
    return rc ? rc : r.bad ? bad(err, "the graph") : 0;
}

static void read_opset(struct onnx_model *m, struct pb_bytes message)
{
    struct pb_reader r = {.rest = message};
    struct pb_field f;
    int64_t version = 0;
    bool own_domain = false;
    while (pb_next(&r, &f)) {
        if (f.number == OPSET_VERSION)
            version = (int64_t)f.value;
        else if (f.number == OPSET_DOMAIN)
            own_domain = f.bytes.n > 0 && !(f.bytes.n == 7 && !memcmp(f.bytes.at, "ai.onnx", 7));
    }
    if (!own_domain)
        m->opset = version;
}

int onnx_model_read(struct onnx_model *m, const void *file, size_t n, struct err *err)
{
    struct pb_reader r = {.rest = {file, n}};
    struct pb_field f;
    struct pb_bytes graph = {0};
    *m = (struct onnx_model){0};
    m->graph_name = text(m, (struct pb_bytes){0});
    while (pb_next(&r, &f)) {
        if (f.number == MODEL_OPSET)
            read_opset(m, f.bytes);
        else if (f.number == MODEL_GRAPH && f.wire == PB_BYTES)
            graph = f.bytes;
    }
    if (r.bad)
        return bad(err, "the file");
    if (!graph.at)
        return err_set(err, ERR_UNPROCESSABLE, "the file holds no ONNX graph");
    if (m->opset < 7 || m->opset > 21)
        return err_set(
            err, ERR_UNPROCESSABLE,
            "the model uses ONNX operators of version %lld; versions 7 to 21 are read: export it with "
            "opset_version=17",
            (long long)m->opset);
    return read_graph(m, graph, err);
}

void onnx_model_free(struct onnx_model *m)
{
    for (size_t i = 0; i < m->owned_count; i++)
        free(m->owned[i]);
    free(m->owned);
    *m = (struct onnx_model){0};
}

const struct onnx_attribute *onnx_attribute(const struct onnx_node *n, const char *name)
{
    for (int i = 0; i < n->attribute_count; i++)
        if (!strcmp(n->attributes[i].name, name))
            return &n->attributes[i];
    return NULL;
}

int64_t onnx_int(const struct onnx_node *n, const char *name, int64_t fallback)
{
    const struct onnx_attribute *a = onnx_attribute(n, name);
    return a ? a->i : fallback;
}

double onnx_float(const struct onnx_node *n, const char *name, double fallback)
{
    const struct onnx_attribute *a = onnx_attribute(n, name);
    return a ? (double)a->f : fallback;
}

const char *onnx_text(const struct onnx_node *n, const char *name, const char *fallback)
{
    const struct onnx_attribute *a = onnx_attribute(n, name);
    return a ? a->text : fallback;
}
