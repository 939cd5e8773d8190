/* `trainyard-train layers`: THE table of layer types as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/spec/params.h"
#include "kernels/verify/verify.h"

static const char *kind_name(enum param_kind k)
{
    static const char *const names[] = {
        [PARAM_INT] = "integer",     [PARAM_REAL] = "real", [PARAM_BOOL] = "boolean",
        [PARAM_CHOICE] = "choice",   [PARAM_PAIR] = "pair", [PARAM_INTS] = "integers",
        [PARAM_PADDING] = "padding",
    };
    return names[k];
}

static void write_limits(const struct param_def *d, struct buf *out)
{
    if (d->kind == PARAM_BOOL || d->kind == PARAM_CHOICE)
        return;
    buf_puts(out, ",\"min\":");
    buf_json_num(out, d->min);
    buf_puts(out, ",\"max\":");
    buf_json_num(out, d->max);
    buf_printf(out, ",\"min_open\":%s,\"max_open\":%s", d->min_open ? "true" : "false",
               d->max_open ? "true" : "false");
}

static void write_param(const struct param_def *d, struct buf *out)
{
    buf_puts(out, "{\"name\":");
    buf_json_str(out, d->name);
    buf_printf(out, ",\"type\":\"%s\",\"required\":%s,\"default\":", kind_name(d->kind),
               d->required ? "true" : "false");
    struct param_value *v = params_defaults(d, 1);
    if (v->count || v->text[0])
        param_write_json(d, v, out);
    else
        buf_puts(out, "null");
    free(v);
    write_limits(d, out);
    if (d->choices) {
        char **list = params_choices(d);
        buf_puts(out, ",\"choices\":[");
        for (char **c = list; *c; c++) {
            buf_puts(out, c == list ? "" : ",");
            buf_json_str(out, *c);
        }
        buf_putc(out, ']');
        params_choices_free(list);
    }
    buf_puts(out, ",\"help\":");
    buf_json_str(out, d->help);
    buf_putc(out, '}');
}

static void write_type(const struct layer_type *t, struct buf *out)
{
    buf_puts(out, "{\"name\":");
    buf_json_str(out, t->name);
    buf_puts(out, ",\"group\":");
    buf_json_str(out, t->group);
    buf_puts(out, ",\"summary\":");
    buf_json_str(out, t->summary);
    buf_puts(out, ",\"formula\":");
    buf_json_str(out, t->formula);
    buf_puts(out, ",\"source\":");
    buf_json_str(out, t->source);
    buf_printf(out, ",\"min_inputs\":%d,\"max_inputs\":%d,\"params\":[", t->min_inputs, t->max_inputs);
    for (int i = 0; i < t->param_count; i++) {
        buf_puts(out, i ? "," : "");
        write_param(&t->params[i], out);
    }
    buf_puts(out, "]}");
}

void layer_types_write_json(struct buf *out)
{
    int count;
    const struct layer_type *const *types = layer_types(&count);
    buf_printf(out, "{\"format\":\"trainyard.layer-types/1\",\"trainer\":\"%s\",\"layers\":[",
               TRAINYARD_VERSION);
    for (int i = 0; i < count; i++) {
        buf_puts(out, i ? ",\n" : "\n");
        write_type(types[i], out);
    }
    buf_puts(out, "]}\n");
}

int layers_main(int argc, char **argv)
{
    struct buf out = {0};
    if (argc > 1) {
        fprintf(argv[1][0] == '-' && argv[1][1] == '-' && argv[1][2] == 'h' ? stdout : stderr,
                "usage: trainyard-train layers\nPrints every layer type with its parameters, limits and "
                "formula as JSON.\n");
        return !strcmp(argv[1], "--help") ? 0 : 2;
    }
    layer_types_write_json(&out);
    fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    return fflush(stdout) ? 1 : 0;
}
