/* allreduce: the sum of gradients between the ranks of one host, ours (shared memory) and MPI's, in one run, one size after the other.
 * mpirun starts the ranks; both sum the same floats in place, and the sums are compared.
 *
 *     mpirun -n 2 --bind-to core --mca pml ob1 --mca btl self,vader build/release/benchmarks/allreduce
 *
 * Times are medians over many rounds of the slowest rank; rounds of the two take turns. GB/s is bytes summed by a rank per second.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/train/distributed.h"

enum { MOST = 16 * 1024 * 1024, ROUNDS = 41 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(float *x, size_t n, int rank)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i % 1000 + (size_t)rank);
}

static void must(int rc, const struct err *err)
{
    if (rc) {
        fprintf(stderr, "allreduce: %s\n", err->text);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* Seconds of the slowest rank. */
static double slowest(double begin)
{
    double took = MPI_Wtime() - begin, all;
    MPI_Allreduce(&took, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return all;
}

static double ours(struct dist *d, size_t n)
{
    struct err err = {0};
    must(dist_barrier(d, &err), &err);
    double begin = MPI_Wtime();
    must(dist_reduce_start(d, 0, n, &err) || dist_reduce_wait(d, &err), &err);
    return slowest(begin);
}

static double theirs(float *x, size_t n)
{
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    MPI_Allreduce(MPI_IN_PLACE, x, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    return slowest(begin);
}

static void measure(struct dist *d, float *own, float *mpi, size_t n)
{
    double a[ROUNDS], b[ROUNDS];
    for (int i = -3; i < ROUNDS; i++) { /* the first warm up */
        fill(own, n, d->rank);
        fill(mpi, n, d->rank);
        double x = ours(d, n), y = theirs(mpi, n);
        if (memcmp(own, mpi, n * sizeof(*own)) != 0)
            must(-1, &(struct err){.text = "the sums differ"});
        if (i >= 0) {
            a[i] = x;
            b[i] = y;
        }
    }
    qsort(a, ROUNDS, sizeof(*a), compare);
    qsort(b, ROUNDS, sizeof(*b), compare);
    double x = a[ROUNDS / 2], y = b[ROUNDS / 2], bytes = (double)n * sizeof(float);
    if (d->rank == 0)
        printf("%10.0f %12.1f %8.2f %12.1f %8.2f %8.1f\n", bytes, x * 1e6, bytes / x / 1e9, y * 1e6,
               bytes / y / 1e9, y / x);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    int rank, size;
    char key[32];
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    double now = MPI_Wtime();
    MPI_Bcast(&now, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    snprintf(key, sizeof(key), "bench-%.0f", now * 1e6);
    struct dist *d = dist_create_shm(key, rank, size, &err);
    must(!d, &err);
    float *own = dist_buffer(d, MOST, &err), *mpi = xcalloc(MOST, sizeof(*mpi));
    must(!own, &err);
    if (rank == 0)
        printf("%d ranks\n%10s %12s %8s %12s %8s %8s\n", size, "bytes", "ours us", "GB/s", "MPI us", "GB/s",
               "times");
    for (size_t n = 1024; n <= MOST; n *= 4)
        measure(d, own, mpi, n);
    free(mpi);
    dist_destroy(d);
    MPI_Finalize();
    return 0;
}
