#include "kernels/usercode/build.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HAVE_LIBTCC
#include <libtcc.h>
#endif

#include "base/file.h"
#include "base/mem.h"

struct built {
    void *library;
#ifdef HAVE_LIBTCC
    TCCState *tcc;
#endif
    const char *compiler;
};

/* ---- the system's compiler ---- */

static char *find_compiler(void)
{
    static const char *const names[] = {"cc", "gcc", "clang"};
    const char *path = getenv("PATH");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
            size_t n = strcspn(at, ":");
            char *file = xasprintf("%.*s/%s", (int)n, at, names[i]);
            if (n && access(file, X_OK) == 0)
                return file;
            free(file);
            at += n + (at[n] == ':');
        }
    }
    return NULL;
}

/* Run it quietly; its words go into the file errors. */
static int run_compiler(const char *compiler, const char *from, const char *to, const char *errors)
{
    /* -fno-finite-math-only: a value that is not finite must be seen. */
    const char *const argv[] = {compiler,
                                "-std=gnu17",
                                "-O3",
                                "-march=native",
                                "-ffast-math",
                                "-fno-finite-math-only",
                                "-shared",
                                "-fPIC",
                                "-w",
                                "-o",
                                to,
                                from,
                                "-lm",
                                NULL};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t pid;
    int status = -1, rc = posix_spawn(&pid, compiler, &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (rc)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return -1;
    int rc = fputs(text, f) < 0 ? -1 : 0;
    return fclose(f) ? -1 : rc;
}

static void *build_shared(const char *text, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    char *compiler = find_compiler(), *folder = xasprintf("%s/trainyard-kernel-XXXXXX", tmp ? tmp : "/tmp");
    void *library = NULL;
    if (!compiler) {
        err_set(err, ERR_NOT_FOUND, "there is no C compiler (cc, gcc, clang) on PATH");
    } else if (!mkdtemp(folder)) {
        err_set(err, ERR_IO, "cannot make a folder %s: %s", folder, strerror(errno));
    } else {
        char *from = path_join(folder, "kernel.c"), *to = path_join(folder, "kernel.so"),
             *errors = path_join(folder, "errors");
        struct buf said = {0};
        if (write_text(from, text))
            err_set(err, ERR_IO, "cannot write %s: %s", from, strerror(errno));
        else if (run_compiler(compiler, from, to, errors))
            err_set(err, ERR_INTERNAL, "%s does not compile a kernel: %.300s", compiler,
                    file_read(errors, 1 << 20, &said, NULL) == 0 ? buf_str(&said) : "");
        else if (!(library = dlopen(to, RTLD_NOW | RTLD_LOCAL)))
            err_set(err, ERR_INTERNAL, "cannot load a compiled kernel: %s", dlerror());
        buf_free(&said);
        unlink(from), unlink(to), unlink(errors);
        rmdir(folder);
        free(from), free(to), free(errors);
    }
    free(compiler);
    free(folder);
    return library;
}

/* ---- libtcc ---- */

#ifdef HAVE_LIBTCC
static void on_error(void *arg, const char *message)
{
    struct err *err = arg;
    if (err->code == ERR_NONE)
        err_set(err, ERR_INTERNAL, "libtcc does not compile a kernel: %s", message);
}

static TCCState *build_tcc(const char *text, struct err *err)
{
    static const struct {
        const char *name;
        float (*function)(float);
    } ones[] = {{"expf", expf},   {"logf", logf},     {"sqrtf", sqrtf}, {"tanhf", tanhf},
                {"sinf", sinf},   {"cosf", cosf},     {"atanf", atanf}, {"erff", erff},
                {"fabsf", fabsf}, {"floorf", floorf}, {"ceilf", ceilf}, {"roundf", roundf}};
    static const struct {
        const char *name;
        float (*function)(float, float);
    } twos[] = {{"powf", powf}, {"fminf", fminf}, {"fmaxf", fmaxf}};
    struct err own = {0};
    TCCState *s = tcc_new();
    if (!s) {
        err_set(err, ERR_INTERNAL, "libtcc cannot start");
        return NULL;
    }
    tcc_set_error_func(s, &own, on_error);
    tcc_set_options(s, "-nostdlib -nostdinc -w");
    tcc_set_output_type(s, TCC_OUTPUT_MEMORY);
    for (size_t i = 0; i < ARRAY_LEN(ones); i++)
        tcc_add_symbol(s, ones[i].name, (const void *)(uintptr_t)ones[i].function);
    for (size_t i = 0; i < ARRAY_LEN(twos); i++)
        tcc_add_symbol(s, twos[i].name, (const void *)(uintptr_t)twos[i].function);
    if (tcc_compile_string(s, text) < 0 || tcc_relocate(s, TCC_RELOCATE_AUTO) < 0) {
        *err = own;
        if (own.code == ERR_NONE)
            err_set(err, ERR_INTERNAL, "libtcc does not compile a kernel");
        tcc_delete(s);
        return NULL;
    }
    return s;
}
#endif

/* ---- both ---- */

struct built *build_c_in_process(const char *text, struct err *err)
{
#ifdef HAVE_LIBTCC
    struct built *b = xcalloc(1, sizeof(*b));
    b->tcc = build_tcc(text, err);
    b->compiler = "tcc";
    if (b->tcc)
        return b;
    free(b);
#else
    (void)text;
    err_set(err, ERR_UNSUPPORTED, "this trainer was built without libtcc");
#endif
    return NULL;
}

struct built *build_c(const char *text, struct err *err)
{
    struct err other = {0};
    void *library = build_shared(text, err);
    if (!library) {
        struct built *b = build_c_in_process(text, &other);
        if (b)
            *err = (struct err){0};
        return b;
    }
    struct built *b = xcalloc(1, sizeof(*b));
    b->library = library;
    b->compiler = "cc";
    return b;
}

void *build_symbol(const struct built *b, const char *name)
{
#ifdef HAVE_LIBTCC
    if (b->tcc)
        return tcc_get_symbol(b->tcc, name);
#endif
    return dlsym(b->library, name);
}

const char *build_compiler(const struct built *b)
{
    return b->compiler;
}

void build_free(struct built *b)
{
    if (!b)
        return;
#ifdef HAVE_LIBTCC
    if (b->tcc)
        tcc_delete(b->tcc);
#endif
    if (b->library)
        dlclose(b->library);
    free(b);
}
