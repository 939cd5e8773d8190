/* trainyard logs JOB [--follow]: what the job wrote, both streams in order. */
#include <stdio.h>
#include <string.h>
#include "cli/api.h"
#include "cli/args.h"
#include "cli/records.h"
#include "cli/verb.h"

static int on_line(int64_t seq, const json_t *item, void *arg)
{
    (void)seq;
    const struct cli *cli = arg;
    const json_t *record = json_object_get(item, "record");
    const char *text = jstr(record, "text");
    size_t n = strlen(text);
    if (cli->json) {
        api_print(item);
    } else {
        bool dim = cli->color && strcmp(jstr(record, "stream"), "stderr") == 0;
        printf("%s%s%s%s", C_DIM(dim), text, C_OFF(dim), n && text[n - 1] == '\n' ? "" : "\n");
    }
    fflush(stdout);
    return ferror(stdout);
}

static int print_tail(struct cli *cli, int64_t job, int64_t tail, struct err *err)
{
    json_t *page = NULL, *item;
    size_t i;
    if (api_get(cli, &page, err, "/jobs/%lld/logs?tail=%lld", (long long)job, (long long)tail))
        return -1;
    json_array_foreach(json_object_get(page, "items"), i, item) on_line(0, item, cli);
    json_decref(page);
    return 0;
}

int logs_run(struct cli *cli, const struct args *args, struct err *err)
{
    int64_t job, since = 0, tail = 0;
    if (args_job(args, &job, err) || args_int(args, "tail", 1, 10000, &tail, err))
        return -1;
    json_t *there = NULL; /* a job that is not there has no empty log */
    int rc = api_get(cli, &there, err, "/jobs/%lld", (long long)job);
    json_decref(there);
    if (rc)
        return -1;
    if (tail)
        return print_tail(cli, job, tail, err);
    return args_flag(args, "follow") ? records_follow(cli, job, "logs", on_line, cli, err)
                                     : records_page(cli, job, "logs", &since, on_line, cli, err);
}
