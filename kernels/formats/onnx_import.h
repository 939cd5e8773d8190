/* onnx_import: an ONNX file as a translation. docs/interchange.md has the rules. */
#ifndef KERNELS_FORMATS_ONNX_IMPORT_H
#define KERNELS_FORMATS_ONNX_IMPORT_H

#include "base/finding.h"
#include "kernels/formats/translation.h"

/* Whether the bytes look like an ONNX model (a protobuf with a graph): for telling files apart. */
bool onnx_recognise(const void *file, size_t n);
/* Translate a file; what cannot be is a failed finding "model.import" that names the node, and the answer is -1. name gets the
 * graph's name (caller frees). */
int onnx_import(const void *file, size_t n, struct translation *t, char **name, struct findings *f);

#endif
