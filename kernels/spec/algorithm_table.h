/* The rows of an algorithm file: what members there are, their limits, defaults, help, and where they go in
 * struct algorithm. Parser, writer and JSON Schema read them. Private to spec/. Adding an optimizer is one
 * variant row (and its fields), then optim/ computes it. */
#ifndef KERNELS_SPEC_ALGORITHM_TABLE_H
#define KERNELS_SPEC_ALGORITHM_TABLE_H

#include "kernels/spec/algorithm.h"

/* One member. INT goes to an int64_t, REAL to a double, BOOL to a bool; milestones is the one PARAM_INTS. */
struct field {
    struct param_def def;
    size_t offset;
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
    const struct field *fields;
    int field_count;
};

struct metric_row {
    const char *name, *summary;
    bool higher_is_better;
};

extern const struct section algorithm_sections[];
extern const int algorithm_section_count;
extern const struct field algorithm_fields[]; /* of the file itself */
extern const int algorithm_field_count;
extern const struct group algorithm_groups[]; /* early_stopping, checkpoint */
extern const int algorithm_group_count;
extern const struct metric_row algorithm_metrics[METRIC_TYPE_COUNT];

#endif
