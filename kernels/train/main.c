/* trainyard-train: one rank of a training run, and what looks at files. (docs/architecture.md 4) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/err.h"
#include "base/mem.h"
#include "kernels/train/generate.h"
#include "kernels/formats/import.h"
#include "kernels/train/run.h"
#include "kernels/train/trained.h"
#include "kernels/verify/verify.h"

static int fail(struct run *r, const struct err *err)
{
    fprintf(stderr, "trainyard-train: rank %d: %s\n", r->dist ? r->dist->rank : 0, err->text);
    fflush(NULL);
    if (r->dist && r->dist->size > 1)
        dist_abort(r->dist, EXIT_FAILURE); /* the others wait for this rank and would go on waiting */
    return EXIT_FAILURE;
}

/* From here on SIGTERM and SIGUSR1 wait until the loop looks at them, in every thread that is yet to start. */
static void hold_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int exit_code(enum report_outcome outcome)
{
    switch (outcome) {
    case REPORT_DIVERGED:
        return EXIT_DIVERGED;
    case REPORT_INTERRUPTED:
        return EXIT_INTERRUPTED;
    case REPORT_FINISHED:
    case REPORT_EARLY:
        break;
    }
    return EXIT_SUCCESS;
}

static int train(struct run *r, struct err *err)
{
    enum report_outcome outcome;
    int rc = run_load(r, err);
    if (rc)
        return rc;
    hold_signals();
    if (run_plan(r, err) || run_resume(r, err) || run_train(r, &outcome, err) || run_finish(r, outcome, err))
        return -1;
    return exit_code(outcome);
}

/* OpenMP's threads wait for each other by spinning, by default so long that one preempted thread costs all of them milliseconds: ten
 * times slower when the machine has anything else to do. A short spin is as fast alone. The library reads this before main, so
 * start again with it set (3 ms). */
static void shorten_spinning(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    if (setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
        execv("/proc/self/exe", argv); /* if it fails, go on as it is */
}

static int train_main(int argc, char **argv)
{
    struct train_options options;
    struct run run = {.options = &options};
    struct err err = {0};
    if (options_parse(argc - 1, argv + 1, &options, &err)) {
        fprintf(stderr, "trainyard-train: %s\n", err.text);
        return 2;
    }
    if (options.help) {
        options_print_help();
        return 0;
    }
    run.dist = dist_create(&err);
    if (!run.dist)
        return fail(&run, &err);
    int rc = train(&run, &err);
    if (rc < 0)
        rc = fail(&run, &err);
    if (rc && dist_barrier(run.dist, NULL) ==
                  0) /* what was to be said is said: now any rank may be the first to end */
        fflush(NULL);
    run_destroy(&run);
    dist_destroy(run.dist);
    return rc;
}

static int version_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("trainyard-train " TRAINYARD_VERSION);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"train", train_main},       {"verify", verify_main},
    {"layers", layers_main},     {"make-digits", make_digits_main},
    {"evaluate", evaluate_main}, {"predict", predict_main},
    {"generate", generate_main}, {"import", import_main},
    {"export", export_main},     {"version", version_main},
};

static int help(void)
{
    options_print_help();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "help") == 0)
        return argc < 2 ? (fputs("trainyard-train: no arguments; --help lists them\n", stderr), 2) : help();
    if (argv[1][0] == '-' || strcmp(argv[1], "train") == 0 || strcmp(argv[1], "evaluate") == 0 ||
        strcmp(argv[1], "generate") == 0 || strcmp(argv[1], "predict") == 0)
        shorten_spinning(argv);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argv[1][0] == '-')
        return train_main(argc, argv);
    fprintf(stderr,
            "trainyard-train: there is no command %s: train, evaluate, predict, generate, import, export, "
            "verify, layers, "
            "make-digits, "
            "version\n",
            argv[1]);
    return 2;
}
