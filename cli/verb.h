/* verb: what a command of the command line is. THE table is in verbs.c; --help and the parser come from it. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct cli;
struct args;

enum opt_kind { OPT_FLAG, OPT_STR, OPT_LIST /* may be repeated */ };

struct opt {
    const char *name; /* "task": --task T, --task=T */
    char letter;      /* 't': -t T; 0 none */
    enum opt_kind kind;
    const char *value; /* "TASK": how the value is called in the help */
    const char *help;  /* one sentence */
};

/* The run function answers the exit status, or -1 with err set: main prints it and maps the code. */
typedef int (*verb_f)(struct cli *cli, const struct args *args, struct err *err);

struct verb {
    const char *name;
    const char *words;        /* "NAME FILE...": how the arguments are called */
    const char *summary;      /* one line of the list of commands */
    const char *detail;       /* more, for --help of this verb; may be NULL */
    const struct opt *opts;   /* ended by a NULL name; NULL: none */
    const struct verb *subs;  /* "create", "list", ...; ended by a NULL name; NULL: none */
    int min_words, max_words; /* -1: any number */
    verb_f run;
};

extern const struct verb verbs[];      /* ended by a NULL name */
extern const struct opt global_opts[]; /* taken by every verb */

/* One function a verb, each in the file of its name. */
int up_run(struct cli *cli, const struct args *args, struct err *err);
int down_run(struct cli *cli, const struct args *args, struct err *err);
int status_run(struct cli *cli, const struct args *args, struct err *err);
int login_run(struct cli *cli, const struct args *args, struct err *err);
int task_create(struct cli *cli, const struct args *args, struct err *err);
int task_list(struct cli *cli, const struct args *args, struct err *err);
int task_show(struct cli *cli, const struct args *args, struct err *err);
int task_delete(struct cli *cli, const struct args *args, struct err *err);
int asset_add(struct cli *cli, const struct args *args, struct err *err);
int asset_list(struct cli *cli, const struct args *args, struct err *err);
int asset_show(struct cli *cli, const struct args *args, struct err *err);
int asset_get(struct cli *cli, const struct args *args, struct err *err);
int asset_delete(struct cli *cli, const struct args *args, struct err *err);
int verify_run(struct cli *cli, const struct args *args, struct err *err);
int train_run(struct cli *cli, const struct args *args, struct err *err);
int submit_run(struct cli *cli, const struct args *args, struct err *err);
int sim_verb(struct cli *cli, const struct args *args, struct err *err);
int ps_run(struct cli *cli, const struct args *args, struct err *err);
int show_run(struct cli *cli, const struct args *args, struct err *err);
int logs_run(struct cli *cli, const struct args *args, struct err *err);
int metrics_run(struct cli *cli, const struct args *args, struct err *err);
int results_run(struct cli *cli, const struct args *args, struct err *err);
int cancel_run(struct cli *cli, const struct args *args, struct err *err);
int node_list(struct cli *cli, const struct args *args, struct err *err);
int node_act(struct cli *cli, const struct args *args, struct err *err); /* drain, resume */
int version_run(struct cli *cli, const struct args *args, struct err *err);
int help_run(struct cli *cli, const struct args *args, struct err *err);

#endif
