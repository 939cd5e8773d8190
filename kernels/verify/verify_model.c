#include "base/file.h"
#include "kernels/formats/import.h"
#include "kernels/verify/checks.h"

static void write_summary(struct verification *v, const struct model_spec *m, const struct graph *g)
{
    struct graph_cost cost;
    graph_cost(g, &cost);
    buf_puts(&v->summary, "{\"name\":");
    buf_json_str(&v->summary, m->name);
    buf_printf(&v->summary, ",\"layers\":%d,\"parameters\":%lld,\"flops\":", g->node_count - g->input_count,
               (long long)cost.parameters);
    buf_json_num(&v->summary, cost.forward_flops);
    buf_puts(&v->summary, ",\"backward_flops\":");
    buf_json_num(&v->summary, cost.backward_flops);
    buf_printf(&v->summary, ",\"weight_bytes\":%lld,\"activation_bytes\":", (long long)cost.weight_bytes);
    buf_json_num(&v->summary, cost.activation_bytes);
    buf_puts(&v->summary, ",\"graph\":");
    graph_write_json(g, &v->summary);
    buf_putc(&v->summary, '}');
}

static void check_text(struct verification *v, const struct buf *text, const struct layer_library *library)
{
    struct model_spec *m = model_parse(buf_str(text), text->len, library, &v->f);
    if (!m)
        return;
    check_passed(v, "model.syntax", "valid JSON of format trainyard.model/1");
    check_passed(v, "model.names", "every name is well formed and given once");
    check_passed(v, "model.types", "every layer type is known");
    check_passed(v, "model.config", "every value is within its limits");
    struct graph *g = graph_build(m, &v->f);
    if (g) {
        check_passed(v, "model.inputs", "every input exists");
        check_passed(v, "model.cycles", "the layers can be put in order");
        check_passed(v, "model.unused", "every layer leads to an output");
        check_passed(v, "model.shapes", "every layer fits the ones before it");
        check_graph(v, g);
        write_summary(v, m, g);
    }
    findings_locate(&v->f, buf_str(text), text->len);
    graph_destroy(g);
    model_spec_destroy(m);
}

int verify_model_file(struct verification *v, struct err *err)
{
    struct buf text = {0};
    struct layer_library *library = NULL;
    struct translation imported = {0};
    int rc = file_read(v->o->file, IMPORT_FILE_MAX, &text, err);
    if (!rc && !(library = load_layers(v, err)))
        rc = -1;
    if (!rc && !import_in_place(&text, &imported, &v->f)) {
        if (imported.count)
            check_passed(v, "model.import", "an ONNX file; %zu of its tensors are weights to begin with",
                         imported.weight_count);
        check_text(v, &text, library);
    }
    translation_free(&imported);
    layer_library_destroy(library);
    buf_free(&text);
    return rc;
}
