/* cpu: what the CPU implementations share: threads over a range, element counts of tensors in any layout,
 * oneDNN's pieces. */
#ifndef KERNELS_OPS_CPU_H
#define KERNELS_OPS_CPU_H

#include "kernels/backend/backend.h"

/* Floats of `rows` samples of a tensor planned for `planned` rows, padding of its layout included. */
static inline size_t cpu_floats(const struct op_tensor *t, int64_t planned, int64_t rows)
{
    return t->bytes / sizeof(float) / (size_t)planned * (size_t)rows;
}

/* Run the statement between CPU_PARALLEL and CPU_PARALLEL_END for [from, from + count) pieces of [0, total),
 * one a thread; cut at multiples of 16 elements so that threads never share a cache line. Small ranges stay
 * on one thread. */
#define CPU_PARALLEL(op, total, from, count)                                                                 \
    {                                                                                                        \
        size_t total_ = (total);                                                                             \
        int threads_ = total_ < 16384 ? 1 : (op)->backend->threads;                                          \
        size_t each_ = ((total_ + (size_t)threads_ - 1) / (size_t)threads_ + 15) / 16 * 16;                  \
        _Pragma("omp parallel for num_threads(threads_) if (threads_ > 1)") for (int t_ = 0; t_ < threads_;  \
                                                                                 t_++)                       \
        {                                                                                                    \
            size_t from = (size_t)t_ * each_, end_ = from + each_ < total_ ? from + each_ : total_;          \
            if (from >= end_)                                                                                \
                continue;                                                                                    \
            size_t count = end_ - from;
#define CPU_PARALLEL_END                                                                                     \
    }                                                                                                        \
    }

#endif
