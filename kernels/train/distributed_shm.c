/* Ranks of one host. Two pieces of shared memory:
 *
 * - the control segment: for each rank a few counters and a small staging slot. Made by rank 0 under a name of the run, unlinked
 *   as soon as every rank has it mapped, so that nothing stays behind whatever dies later.
 * - the gradient buffers of all ranks side by side, in a memory file without a name (and without /dev/shm's size limit).
 *
 * A sum of a part of the gradients: every rank says `ready`; rank r then adds slice r of the part over all ranks' buffers, in rank
 * order, and stores the result into all of them; every rank says `done`. Slice r is touched by rank r alone between the two, so
 * there is no lock and no copy, and each byte crosses between cores twice. reduce_start only announces and does what others have
 * made possible meanwhile: ranks drift apart by a few layers in the backward pass, and the waiting disappears in that.
 *
 * A waiting rank spins a little (peers are microseconds away when there is a core each), then sleeps on a futex, and now and
 * then looks whether the peer still lives.
 */
#include "kernels/train/distributed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/units.h"
#include "kernels/optim/vector.h"

#define CONTROL_MAGIC   0x54594453u /* "TYDS" */
#define STAGE_BYTES     (64 * 1024)
#define MAX_LOCAL_RANKS 1024
#define JOIN_SECONDS    60
#define SLEEP_NS        20000000 /* between two looks at whether a peer lives */

struct word {
    _Alignas(64) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
};

struct shared_rank {
    struct word staged; /* small collectives begun */
    struct word ready;  /* parts announced */
    struct word done;   /* parts whose slice this rank has summed */
    _Alignas(64) _Atomic int32_t pid;
    _Atomic uint32_t left;
};

struct control {
    _Atomic uint32_t magic; /* set last, when the rest stands */
    int32_t size, creator;
    _Atomic int32_t abort_code; /* not 0: the run is being ended */
    _Atomic int32_t buffer_fd;  /* rank 0's descriptor of the gradient file, -1 while there is none */
    struct word joined, go;
    struct shared_rank ranks[];
};

struct part {
    size_t first, count;
};

struct shm {
    struct dist base;
    struct control *control;
    size_t control_bytes;
    uint8_t *stage; /* (2, size, STAGE_BYTES) */
    int *pidfds;    /* -1 where the kernel has none */
    uint32_t staged;
    int spins;
    /* gradients */
    char *map;
    size_t map_bytes, stride; /* bytes of one rank's buffer, whole pages */
    size_t floats;
    uint32_t started, summed; /* parts since the beginning */
    struct part parts[DIST_MAX_PARTS];
};

/* ---- waiting ---- */

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static bool reached(uint32_t have, uint32_t want)
{
    return (int32_t)(have - want) >= 0;
}

static void word_set(struct word *w, uint32_t value)
{
    atomic_store(&w->value, value);
    if (atomic_load(&w->sleepers))
        futex(&w->value, FUTEX_WAKE, INT32_MAX, NULL);
}

/* Sleep until the word changes from what it was, or SLEEP_NS passed. */
static void word_sleep(struct word *w, uint32_t want)
{
    const struct timespec t = {.tv_nsec = SLEEP_NS};
    atomic_fetch_add(&w->sleepers, 1);
    uint32_t have = atomic_load(&w->value);
    if (!reached(have, want))
        futex(&w->value, FUTEX_WAIT, have, &t);
    atomic_fetch_sub(&w->sleepers, 1);
}

static void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static bool process_gone(int pid, int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0)
        return poll(&p, 1, 0) > 0;
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Is a peer whose word does not move still there? */
static int check_peer(struct shm *s, int rank, struct err *err)
{
    int code = atomic_load(&s->control->abort_code);
    if (code)
        _exit(code); /* another rank has said why */
    struct shared_rank *r = &s->control->ranks[rank];
    if (atomic_load(&r->left) || process_gone(atomic_load(&r->pid), s->pidfds[rank]))
        return err_set(err, ERR_UNAVAILABLE, "rank %d (process %d) has ended while rank %d waited for it",
                       rank, atomic_load(&r->pid), s->base.rank);
    return 0;
}

