/* import: any model file as the text of a trainyard.model/1 file. (docs/interchange.md) */
#ifndef KERNELS_FORMATS_IMPORT_H
#define KERNELS_FORMATS_IMPORT_H

#include "base/finding.h"
#include "kernels/formats/translation.h"

#define IMPORT_FILE_MAX (256 << 20) /* bytes of a model file with weights in it */

/* When text is an ONNX file, put its translation in its place and its weights into t; else leave both alone. -1 when it is one and
 * cannot be translated: findings "model.import" say why. translation_free(t) in any case. */
int import_in_place(struct buf *text, struct translation *t, struct findings *f);

/* `trainyard-train import FILE --out DIR` and `trainyard-train export MODEL WEIGHTS OUT`; exit codes as verify. */
int import_main(int argc, char **argv);
int export_main(int argc, char **argv);

#endif
