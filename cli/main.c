/* trainyard: the command line. Takes the words apart, runs the verb, says what went wrong. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/paths.h"
#include "cli/problem.h"

static bool terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && (!term || strcmp(term, "dumb") != 0);
}

static int prepare(struct cli *cli, const struct args *args, struct err *err)
{
    int given = 0;
    const char *no_color = getenv("NO_COLOR");
    bool color = !(no_color && *no_color);
    cli->json = args_flag(args, "json");
    cli->color = color && terminal(STDOUT_FILENO) && !cli->json;
    cli->color_err = color && terminal(STDERR_FILENO);
    cli->live = terminal(STDERR_FILENO);
    cli->url_flag = args_str(args, "url");
    cli->token_flag = args_str(args, "token");
    cli->state = paths_state(args_str(args, "state"), &given, err);
    cli->state_given = given != 0;
    cli->base = event_base_new();
    return cli->state ? 0 : -1;
}

static void release(struct cli *cli)
{
    http_client_destroy(cli->client);
    if (cli->base)
        event_base_free(cli->base);
    json_decref(cli->problem);
    free(cli->state);
    free(cli->url);
    free(cli->token);
    free(cli->ca_file);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
    if (args->help && !args->verb) {
        help_print_all();
        return 0;
    }
    if (args->help) {
        help_print_verb(args->verb, args->path[1] ? args->path[0] : NULL);
        return 0;
    }
    return prepare(cli, args, err) ? -1 : args->verb->run(cli, args, err);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct args args;
    struct cli cli = {0};
    signal(SIGPIPE, SIG_IGN); /* a lost connection is an error, not the end */
    if (argc < 2) {
        help_print_all();
        return 2;
    }
    int status = args_parse(verbs, argc - 1, argv + 1, &args, &err) ? -1 : run(&cli, &args, &err);
    if (status < 0) {
        fflush(stdout);
        problem_print(&cli, &err);
        status = err_exit_code(err.code);
    }
    if (fflush(stdout) && status == 0)
        status = 1; /* full disk, closed pipe: what was asked for was not delivered */
    release(&cli);
    args_free(&args);
    return status;
}
