/* cases: what each operation is tried with: small odd shapes for checks and gradients, real ones for
 * performance. */
#ifndef TESTS_OPS_CASES_H
#define TESTS_OPS_CASES_H

#include "kernels/spec/layer_type.h"

struct param_set {
    const char *name;
    double a, b;      /* one number, or a pair (b < 0: the same as a) */
    const char *text; /* instead of numbers */
    int count;        /* of ints, instead of a and b */
    int64_t ints[SHAPE_MAX_RANK];
};

struct op_case {
    const char *type;
    int64_t rows;
    int inputs;
    struct shape in[3];
    enum dtype dtype;
    struct param_set params[6]; /* until name is NULL */
    double scale;               /* of the inputs, which are in -1..1 otherwise */
    bool relu;                  /* also with relu fused */
    bool large;                 /* not differentiated numerically: smaller cases of the type are */
    bool blocked;               /* performance with inputs by blocks of 8 channels */
    bool speed;                 /* for the performance mode only */
};

extern const struct op_case op_cases[];
extern const int op_case_count;

#endif
