/* Reading the "kernel" member of a layer file. Needs jansson. */
#ifndef KERNELS_USERCODE_KERNEL_LAYER_JSON_H
#define KERNELS_USERCODE_KERNEL_LAYER_JSON_H

#include "kernels/spec/parse.h"
#include "kernels/usercode/kernel_layer.h"

/* body is the object at /kernel. Parameters stay the layer file's. NULL after findings; a mistake in a program points at its line, and the column
 * within it. Caller kernel_layer_free()s. */
struct kernel_layer *kernel_layer_read(struct parse *p, const json_t *body, const char *name,
                                       const struct param_def *params, int param_count);

/* The pointer of a line of one of its programs ("forward", "backward"). */
void kernel_layer_point(const json_t *body, const char *which, int line, char *pointer, size_t n);

#endif
