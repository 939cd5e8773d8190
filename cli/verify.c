/* trainyard verify [KIND] FILE: the checks of an upload, without a server: the trainer itself looks at the file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/paths.h"
#include "cli/problem.h"
#include "cli/verb.h"

#define MAX_ANSWER (256u << 20)

static const char *const KINDS[] = {"dataset", "algorithm", "layer", "model"};

static bool is_kind(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        if (strcmp(KINDS[i], word) == 0)
            return true;
    return false;
}

/* "format": "trainyard.model/1" says it; whatever is no such JSON is a dataset. */
static const char *kind_of(const char *file)
{
    struct stat st;
    const char *kind = "dataset";
    if (stat(file, &st) || !S_ISREG(st.st_mode) || st.st_size > 16 << 20)
        return kind;
    json_t *doc = json_parse_file(file, 16 << 20, NULL);
    const char *format = jstr(doc, "format");
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        if (strncmp(format, "trainyard.", 10) == 0 && strncmp(format + 10, KINDS[i], strlen(KINDS[i])) == 0)
            kind = KINDS[i];
    size_t n = strlen(file);
    if (!*format && n > 5 && strcmp(file + n - 5, ".json") == 0)
        kind = "model"; /* broken, most likely: its checks say how */
    json_decref(doc);
    return kind;
}

/* Run it; its standard output in out. Answers its wait status, -1 with err. */
static int run_trainer(char **argv, struct buf *out, struct err *err)
{
    int fds[2], status = 0;
    char piece[65536];
    ssize_t n = 0;
    if (pipe(fds))
        return err_set(err, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    while (pid > 0 && out->len < MAX_ANSWER && (n = read(fds[0], piece, sizeof piece)) != 0) {
        if (n > 0)
            buf_add(out, piece, (size_t)n);
        else if (errno != EINTR)
            break;
    }
    close(fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return err_set(err, ERR_IO, "cannot run %s: %s", argv[0], strerror(errno));
    return status;
}

static char **make_argv(const struct args *args, const char *kind, const char *file, char *trainer)
{
    char **argv = xcalloc((size_t)args->given_count * 2 + 8, sizeof *argv);
    int n = 0, at = 0;
    const char *layer, *options = args_str(args, "options");
    argv[n++] = trainer;
    argv[n++] = xstrdup("verify");
    argv[n++] = xstrdup(kind);
    argv[n++] = xstrdup(file);
    while ((layer = args_next(args, "layer", &at))) {
        argv[n++] = xstrdup("--layer");
        argv[n++] = xstrdup(layer);
    }
    if (options) {
        argv[n++] = xstrdup("--options");
        argv[n++] = xstrdup(options);
    }
    return argv;
}

static void print_result(const struct cli *cli, const json_t *v, const char *file, bool all)
{
    size_t i, count[3] = {0};
    json_t *check;
    char took[32];
    problem_print_verification(v, file, all, cli->color, stdout);
    json_array_foreach(json_object_get(v, "checks"), i, check)
    {
        const char *status = jstr(check, "status");
        count[strcmp(status, "passed") == 0 ? 0 : strcmp(status, "warned") == 0 ? 1 : 2]++;
    }
    bool ok = json_is_true(json_object_get(v, "ok"));
    units_format_duration(jreal(v, "seconds"), took, sizeof took);
    printf("%s%s%s %s %s: %zu checks passed, %zu warned, %zu failed (%s)\n",
           ok ? C_GREEN(cli->color) : C_RED(cli->color), ok ? "ok" : "not ok", C_OFF(cli->color),
           jstr(v, "kind"), file, count[0], count[1], count[2], took);
}

int verify_run(struct cli *cli, const struct args *args, struct err *err)
{
    bool named = args->count == 2;
    if (named && !is_kind(args->words[0]))
        return err_set(err, ERR_INVALID, "\"%.60s\" is no kind of file: dataset, algorithm, layer or model",
                       args->words[0]);
    const char *file = args->words[named ? 1 : 0], *kind = named ? args->words[0] : kind_of(file);
    if (!file_exists(file))
        return err_set(err, ERR_NOT_FOUND, "there is no file %s", file);
    char *trainer = paths_program("trainyard-train", err);
    if (!trainer)
        return -1;
    struct buf out = {0};
    char **argv = make_argv(args, kind, file, trainer);
    int status = run_trainer(argv, &out, err), result = -1;
    json_t *v = status >= 0 ? json_parse(buf_str(&out), out.len, NULL, NULL, NULL) : NULL;
    if (v && WIFEXITED(status)) {
        if (cli->json)
            api_print(v);
        else
            print_result(cli, v, file, args_flag(args, "all"));
        result = WEXITSTATUS(status);
    } else if (status >= 0) {
        err_set(err, ERR_IO, "trainyard-train could not check %s (%s %d)", file,
                WIFSIGNALED(status) ? "signal" : "exit",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    for (int i = 0; argv[i]; i++)
        free(argv[i]);
    free(argv);
    buf_free(&out);
    json_decref(v);
    return result;
}
