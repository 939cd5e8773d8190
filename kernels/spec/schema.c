#include "kernels/spec/schema.h"

#include <stdlib.h>

#include "kernels/spec/algorithm_table.h"
#include "kernels/spec/model.h"
#include "kernels/spec/params.h"

#define HEAD(file, title)                                                                                    \
    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"                                      \
    " \"$id\": \"" file "\",\n \"title\": \"" title "\",\n \"type\": \"object\",\n"
#define FILE_NAME   "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9._-]{1,64}$\"}"
#define LAYER_NAME  "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,126}$\"}"
#define DESCRIPTION "\"description\": {\"type\": \"string\"}"

/* ---- one parameter ---- */

static void write_number(const struct param_def *d, struct buf *out)
{
    buf_printf(out, "{\"type\": \"%s\"", d->kind == PARAM_REAL ? "number" : "integer");
    if (d->min > -9e15) {
        buf_printf(out, ", \"%s\": ", d->min_open ? "exclusiveMinimum" : "minimum");
        buf_json_num(out, d->min);
    }
    if (d->max < 9e15) {
        buf_printf(out, ", \"%s\": ", d->max_open ? "exclusiveMaximum" : "maximum");
        buf_json_num(out, d->max);
    }
    buf_putc(out, '}');
}

static void write_array(const struct param_def *d, int least, int most, struct buf *out)
{
    buf_puts(out, "{\"type\": \"array\", \"items\": ");
    write_number(d, out);
    buf_printf(out, ", \"minItems\": %d, \"maxItems\": %d}", least, most);
}

static void write_choices(const struct param_def *d, struct buf *out)
{
    char **list = params_choices(d);
    buf_puts(out, "{\"enum\": [");
    for (char **c = list; *c; c++) {
        buf_puts(out, c == list ? "" : ", ");
        buf_json_str(out, *c);
    }
    buf_puts(out, "]}");
    params_choices_free(list);
}

/* The value's schema; most: of an array of integers. */
static void write_value(const struct param_def *d, int most, struct buf *out)
{
    switch (d->kind) {
    case PARAM_BOOL:
        buf_puts(out, "{\"type\": \"boolean\"}");
        return;
    case PARAM_CHOICE:
        write_choices(d, out);
        return;
    case PARAM_INTS:
        write_array(d, 1, most, out);
        return;
    case PARAM_INT:
    case PARAM_REAL:
        write_number(d, out);
        return;
    case PARAM_PAIR:
    case PARAM_PADDING:
        break;
    }
    buf_puts(out, "{\"anyOf\": [");
    if (d->kind == PARAM_PADDING) {
        write_choices(d, out);
        buf_puts(out, ", ");
    }
    write_number(d, out);
    buf_puts(out, ", ");
    write_array(d, 2, 2, out);
    buf_puts(out, "]}");
}

static void write_member(const struct param_def *d, int most, const char *between, struct buf *out)
{
    buf_json_str(out, d->name);
    buf_puts(out, ": {\"description\": ");
    buf_json_str(out, d->help);
    struct param_value *v = params_defaults(d, 1);
    if (v->count || v->text[0]) {
        buf_puts(out, ", \"default\": ");
        param_write_json(d, v, out);
    }
    free(v);
    buf_puts(out, ", \"allOf\": [");
    write_value(d, most, out);
    buf_printf(out, "]}%s", between);
}

/* ---- models and layers ---- */

