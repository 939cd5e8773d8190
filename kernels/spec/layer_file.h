/* layer_file: layers that users write (trainyard.layer/1). A composite is a small model whose config may be
 * expressions over the layer's parameters:
 *
 *     {"format": "trainyard.layer/1", "name": "conv_block", "description": "convolution, batch norm, relu",
 *      "parameters": [{"name": "filters", "type": "integer", "default": 32, "min": 1, "max": 1024, "help":
 * "..."},
 *                     {"name": "padding", "type": "choice", "choices": ["valid", "same"], "default":
 * "same"}], "composite": {"inputs": ["x"], "layers": [{"name": "conv", "type": "conv2d", "inputs": ["x"],
 *                                "config": {"filters": "=filters", "kernel": 3, "padding": "=padding"}},
 *                               {"name": "relu", "type": "relu", "inputs": ["conv"]}],
 *                    "outputs": ["relu"]}}
 *
 * Parameter types: integer, real, boolean, choice. A composite's input may be an object {"name": "x",
 * "shape": [3, 32, 32]}: the shape is what verification tries the layer with. It may use other layer files;
 * recursion is an error. Needs jansson.
 */
#ifndef KERNELS_SPEC_LAYER_FILE_H
#define KERNELS_SPEC_LAYER_FILE_H

#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/finding.h"
#include "kernels/spec/layer_type.h"

#define LAYER_FILE_MAX     (1 << 20) /* bytes */
#define LAYER_FILE_NESTING 16        /* composites in composites */
#define LAYER_LIBRARY_MAX  1024      /* files */

struct layer_library; /* a set of parsed layer files, found by name */
struct layer_file;
struct kernel_layer;
struct model_spec;

struct layer_library *layer_library_create(void);
void layer_library_destroy(struct layer_library *l);
/* Parse text and add it. NULL when a finding failed (nothing is added). A second file of one name, or of a
 * built-in type's name, fails. What its body uses is looked up when it is expanded, so files may come in any
 * order. */
const struct layer_file *layer_library_add(struct layer_library *l, const char *text, size_t n,
                                           struct findings *f);
/* Read and add the file at path, for --layer. A failed finding's message names the path. */
int layer_library_load(struct layer_library *l, const char *path, struct findings *f, struct err *err);
const struct layer_file *layer_library_find(const struct layer_library *l,
                                            const char *name); /* NULL if none */

const char *layer_file_name(const struct layer_file *file);
/* A model that is the layer alone, with its parameters' defaults: its inputs get shapes[i] (dtype float32),
 * unless the file says its own; pointers are those of the layer file. NULL when a finding failed. */
struct model_spec *layer_file_model(const struct layer_library *l, const struct layer_file *file,
                                    const struct shape *shape, struct findings *f);
int layer_file_input_count(const struct layer_file *file);
/* The program that is its body (owned by the file); NULL: a composite. */
struct kernel_layer *layer_file_kernel(const struct layer_file *file);
/* Its parameters' defaults; caller frees. */
struct param_value *layer_file_defaults(const struct layer_file *file);
bool layer_file_has_shapes(const struct layer_file *file); /* every input says its shape */
/* {"name","description","kind":"composite","parameters":[...],"inputs":[...],"layers":N} */
void layer_file_write_json(const struct layer_file *file, struct buf *out);

#endif
