/* The shared-memory collectives between real processes. */
#include "kernels/train/distributed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/ids.h"

#define MUST(x)                                                                                              \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "%s:%d: rank %d: %s\n", __FILE__, __LINE__, d ? d->rank : -1, #x);               \
            _exit(99);                                                                                       \
        }                                                                                                    \
    } while (0)

typedef void body_f(struct dist *d);

/* Run body in `size` processes that join under one key; the exit codes. */
static void run_ranks(int size, body_f *body, int *codes)
{
    char key[17];
    pid_t pids[16];
    random_hex(key, 16);
    for (int r = size - 1; r >= 0; r--) { /* rank 0 last: the others have to wait for it */
        pids[r] = fork();
        if (pids[r] == 0) {
            struct err err = {0};
            struct dist *d = dist_create_shm(key, r, size, &err);
            if (!d)
                fprintf(stderr, "rank %d: %s\n", r, err.text);
            MUST(d);
            body(d);
            dist_destroy(d);
            _exit(0);
        }
    }
    for (int r = 0; r < size; r++) {
        int status;
        assert_int_equal(waitpid(pids[r], &status, 0), pids[r]);
        codes[r] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

static void all_succeed(int size, body_f *body)
{
    int codes[16];
    run_ranks(size, body, codes);
    for (int r = 0; r < size; r++)
        assert_int_equal(codes[r], 0);
}

/* A number with all its bits in use, different for every rank and place. */
static float number(int rank, size_t i)
{
    return (float)(((uint32_t)i * 2654435761u + (uint32_t)rank * 40503u) >> 8) * 0x1p-20f - 8;
}

static void reduce_in_parts(struct dist *d)
{
    enum { N = 100003 };
    struct err err = {0};
    float *g = dist_buffer(d, N, &err);
    MUST(g);
    for (int step = 0; step < 20; step++) {
        for (size_t i = 0; i < N; i++)
            g[i] = number(d->rank + step, i);
        size_t cuts[] = {0, 1, 17, 1000, 50000, 50000, 99999, N};
        for (int p = 0; p < 7; p++) {
            if ((d->rank + p + step) % 3 == 0)
                usleep(100); /* ranks drift apart */
            MUST(!dist_reduce_start(d, cuts[p], cuts[p + 1] - cuts[p], &err));
        }
        MUST(!dist_reduce_wait(d, &err));
        for (size_t i = 0; i < N; i++) { /* in rank order, to the bit */
            float want = number(step, i);
            for (int r = 1; r < d->size; r++)
                want += number(r + step, i);
            MUST(g[i] == want);
        }
    }
}

static void parts_sum_in_rank_order_to_the_bit(void **state)
{
    (void)state;
    for (int size = 1; size <= 5; size++)
        all_succeed(size, reduce_in_parts);
}

/* Parts of any size, none too, turn by turn with sums of gradients in the same buffer. */
static void gather_parts(struct dist *d)
{
    enum { N = 50021 };
    struct err err = {0};
    float *g = dist_buffer(d, N + 1, &err), *w = malloc(N * sizeof(*w));
    size_t bounds[17] = {0};
    MUST(g && w);
    for (int step = 0; step < 20; step++) {
        for (int r = 1; r < d->size; r++)
            bounds[r] = step % 5 == 4 ? N : (size_t)N * (size_t)r * (size_t)r / (size_t)(d->size * d->size);
        bounds[d->size] = N;
        for (size_t i = 0; i < N; i++)
            w[i] = number(d->rank + step, i);
        g[N] = 1;
        MUST(!dist_reduce_start(d, N, 1, &err) && !dist_reduce_wait(d, &err));
        MUST(!dist_gather(d, w, bounds, &err));
        for (int r = 0; r < d->size; r++)
            for (size_t i = bounds[r]; i < bounds[r + 1]; i++)
                MUST(w[i] == number(r + step, i));
        MUST(g[N] == (float)d->size); /* what is behind the parts stays */
    }
    bounds[d->size] = N + 2;
    MUST(d->size == 1 || dist_gather(d, w, bounds, &err) == -1);
    free(w);
}

static void parts_gather_on_every_rank(void **state)
{
    (void)state;
    for (int size = 1; size <= 4; size++)
        all_succeed(size, gather_parts);
}

static void small_sums_and_broadcast(struct dist *d)
{
    enum { N = 20000 };
    struct err err = {0};
    double *x = malloc(N * sizeof(double));
    int64_t c[3] = {1, d->rank, (int64_t)1 << 60};
    MUST(x);
    for (int i = 0; i < N; i++)
        x[i] = d->rank * 0.1 + i;
    MUST(!dist_sum(d, x, N, DIST_F64, &err));
    for (int i = 0; i < N; i++) {
        double want = 0;
        for (int r = 0; r < d->size; r++)
            want += r * 0.1 + i;
        MUST(x[i] == want);
    }
    MUST(!dist_sum(d, c, 2, DIST_I64, &err));
    MUST(c[0] == d->size && c[1] == (int64_t)d->size * (d->size - 1) / 2 && c[2] == (int64_t)1 << 60);
    for (int i = 0; i < N; i++)
        x[i] = d->rank == d->size - 1 ? i * 3 : -1;
    MUST(!dist_broadcast(d, x, N * sizeof(double), d->size - 1, &err));
    for (int i = 0; i < N; i++)
        MUST(x[i] == i * 3);
    for (int i = 0; i < 2000; i++)
        MUST(!dist_barrier(d, &err));
    free(x);
}

static void sums_and_broadcasts_reach_every_rank(void **state)
{
    (void)state;
    for (int size = 1; size <= 4; size++)
        all_succeed(size, small_sums_and_broadcast);
}

static void last_rank_dies(struct dist *d)
{
    struct err err = {0};
    MUST(!dist_barrier(d, &err));
    if (d->rank == d->size - 1)
        _exit(7); /* without leaving */
    MUST(dist_barrier(d, &err) == -1);
    MUST(strstr(err.text, "rank 2") && strstr(err.text, "ended"));
    _exit(5);
}

static void a_dead_rank_is_an_error_not_a_hang(void **state)
{
    int codes[3];
    (void)state;
    run_ranks(3, last_rank_dies, codes);
    assert_int_equal(codes[2], 7);
    assert_int_equal(codes[0], 5);
    assert_int_equal(codes[1], 5);
}

static void one_aborts(struct dist *d)
{
    struct err err = {0};
    if (d->rank == 1) {
        usleep(20000);
        dist_abort(d, 4);
    }
    dist_barrier(d, &err);
    _exit(1);
}

static void an_abort_ends_all_ranks_with_its_code(void **state)
{
    int codes[3];
    (void)state;
    run_ranks(3, one_aborts, codes);
    for (int r = 0; r < 3; r++)
        assert_int_equal(codes[r], 4);
}

static void nothing_stays_in_dev_shm(void **state)
{
    (void)state;
    all_succeed(2, small_sums_and_broadcast);
    char name[64];
    snprintf(name, sizeof(name), "ls /dev/shm | grep -q '^trainyard-%u-'", (unsigned)geteuid());
    assert_int_not_equal(system(name), 0);
}

static void alone_nothing_is_summed(void **state)
{
    struct err err = {0};
    double x[2] = {1, 2};
    (void)state;
    struct dist *d = dist_create_single();
    float *g = dist_buffer(d, 10, &err);
    assert_non_null(g);
    assert_true((uintptr_t)g % 64 == 0);
    g[3] = 5;
    assert_int_equal(dist_sum(d, x, 2, DIST_F64, &err), 0);
    assert_int_equal(dist_reduce_start(d, 0, 10, &err), 0);
    assert_int_equal(dist_reduce_wait(d, &err), 0);
    assert_true(x[1] == 2 && g[3] == 5);
    dist_destroy(d);
    dist_destroy(NULL);
}

static void a_foreign_part_is_refused(void **state)
{
    struct err err = {0};
    (void)state;
    struct dist *d = dist_create_shm("trainyard-test-part", 0, 1, &err);
    assert_non_null(d);
    assert_non_null(dist_buffer(d, 100, &err));
    assert_int_equal(dist_reduce_start(d, 90, 20, &err), -1);
    assert_int_equal(dist_reduce_start(d, SIZE_MAX, 2, &err), -1);
    dist_destroy(d);
    assert_null(dist_create_shm("x", 2, 2, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_nothing_is_summed),
        cmocka_unit_test(parts_sum_in_rank_order_to_the_bit),
        cmocka_unit_test(parts_gather_on_every_rank),
        cmocka_unit_test(sums_and_broadcasts_reach_every_rank),
        cmocka_unit_test(a_dead_rank_is_an_error_not_a_hang),
        cmocka_unit_test(an_abort_ends_all_ranks_with_its_code),
        cmocka_unit_test(a_foreign_part_is_refused),
        cmocka_unit_test(nothing_stays_in_dev_shm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