static void write_config(const struct layer_type *t, bool expressions, struct buf *out)
{
    bool required = false;
    buf_printf(out,
               "{\"if\": {\"properties\": {\"type\": {\"const\": \"%s\"}}, \"required\": [\"type\"]},\n    "
               "\"then\": {",
               t->name);
    for (int i = 0; i < t->param_count; i++)
        required |= t->params[i].required;
    if (required)
        buf_puts(out, "\"required\": [\"config\"], ");
    buf_printf(out,
               "\"properties\": {\"inputs\": {\"minItems\": %d, \"maxItems\": %d},\n     \"config\": "
               "{\"description\": ",
               t->min_inputs, t->max_inputs < LAYER_MAX_INPUTS ? t->max_inputs : LAYER_MAX_INPUTS);
    buf_json_str(out, t->summary);
    buf_puts(out, ", \"additionalProperties\": false, \"properties\": {");
    for (int i = 0; i < t->param_count; i++) {
        buf_puts(out, i ? ",\n      " : "\n      ");
        if (!expressions) {
            write_member(&t->params[i], SHAPE_MAX_RANK, "", out);
            continue;
        }
        buf_json_str(out, t->params[i].name);
        buf_puts(out, ": {\"description\": ");
        buf_json_str(out, t->params[i].help);
        buf_puts(out, ", \"anyOf\": [{\"$ref\": \"#/$defs/expression\"}, {\"type\": \"array\"}, ");
        write_value(&t->params[i], SHAPE_MAX_RANK, out);
        buf_puts(out, "]}");
    }
    buf_puts(out, "}");
    const char *sep = ", \"required\": [";
    for (int i = 0; i < t->param_count; i++)
        if (t->params[i].required) {
            buf_printf(out, "%s\"%s\"", sep, t->params[i].name);
            sep = ", ";
        }
    buf_puts(out, required ? "]}}}}" : "}}}}");
}

/* The schema of one layer in a list; a type that is not built in is a layer file's. */
static void write_layer_item(bool expressions, struct buf *out)
{
    int count;
    const struct layer_type *const *types = layer_types(&count);
    buf_puts(out, "{\"type\": \"object\", \"required\": [\"name\", \"type\"], \"additionalProperties\": "
                  "false,\n  \"properties\": {\n"
                  "   \"name\": " LAYER_NAME ",\n"
                  "   \"type\": {\"type\": \"string\", \"description\": \"a built-in type, or the name of a "
                  "layer file\"},\n"
                  "   \"inputs\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"description\": "
                  "\"layers or inputs; absent: the layer before\"},\n"
                  "   \"config\": {\"type\": \"object\"}},\n  \"allOf\": [");
    for (int i = 0; i < count; i++) {
        buf_puts(out, i ? ",\n   " : "\n   ");
        write_config(types[i], expressions, out);
    }
    buf_puts(out, "]}");
}

