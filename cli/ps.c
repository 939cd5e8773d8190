/* trainyard ps: the jobs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/table.h"
#include "cli/when.h"

static void progress_of(const json_t *job, char *out, size_t n)
{
    const json_t *p = json_object_get(job, "progress"), *values = json_object_get(p, "values");
    const json_t *loss = json_object_get(values, "train/loss"),
                 *accuracy = json_object_get(values, "eval/accuracy");
    int64_t steps = jint(p, "steps");
    size_t used = 0;
    out[0] = '\0';
    if (steps > 0)
        used += (size_t)snprintf(out, n, "%.0f%%", 100.0 * (double)jint(p, "step") / (double)steps);
    if (json_is_number(loss) && used < n)
        used += (size_t)snprintf(out + used, n - used, " loss %.4f", json_number_value(loss));
    if (json_is_number(accuracy) && used < n)
        snprintf(out + used, n - used, " acc %.4f", json_number_value(accuracy));
}

static void add_row(struct table *t, const json_t *job)
{
    char id[24], progress[96], took[32], when[48];
    bool held = json_is_true(json_object_get(job, "held"));
    const char *name = jstr(job, "name"), *task = jstr(job, "task"), *state = jstr(job, "state");
    snprintf(id, sizeof id, "%lld", (long long)jint(job, "id"));
    progress_of(job, progress, sizeof progress);
    table_row(t, id, *name ? name : NULL, *task ? task : NULL, held ? "PENDING (held)" : state,
              *progress ? progress : NULL, when_ago(jstr(job, "submitted"), when, sizeof when),
              *jstr(job, "started")
                  ? when_took(jstr(job, "started"), *jstr(job, "ended") ? jstr(job, "ended") : NULL, took,
                              sizeof took)
                  : NULL);
}

int ps_run(struct cli *cli, const struct args *args, struct err *err)
{
    int64_t limit = 50;
    const char *task = args_str(args, "task"), *state = args_str(args, "state-is");
    if (args_int(args, "limit", 1, 500, &limit, err))
        return -1;
    struct buf path = {0};
    buf_printf(&path, "/jobs?limit=%lld", (long long)limit);
    if (state || !args_flag(args, "all"))
        buf_printf(&path, "&state=%s", state ? state : "PENDING,STARTING,RUNNING,COMPLETING");
    if (task) {
        buf_puts(&path, "&task=");
        http_percent_encode(&path, task);
    }
    json_t *list = NULL, *job;
    int rc = api_call(cli, HTTP_M_GET, path.data, NULL, &list, err);
    buf_free(&path);
    if (rc)
        return -1;
    size_t i;
    if (cli->json) {
        api_print(list);
    } else {
        struct table *t = table_create(7, ">ID", "NAME", "TASK", "STATE", "PROGRESS", "SUBMITTED", "TIME");
        json_array_foreach(json_object_get(list, "items"), i, job) add_row(t, job);
        table_print(t, stdout, cli->color);
        table_destroy(t);
    }
    json_decref(list);
    return 0;
}
