#include "kernels/train/distributed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/sha256.h"

/* ---- one rank alone ---- */

struct single {
    struct dist base;
    float *buffer;
};

static int single_sum(struct dist *d, void *data, size_t n, enum dist_type type, struct err *err)
{
    (void)d, (void)data, (void)n, (void)type, (void)err;
    return 0;
}

static int single_broadcast(struct dist *d, void *data, size_t bytes, int root, struct err *err)
{
    (void)d, (void)data, (void)bytes, (void)root, (void)err;
    return 0;
}

static float *single_buffer(struct dist *d, size_t floats, struct err *err)
{
    struct single *s = (struct single *)d;
    if (s->buffer || floats > SIZE_MAX / sizeof(float) - 64) {
        err_set(err, ERR_INTERNAL, "a run has one gradient buffer, of a size that memory can hold");
        return NULL;
    }
    size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
    s->buffer = aligned_alloc(64, bytes ? bytes : 64);
    if (!s->buffer) {
        err_set(err, ERR_IO, "no memory for %zu bytes of gradients", bytes);
        return NULL;
    }
    memset(s->buffer, 0, bytes);
    return s->buffer;
}

static int single_reduce_start(struct dist *d, size_t first, size_t count, struct err *err)
{
    (void)d, (void)first, (void)count, (void)err;
    return 0;
}

static int single_reduce_wait(struct dist *d, struct err *err)
{
    (void)d, (void)err;
    return 0;
}

static int single_gather(struct dist *d, float *array, const size_t *bounds, struct err *err)
{
    (void)d, (void)array, (void)bounds, (void)err;
    return 0;
}

static void single_abort(struct dist *d, int code)
{
    (void)d;
    _exit(code);
}

static void single_destroy(struct dist *d)
{
    free(((struct single *)d)->buffer);
    free(d);
}

static const struct dist_ops single_ops = {single_sum,          single_broadcast,   single_buffer,
                                           single_reduce_start, single_reduce_wait, single_gather,
                                           single_abort,        single_destroy};

struct dist *dist_create_single(void)
{
    struct single *s = xcalloc(1, sizeof(*s));
    s->base = (struct dist){.size = 1, .local_size = 1, .ops = &single_ops, .name = "single"};
    return &s->base;
}

/* ---- which one ---- */

static int env_number(const char *name, int fallback)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return fallback;
    long v = strtol(text, &end, 10);
    return *end || v < 0 || v > 1000000 ? fallback : (int)v;
}

/* A name that the ranks of this run share and no other run of this host has: mpirun's own job id and the address of its
 * server, which is unique while it lives. */
static void run_key(char out[SHA256_HEX])
{
    static const char *const names[] = {"PMIX_NAMESPACE", "PMIX_SERVER_URI2", "PMIX_SERVER_TMPDIR",
                                        "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_hnp_uri"};
    struct sha256 s;
    sha256_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *v = getenv(names[i]);
        if (v)
            sha256_update(&s, v, strlen(v));
        sha256_update(&s, "\n", 1);
    }
    sha256_hex(&s, out);
}

struct dist *dist_create(struct err *err)
{
    int size = env_number("OMPI_COMM_WORLD_SIZE", 1), rank = env_number("OMPI_COMM_WORLD_RANK", 0);
    int local = env_number("OMPI_COMM_WORLD_LOCAL_SIZE", 0);
    if (size <= 1)
        return dist_create_single();
    if (local == size) {
        char key[SHA256_HEX];
        run_key(key);
        key[24] = 0;
        return dist_create_shm(key, rank, size, err);
    }
#ifdef HAVE_MPI
    return dist_create_mpi(err);
#else
    err_set(err, ERR_UNSUPPORTED,
            "%d ranks on several hosts, but this trainer was built without MPI: install libopenmpi-dev and "
            "build again",
            size);
    return NULL;
#endif
}

void dist_destroy(struct dist *d)
{
    if (d)
        d->ops->destroy(d);
}

int dist_sum(struct dist *d, void *data, size_t n, enum dist_type type, struct err *err)
{
    return d->ops->sum(d, data, n, type, err);
}

int dist_broadcast(struct dist *d, void *data, size_t bytes, int root, struct err *err)
{
    return d->ops->broadcast(d, data, bytes, root, err);
}

int dist_barrier(struct dist *d, struct err *err)
{
    int64_t one = 1;
    return d->ops->sum(d, &one, 1, DIST_I64, err);
}

float *dist_buffer(struct dist *d, size_t floats, struct err *err)
{
    return d->ops->buffer(d, floats, err);
}

int dist_reduce_start(struct dist *d, size_t first, size_t count, struct err *err)
{
    return d->ops->reduce_start(d, first, count, err);
}

int dist_reduce_wait(struct dist *d, struct err *err)
{
    return d->ops->reduce_wait(d, err);
}

int dist_gather(struct dist *d, float *array, const size_t *bounds, struct err *err)
{
    return d->ops->gather(d, array, bounds, err);
}

void dist_abort(struct dist *d, int code)
{
    d->ops->abort_run(d, code);
    abort();
}
