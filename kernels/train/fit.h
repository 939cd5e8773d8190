/* fit: do model, algorithm and data belong together? Pure; used before a run. */
#ifndef KERNELS_TRAIN_FIT_H
#define KERNELS_TRAIN_FIT_H

#include "base/finding.h"
#include "kernels/data/dataset.h"
#include "kernels/graph/graph.h"
#include "kernels/spec/algorithm.h"

/* Give a stream of tokens the window that the model's input has; -1 after a finding. Before fit_check. */
int fit_window(const struct graph *g, struct dataset *d, struct findings *of_model);
/* Add a failed finding for everything that does not fit: fit.input, fit.output, fit.target (pointers into the model file), and to
 * of_algorithm fit.loss, fit.batch (pointers into the algorithm file). 0 when all fits. */
int fit_check(const struct graph *g, const struct algorithm *a, const struct dataset_info *d, int ranks,
              struct findings *of_model, struct findings *of_algorithm);

#endif
