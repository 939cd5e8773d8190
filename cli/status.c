/* trainyard status: the server, its nodes and jobs, and what of it runs on this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/daemon.h"
#include "cli/login.h"
#include "cli/server.h"
#include "cli/verb.h"

static void print_local(const struct cli *cli)
{
    static const char *const NAMES[] = {"postgres", "orchestrator", "agent"};
    for (int i = 0; i < 3; i++) {
        pid_t pid = daemon_running(cli->state, NAMES[i]);
        if (pid)
            printf("%-13s pid %d on this machine\n", NAMES[i], (int)pid);
    }
}

static void count_jobs(const json_t *jobs, int *running, int *pending)
{
    size_t i;
    json_t *job;
    json_array_foreach(jobs, i, job)
    {
        if (strcmp(jstr(job, "state"), "PENDING") == 0)
            ++*pending;
        else
            ++*running;
    }
}

static void print_cluster(const json_t *nodes, const json_t *jobs)
{
    int up = 0, total = 0, running = 0, pending = 0;
    int64_t cores = 0, used = 0;
    size_t i;
    json_t *node;
    json_array_foreach(json_object_get(nodes, "items"), i, node)
    {
        total++;
        if (strcmp(jstr(node, "state"), "up") == 0) {
            up++;
            cores += jint(node, "cores");
            used += jint(node, "cores_used");
        }
    }
    count_jobs(jobs, &running, &pending);
    printf("nodes         %d of %d up, %lld of %lld cores busy\n", up, total, (long long)used,
           (long long)cores);
    printf("jobs          %d running, %d waiting\n", running, pending);
}

int status_run(struct cli *cli, const struct args *args, struct err *err)
{
    json_t *version = NULL, *nodes = NULL, *jobs = NULL, *who = NULL;
    if (!cli->json)
        print_local(cli);
    int rc = api_get(cli, &version, err, "/version");
    if (!rc)
        rc = api_get(cli, &who, err, "/sessions/current");
    if (!rc)
        rc = api_get(cli, &nodes, err, "/nodes");
    if (!rc)
        rc = (jobs = api_list(cli, "/jobs?state=PENDING,STARTING,RUNNING,COMPLETING", err)) ? 0 : -1;
    if (!rc && cli->json) {
        json_t *doc = json_pack("{s:s, s:O, s:O, s:O, s:O}", "url", cli->url, "version", version, "session",
                                who, "nodes", json_object_get(nodes, "items"), "jobs", jobs);
        api_print(doc);
        json_decref(doc);
    } else if (!rc) {
        const json_t *user = json_object_get(who, "user");
        printf("server        %s, version %s, as %s (%s)\n", cli->url, jstr(version, "version"),
               jstr(user, "name"), jstr(user, "role"));
        print_cluster(nodes, jobs);
    }
    json_decref(version);
    json_decref(nodes);
    json_decref(jobs);
    json_decref(who);
    return rc || !args_flag(args, "signin") ? rc : login_print_link(cli, err);
}
