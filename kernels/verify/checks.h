/* checks: what the verifiers of all kinds share: the answer being built, and its checks that passed. Private
 * to verify/. */
#ifndef KERNELS_VERIFY_CHECKS_H
#define KERNELS_VERIFY_CHECKS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/finding.h"
#include "kernels/graph/graph.h"
#include "kernels/spec/algorithm.h"
#include "kernels/spec/layer_file.h"
#include "kernels/spec/model.h"

#define VERIFY_MAX_LAYERS      256
#define VERIFY_MAX_PARAMETERS  20e9               /* trained numbers */
#define VERIFY_MAX_ACTIVATIONS (64.0 * (1 << 30)) /* bytes a sample */
#define VERIFY_PROBE_BYTES     (1.0 * (1 << 30))  /* a model that needs more for two samples is not run */
#define VERIFY_PROBE_FLOPS     2e10

struct verify_options {
    const char *kind, *file;
    const char *layers[VERIFY_MAX_LAYERS];
    int layer_count;
    const char *pack, *options;           /* dataset */
    const char *model, *algorithm, *data; /* fit */
    const char *set[ALGORITHM_MAX_OVERRIDES];
    int set_count, ranks;
};

struct verification {
    const struct verify_options *o;
    struct findings f;
    struct buf summary; /* an object; empty: {} */
    double since;       /* when the check under way began */
};

/* Each verifier: 0 when it could run (findings say the rest), -1 when not. */
int verify_model_file(struct verification *v, struct err *err);
int verify_layer_file(struct verification *v, struct err *err);
int verify_algorithm_file(struct verification *v, struct err *err);
int verify_dataset_file(struct verification *v, struct err *err);
int verify_fit(struct verification *v, struct err *err);

/* A check is done: unless a finding of its name is there, it passed, and this says with what. */
void check_passed(struct verification *v, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool check_failed(const struct verification *v, const char *name);

/* Load the --layer files; findings for what is wrong in them. NULL when err is set. */
struct layer_library *load_layers(struct verification *v, struct err *err);

/* Cost against limits, then two samples forward and backward if that is small: adds AREA.cost, AREA.run,
 * AREA.gradients. */
void check_graph(struct verification *v, const struct graph *g);
/* Rename findings from number `from` on that are called OLD.x to NEW.x. */
void rename_checks(struct findings *f, size_t from, const char *old_area, const char *new_area);

#endif
