/* The graph as the console draws it. */
#include "kernels/graph/graph.h"
#include "kernels/spec/params.h"

static void write_shape(const struct shape *s, struct buf *out)
{
    buf_putc(out, '[');
    for (int i = 0; i < s->rank; i++)
        buf_printf(out, "%s%lld", i ? "," : "", (long long)s->dim[i]);
    buf_putc(out, ']');
}

static void write_node(const struct graph *g, int i, struct buf *out)
{
    const struct layer_node *n = &g->nodes[i];
    struct layer_cost cost = {0};
    double parameters = 0;
    if (n->type)
        n->type->cost(n, &cost);
    for (int k = 0; k < n->weight_count; k++)
        parameters += n->weights[k].trainable ? (double)shape_elements(&n->weights[k].shape) : 0;
    buf_puts(out, "{\"name\":");
    buf_json_str(out, n->name);
    buf_puts(out, ",\"type\":");
    buf_json_str(out, n->type ? n->type->name : "input");
    buf_puts(out, ",\"group\":");
    buf_json_str(out, n->type ? n->type->group : "input");
    buf_puts(out, ",\"pointer\":");
    buf_json_str(out, n->pointer);
    buf_puts(out, ",\"shape\":");
    write_shape(&n->shape, out);
    buf_printf(out, ",\"dtype\":\"%s\",\"parameters\":", dtype_name(n->dtype));
    buf_json_num(out, parameters);
    buf_puts(out, ",\"flops\":");
    buf_json_num(out, cost.forward_flops);
    buf_puts(out, ",\"bytes\":");
    buf_json_num(out, cost.activation_bytes);
    buf_puts(out, ",\"config\":");
    if (n->type)
        params_write_json(n->type->params, n->type->param_count, n->params, out);
    else
        buf_puts(out, "{}");
    buf_puts(out, ",\"inputs\":[");
    for (int k = 0; k < n->input_count; k++) {
        buf_puts(out, k ? "," : "");
        buf_json_str(out, g->nodes[n->inputs[k]].name);
    }
    buf_puts(out, "]}");
}

static void write_edges(const struct graph *g, struct buf *out)
{
    const char *sep = "";
    for (int i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++) {
            const struct layer_node *from = &g->nodes[g->nodes[i].inputs[k]];
            buf_printf(out, "%s{\"from\":", sep);
            buf_json_str(out, from->name);
            buf_puts(out, ",\"to\":");
            buf_json_str(out, g->nodes[i].name);
            buf_puts(out, ",\"shape\":");
            write_shape(&from->shape, out);
            buf_putc(out, '}');
            sep = ",";
        }
}

void graph_write_json(const struct graph *g, struct buf *out)
{
    struct graph_cost cost;
    graph_cost(g, &cost);
    buf_puts(out, "{\"nodes\":[");
    for (int i = 0; i < g->node_count; i++) {
        buf_puts(out, i ? "," : "");
        write_node(g, i, out);
    }
    buf_puts(out, "],\"edges\":[");
    write_edges(g, out);
    buf_puts(out, "],\"inputs\":[");
    for (int i = 0; i < g->input_count; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_str(out, g->nodes[i].name);
    }
    buf_puts(out, "],\"outputs\":[");
    for (int i = 0; i < g->output_count; i++) {
        buf_puts(out, i ? "," : "");
        buf_json_str(out, g->nodes[g->outputs[i]].name);
    }
    buf_printf(out, "],\"parameters\":%lld,\"flops\":", (long long)cost.parameters);
    buf_json_num(out, cost.forward_flops);
    buf_puts(out, ",\"backward_flops\":");
    buf_json_num(out, cost.backward_flops);
    buf_printf(out, ",\"weight_bytes\":%lld,\"activation_bytes\":", (long long)cost.weight_bytes);
    buf_json_num(out, cost.activation_bytes);
    buf_putc(out, '}');
}