static int wait_peer(struct shm *s, struct word *w, uint32_t want, int rank, struct err *err)
{
    for (int i = 0; i < s->spins; i++) {
        if (reached(atomic_load_explicit(&w->value, memory_order_acquire), want))
            return 0;
        spin_pause();
    }
    while (!reached(atomic_load(&w->value), want)) {
        word_sleep(w, want);
        if (!reached(atomic_load(&w->value), want) && check_peer(s, rank, err))
            return -1;
    }
    return 0;
}

/* ---- small collectives, through the staging slots ----
 * Two slots a rank, used in turn: nobody is more than one collective ahead, because finishing one needs everyone's slot of it. */

static uint8_t *slot(struct shm *s, uint32_t turn, int rank)
{
    return s->stage + ((size_t)(turn & 1) * (size_t)s->base.size + (size_t)rank) * STAGE_BYTES;
}

/* Put bytes into the own slot (NULL: nothing) and wait until every rank has done so. */
static int exchange(struct shm *s, const void *data, size_t bytes, struct err *err)
{
    uint32_t turn = ++s->staged;
    if (bytes)
        memcpy(slot(s, turn, s->base.rank), data, bytes);
    word_set(&s->control->ranks[s->base.rank].staged, turn);
    for (int r = 0; r < s->base.size; r++)
        if (r != s->base.rank && wait_peer(s, &s->control->ranks[r].staged, turn, r, err))
            return -1;
    return 0;
}

static int shm_sum(struct dist *d, void *data, size_t n, enum dist_type type, struct err *err)
{
    struct shm *s = (struct shm *)d;
    const size_t most = STAGE_BYTES / 8;
    for (size_t at = 0; at < n; at += most) {
        size_t count = n - at < most ? n - at : most;
        uint8_t *to = (uint8_t *)data + at * 8;
        if (exchange(s, to, count * 8, err))
            return -1;
        memset(to, 0, count * 8);
        for (int r = 0; r < d->size; r++) {
            const void *from = slot(s, s->staged, r);
            for (size_t i = 0; i < count; i++)
                if (type == DIST_F64)
                    ((double *)(void *)to)[i] += ((const double *)from)[i];
                else
                    ((int64_t *)(void *)to)[i] += ((const int64_t *)from)[i];
        }
    }
    return 0;
}

static int shm_broadcast(struct dist *d, void *data, size_t bytes, int root, struct err *err)
{
    struct shm *s = (struct shm *)d;
    for (size_t at = 0; at < bytes; at += STAGE_BYTES) {
        size_t count = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        uint8_t *p = (uint8_t *)data + at;
        if (exchange(s, p, d->rank == root ? count : 0, err))
            return -1;
        if (d->rank != root)
            memcpy(p, slot(s, s->staged, root), count);
    }
    return 0;
}

/* ---- the gradients ---- */

static int open_buffer(struct shm *s, int fd_of_root, struct err *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", atomic_load(&s->control->ranks[0].pid), fd_of_root);
    int fd = s->base.rank == 0 ? fd_of_root : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot share memory with rank 0 through %s: %s", path, strerror(errno));
    void *p = mmap(NULL, s->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error = errno;
    if (s->base.rank != 0)
        close(fd);
    if (p == MAP_FAILED)
        return err_set(err, ERR_IO, "cannot map %zu bytes of shared memory: %s", s->map_bytes,
                       strerror(error));
    s->map = p;
    return 0;
}

static float *shm_buffer(struct dist *d, size_t floats, struct err *err)
{
    struct shm *s = (struct shm *)d;
    struct err local = {0};
    int fd = -1;
    if (s->map || floats > ((size_t)1 << 40)) {
        err_set(err, ERR_INTERNAL, "a run has one gradient buffer, of a size that memory can hold");
        return NULL;
    }
    s->floats = floats;
    s->stride = (floats * sizeof(float) + 4095) / 4096 * 4096 + 4096;
    s->map_bytes = s->stride * (size_t)d->size;
    if (d->rank == 0) {
        fd = memfd_create("trainyard-gradients", MFD_CLOEXEC);
        if (fd >= 0 && ftruncate(fd, (off_t)s->map_bytes) < 0) {
            close(fd);
            fd = -1;
        }
        if (fd < 0)
            err_set(&local, ERR_IO, "cannot make %zu bytes of shared memory: %s", s->map_bytes,
                    strerror(errno));
        atomic_store(&s->control->buffer_fd, fd);
    }
    if (dist_barrier(d, err)) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    int root_fd = atomic_load(&s->control->buffer_fd);
    int64_t failed = root_fd < 0 || open_buffer(s, root_fd, &local) ? 1 : 0;
    if (!failed)
        memset(s->map + (size_t)d->rank * s->stride, 0,
               s->stride); /* touched by its owner: his memory node, no fault later */
    int rc = dist_sum(d, &failed, 1, DIST_I64, err);
    if (fd >= 0)
        close(fd);
    if (rc)
        return NULL;
    if (failed) {
        err_set(err, ERR_IO, "%s",
                local.code ? local.text : "another rank could not map the shared gradient buffer");
        return NULL;
    }
    return (float *)(void *)(s->map + (size_t)d->rank * s->stride);
}

VECTOR_CLONES static void sum_pair(float *restrict a, float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] = a[i] + b[i];
}

