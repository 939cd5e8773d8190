#include "orchestrator/verify/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/sha256.h"

#define NOBODY 65534

/* --- the scratch folder --------------------------------------------------------------------------------- */

char *cage_folder(const char *dir, struct err *err)
{
    char tail[17];
    random_hex(tail, 16);
    char *folder = xasprintf("%s/verify-%s", dir, tail);
    char *in = path_join(folder, "in"), *out = path_join(folder, "out");
    /* Readable for the caged user, who gets there only because it is its working directory: what is above is
     * ours. */
    bool ok = mkdir(folder, 0755) == 0 && mkdir(in, 0755) == 0 && mkdir(out, 0700) == 0 &&
              chmod(folder, 0755) == 0 && chmod(in, 0755) == 0 &&
              (geteuid() != 0 || chown(out, NOBODY, NOBODY) == 0);
    if (!ok) {
        err_set(err, ERR_IO, "cannot make the scratch folder %s: %s", folder, strerror(errno));
        free(folder);
        folder = NULL;
    }
    free(in);
    free(out);
    return folder;
}

int cage_put(const char *folder, const char *path, const char *name, struct err *err)
{
    char *to = xasprintf("%s/in/%s", folder, name);
    int rc =
        link(path, to) == 0 ? 0 : err_set(err, ERR_IO, "cannot link %s to %s: %s", path, to, strerror(errno));
    free(to);
    return rc;
}

/* --- rights --------------------------------------------------------------------------------------------- */

static int limit(int what, const char *text)
{
    rlim_t n = strtoull(text, NULL, 10);
    return setrlimit(what, &(struct rlimit){n, n});
}

static int limit_all(char **argv)
{
    if (limit(RLIMIT_CPU, argv[0]) || limit(RLIMIT_FSIZE, argv[2]) || limit(RLIMIT_NOFILE, "256") ||
        limit(RLIMIT_CORE, "0"))
        return -1;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* Data, not address space: a mapped dataset of any size is fine. Sanitizers reserve terabytes, so not
     * with them. */
    if (limit(RLIMIT_DATA, argv[1]))
        return -1;
#endif
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "1000", 4) < 0)
            errno = 0; /* a wish: without it the kernel chooses by size */
        close(fd);
    }
    return 0;
}

static int become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    /* Without namespaces (a container may forbid them) there is still no right left that the network would
     * give. */
    (void)!unshare(CLONE_NEWNET | CLONE_NEWIPC);
    if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
        return -1;
    return setuid(0) == -1 ? 0 : -1;
}

/* Landlock grew by versions; what the headers here may lack. */
#define FS_REFER     (1ull << 13) /* 2 */
#define FS_TRUNCATE  (1ull << 14) /* 3 */
#define FS_IOCTL_DEV (1ull << 15) /* 5 */
#define FS_FIRST     ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define NET_TCP      3ull /* 4: bind, connect */
#define SCOPES       3ull /* 6: abstract sockets, signals */

#define READ_RIGHTS   (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define DEVICE_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

static void allow(int ruleset, const char *path, uint64_t rights)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return; /* a folder that this machine lacks needs no rule */
    struct landlock_path_beneath_attr attr = {.allowed_access = rights, .parent_fd = fd};
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
    close(fd);
}

/* A new set of rules with all that this kernel can forbid; -1 when it knows no Landlock. */
static int new_ruleset(uint64_t *fs)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return -1;
    struct ruleset_attr attr = {.fs = FS_FIRST};
    attr.fs |=
        (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
    attr.net = version >= 4 ? NET_TCP : 0;
    attr.scoped = version >= 6 ? SCOPES : 0;
    *fs = attr.fs;
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

/* Best effort: a kernel without Landlock leaves the other walls. */
static void landlock(const char *program)
{
    uint64_t all = 0;
    int ruleset = new_ruleset(&all);
    if (ruleset < 0)
        return;
    static const char *const readable[] = {"/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/opt"};
    for (size_t i = 0; i < ARRAY_LEN(readable); i++)
        allow(ruleset, readable[i], READ_RIGHTS);
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"};
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        allow(ruleset, devices[i], DEVICE_RIGHTS);
    char *copy = xstrdup(program);
    allow(ruleset, dirname(copy), READ_RIGHTS);
    free(copy);
    allow(ruleset, "in", READ_RIGHTS);
    allow(ruleset, "out", all);
    syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
}

/* It starts no process and no thread: so none is left when it is gone. After the change of user, which would otherwise count
 * against it. */
static int start_nothing(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    return limit(RLIMIT_NPROC, "0");
#endif
}

int cage_main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "internal-cage is for the orchestrator only\n");
        return 2;
    }
    /* Told, not asked for: it may be gone before we run. */
    pid_t parent = (pid_t)atol(*argv++);
    /* Opened with all rights: the program may lie where "nobody" can't go. Not close-on-exec, so that a
     * script works too. */
    int program = open(argv[3], O_RDONLY);
    if (program < 0) {
        fprintf(stderr, "cannot open %s: %s\n", argv[3], strerror(errno));
        return 127;
    }
    if (limit_all(argv) < 0 || become_nobody() < 0 || start_nothing() < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fprintf(stderr, "cannot take on the limits of a verification: %s\n", strerror(errno));
        return 126;
    }
    if (getppid() != parent)
        return 126; /* the orchestrator went before the death signal was set */
    landlock(argv[3]);
    static const char *const environment[] = {
        "PATH=/usr/bin:/bin",     "LANG=C.UTF-8",       "HOME=/", "TMPDIR=out", "OMP_NUM_THREADS=1",
        "OPENBLAS_NUM_THREADS=1", "MALLOC_ARENA_MAX=2", NULL};
    fexecve(program, argv + 3, (char *const *)(uintptr_t)environment);
    fprintf(stderr, "cannot run %s: %s\n", argv[3], strerror(errno));
    return 127;
}

/* --- sealing -------------------------------------------------------------------------------------------- */

int seal_main(int argc, char **argv)
{
    struct stat st;
    int fd = argc == 1 ? open(argv[0], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
        fprintf(stderr, "not a file of its own\n");
        return 1;
    }
    static char piece[1 << 18];
    struct sha256 hash;
    char hex[SHA256_HEX];
    int64_t size = 0;
    sha256_init(&hash);
    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "cannot read: %s\n", strerror(errno));
            return 1;
        }
        if (n == 0)
            break;
        sha256_update(&hash, piece, (size_t)n);
        size += n;
    }
    sha256_hex(&hash, hex);
    if ((geteuid() == 0 && fchown(fd, 0, 0) < 0) || fchmod(fd, 0444) < 0 || fsync(fd) < 0) {
        fprintf(stderr, "cannot make it durable: %s\n", strerror(errno));
        return 1;
    }
    printf("%s %lld\n", hex, (long long)size);
    return 0;
}
