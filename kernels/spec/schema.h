/* schema: the JSON Schemas (2020-12) of the three files that people write, from the same rows the parsers
 * read. docs/schemas/ holds them; a test compares. No jansson. */
#ifndef KERNELS_SPEC_SCHEMA_H
#define KERNELS_SPEC_SCHEMA_H

#include "base/buf.h"

void schema_write_model(struct buf *out);
void schema_write_algorithm(struct buf *out);
void schema_write_layer(struct buf *out);

#endif
