/* trainyard node: the machines, and whether they take work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/table.h"
#include "cli/when.h"

static void add_row(struct table *t, const json_t *n)
{
    char cores[48], memory[32], jobs[128] = "", when[48], gpus[16];
    size_t i;
    json_t *job;
    snprintf(cores, sizeof cores, "%lld/%lld", (long long)jint(n, "cores_used"), (long long)jint(n, "cores"));
    units_format_size(jint(n, "memory_bytes"), memory, sizeof memory);
    snprintf(gpus, sizeof gpus, "%zu", json_array_size(json_object_get(n, "gpus")));
    json_array_foreach(json_object_get(n, "jobs"), i, job) if (strlen(jobs) < sizeof jobs - 24)
        sprintf(jobs + strlen(jobs), "%s%lld", i ? "," : "", (long long)json_integer_value(job));
    const char *reason = jstr(n, "reason");
    table_row(t, jstr(n, "name"), jstr(n, "state"), cores, memory, gpus, *jobs ? jobs : NULL,
              when_ago(jstr(n, "last_seen"), when, sizeof when), *reason ? reason : NULL);
}

int node_list(struct cli *cli, const struct args *args, struct err *err)
{
    (void)args;
    json_t *list = NULL, *n;
    size_t i;
    if (api_get(cli, &list, err, "/nodes"))
        return -1;
    if (cli->json) {
        api_print(list);
    } else {
        struct table *t =
            table_create(8, "NODE", "STATE", ">CORES", ">MEMORY", ">GPUS", "JOBS", "SEEN", "REASON");
        json_array_foreach(json_object_get(list, "items"), i, n) add_row(t, n);
        table_print(t, stdout, cli->color);
        table_destroy(t);
    }
    json_decref(list);
    return 0;
}

int node_act(struct cli *cli, const struct args *args, struct err *err)
{
    const char *reason = args_str(args, "reason");
    bool drain = strcmp(args->path[1], "drain") == 0;
    char *name = api_escape(args->words[0]), *path = xasprintf("/nodes/%s/%s", name, args->path[1]);
    json_t *body = drain ? json_pack("{s:s}", "reason", reason ? reason : "drained by hand") : NULL,
           *answer = NULL;
    int rc = api_call(cli, HTTP_M_POST, path, body, &answer, err);
    free(name);
    free(path);
    if (!rc && cli->json && answer)
        api_print(answer);
    else if (!rc)
        printf("node %s %s\n", args->words[0], drain ? "takes no new jobs" : "takes jobs again");
    json_decref(answer);
    return rc;
}