static void write_shape(struct buf *out)
{
    buf_printf(
        out,
        "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": {\"type\": \"integer\", "
        "\"minimum\": 1, \"maximum\": %d},"
        " \"description\": \"of one sample, without the batch; images are [channels, height, width]\"}",
        SHAPE_MAX_RANK - 1, INT32_MAX);
}

void schema_write_model(struct buf *out)
{
    buf_puts(
        out,
        HEAD(
            "model.schema.json",
            "A model's structure") " \"required\": [\"format\", \"name\", \"inputs\", \"layers\", "
                                   "\"outputs\"],\n"
                                   " \"additionalProperties\": false,\n \"properties\": {\n"
                                   "  \"format\": {\"const\": \"trainyard.model/1\"},\n  \"name\": " FILE_NAME
                                   ",\n  " DESCRIPTION ",\n  \"inputs\": ");
    buf_printf(out,
               "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": {\"type\": \"object\", "
               "\"required\": [\"name\", \"shape\"],"
               " \"additionalProperties\": false,\n   \"properties\": {\"name\": " LAYER_NAME
               ",\n    \"shape\": ",
               MODEL_MAX_INPUTS);
    write_shape(out);
    buf_puts(
        out,
        ",\n    \"dtype\": {\"enum\": [\"float32\", \"uint8\", \"int32\"], \"default\": \"float32\"}}}},\n");
    buf_printf(out,
               "  \"layers\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": {\"$ref\": "
               "\"#/$defs/layer\"}},\n",
               MODEL_MAX_LAYERS);
    buf_printf(out,
               "  \"outputs\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": "
               "{\"type\": \"string\"}}},\n \"$defs\": {\"layer\": ",
               MODEL_MAX_OUTPUTS);
    write_layer_item(false, out);
    buf_puts(out, "}}\n");
}

#define TENSOR_NAME    "{\"type\": \"string\", \"pattern\": \"^[A-Za-z_][A-Za-z0-9_]{0,46}$\"}"
#define NUMBER_OR_NAME "{\"type\": \"integer\", \"minimum\": 1}, " TENSOR_NAME
#define KERNEL_SHAPE(dim)                                                                                    \
    "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 5, \"items\": {\"anyOf\": [" dim "]}}"
#define PROGRAM                                                                                              \
    "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"items\": {\"type\": \"string\", "          \
    "\"pattern\": \"^[^\\n]*$\"}}]}"
#define OBJECT(required, properties)                                                                         \
    "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [" required                       \
    "], \"properties\": {" properties "}}"
#define DOMAIN_PAIR                                                                                          \
    "{\"type\": \"array\", \"minItems\": 2, \"maxItems\": 2, \"items\": {\"type\": \"number\"}}"

/* docs/kernels.md says what they mean. */
static void write_kernel(struct buf *out)
{
    static const char formula[] =
        NUMBER_OR_NAME ", {\"type\": \"string\", \"pattern\": \"^=\", \"maxLength\": 63}";
    buf_puts(out, "  \"kernel\": {\"type\": \"object\", \"required\": [\"inputs\", \"output\", \"forward\"], "
                  "\"additionalProperties\": false,\n"
                  "   \"properties\": {\n    \"inputs\": {\"type\": \"array\", \"minItems\": 1, "
                  "\"maxItems\": 8, \"items\": " OBJECT(
                      "\"name\", \"shape\"", "\"name\": " TENSOR_NAME ", \"shape\": " KERNEL_SHAPE(
                                                 NUMBER_OR_NAME) ", \"domain\": " DOMAIN_PAIR) "},\n");
    buf_printf(
        out,
        "    \"weights\": {\"type\": \"array\", \"maxItems\": 8, \"items\": " OBJECT(
            "\"name\", \"shape\", \"initializer\"",
            "\"name\": " TENSOR_NAME ", \"shape\": " KERNEL_SHAPE(
                "%s") ", \"initializer\": {\"enum\": [\"zeros\", \"ones\", "
                      "\"constant\", "
                      "\"normal\", \"uniform\", \"glorot_uniform\", "
                      "\"he_uniform\", \"he_normal\"]}, \"value\": "
                      "{\"type\": \"number\"}, "
                      "\"decay\": {\"type\": \"boolean\"}, "
                      "\"domain\": " DOMAIN_PAIR) "},\n"
                                                  "    \"output\": " OBJECT("\"name\", \"shape\"",
                                                                            "\"name\": " TENSOR_NAME ", "
                                                                            "\"shape\":"
                                                                            " " KERNEL_SHAPE("%s")) ",\n",
        formula, formula);
    buf_puts(out,
             "    \"over\": {\"type\": \"array\", \"items\": " TENSOR_NAME "},\n"
             "    \"backward_over\": {\"type\": \"array\", \"minItems\": 1, \"items\": " TENSOR_NAME "},\n"
             "    \"forward\": " PROGRAM ",\n    \"backward\": " PROGRAM ",\n"
             "    \"try\": {\"type\": \"array\", \"maxItems\": 8, \"items\": {\"type\": \"object\", "
             "\"additionalProperties\": "
             "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1024}}}}}\n");
}

void schema_write_layer(struct buf *out)
{
    buf_puts(out,
             HEAD("layer.schema.json", "A layer of one's own: made of other layers, or written as a "
                                       "program") " \"required\": [\"format\", \"name\"], \"oneOf\": "
                                                  "[{\"required\": [\"composite\"]}, {\"required\": "
                                                  "[\"kernel\"]}],\n"
                                                  " \"additionalProperties\": false,\n \"properties\": "
                                                  "{\n"
                                                  "  \"format\": {\"const\": \"trainyard.layer/1\"},\n  "
                                                  "\"name\": " FILE_NAME ",\n  " DESCRIPTION ",\n"
                                                  "  \"parameters\": {\"type\": \"array\", \"maxItems\": "
                                                  "64, "
                                                  "\"items\": {\"type\": \"object\","
                                                  " \"required\": [\"name\", \"type\", \"default\"], "
                                                  "\"additionalProperties\": false,\n   \"properties\": "
                                                  "{\n"
                                                  "    \"name\": {\"type\": \"string\", \"pattern\": "
                                                  "\"^[A-Za-z_][A-Za-z0-9_]{0,63}$\"},\n"
                                                  "    \"type\": {\"enum\": [\"integer\", \"real\", "
                                                  "\"boolean\", "
                                                  "\"choice\"]},\n"
                                                  "    \"default\": {\"type\": [\"number\", \"boolean\", "
                                                  "\"string\"]},\n"
                                                  "    \"min\": {\"type\": \"number\"}, \"max\": "
                                                  "{\"type\": "
                                                  "\"number\"},\n"
                                                  "    \"choices\": {\"type\": \"array\", \"minItems\": "
                                                  "1, "
                                                  "\"maxItems\": 64, \"items\": {\"type\": \"string\", "
                                                  "\"minLength\": 1,"
                                                  " \"maxLength\": 23, \"pattern\": \"^[^|]*$\"}},\n    "
                                                  "\"help\": "
                                                  "{\"type\": \"string\"}}}},\n"
                                                  "  \"composite\": {\"type\": \"object\", \"required\": "
                                                  "[\"inputs\", \"layers\", \"outputs\"], "
                                                  "\"additionalProperties\": false,\n"
                                                  "   \"properties\": {\n    \"inputs\": {\"type\": "
                                                  "\"array\", "
                                                  "\"minItems\": 1, \"items\": {\"anyOf\": [" LAYER_NAME ",\n"
                                                  "     {\"type\": \"object\", \"required\": [\"name\"], "
                                                  "\"additionalProperties\": false, \"properties\": "
                                                  "{\"name\": " LAYER_NAME ", \"shape\": ");
    write_shape(out);
    buf_puts(out, "}}]}},\n    \"layers\": {\"type\": \"array\", \"minItems\": 1, \"items\": {\"$ref\": "
                  "\"#/$defs/layer\"}},\n"
                  "    \"outputs\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": 1, \"items\": "
                  "{\"type\": \"string\"}}}},\n");
    write_kernel(out);
    buf_puts(out, "},\n"
                  " \"$defs\": {\"expression\": {\"type\": \"string\", \"pattern\": \"^=\","
                  " \"description\": \"over the parameters: + - * / % ( ) comparisons min max floor ceil "
                  "round if\"},\n  \"layer\": ");
    write_layer_item(true, out);
    buf_puts(out, "}}\n");
}

/* ---- algorithms ---- */

static void write_metric_names(bool loss, struct buf *out)
{
    buf_puts(out, loss ? "{\"enum\": [\"loss\"" : "{\"enum\": [");
    for (int i = 0; i < METRIC_TYPE_COUNT; i++)
        buf_printf(out, "%s\"%s\"", i || loss ? ", " : "", algorithm_metrics[i].name);
    buf_puts(out, "]}");
}

/* A member that is not one value. */
static void write_form(const struct field *f, struct buf *out)
{
    buf_json_str(out, f->def.name);
    buf_puts(out, ": {\"description\": ");
    buf_json_str(out, f->def.help);
    buf_puts(out, f->form == FORM_WATCH ? ", \"default\": \"loss\", \"allOf\": [" : ", \"allOf\": [");
    if (f->form == FORM_WATCH)
        write_metric_names(true, out);
    else if (f->form == FORM_TEXTS)
        buf_printf(out,
                   "{\"type\": \"array\", \"items\": {\"type\": \"string\", \"minLength\": 1, "
                   "\"maxLength\": %d}, \"maxItems\": %d}",
                   ALGORITHM_PATTERN_MAX - 1, f->most);
    else
        write_array(&f->def, f->def.required ? 1 : 0, f->most, out);
    buf_puts(out, "]}");
}

static void write_field(const struct field *f, struct buf *out)
{
    if (f->form == FORM_ONE)
        write_member(&f->def, 0, "", out);
    else
        write_form(f, out);
}

static void write_fields(const struct field *f, int count, const char *indent, struct buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_printf(out, ",\n%s", indent);
        write_field(&f[i], out);
    }
}

static void write_variant(const struct variant *v, struct buf *out)
{
    const char *sep = ", ";
    buf_puts(out, "{\"description\": ");
    buf_json_str(out, v->summary);
    buf_printf(out, ", \"type\": \"object\", \"additionalProperties\": false, \"required\": [\"type\"");
    for (int i = 0; i < v->field_count; i++)
        if (v->fields[i].def.required)
            buf_printf(out, "%s\"%s\"", sep, v->fields[i].def.name);
    buf_printf(out, "],\n    \"properties\": {\"type\": {\"const\": \"%s\"}", v->name);
    write_fields(v->fields, v->field_count, "     ", out);
    buf_puts(out, "}}");
}

static void write_section(const struct section *s, struct buf *out)
{
    buf_printf(out, "  \"%s\": {\"description\": ", s->name);
    buf_json_str(out, s->help);
    buf_puts(out, ", \"oneOf\": [");
    for (int i = 0; i < s->variant_count; i++) {
        buf_puts(out, i ? ",\n   " : "\n   ");
        write_variant(&s->variants[i], out);
    }
    buf_puts(out, "]},\n");
}

static void write_group(const struct group *g, struct buf *out)
{
    buf_printf(out, ",\n  \"%s\": {\"description\": ", g->name);
    buf_json_str(out, g->help);
    buf_puts(out, ", \"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
    for (int i = 0; i < g->field_count; i++) {
        buf_puts(out, i ? ",\n   " : "\n   ");
        write_field(&g->fields[i], out);
    }
    buf_puts(out, "}}");
}

void schema_write_algorithm(struct buf *out)
{
    buf_puts(out, HEAD("algorithm.schema.json", "How to train") " \"required\": [\"format\", \"name\"");
    for (int i = 0; i < algorithm_section_count; i++)
        if (algorithm_sections[i].required)
            buf_printf(out, ", \"%s\"", algorithm_sections[i].name);
    for (int i = 0; i < algorithm_field_count; i++)
        if (algorithm_fields[i].def.required)
            buf_printf(out, ", \"%s\"", algorithm_fields[i].def.name);
    buf_puts(out, "],\n \"additionalProperties\": false,\n \"properties\": {\n  \"format\": {\"const\": "
                  "\"trainyard.algorithm/1\"},\n  \"name\": " FILE_NAME ",\n  " DESCRIPTION ",\n");
    for (int i = 0; i < algorithm_section_count; i++)
        write_section(&algorithm_sections[i], out);
    buf_printf(out,
               "  \"precision\": {\"enum\": [\"float32\", \"bfloat16\"], \"default\": \"float32\"},\n  "
               "\"metrics\": {\"type\": \"array\", "
               "\"maxItems\": %d, \"items\": ",
               ALGORITHM_MAX_METRICS);
    write_metric_names(false, out);
    buf_putc(out, '}');
    write_fields(algorithm_fields, algorithm_field_count, "  ", out);
    for (int i = 0; i < algorithm_group_count; i++)
        write_group(&algorithm_groups[i], out);
    buf_puts(out, "}}\n");
}
