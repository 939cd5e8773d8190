/* protobuf: the wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding), as much as ONNX needs. Reading
 * never copies and never goes outside the given bytes; a malformed field ends the message with bad set. Writing appends to a buf. */
#ifndef KERNELS_FORMATS_PROTOBUF_H
#define KERNELS_FORMATS_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct pb_bytes {
    const uint8_t *at;
    size_t n;
};

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;        /* VARINT, FIXED64, FIXED32: the bits */
    struct pb_bytes bytes; /* BYTES: into the message */
};

struct pb_reader {
    struct pb_bytes rest;
    bool bad; /* a field was truncated or no field at all */
};

/* The next field; false at the end and when it is bad. */
bool pb_next(struct pb_reader *r, struct pb_field *f);
/* One varint of a packed list; false at the end and when it is bad. */
bool pb_varint(struct pb_reader *r, uint64_t *v);
float pb_float(const struct pb_field *f); /* of a FIXED32 */

void pb_put_varint(struct buf *out, uint32_t number, uint64_t v);
void pb_put_float(struct buf *out, uint32_t number, float v);
void pb_put_bytes(struct buf *out, uint32_t number, const void *p, size_t n);
void pb_put_text(struct buf *out, uint32_t number, const char *s);
/* Put the message as a field and free it. */
void pb_put_message(struct buf *out, uint32_t number, struct buf *message);

#endif
