/* trainyard down: agent (with its jobs), orchestrator, PostgreSQL, in that order, and nothing is left but the state folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/postgres.h"

static void say(const struct cli *cli, const char *name, int how)
{
    if (how && !cli->json)
        printf("%-13s %s\n", name, how == 2 ? "killed: it did not end in time" : "stopped");
}

/* The pid of a shepherd that lives; its file is {"pid","start","boot"}. */
static pid_t shepherd_of(const char *attempt, unsigned long long *start)
{
    char *path = path_join(attempt, "shepherd.pid");
    json_t *doc = json_parse_file(path, 4096, NULL);
    pid_t pid = (pid_t)jint(doc, "pid");
    *start = (unsigned long long)jint(doc, "start");
    json_decref(doc);
    free(path);
    return process_alive(pid, *start) ? pid : 0;
}

/* Shepherds outlive their agent. When the agent was not there to end them, send the signal to each; returns how many live. */
static int signal_shepherds(const char *state, int signal)
{
    char *attempts = path_join(state, "agent/attempts");
    DIR *dir = opendir(attempts);
    struct dirent *d;
    int alive = 0;
    while (dir && (d = readdir(dir))) {
        if (d->d_name[0] == '.')
            continue;
        char *attempt = path_join(attempts, d->d_name);
        unsigned long long start;
        pid_t pid = shepherd_of(attempt, &start);
        if (pid) {
            alive++;
            if (signal)
                kill(pid, signal);
        }
        free(attempt);
    }
    if (dir)
        closedir(dir);
    free(attempts);
    return alive;
}

static int stop_jobs(const char *state)
{
    int found = signal_shepherds(state, SIGTERM);
    double end = time_monotonic() + 30;
    while (signal_shepherds(state, 0) && time_monotonic() < end)
        usleep(50000);
    signal_shepherds(state, SIGKILL);
    return found;
}

int down_run(struct cli *cli, const struct args *args, struct err *err)
{
    bool keep_jobs = args_flag(args, "keep-jobs");
    char *wish = path_join(cli->state, "agent/stop-jobs"), *agent = path_join(cli->state, "agent");
    if (!keep_jobs && file_exists(agent)) {
        int fd = open(wish, O_WRONLY | O_CREAT | O_CLOEXEC,
                      0600); /* the agent looks for it when it is told to end */
        if (fd >= 0)
            close(fd);
        else
            err_set(err, ERR_IO, "cannot write %s: %s", wish, strerror(errno));
    }
    int a = daemon_stop(cli->state, "agent", SIGTERM, 60);
    int jobs = keep_jobs ? 0 : stop_jobs(cli->state);
    unlink(wish);
    free(wish);
    free(agent);
    say(cli, "agent", a);
    if (jobs && !cli->json)
        printf("jobs          %d that had no agent were stopped\n", jobs);
    int o = daemon_stop(cli->state, "orchestrator", SIGTERM, 20);
    say(cli, "orchestrator", o);
    int p = postgres_down(cli->state);
    say(cli, "postgres", p);
    if (cli->json)
        printf("{\"agent\":%s,\"orchestrator\":%s,\"postgres\":%s}\n", a ? "true" : "false",
               o ? "true" : "false", p ? "true" : "false");
    else if (!a && !o && !p)
        printf("nothing was running under %s\n", cli->state);
    return 0;
}