VECTOR_CLONES static void sum_into(float *restrict acc, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        acc[i] += x[i];
}

static float *buffer_of(struct shm *s, int rank)
{
    return (float *)(void *)(s->map + (size_t)rank * s->stride);
}

/* Add slice `rank` of a part over all ranks. */
static void sum_slice(struct shm *s, const struct part *p)
{
    size_t size = (size_t)s->base.size,
           lines = (p->count + 15) / 16; /* cut at cache lines: no line has two writers */
    size_t from = lines * (size_t)s->base.rank / size * 16,
           to = lines * ((size_t)s->base.rank + 1) / size * 16;
    if (to > p->count)
        to = p->count;
    if (from >= to)
        return;
    size_t at = p->first + from, n = to - from;
    if (size == 2) {
        sum_pair(buffer_of(s, 0) + at, buffer_of(s, 1) + at, n);
        return;
    }
    float acc[2048];
    while (n > 0) {
        size_t block = n < ARRAY_LEN(acc) ? n : ARRAY_LEN(acc);
        memcpy(acc, buffer_of(s, 0) + at, block * sizeof(float));
        for (int r = 1; r < s->base.size; r++)
            sum_into(acc, buffer_of(s, r) + at, block);
        for (int r = 0; r < s->base.size; r++)
            memcpy(buffer_of(s, r) + at, acc, block * sizeof(float));
        at += block;
        n -= block;
    }
}

static bool everyone_ready(struct shm *s, uint32_t part)
{
    for (int r = 0; r < s->base.size; r++)
        if (!reached(atomic_load_explicit(&s->control->ranks[r].ready.value, memory_order_acquire), part))
            return false;
    return true;
}

static void sum_next(struct shm *s)
{
    sum_slice(s, &s->parts[s->summed % DIST_MAX_PARTS]);
    word_set(&s->control->ranks[s->base.rank].done, ++s->summed);
}

static int shm_reduce_start(struct dist *d, size_t first, size_t count, struct err *err)
{
    struct shm *s = (struct shm *)d;
    if (!s->map || first > s->floats || count > s->floats - first || s->started - s->summed >= DIST_MAX_PARTS)
        return err_set(err, ERR_INTERNAL, "part [%zu, +%zu) is not of the gradient buffer of %zu", first,
                       count, s->floats);
    s->parts[s->started % DIST_MAX_PARTS] = (struct part){first, count};
    word_set(&s->control->ranks[d->rank].ready, ++s->started);
    while (s->summed != s->started && everyone_ready(s, s->summed + 1))
        sum_next(s);
    return 0;
}

static int shm_reduce_wait(struct dist *d, struct err *err)
{
    struct shm *s = (struct shm *)d;
    while (s->summed != s->started) {
        for (int r = 0; r < d->size; r++)
            if (wait_peer(s, &s->control->ranks[r].ready, s->summed + 1, r, err))
                return -1;
        sum_next(s);
    }
    for (int r = 0; r < d->size; r++)
        if (wait_peer(s, &s->control->ranks[r].done, s->started, r, err))
            return -1;
    return 0;
}

