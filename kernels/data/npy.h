/* npy: the header of NumPy's array files (format 1.0 to 3.0). Private to data/. Source: numpy.lib.format. */
#ifndef KERNELS_DATA_NPY_H
#define KERNELS_DATA_NPY_H

#include "kernels/data/stream.h"

#define NPY_MAX_RANK 7 /* samples and a feature */

struct npy {
    char kind; /* 'b' bool, 'i', 'u', 'f' */
    int width; /* bytes of a number */
    bool big;  /* big-endian */
    int rank;
    int64_t dim[NPY_MAX_RANK];
    int64_t count; /* product */
};

bool npy_is(const uint8_t *head, size_t n);
/* The header from a peek alone, for deciding what a file is. false: none, or longer than the peek. */
bool npy_peek(const uint8_t *head, size_t n, struct npy *out);
/* Read the header; the stream stands at the numbers. Fortran order, objects, text, and impossible sizes are errors. */
int npy_read(struct stream *s, struct npy *out, struct err *err);
/* Number i of raw bytes. */
double npy_number(const struct npy *a, const uint8_t *p, int64_t i);
int64_t npy_integer(const struct npy *a, const uint8_t *p,
                    int64_t i); /* of kinds b, i, u; uint64 saturates */

#endif
