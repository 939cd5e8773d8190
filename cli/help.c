/* trainyard help, --help and version: all of it from the tables. */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>
#include "cli/args.h"
#include "cli/cli.h"

static void print_opts(const struct opt *o)
{
    for (; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->kind == OPT_FLAG ? "" : " ",
                 o->kind == OPT_FLAG ? "" : o->value);
        printf("  %-30s %s%s\n", left, o->help, o->kind == OPT_LIST ? " May be repeated." : "");
    }
}

static void print_exit_codes(void)
{
    puts("\nExit status:\n"
         "  0  done\n"
         "  1  something failed (disk, network, a bug)\n"
         "  2  the command or its input makes no sense\n"
         "  3  a file failed verification\n"
         "  4  not signed in, or not allowed\n"
         "  5  there is no such thing\n"
         "  6  the name is taken, or the state of things does not allow it\n"
         "  7  the server or a part of it is away or busy: try again later\n"
         "  train --follow and train --attach end with the run's own status: 0 when it completed, else the "
         "program's\n"
         "  exit code, 128 + the signal that ended it, or 1.");
}

void help_print_all(void)
{
    puts("Usage: trainyard COMMAND [ARGUMENTS] [OPTIONS]\n\nTrain models on a cluster, or on this "
         "machine.\n\nCommands:");
    for (const struct verb *v = verbs; v->name; v++)
        printf("  %-10s %s\n", v->name, v->summary);
    puts("\nOptions of every command:");
    print_opts(global_opts);
    puts("\n`trainyard help COMMAND` says more about one. The server is found by, in this order: --url and "
         "--token; TRAINYARD_URL and\n"
         "TRAINYARD_TOKEN; client.json of a state folder named by --state or TRAINYARD_STATE; "
         "~/.config/trainyard/client.json\n"
         "(trainyard login); client.json of the default state folder (trainyard up).");
    print_exit_codes();
}

void help_print_verb(const struct verb *v, const char *parent)
{
    printf("Usage: trainyard %s%s%s %s%s\n\n%s\n", parent ? parent : "", parent ? " " : "", v->name,
           v->subs ? "COMMAND ..." : v->words, v->opts ? " [OPTIONS]" : "", v->summary);
    if (v->detail)
        printf("\n%s\n", v->detail);
    if (v->subs) {
        puts("\nCommands:");
        for (const struct verb *s = v->subs; s->name; s++) {
            char left[64];
            snprintf(left, sizeof left, "%s %s", s->name, s->words);
            printf("  %-24s %s\n", left, s->summary);
        }
    }
    if (v->opts) {
        puts("\nOptions:");
        print_opts(v->opts);
    }
    puts("\nOptions of every command:");
    print_opts(global_opts);
}

int help_run(struct cli *cli, const struct args *args, struct err *err)
{
    (void)cli;
    if (args->count == 0) {
        help_print_all();
        return 0;
    }
    const struct verb *v = verbs;
    while (v->name && strcmp(v->name, args->words[0]) != 0)
        v++;
    if (!v->name)
        return err_set(err, ERR_NOT_FOUND, "there is no command \"%.60s\"; see trainyard help",
                       args->words[0]);
    const struct verb *s = args->count > 1 ? v->subs : NULL;
    while (s && s->name && strcmp(s->name, args->words[1]) != 0)
        s++;
    if (args->count > 1 && (!s || !s->name))
        return err_set(err, ERR_NOT_FOUND, "there is no command \"%s %.60s\"; see trainyard help %s", v->name,
                       args->words[1], v->name);
    help_print_verb(s ? s : v, s ? v->name : NULL);
    return 0;
}

int version_run(struct cli *cli, const struct args *args, struct err *err)
{
    (void)args;
    (void)err;
    puts(cli->json ? "{\"name\":\"trainyard\",\"version\":\"" TRAINYARD_VERSION "\"}"
                   : "trainyard " TRAINYARD_VERSION);
    return 0;
}