/* Every rank puts its part into its own gradient buffer, where the others read it. */
static int shm_gather(struct dist *d, float *array, const size_t *bounds, struct err *err)
{
    struct shm *s = (struct shm *)d;
    if (!s->map || bounds[d->size] > s->floats || s->started != s->summed)
        return err_set(err, ERR_INTERNAL, "%zu floats cannot be gathered through the gradient buffer of %zu",
                       bounds[d->size], s->floats);
    size_t own = bounds[d->rank], n = bounds[d->rank + 1] - own;
    if (n)
        memcpy(buffer_of(s, d->rank) + own, array + own, n * sizeof(*array));
    if (exchange(s, NULL, 0, err))
        return -1;
    for (int i = 1; i < d->size; i++) { /* each begins with another one */
        int r = (d->rank + i) % d->size;
        if (bounds[r + 1] > bounds[r])
            memcpy(array + bounds[r], buffer_of(s, r) + bounds[r],
                   (bounds[r + 1] - bounds[r]) * sizeof(*array));
    }
    return exchange(s, NULL, 0, err); /* nobody overwrites what another still reads */
}

/* ---- joining and leaving ---- */

static void shm_abort(struct dist *d, int code)
{
    struct shm *s = (struct shm *)d;
    int32_t none = 0;
    atomic_compare_exchange_strong(&s->control->abort_code, &none, code ? code : 1);
    for (int r = 0; r < d->size; r++) { /* wake sleepers; they look at abort_code */
        struct shared_rank *q = &s->control->ranks[r];
        futex(&q->staged.value, FUTEX_WAKE, INT32_MAX, NULL);
        futex(&q->ready.value, FUTEX_WAKE, INT32_MAX, NULL);
        futex(&q->done.value, FUTEX_WAKE, INT32_MAX, NULL);
    }
    _exit(code);
}

static void shm_destroy(struct dist *d)
{
    struct shm *s = (struct shm *)d;
    if (s->control) {
        atomic_store(&s->control->ranks[d->rank].left, 1);
        munmap(s->control, s->control_bytes);
    }
    if (s->map)
        munmap(s->map, s->map_bytes);
    for (int r = 0; r < d->size; r++)
        if (s->pidfds[r] >= 0)
            close(s->pidfds[r]);
    free(s->pidfds);
    free(s);
}

static const struct dist_ops shm_ops = {shm_sum,         shm_broadcast, shm_buffer, shm_reduce_start,
                                        shm_reduce_wait, shm_gather,    shm_abort,  shm_destroy};

static int map_control(struct shm *s, int fd, struct err *err)
{
    void *p = mmap(NULL, s->control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_set(err, ERR_IO, "cannot map %zu bytes of shared memory: %s", s->control_bytes,
                       strerror(errno));
    s->control = p;
    return 0;
}

/* Rank 0: make the segment, wait for the others, take its name away. */
static int create_control(struct shm *s, const char *name, struct err *err)
{
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 3; tries++) {
        fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            shm_unlink(name); /* of a run that was killed in its first milliseconds */
        else if (fd < 0)
            break;
    }
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot make shared memory /dev/shm%s: %s", name, strerror(errno));
    int rc = posix_fallocate(fd, 0, (off_t)s->control_bytes);
    if (rc != 0) {
        shm_unlink(name);
        close(fd);
        return err_set(err, ERR_IO, "cannot get %zu KiB of shared memory in /dev/shm for %d ranks: %s",
                       s->control_bytes / 1024, s->base.size, strerror(rc));
    }
    rc = map_control(s, fd, err);
    close(fd);
    if (rc) {
        shm_unlink(name);
        return -1;
    }
    struct control *c = s->control;
    c->size = s->base.size;
    c->creator = getpid();
    atomic_store(&c->buffer_fd, -1);
    atomic_store(&c->ranks[0].pid, getpid());
    atomic_store(&c->magic, CONTROL_MAGIC);
    uint32_t others = (uint32_t)s->base.size - 1;
    double end = time_monotonic() + JOIN_SECONDS;
    while (!reached(atomic_load(&c->joined.value), others) && time_monotonic() < end)
        word_sleep(&c->joined, others);
    shm_unlink(name);
    uint32_t joined = atomic_load(&c->joined.value);
    if (!reached(joined, others))
        return err_set(err, ERR_TIMEOUT, "only %u of %d ranks arrived within %d s", joined + 1, s->base.size,
                       JOIN_SECONDS);
    word_set(&c->go, 1);
    return 0;
}

