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
    if (limit(RLIMIT_NPROC, "512") || setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
        setresuid(NOBODY, NOBODY, NOBODY))
        return -1;
    return setuid(0) == -1 ? 0 : -1;
}

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_RIGHTS                                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define ALL_RIGHTS ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* what the first version of Landlock knows */

static void allow(int ruleset, const char *path, uint64_t rights)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return; /* a folder that this machine lacks needs no rule */
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rights &= FILE_RIGHTS;
    struct landlock_path_beneath_attr attr = {.allowed_access = rights, .parent_fd = fd};
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
    close(fd);
}

/* Best effort: a kernel without Landlock leaves the other walls. */
static void landlock(const char *program)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = ALL_RIGHTS};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return;
    static const char *const readable[] = {"/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/opt"};
    for (size_t i = 0; i < ARRAY_LEN(readable); i++)
        allow(ruleset, readable[i], READ_RIGHTS);
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"};
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        allow(ruleset, devices[i], LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
    char *copy = xstrdup(program);
    allow(ruleset, dirname(copy), READ_RIGHTS);
    free(copy);
    allow(ruleset, "in", READ_RIGHTS);
    allow(ruleset, "out", ALL_RIGHTS);
    syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
}

int cage_main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "internal-cage is for the orchestrator only\n");
        return 2;
    }
    pid_t parent = getppid();
    /* Opened with all rights: the program may lie where "nobody" can't go. Not close-on-exec, so that a
     * script works too. */
    int program = open(argv[3], O_RDONLY);
    if (program < 0) {
        fprintf(stderr, "cannot open %s: %s\n", argv[3], strerror(errno));
        return 127;
    }
    if (limit_all(argv) < 0 || become_nobody() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
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
