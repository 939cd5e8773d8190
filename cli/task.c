/* trainyard task: the named pieces of work that group assets and runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/table.h"
#include "cli/when.h"

static char *task_path(const struct args *args)
{
    char *name = api_escape(args->words[0]), *path = xasprintf("/tasks/%s", name);
    free(name);
    return path;
}

static void print_task(const json_t *t)
{
    char when[48];
    printf("task          %s\ntype          %s\nowner         %s\ncreated       %s\n", jstr(t, "name"),
           jstr(t, "type"), jstr(t, "owner"), when_ago(jstr(t, "created"), when, sizeof when));
    if (*jstr(t, "description"))
        printf("description   %s\n", jstr(t, "description"));
    const char *key;
    json_t *n;
    json_object_foreach(json_object_get(t, "counts"), key, n)
        printf("%-13s %lld\n", key, (long long)json_integer_value(n));
}

static int answer(struct cli *cli, int rc, json_t *task)
{
    if (!rc && cli->json)
        api_print(task);
    else if (!rc)
        print_task(task);
    json_decref(task);
    return rc;
}

int task_create(struct cli *cli, const struct args *args, struct err *err)
{
    const char *type = args_str(args, "type"), *description = args_str(args, "description"), *label;
    json_t *labels = json_array(), *task = NULL;
    int at = 0;
    while ((label = args_next(args, "label", &at)))
        json_array_append_new(labels, json_string(label));
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "name", args->words[0], "type", type ? type : "other",
                             "description", description ? description : "", "labels", labels);
    if (!body)
        return err_set(err, ERR_INVALID, "name and description must be UTF-8 text");
    int rc = api_call(cli, HTTP_M_POST, "/tasks", body, &task, err);
    return answer(cli, rc, task);
}

int task_show(struct cli *cli, const struct args *args, struct err *err)
{
    json_t *task = NULL;
    char *path = task_path(args);
    int rc = api_call(cli, HTTP_M_GET, path, NULL, &task, err);
    free(path);
    return answer(cli, rc, task);
}

int task_delete(struct cli *cli, const struct args *args, struct err *err)
{
    char *path = task_path(args);
    int rc = api_call(cli, HTTP_M_DELETE, path, NULL, NULL, err);
    free(path);
    if (!rc && !cli->json)
        printf("task %s deleted\n", args->words[0]);
    return rc;
}

int task_list(struct cli *cli, const struct args *args, struct err *err)
{
    (void)args;
    json_t *tasks = api_list(cli, "/tasks", err), *t;
    if (!tasks)
        return -1;
    size_t i;
    if (cli->json) {
        json_t *doc = json_pack("{s:O}", "items", tasks);
        api_print(doc);
        json_decref(doc);
    } else {
        struct table *table =
            table_create(7, "TASK", "TYPE", "OWNER", ">DATASETS", ">MODELS", ">RUNS", "UPDATED");
        json_array_foreach(tasks, i, t)
        {
            char counts[3][24], when[48];
            static const char *const KEYS[] = {"datasets", "models", "instances"};
            for (int k = 0; k < 3; k++)
                snprintf(counts[k], sizeof counts[k], "%lld",
                         (long long)jint(json_object_get(t, "counts"), KEYS[k]));
            table_row(table, jstr(t, "name"), jstr(t, "type"), jstr(t, "owner"), counts[0], counts[1],
                      counts[2], when_ago(jstr(t, "updated"), when, sizeof when));
        }
        table_print(table, stdout, cli->color);
        table_destroy(table);
    }
    json_decref(tasks);
    return 0;
}
