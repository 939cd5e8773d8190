/* The rows of an algorithm file: what members there are, their limits, defaults, help, and where they go in
 * struct algorithm. Parser, writer and JSON Schema read them. Private to spec/. Adding an optimizer is one
 * variant row (and its fields), then optim/ computes it. */
#ifndef KERNELS_SPEC_ALGORITHM_TABLE_H
#define KERNELS_SPEC_ALGORITHM_TABLE_H

#include "kernels/spec/algorithm.h"

enum field_form {
    FORM_ONE,   /* by def.kind: INT goes to an int64_t, REAL to a double, BOOL to a bool */
    FORM_INTS,  /* int64_t[most], their number to the int at count_offset; rising */
    FORM_REALS, /* double[most], as above */
    FORM_TEXTS, /* struct patterns */
    FORM_WATCH, /* struct watch: "loss" or a metric's name */
};

/* One member. */
struct field {
    struct param_def def;
    size_t offset;
    enum field_form form;
    int most;
    size_t count_offset;
};

struct variant {
    const char *name, *summary;
    const struct field *fields;
    int field_count;
};

/* A member object with a "type" that chooses among variants. */
struct section {
    const char *name, *help;
    size_t offset; /* of the enum */
    const struct variant *variants;
    int variant_count;
    bool required;
};

/* A member object without a type. */
struct group {
    const char *name, *help;
    size_t on_offset; /* of a bool that says the object is there; NO_SWITCH: its defaults hold without it */
    const struct field *fields;
    int field_count;
};

#define NO_SWITCH ((size_t)-1)

enum { FITS_CLASSES = 1, FITS_BINARY = 2, FITS_VALUES = 4 };

struct metric_row {
    const char *name, *summary;
    bool higher_is_better;
    int fits; /* losses */
};

extern const struct section algorithm_sections[];
extern const int algorithm_section_count;
extern const struct field algorithm_fields[]; /* of the file itself */
extern const int algorithm_field_count;
extern const struct group algorithm_groups[];
extern const int algorithm_group_count;
extern const struct metric_row algorithm_metrics[METRIC_TYPE_COUNT];

#endif
