#include "kernels/formats/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kernels/formats/onnx_export.h"
#include "kernels/formats/onnx_import.h"
#include "kernels/graph/graph.h"
#include "kernels/spec/model.h"

int import_in_place(struct buf *text, struct translation *t, struct findings *f)
{
    char *name = NULL;
    size_t blank = text->len ? strspn(buf_str(text), " \t\r\n\xef\xbb\xbf") : 0;
    if (blank < text->len && text->data[blank] == '{')
        return 0; /* JSON */
    if (!onnx_recognise(buf_str(text), text->len))
        return 0;
    int rc = onnx_import(buf_str(text), text->len, t, &name, f);
    if (!rc) {
        buf_free(text);
        translation_write(t, name, text);
    }
    free(name);
    return rc;
}

static int complain(const char *file, const struct findings *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].status == FINDING_FAILED)
            fprintf(stderr, "%s:%d:%d: error: %s [%s]\n", file, f->items[i].line, f->items[i].column,
                    f->items[i].message, f->items[i].check);
    return 3;
}

static int write_import(const char *dir, const struct buf *text, const struct translation *t, struct err *err)
{
    char *model = path_join(dir, "model.json"), *weights = path_join(dir, "weights.safetensors");
    const struct tensor_metadata metadata[] = {{"format", "trainyard"}, {"trainer", TRAINYARD_VERSION}};
    int rc = dir_make(dir, 0755, err) || file_write_atomic(model, text->data, text->len, 0644, err) ||
             (t->weight_count &&
              safetensors_write(weights, t->weights, t->weight_count, metadata, ARRAY_LEN(metadata), err));
    free(model);
    free(weights);
    return rc ? -1 : 0;
}

int import_main(int argc, char **argv)
{
    struct buf text = {0};
    struct translation t = {0};
    struct findings f = {0};
    struct err err = {0};
    struct model_spec *m = NULL;
    struct graph *g = NULL;
    if (argc != 4 || strcmp(argv[2], "--out") != 0) {
        fputs("usage: trainyard-train import FILE.onnx --out DIR\n"
              "Writes DIR/model.json and, when the file has weights, DIR/weights.safetensors.\n",
              stderr);
        return 2;
    }
    int rc = file_read(argv[1], IMPORT_FILE_MAX, &text, &err);
    int code = 1;
    if (!rc) {
        bool ok = !import_in_place(&text, &t, &f) && (m = model_parse(buf_str(&text), text.len, NULL, &f)) &&
                  (g = graph_build(m, &f));
        if (!ok)
            code = complain(argv[1], &f);
        else if (!(rc = write_import(argv[3], &text, &t, &err)))
            code = 0;
    }
    if (rc)
        fprintf(stderr, "trainyard-train import: %s\n", err.text);
    graph_destroy(g);
    model_spec_destroy(m);
    findings_free(&f);
    translation_free(&t);
    buf_free(&text);
    return code;
}

int export_main(int argc, char **argv)
{
    struct buf text = {0}, out = {0};
    struct findings f = {0};
    struct err err = {0};
    struct graph *g = NULL;
    struct model_spec *m = NULL;
    struct safetensors *weights = NULL;
    if (argc != 4) {
        fputs("usage: trainyard-train export MODEL.json WEIGHTS.safetensors OUT.onnx\n", stderr);
        return 2;
    }
    int code = 1;
    if (file_read(argv[1], MODEL_FILE_MAX, &text, &err) == 0) {
        m = model_parse(buf_str(&text), text.len, NULL, &f);
        g = m ? graph_build(m, &f) : NULL;
        weights = g ? safetensors_open(argv[2], &err) : NULL;
        if (!g) {
            findings_locate(&f, buf_str(&text), text.len);
            code = complain(argv[1], &f);
        }
    }
    if (weights) {
        struct onnx_export x = {.graph = g,
                                .weights = weights->entries,
                                .weight_count = weights->count,
                                .producer_version = TRAINYARD_VERSION};
        if (!onnx_export_write(&x, &out, &err) && !file_write_atomic(argv[3], out.data, out.len, 0644, &err))
            code = 0;
    }
    if (err.code)
        fprintf(stderr, "trainyard-train export: %s\n", err.text);
    safetensors_close(weights);
    graph_destroy(g);
    model_spec_destroy(m);
    findings_free(&f);
    buf_free(&text);
    buf_free(&out);
    return code;
}
