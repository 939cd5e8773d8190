/* trainyard train: submit a run, and watch it if asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/api.h"
#include "cli/args.h"
#include "cli/follow.h"
#include "cli/verb.h"

static int add_text(const struct args *args, json_t *body, const char *name, bool required, struct err *err)
{
    const char *v = args_str(args, name);
    if (!v && required)
        return err_set(err, ERR_INVALID,
                       "--%s is missing: trainyard train --task T --dataset D --algorithm A --model M", name);
    if (v)
        json_object_set_new(body, name, json_string(v));
    return 0;
}

/* --set /optimizer/learning_rate=0.01: the value is JSON, or else a text. */
static int add_overrides(const struct args *args, json_t *body, struct err *err)
{
    json_t *all = json_object();
    const char *set;
    int at = 0;
    while ((set = args_next(args, "set", &at))) {
        const char *eq = strchr(set, '=');
        if (set[0] != '/' || !eq) {
            json_decref(all);
            return err_set(err, ERR_INVALID, "--set \"%s\": expected /pointer=value, such as /epochs=3", set);
        }
        char *pointer = xstrndup(set, (size_t)(eq - set));
        json_t *v = json_loads(eq + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        json_object_set_new(all, pointer, v ? v : json_string(eq + 1));
        free(pointer);
    }
    if (json_object_size(all))
        json_object_set(body, "overrides", all);
    json_decref(all);
    return 0;
}

static int add_resources(const struct args *args, json_t *body, struct err *err)
{
    json_t *r = json_object();
    int64_t ranks = 0, cores = 0, gpus = -1, memory = 0;
    const char *size = args_str(args, "memory"), *partition = args_str(args, "partition");
    int rc = args_int(args, "ranks", 1, 65536, &ranks, err) ||
                     args_int(args, "cores-per-rank", 1, 65536, &cores, err) ||
                     args_int(args, "gpus-per-rank", 0, 64, &gpus, err) ||
                     (size && units_parse_size(size, &memory, err))
                 ? -1
                 : 0;
    if (ranks)
        json_object_set_new(r, "ranks", json_integer(ranks));
    if (cores)
        json_object_set_new(r, "cores_per_rank", json_integer(cores));
    if (gpus >= 0)
        json_object_set_new(r, "gpus_per_rank", json_integer(gpus));
    if (memory)
        json_object_set_new(r, "memory_bytes", json_integer(memory));
    if (partition)
        json_object_set_new(r, "partition", json_string(partition));
    if (json_object_size(r))
        json_object_set(body, "resources", r);
    json_decref(r);
    return rc;
}

static int add_limits(const struct args *args, json_t *body, struct err *err)
{
    const char *limit = args_str(args, "time-limit");
    int64_t seconds = 0, priority = INT64_MIN;
    if (limit && units_parse_duration(limit, &seconds, err))
        return err_prefix(err, "--time-limit");
    if (limit)
        json_object_set_new(body, "time_limit_seconds", json_integer(seconds));
    if (args_int(args, "priority", -1000000, 1000000, &priority, err))
        return -1;
    if (priority != INT64_MIN)
        json_object_set_new(body, "priority", json_integer(priority));
    return 0;
}

static json_t *make_body(const struct args *args, struct err *err)
{
    json_t *body = json_object();
    if (add_text(args, body, "dataset", true, err) || add_text(args, body, "algorithm", true, err) ||
        add_text(args, body, "model", true, err) || add_text(args, body, "name", false, err) ||
        add_overrides(args, body, err) || add_resources(args, body, err) || add_limits(args, body, err)) {
        json_decref(body);
        return NULL;
    }
    return body;
}

/* The key makes a repeated call (a connection lost just as the answer came) submit once. */
static int submit(struct cli *cli, const char *task, json_t *body, json_t **job, struct err *err)
{
    char key[33], *name = api_escape(task), *path = xasprintf("/api/v1/tasks/%s/instances", name),
                  *text = json_text(body);
    struct http_headers headers = {0};
    struct http_response r;
    random_hex(key, 32);
    http_headers_add(&headers, "Idempotency-Key", key);
    struct http_call call = {.method = HTTP_M_POST,
                             .path = path,
                             .headers = &headers,
                             .body = text,
                             .body_len = strlen(text),
                             .content_type = "application/json",
                             .timeout_seconds = 300};
    int rc = api_do(cli, &call, &r, err);
    if (!rc) {
        rc = r.status / 100 == 2 ? 0 : api_refused(cli, &r, err);
        if (!rc)
            rc = (*job = json_parse(buf_str(&r.body), r.body.len, NULL, NULL, err)) ? 0 : -1;
        http_response_free(&r);
    }
    http_headers_free(&headers);
    free(name);
    free(path);
    free(text);
    return rc;
}

int train_run(struct cli *cli, const struct args *args, struct err *err)
{
    int64_t id = 0;
    if (args_int(args, "attach", 1, INT64_MAX, &id, err))
        return -1;
    if (id)
        return follow_job(cli, id, err);
    const char *task = args_str(args, "task");
    if (!task)
        return err_set(err, ERR_INVALID, "in which task? Add --task TASK");
    json_t *body = make_body(args, err), *job = NULL;
    if (!body)
        return -1;
    int rc = submit(cli, task, body, &job, err);
    json_decref(body);
    if (rc)
        return -1;
    id = jint(job, "id");
    bool follow = args_flag(args, "follow");
    if (cli->json && !follow)
        api_print(job);
    else if (!cli->json)
        printf("job %lld submitted: %s on %s with %s\n", (long long)id, jstr(job, "model"),
               jstr(job, "dataset"), jstr(job, "algorithm"));
    json_decref(job);
    fflush(stdout);
    return follow ? follow_job(cli, id, err) : 0;
}
