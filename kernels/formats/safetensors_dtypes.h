/* How safetensors names dtypes. Private to formats/. */
#ifndef KERNELS_FORMATS_SAFETENSORS_DTYPES_H
#define KERNELS_FORMATS_SAFETENSORS_DTYPES_H

#include "kernels/spec/layer_type.h"

const char *safetensors_dtype_name(enum dtype t); /* "F32" */

#endif
