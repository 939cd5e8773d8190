/* verify_kernel: a layer written as a program, proven on small random inputs. Private to verify/. */
#ifndef KERNELS_VERIFY_VERIFY_KERNEL_H
#define KERNELS_VERIFY_VERIFY_KERNEL_H

#include "kernels/usercode/kernel_layer.h"
#include "kernels/verify/checks.h"

/* With these parameters, on several sizes of its dimensions: it stays inside its tensors, writes every output once, gives finite values, its
 * backward program agrees with finite differences of the forward program, and compiled it does the same. Adds layer.shapes, layer.run,
 * layer.writes, layer.finite, layer.gradient, layer.compiled. */
void verify_kernel(struct verification *v, struct kernel_layer *k, const struct param_value *params);

#endif
