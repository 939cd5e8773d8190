/* trainyard show JOB: all that is known of one job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/follow.h"
#include "cli/verb.h"
#include "cli/when.h"

static void line(const char *name, const char *value)
{
    if (value && *value)
        printf("%-13s %s\n", name, value);
}

static void print_job(const json_t *j)
{
    char when[48], took[32];
    static const char *const TEXTS[] = {"name", "task", "owner", "dataset", "algorithm", "model", "reason"};
    printf("job           %lld (%s, attempt %lld)\nstate         %s%s\n", (long long)jint(j, "id"),
           jstr(j, "kind"), (long long)jint(j, "attempt"), jstr(j, "state"),
           json_is_true(json_object_get(j, "held")) ? " (held)" : "");
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        line(TEXTS[i], jstr(j, TEXTS[i]));
    static const char *const VALUES[] = {"overrides", "resources", "nodes"};
    for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
        const json_t *v = json_object_get(j, VALUES[i]);
        char *text = json_object_size(v) || json_array_size(v) ? json_text(v) : NULL;
        line(VALUES[i], text);
        free(text);
    }
    line("submitted", when_ago(jstr(j, "submitted"), when, sizeof when));
    if (*jstr(j, "started")) {
        line("started", when_ago(jstr(j, "started"), when, sizeof when));
        line("took",
             when_took(jstr(j, "started"), *jstr(j, "ended") ? jstr(j, "ended") : NULL, took, sizeof took));
    }
    const json_t *p = json_object_get(j, "progress");
    const char *key;
    json_t *v;
    if (json_is_object(p))
        printf("progress      step %lld of %lld, epoch %lld of %lld\n", (long long)jint(p, "step"),
               (long long)jint(p, "steps"), (long long)jint(p, "epoch"), (long long)jint(p, "epochs"));
    json_object_foreach(json_object_get(p, "values"), key, v)
        printf("  %-20s %.6g\n", key, json_number_value(v));
}

static void print_artifacts(const json_t *list)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(list, "items"), i, a)
    {
        char size[32];
        units_format_size(jint(a, "size"), size, sizeof size);
        printf("%s%10s  %s\n", i ? "              " : "artifacts     ", size, jstr(a, "name"));
    }
}

static void print_events(const json_t *list)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(list, "items"), i, e)
        printf("%s%s  %s%s%s\n", i ? "              " : "events        ", jstr(e, "at"), jstr(e, "event"),
               *jstr(e, "to") ? " -> " : "", jstr(e, "to"));
}

int show_run(struct cli *cli, const struct args *args, struct err *err)
{
    int64_t id;
    json_t *job = NULL, *artifacts = NULL, *events = NULL;
    if (args_job(args, &id, err) || api_get(cli, &job, err, "/jobs/%lld", (long long)id))
        return -1;
    int rc = 0;
    if (cli->json) {
        api_print(job);
    } else {
        rc = api_get(cli, &artifacts, err, "/jobs/%lld/artifacts", (long long)id);
        if (!rc && args_flag(args, "events"))
            rc = api_get(cli, &events, err, "/jobs/%lld/events", (long long)id);
        print_job(job);
        print_artifacts(artifacts);
        print_events(events);
        if (job_has_ended(job) && strcmp(jstr(job, "state"), "COMPLETED") != 0)
            job_print_end(cli, job);
    }
    json_decref(job);
    json_decref(artifacts);
    json_decref(events);
    return rc;
}
