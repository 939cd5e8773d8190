/* recurrent: the sizes of an LSTM or GRU, read off its node. Private to recurrent*.c. */
#ifndef KERNELS_OPS_RECURRENT_H
#define KERNELS_OPS_RECURRENT_H

#include "kernels/ops/sequence.h"

struct recurrent {
    int64_t length, channels, units, gates; /* gates: 4 of an LSTM (i f g o), 3 of a GRU (z r n) */
    bool sequences;                         /* every step is given out, not only the last */
};

struct recurrent recurrent_of(const struct layer_node *n);

#endif
