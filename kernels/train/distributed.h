/* distributed: the ranks of one training run and the collectives between them.
 *
 * Three implementations behind one struct, chosen by dist_create: one rank alone (no library is touched), ranks of one host
 * (distributed_shm.c: shared memory, no MPI_Init), ranks of several hosts (distributed_mpi.c, when built with MPI). Sums are
 * formed in rank order whatever the timing, so a run repeats bit for bit on the same number of ranks (MPI: as far as the
 * MPI library does so).
 *
 * Every function with an err is collective: all ranks call it, in the same order, with the same sizes. On failure (a rank
 * died, the network broke) there is no way on: report the err and leave through dist_abort. A struct dist belongs to one
 * thread; no implementation starts one.
 */
#ifndef KERNELS_TRAIN_DISTRIBUTED_H
#define KERNELS_TRAIN_DISTRIBUTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum dist_type { DIST_F64, DIST_I64 };

struct dist {
    int rank, size;
    int local_rank, local_size; /* among the ranks of this host */
    const struct dist_ops *ops;
    const char *name; /* "single", "shared memory", "mpi" */
};

struct dist_ops {
    int (*sum)(struct dist *d, void *data, size_t n, enum dist_type type, struct err *err);
    int (*broadcast)(struct dist *d, void *data, size_t bytes, int root, struct err *err);
    float *(*buffer)(struct dist *d, size_t floats, struct err *err);
    int (*reduce_start)(struct dist *d, size_t first, size_t count, struct err *err);
    int (*reduce_wait)(struct dist *d, struct err *err);
    int (*gather)(struct dist *d, float *array, const size_t *bounds, struct err *err);
    void (*abort_run)(struct dist *d, int code); /* does not return */
    void (*destroy)(struct dist *d);
};

/* Join the run this process was started in: the environment that mpirun sets says which (OMPI_COMM_WORLD_*). NULL on error.
 * Caller dist_destroy()s. */
struct dist *dist_create(struct err *err);
/* Leave. All ranks call it; destroy(NULL) is legal. */
void dist_destroy(struct dist *d);

/* Sum n numbers of data over the ranks, into data on every rank. For small things: metrics, counts, agreement. */
int dist_sum(struct dist *d, void *data, size_t n, enum dist_type type, struct err *err);
/* Copy root's bytes to every rank. */
int dist_broadcast(struct dist *d, void *data, size_t bytes, int root, struct err *err);
/* Return when every rank is here. */
int dist_barrier(struct dist *d, struct err *err);

/* Memory for what is reduced in every step (the gradients): zeroed, 64-byte aligned, released by dist_destroy. One buffer a
 * run. */
float *dist_buffer(struct dist *d, size_t floats, struct err *err);
/* buffer[first, first+count) is final on this rank: begin summing it over the ranks in place. The part must not be touched
 * until dist_reduce_wait. Parts do not overlap; all ranks start the same parts in the same order, at most
 * DIST_MAX_PARTS between two waits. */
#define DIST_MAX_PARTS 1024
int dist_reduce_start(struct dist *d, size_t first, size_t count, struct err *err);
/* Return when every started part holds the sum. */
int dist_reduce_wait(struct dist *d, struct err *err);

/* array[bounds[r], bounds[r + 1]) of rank r into array on every rank; bounds has size + 1 entries, begins with 0 and does not fall, and
 * is the same on all ranks. The buffer must exist, hold bounds[size] floats and have no part under way; its first
 * bounds[size] floats are lost. */
int dist_gather(struct dist *d, float *array, const size_t *bounds, struct err *err);

/* End the whole run now with this exit code, other ranks too. Does not return. */
void dist_abort(struct dist *d, int code) __attribute__((noreturn));

/* The implementations, for dist_create and the tests. */
struct dist *dist_create_single(void);
/* key names the run on this host; all ranks pass the same. */
struct dist *dist_create_shm(const char *key, int rank, int size, struct err *err);
#ifdef HAVE_MPI
struct dist *dist_create_mpi(struct err *err);
#endif

#endif
