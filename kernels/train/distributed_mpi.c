/* Ranks of several hosts, over MPI. Sums of gradient parts are MPI_Iallreduce in place; starting a part also gives MPI the
 * chance to move the ones before it, since most transports progress only inside calls. */
#include "kernels/train/distributed.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

struct mpi {
    struct dist base;
    float *buffer;
    size_t floats;
    MPI_Request requests[DIST_MAX_PARTS];
    int pending;
};

static int check(int rc, const char *what, struct err *err)
{
    char text[MPI_MAX_ERROR_STRING];
    int n = 0;
    if (rc == MPI_SUCCESS)
        return 0;
    MPI_Error_string(rc, text, &n);
    return err_set(err, ERR_UNAVAILABLE, "%s failed between the ranks: %.*s", what, n, text);
}

static int mpi_sum(struct dist *d, void *data, size_t n, enum dist_type type, struct err *err)
{
    (void)d;
    if (n > INT_MAX)
        return err_set(err, ERR_INTERNAL, "%zu numbers are too many for one sum", n);
    return check(MPI_Allreduce(MPI_IN_PLACE, data, (int)n, type == DIST_F64 ? MPI_DOUBLE : MPI_INT64_T,
                               MPI_SUM, MPI_COMM_WORLD),
                 "a sum", err);
}

static int mpi_broadcast(struct dist *d, void *data, size_t bytes, int root, struct err *err)
{
    const size_t most = 1u << 30;
    (void)d;
    for (size_t at = 0; at < bytes; at += most) {
        size_t n = bytes - at < most ? bytes - at : most;
        if (check(MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, root, MPI_COMM_WORLD), "a broadcast", err))
            return -1;
    }
    return 0;
}

static float *mpi_buffer(struct dist *d, size_t floats, struct err *err)
{
    struct mpi *m = (struct mpi *)d;
    if (m->buffer || floats > (size_t)1 << 40) {
        err_set(err, ERR_INTERNAL, "a run has one gradient buffer, of a size that memory can hold");
        return NULL;
    }
    size_t bytes = (floats * sizeof(float) + 64) / 64 * 64;
    m->buffer = aligned_alloc(64, bytes);
    int64_t failed = m->buffer ? 0 : 1;
    if (dist_sum(d, &failed, 1, DIST_I64, err))
        return NULL;
    if (failed) {
        err_set(err, ERR_IO, "a rank has no memory for %zu bytes of gradients", bytes);
        return NULL;
    }
    memset(m->buffer, 0, bytes);
    m->floats = floats;
    return m->buffer;
}

static int mpi_reduce_start(struct dist *d, size_t first, size_t count, struct err *err)
{
    struct mpi *m = (struct mpi *)d;
    int done;
    if (first > m->floats || count > m->floats - first)
        return err_set(err, ERR_INTERNAL, "part [%zu, +%zu) is not of the gradient buffer of %zu", first,
                       count, m->floats);
    for (size_t at = 0; at < count; at += INT_MAX) {
        size_t n = count - at < INT_MAX ? count - at : INT_MAX;
        if (m->pending == DIST_MAX_PARTS)
            return err_set(err, ERR_INTERNAL, "more than %d parts at once", DIST_MAX_PARTS);
        if (check(MPI_Iallreduce(MPI_IN_PLACE, m->buffer + first + at, (int)n, MPI_FLOAT, MPI_SUM,
                                 MPI_COMM_WORLD, &m->requests[m->pending]),
                  "the sum of gradients", err))
            return -1;
        m->pending++;
    }
    return check(MPI_Testall(m->pending, m->requests, &done, MPI_STATUSES_IGNORE), "the sum of gradients",
                 err);
}

static int mpi_reduce_wait(struct dist *d, struct err *err)
{
    struct mpi *m = (struct mpi *)d;
    int rc = check(MPI_Waitall(m->pending, m->requests, MPI_STATUSES_IGNORE), "the sum of gradients", err);
    m->pending = 0;
    return rc;
}

static int mpi_gather(struct dist *d, float *array, const size_t *bounds, struct err *err)
{
    if (bounds[d->size] <= INT_MAX) {
        int *counts = xcalloc((size_t)d->size * 2, sizeof(*counts)), *at = counts + d->size;
        for (int r = 0; r < d->size; r++) {
            at[r] = (int)bounds[r];
            counts[r] = (int)(bounds[r + 1] - bounds[r]);
        }
        int rc = check(
            MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, array, counts, at, MPI_FLOAT, MPI_COMM_WORLD),
            "sharing the weights", err);
        free(counts);
        return rc;
    }
    for (int r = 0; r < d->size; r++)
        if (mpi_broadcast(d, array + bounds[r], (bounds[r + 1] - bounds[r]) * sizeof(*array), r, err))
            return -1;
    return 0;
}

static void mpi_abort(struct dist *d, int code)
{
    (void)d;
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

static void mpi_destroy(struct dist *d)
{
    struct mpi *m = (struct mpi *)d;
    MPI_Finalize();
    free(m->buffer);
    free(m);
}

static const struct dist_ops mpi_ops = {mpi_sum,         mpi_broadcast, mpi_buffer, mpi_reduce_start,
                                        mpi_reduce_wait, mpi_gather,    mpi_abort,  mpi_destroy};

struct dist *dist_create_mpi(struct err *err)
{
    int given;
    MPI_Comm local;
    if (check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given), "MPI_Init", err))
        return NULL;
    struct mpi *m = xcalloc(1, sizeof(*m));
    m->base.ops = &mpi_ops;
    m->base.name = "mpi";
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &m->base.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &m->base.size);
    if (check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
              "MPI_Comm_split_type", err)) {
        mpi_destroy(&m->base);
        return NULL;
    }
    MPI_Comm_rank(local, &m->base.local_rank);
    MPI_Comm_size(local, &m->base.local_size);
    MPI_Comm_free(&local);
    return &m->base;
}
