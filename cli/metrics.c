/* trainyard metrics JOB [--csv] [--follow]: the numbers of a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/records.h"
#include "cli/verb.h"

struct sheet {
    struct cli *cli;
    bool csv;
    json_t *rows;    /* of --csv without --follow: columns are known at the end only */
    json_t *columns; /* names in the order they came */
};

static void print_row(const json_t *record)
{
    const char *key;
    json_t *v;
    printf("%-5s epoch %-4lld step %-7lld", jstr(record, "kind"), (long long)jint(record, "epoch"),
           (long long)jint(record, "step"));
    json_object_foreach(json_object_get(record, "values"), key, v)
        printf("  %s %.6g", key, json_number_value(v));
    putchar('\n');
}

static void note_columns(struct sheet *s, const json_t *record)
{
    const char *key;
    json_t *v, *known;
    size_t i;
    json_object_foreach(json_object_get(record, "values"), key, v)
    {
        bool there = false;
        json_array_foreach(s->columns, i, known) there = there || strcmp(json_string_value(known), key) == 0;
        if (!there)
            json_array_append_new(s->columns, json_string(key));
    }
}

static int on_metric(int64_t seq, const json_t *item, void *arg)
{
    (void)seq;
    struct sheet *s = arg;
    json_t *record = json_object_get(item, "record");
    const char *kind = jstr(record, "kind");
    if (s->cli->json && !s->csv) {
        api_print(item);
    } else if (json_object_get(record, "values") && strcmp(kind, "end") != 0) {
        if (!s->csv) {
            print_row(record);
        } else {
            note_columns(s, record);
            json_array_append(s->rows, record);
        }
    }
    fflush(stdout);
    return ferror(stdout);
}

static void print_csv(const struct sheet *s)
{
    size_t i, k;
    json_t *record, *column;
    printf("time,kind,epoch,step");
    json_array_foreach(s->columns, k, column) printf(",%s", json_string_value(column));
    putchar('\n');
    json_array_foreach(s->rows, i, record)
    {
        printf("%.6f,%s,%lld,%lld", jreal(record, "t"), jstr(record, "kind"),
               (long long)jint(record, "epoch"), (long long)jint(record, "step"));
        json_array_foreach(s->columns, k, column)
        {
            const json_t *v = json_object_get(json_object_get(record, "values"), json_string_value(column));
            putchar(',');
            if (json_is_number(v))
                printf("%.9g", json_number_value(v));
        }
        putchar('\n');
    }
}

int metrics_run(struct cli *cli, const struct args *args, struct err *err)
{
    struct sheet s = {
        .cli = cli, .csv = args_flag(args, "csv"), .rows = json_array(), .columns = json_array()};
    int64_t job, since = 0;
    int rc = args_job(args, &job, err);
    json_t *there = NULL;
    if (!rc)
        rc = api_get(cli, &there, err, "/jobs/%lld", (long long)job);
    if (!rc)
        rc = args_flag(args, "follow") ? records_follow(cli, job, "metrics", on_metric, &s, err)
                                       : records_page(cli, job, "metrics", &since, on_metric, &s, err);
    if (!rc && s.csv)
        print_csv(&s);
    json_decref(there);
    json_decref(s.rows);
    json_decref(s.columns);
    return rc;
}
