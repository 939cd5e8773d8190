/* start_weights: weights to begin with instead of random ones, from a safetensors file: fine-tuning. */
#ifndef KERNELS_TRAIN_START_WEIGHTS_H
#define KERNELS_TRAIN_START_WEIGHTS_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "kernels/train/executor.h"

/* whole: the file must have every weight and state (ERR_CONFLICT names the first that it lacks). Otherwise: copy every tensor of the file that has the full name of one of the model's weights or states ("conv1.kernel") over it; float32,
 * float64, bfloat16 and float16 are taken. A weight that the file lacks keeps its random beginning, a tensor that the model lacks is
 * left out; note gets a sentence that counts and names both. ERR_CONFLICT, and nothing is changed, when a shape differs or no
 * name agrees; ERR_UNPROCESSABLE when a value is not finite. Needs no other rank: each reads the file. */
int start_weights_load(struct executor *x, const char *path, bool whole, struct buf *note, struct err *err);

#endif