/* One try of another rank: 1 joined, 0 not there yet (or a dead run's), -1 error. */
static int try_join(struct shm *s, const char *name, double end, struct err *err)
{
    struct stat st;
    int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return errno == ENOENT
                   ? 0
                   : err_set(err, ERR_IO, "cannot open shared memory /dev/shm%s: %s", name, strerror(errno));
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (size_t)st.st_size != s->control_bytes) {
        close(fd);
        return 0;
    }
    int rc = map_control(s, fd, err);
    close(fd);
    if (rc)
        return -1;
    struct control *c = s->control;
    while (atomic_load(&c->magic) != CONTROL_MAGIC && time_monotonic() < end)
        sched_yield();
    if (atomic_load(&c->magic) == CONTROL_MAGIC && c->size == s->base.size) {
        atomic_store(&c->ranks[s->base.rank].pid, getpid());
        atomic_fetch_add(&c->joined.value, 1);
        futex(&c->joined.value, FUTEX_WAKE, INT32_MAX, NULL);
        while (!atomic_load(&c->go.value) && time_monotonic() < end) {
            word_sleep(&c->go, 1);
            if (!atomic_load(&c->go.value) && process_gone(c->creator, -1))
                break;
        }
        if (atomic_load(&c->go.value))
            return 1;
    }
    munmap(s->control, s->control_bytes);
    s->control = NULL;
    return 0;
}

static int join_control(struct shm *s, const char *name, struct err *err)
{
    double end = time_monotonic() + JOIN_SECONDS;
    struct timespec pause = {.tv_nsec = 100000};
    do {
        int rc = try_join(s, name, end, err);
        if (rc)
            return rc < 0 ? -1 : 0;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 5000000)
            pause.tv_nsec *= 2;
    } while (time_monotonic() < end);
    return err_set(err, ERR_TIMEOUT, "rank %d found no rank 0 within %d s", s->base.rank, JOIN_SECONDS);
}

/* Spinning is for those who have a core of their own. */
static int choose_spins(int local_size)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online >= local_size ? 20000 : 50;
}

struct dist *dist_create_shm(const char *key, int rank, int size, struct err *err)
{
    char name[128];
    if (size < 1 || size > MAX_LOCAL_RANKS || rank < 0 || rank >= size) {
        err_set(err, ERR_INVALID, "rank %d of %d is not possible on one host (at most %d ranks)", rank, size,
                MAX_LOCAL_RANKS);
        return NULL;
    }
    struct shm *s = xcalloc(1, sizeof(*s));
    s->base = (struct dist){.rank = rank,
                            .size = size,
                            .local_rank = rank,
                            .local_size = size,
                            .ops = &shm_ops,
                            .name = "shared memory"};
    s->spins = choose_spins(size);
    s->pidfds = xcalloc((size_t)size, sizeof(int));
    for (int r = 0; r < size; r++)
        s->pidfds[r] = -1;
    size_t head = (sizeof(struct control) + (size_t)size * sizeof(struct shared_rank) + 4095) / 4096 * 4096;
    s->control_bytes = head + 2 * (size_t)size * STAGE_BYTES;
    snprintf(name, sizeof(name), "/trainyard-%u-%s", (unsigned)geteuid(), key);
    if (rank == 0 ? create_control(s, name, err) : join_control(s, name, err)) {
        shm_destroy(&s->base);
        return NULL;
    }
    s->stage = (uint8_t *)s->control + head;
    for (int r = 0; r < size; r++)
        if (r != rank)
            s->pidfds[r] = (int)syscall(SYS_pidfd_open, atomic_load(&s->control->ranks[r].pid), 0);
    return &s->base;
}
