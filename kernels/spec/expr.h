/* expr: the expressions of composite layers: "=filters*2". Numbers, the layer's parameters, + - * / % (the
 * sign of the divisor, as in Python), comparisons, parentheses, min max floor ceil round, if(condition, a,
 * b). Bounded in length and depth; nothing is called and nothing is allocated. */
#ifndef KERNELS_SPEC_EXPR_H
#define KERNELS_SPEC_EXPR_H

#include "base/err.h"
#include "kernels/spec/layer_type.h"

#define EXPR_MAX 256 /* characters */

enum expr_kind { EXPR_NUMBER, EXPR_BOOL, EXPR_TEXT };

struct expr_value {
    enum expr_kind kind;
    double num; /* NUMBER; BOOL as 0 or 1 */
    char text[PARAM_TEXT_MAX];
};

struct expr_symbol {
    const char *name;
    struct expr_value value;
};

/* Evaluate text (without the leading '='). The err says what is wrong and at which character. */
int expr_eval(const char *text, const struct expr_symbol *symbols, int count, struct expr_value *out,
              struct err *err);

#endif
